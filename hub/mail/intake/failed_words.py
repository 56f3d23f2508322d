"""Whom a notice in words alone did not reach: for mail systems that write no machine's part.

Decides which of the addresses in a notice are recipients: those that begin a line, or that stand behind a word such as
"recipient" or «получателю». Pure, linear on a bounded text. Invariant: the notice's own sender and reader, and ids of
messages, are no recipients.

Source: notices of Exchange, Yandex, Mail.ru, CommuniGate, Domino, MDaemon, Kerio, Courier and others.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from hub.crm.addresses import parse_email

MAX_LINES = 1_000
MAX_LINE_CHARS = 1_000

ADDRESS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,200}\.[A-Za-z0-9-]{2,40}"
_ADDRESS = re.compile(ADDRESS)
_LEADS = re.compile(rf"[\s<\"'*•·>(\[-]{{0,60}}(?:(?:mailto|smtp|rfc822)\s*[:;]\s*)?<?({ADDRESS})", re.IGNORECASE)
_CUE = re.compile(
    r"(recipient|address(ee)?|user|mailbox|account|deliver(y|ed)?|failed|message|mail|to|for|"
    r"получател\w{0,3}|адрес\w{0,6}|пользовател\w{0,3}|доставлен\w?|доставить|ящик\w?|кому|для|"
    r"одержувач\w{0,4}|empf[aä]nger|an|destinataire|destinatario)\W{0,12}$",
    re.IGNORECASE,
)
_HEAD_LINE = re.compile(
    r"\s*(from|message-?id|return-path|reply-to|sender|references|in-reply-to|x-[\w-]+|от|отправитель|von|received)\s*:",
    re.IGNORECASE,
)
_MACHINE = re.compile(r"(mailer-daemon|postmaster|mdaemon|abuse|no-?reply)@", re.IGNORECASE)


def recipients_in(told: str, but: Collection[str]) -> list[str]:
    """Return the recipients that a notice's words name, each once; `but` are addresses that are none."""
    sure: dict[str, None] = {}
    any_: dict[str, None] = {}
    for line in told.split("\n")[:MAX_LINES]:
        line = line[:MAX_LINE_CHARS]
        if "@" not in line or _HEAD_LINE.match(line):
            continue
        leads = _LEADS.match(line)
        for match in _ADDRESS.finditer(line):
            address = parse_email(match[0].strip("'`"))
            if address is None or address in but or _MACHINE.match(address):
                continue
            any_.setdefault(address)
            is_first = leads is not None and leads.start(1) == match.start()
            if is_first or _CUE.search(line[max(0, match.start() - 60) : match.start()]):
                sure.setdefault(address)
    return list(sure) or (list(any_) if len(any_) == 1 else [])
