"""Who wrote a message: a person, or which kind of machine.

Decides what makes no lead and nothing to do: answers of machines, mail that came back, lists, reports, spam. The head
counts first; where it leaves a doubt, the parts and the first sentences do (`notices`, `away`). Where a sign is weak a
person is assumed, since a lead that is lost costs more than one too many. Pure. Invariant: what an answering machine
sends is never `none` if it follows RFC 3834, so two of them cannot talk.

Source: RFC 3834, 3464, 8098, 2919, 7489, 8460; MS-OXCMAIL (X-Auto-Response-Suppress); what Exchange, Gmail, Yandex,
Mail.ru, Exim and vacation programs really send.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Literal

from hub.mail.reading import notices
from hub.mail.reading.away import is_away
from hub.mail.reading.headers import Head
from hub.mail.reading.people import sender

Auto = Literal["none", "auto_reply", "bounce", "list", "spam"]

_ACCEPTED = re.compile(
    r"\s*(accepted|declined|tentative(ly accepted)?|(предварительно )?принято|отклонено|под вопросом|прийнято|"
    r"відхилено|(mit vorbehalt )?zugesagt|abgesagt|acceptée?|refusée?)\s*:",
    re.IGNORECASE,
)
_DMARC = re.compile(r"\s*(\[[^\]]{1,40}\]\s*)?report[- ]domain:.{1,200}submitter:", re.IGNORECASE)
_ANSWERING = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-mail-autoreply", "x-autoreply-from")
_OF_GROUPS = ("list-id", "list-post", "list-help", "list-owner")
_OF_SENDERS = ("x-mailchimp-id", "x-csa-complaints")


def classify(
    head: Head, *, kinds: Collection[str] = (), beginning: Callable[[], str] = str, is_own_group: bool = False
) -> Auto:
    """Tell who wrote the message with this head, parts of these `kinds`, and a text that begins so.

    `is_own_group`: the list that it came by is a group of the company's own, and says nothing of who wrote.
    """

    def said(name: str) -> str:
        return head.text(name, max_chars=300).strip().lower()

    if said("x-spam-flag").startswith("yes") or said("x-spam-status").startswith("yes") or said("x-spam") == "yes":
        return "spam"
    kind, subject = said("content-type"), said("subject")
    report = _report_type(kind, kinds)
    if report == "delivery-status" and (kind.startswith("multipart/report") or _may_be_system(head, said)):
        return "bounce"
    if head.has("x-failed-recipients"):
        return "bounce"
    if report == "disposition-notification":
        return "auto_reply"
    if report in ("feedback-report", "tlsrpt") or _DMARC.match(subject):
        return "list"
    if _is_notice(head, said("return-path"), said("auto-submitted"), subject, beginning):
        return "bounce"
    if _is_answer(head, kind, subject, beginning, submitted=said("auto-submitted")):
        return "auto_reply"
    if _is_of_list(head, said("precedence"), is_own_group=is_own_group):
        return "list"
    if said("return-path") == "<>":
        return "auto_reply"
    return "none"


def tells_answer(head: Head) -> bool:
    """Tell the subject of an answer to an invitation: "Принято: Переговоры"."""
    return _ACCEPTED.match(head.text("subject", max_chars=300).strip()) is not None


def _report_type(kind: str, kinds: Collection[str]) -> str:
    if "message/delivery-status" in kinds:
        # Whatever the whole is called; but a person may attach one, to ask what it says.
        return "delivery-status"
    if not kind.startswith("multipart/report"):
        return ""
    found = re.search(r"report-type\s*=\s*\"?([a-z-]{1,40})", kind)
    if found:
        return found[1]
    if "message/disposition-notification" in kinds:
        return "disposition-notification"
    return "feedback-report" if "message/feedback-report" in kinds else ""


def _may_be_system(head: Head, said: Callable[[str], str]) -> bool:
    """Tell whether no sign is there that a person sent a message which holds the part of a mail system's notice."""
    who = sender(head)
    address, name = (who.address, who.name) if who else ("", "")
    is_machine = said("return-path") == "<>" or said("auto-submitted").startswith("auto")
    is_named = notices.DAEMON.match(address) or notices.KEEPER.match(address) or notices.SYSTEM_NAME.search(name)
    return is_machine or not address or is_named is not None


def _is_notice(head: Head, return_path: str, submitted: str, subject: str, beginning: Callable[[], str]) -> bool:
    """Tell a notice of a mail system: by its address, or by signs that no person sits behind it and by its words."""
    who = sender(head)
    address, name = (who.address, who.name) if who else ("", "")
    if notices.DAEMON.match(address) or (not address and notices.DAEMON.match(name)):
        return True
    has_subject = notices.SUBJECT.match(subject) is not None
    is_machine = return_path == "<>" or submitted.startswith("auto")
    is_system = notices.SYSTEM_NAME.search(name) is not None or not address
    if is_system or notices.KEEPER.match(address):
        if is_machine and (has_subject or notices.SUBJECT_WITHIN.search(subject)):
            return True
        is_likely = is_machine or is_system or (has_subject and notices.POSTMASTER.match(address))
    else:
        is_likely = return_path == "<>" and (has_subject or notices.SUBJECT_WITHIN.search(subject) is not None)
    return bool(is_likely and notices.TEXT.search(beginning()[: notices.BEGINNING_CHARS]))


def _is_answer(head: Head, kind: str, subject: str, beginning: Callable[[], str], *, submitted: str) -> bool:
    def said(name: str) -> str:
        return head.text(name, max_chars=200).strip().lower()

    if submitted and not submitted.startswith("no"):
        return True
    if any(head.has(name) and said(name) not in ("no", "false", "0") for name in _ANSWERING):
        return True
    if said("precedence") in ("auto_reply", "auto-reply") or said("x-autogenerated") == "reply":
        return True
    if said("x-post-messageclass").startswith("9") or said("x-fc-machinegenerated") == "true":
        return True
    if said("delivered-to") == "autoresponder" or "mailbox rules agent" in said(
        "x-ms-exchange-generated-message-source"
    ):
        return True
    # Exchange sets it on what it says by itself, and so do notifying programs; a letter of a person has none.
    if "all" in re.split(r"[,;\s]+", said("x-auto-response-suppress")):
        return True
    is_calendar = "calendarmessage" in said("content-class") or ("text/calendar" in kind and "reply" in kind)
    return is_away(subject, beginning) or (is_calendar and _ACCEPTED.match(subject) is not None)


def _is_of_list(head: Head, precedence: str, *, is_own_group: bool) -> bool:
    if precedence in ("bulk", "junk") or any(head.has(name) for name in _OF_SENDERS):
        return True
    if is_own_group:
        # What a group adds says nothing; the sender's own way out of a list still does.
        return any(_is_foreign(head, value) for value in head.all("list-unsubscribe"))
    return precedence == "list" or head.has("list-unsubscribe") or any(head.has(name) for name in _OF_GROUPS)


def _is_foreign(head: Head, unsubscribe: bytes) -> bool:
    """Tell whether a List-Unsubscribe is of another than the group in List-Id."""
    hosts = re.findall(rb"(?:@|://)([a-z0-9.-]{3,200})", unsubscribe.lower())
    group = re.sub(rb"[<>\s\"]", b"", (head.raw("list-id") or b"").lower().rpartition(b"<")[2])
    return not any(group.endswith(host) or host.endswith((b"googlegroups.com", b"groups.google.com")) for host in hosts)
