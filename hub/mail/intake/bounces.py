"""Mail that came back: for whom it was, why, for good or for now, and which message it was.

Decides what a notice of a mail system says: the machine's part first (RFC 3464), then what some hundred programs
write in words (flufl.bounce), then what others do (`failed_words`), in Russian, English and German. Does
not know what Hub has sent: `effects` holds every word of it against that. Pure. Invariant: `read` never raises, looks
at a bounded beginning, and calls nothing permanent that says of itself that it is still trying.

Source: RFC 3461–3464; notices of Postfix, Exim, Exchange, Gmail, Yandex, Mail.ru.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import Message

from flufl.bounce import all_failures

from hub import sanitize
from hub.crm.addresses import parse_email
from hub.mail.intake import failed_words
from hub.mail.reading.charsets import decode

MAX_BYTES = 256 * 1024
MAX_WORDS_BYTES = 64 * 1024
"""What is searched with the many patterns for words; some of them are slow on text that was made for it."""
MAX_PARTS = 60
MAX_RECIPIENTS = 200

_ID = re.compile(r"<[^<>\s]{3,498}>")
_ID_LINE = re.compile(r"(?im)^[> \t|]{0,20}message-id:[ \t]{0,20}(<[^<>\s]{3,498}>)")
_ADDRESS = re.compile(failed_words.ADDRESS)
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<![\d.])([45]\d\d)[\s-]")
_STILL_TRYING = re.compile(
    r"(will (keep|be) (trying|retried|try)|is still (being )?(trying|queued)|delay(ed)? (notification|mail)|"
    r"(delivery|message).{0,40}\bdelayed|warning: (could not|message)|not been delivered (yet|to .{0,80} yet)|"
    r"no action is required|this is a warning message only|"
    r"(ещё|еще) не доставлен|попытки .{0,40}(продолж|повтор)|доставка .{0,40}(задерж|отложен)|временн)",
    re.IGNORECASE,
)
_RETURNED = re.compile(
    r"(?im)^.{0,20}(original message( headers)?(?! was)|исходн(ое сообщение|ый текст)|заголовки (исходного )?сообщения|"
    r"this is a copy of (your|the) message|below this line is a copy|return-path:)"
)


@dataclass(frozen=True, slots=True)
class Failed:
    """One recipient of a notice. `status` is the enhanced code or empty; `reason` the server's own words."""

    address: str
    status: str
    is_permanent: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a notice says. `ids` are Message-IDs of what came back, the surest first.

    `named` are all addresses in its words: where `recipients` is empty one of them may be who was meant.
    """

    recipients: tuple[Failed, ...]
    ids: tuple[str, ...]
    is_permanent: bool
    status: str
    reason: str
    named: tuple[str, ...] = ()


def read(raw: bytes) -> Bounce | None:
    """Read a notice; None where it says nothing of any message or recipient. Never raises."""
    try:
        return _read(raw[:MAX_BYTES])
    except (ValueError, LookupError, RecursionError, TypeError, AttributeError):
        # The e-mail package has these for what strangers write; the message itself is shown as it is.
        return None


def _read(raw: bytes) -> Bounce | None:
    message = email.message_from_bytes(raw, policy=policy.compat32)
    parts = list(_parts(message))
    words = _joined(parts, "text/plain")[:MAX_WORDS_BYTES]
    if not words.strip():
        words = re.sub(r"<[^>]{0,500}>", " ", _joined(parts, "text/html")[:MAX_WORDS_BYTES])
    told = words[: match.start()] if (match := _RETURNED.search(words)) else words
    is_trying = _STILL_TRYING.search(f"{_value(message, 'subject')}\n{told[:4000]}") is not None
    status = ".".join(found.groups()) if (found := _STATUS.search(told)) else ""
    reason = _reason(told)
    is_permanent = _is_permanent(status, told, is_trying=is_trying)
    recipients = _machine_part(parts)
    if not recipients:
        beginning = message
        if len(raw) > MAX_WORDS_BYTES:
            beginning = email.message_from_bytes(raw[:MAX_WORDS_BYTES], policy=policy.compat32)
        recipients = _by_header(message, status, is_permanent, reason)
        recipients += _by_words(beginning, status, is_trying, reason)
        recipients = recipients or [
            Failed(one, status, is_permanent, reason)
            for one in failed_words.recipients_in(told, _its_own(message))[:MAX_RECIPIENTS]
        ]
    ids = _ids(message, parts, words)
    named = tuple(dict.fromkeys(filter(None, map(parse_email, _ADDRESS.findall(told)[:MAX_RECIPIENTS]))))
    once = {one.address: one for one in reversed(recipients[:MAX_RECIPIENTS])}
    if not once and not ids:
        return None
    if recipients and all(not one.is_permanent for one in recipients):
        is_permanent = False
    return Bounce(tuple(reversed(once.values())), ids, is_permanent, status, reason, named)


def _parts(message: Message) -> Iterator[Message]:
    """Yield the parts of a notice in their order, what is attached as messages among them, a bounded number."""
    stack: list[tuple[Message, int]] = [(message, 0)]
    seen = 0
    while stack and seen < MAX_PARTS:
        part, depth = stack.pop()
        seen += 1
        yield part
        # Of what came back only the head is read, never its parts.
        if depth < 8 and part.get_content_type() not in ("message/delivery-status", "message/rfc822"):
            stack.extend((one, depth + 1) for one in reversed(_inner(part)))


def _inner(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _machine_part(parts: list[Message]) -> list[Failed]:
    """Read message/delivery-status (RFC 3464 §2.3): the first block is of the message, each other of a recipient."""
    found: list[Failed] = []
    for part in parts:
        if part.get_content_type() != "message/delivery-status":
            continue
        for block in _inner(part)[:MAX_RECIPIENTS]:
            action = _value(block, "action").lower()
            if action in ("delivered", "relayed", "expanded"):
                continue
            status = ".".join(match.groups()) if (match := _STATUS.search(_value(block, "status"))) else ""
            reason = _typed(_value(block, "diagnostic-code"))
            is_permanent = action != "delayed" and not status.startswith("4")
            if action == "failed" and status.startswith("4"):
                # It was tried for days: for the sender that is for good, though the address may be fine.
                is_permanent = True
            for name in ("original-recipient", "final-recipient"):
                if address := parse_email(_typed(_value(block, name))):
                    found.append(Failed(address, status, is_permanent, sanitize.shown(reason, max_chars=300)))
    return found


def _by_header(message: Message, status: str, is_permanent: bool, reason: str) -> list[Failed]:
    named = _value(message, "x-failed-recipients")
    addresses = filter(None, map(parse_email, re.split(r"[,\s]+", named)[:MAX_RECIPIENTS]))
    return [Failed(address, status, is_permanent, reason) for address in addresses]


def _its_own(message: Message) -> set[str]:
    """Addresses of the notice itself: who wrote it, and to whom."""
    named = " ".join(_value(message, name) for name in ("from", "to", "reply-to", "delivered-to"))
    return {address for one in _ADDRESS.findall(named)[:MAX_RECIPIENTS] if (address := parse_email(one))}


def _by_words(message: Message, status: str, is_trying: bool, reason: str) -> list[Failed]:
    """What flufl.bounce makes of the many programs that write in words only."""
    try:
        temporary, permanent = all_failures(message)
    except (ValueError, LookupError, RecursionError, TypeError, AttributeError):
        # Its detectors meet anything that strangers write.
        return []
    found = []
    for some, is_permanent in ((permanent, not is_trying and not status.startswith("4")), (temporary, False)):
        for one in sorted(some)[:MAX_RECIPIENTS]:
            text = one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
            if address := parse_email(text):
                found.append(Failed(address, status, is_permanent, reason))
    return found


def _ids(message: Message, parts: list[Message], words: str) -> tuple[str, ...]:
    """Message-IDs of what came back: of the attached message or its head, of quoted heads, of the notice's own
    references."""
    found: list[str] = []
    for part in parts:
        if part is message:
            continue
        kind = part.get_content_type()
        if kind == "message/rfc822" and (inner := _inner(part)):
            found += _ID.findall(_value(inner[0], "message-id"))
        elif kind in ("text/rfc822-headers", "message/rfc822-headers"):
            found += _ID_LINE.findall(_text(part))
    found += _ID_LINE.findall(words)
    for name in ("in-reply-to", "references", "x-original-message-id", "x-ms-exchange-parent-message-id"):
        found += _ID.findall(_value(message, name))
    return tuple(dict.fromkeys(one[:500] for one in found))[:40]


def _is_permanent(status: str, told: str, *, is_trying: bool) -> bool:
    if is_trying or status.startswith("4"):
        return False
    if status.startswith("5"):
        return True
    code = _CODE.search(told)
    return not (code and code[1].startswith("4"))


def _reason(told: str) -> str:
    """The line that says why: the one with a status or a code, with what follows it."""
    for match in (_STATUS.search(told), _CODE.search(told)):
        if match:
            start = told.rfind("\n", 0, match.start()) + 1
            return sanitize.shown(told[start : match.end() + 250], max_chars=300)
    return ""


def _typed(value: str) -> str:
    """Return what stands behind `rfc822;`, `smtp;` … (RFC 3464 §2.1.2)."""
    kind, mark, rest = value.partition(";")
    return (rest if mark and re.fullmatch(r"[\w\s./-]{1,40}", kind) else value).strip().strip("<>")


def _value(part: Message, name: str) -> str:
    value = part.get(name)
    return " ".join(str(value)[:4000].split()) if value is not None else ""


def _joined(parts: list[Message], kind: str) -> str:
    return "\n".join(_text(part) for part in parts if part.get_content_type() == kind)


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    return decode(payload, part.get_content_charset())[0]
