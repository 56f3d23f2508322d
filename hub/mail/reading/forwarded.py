"""Who wrote a letter that somebody forwarded: the one hop that the forward's own head lines tell.

Decides whether a text is a forward and whom it names as the writer; not whether the one who forwarded is a colleague,
and not what becomes of it. Pure, linear on a bounded beginning. Invariants: only the first forward of a letter is
read; a quoted original of an answer is no forward; without an address there is nobody.

Source: Gmail, Outlook, Apple Mail, Thunderbird, Yandex and Mail.ru as they forward, in Russian and English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hub.mail.reading.headers import Address
from hub.mail.reading.people import addresses

MAX_CHARS = 50_000
MAX_LINE_CHARS = 600
MAX_HEAD_LINES = 14
_SUBJECT = re.compile(r"\s*(?:\[[^\]]{1,40}\]\s*)?(?:fwd?|пересл|fw|вперёд|wg|tr|rv|vs|пер)\s*:", re.IGNORECASE)
_DIVIDER = re.compile(
    r"[>\s]*+[-_=—–* ]{2,}+\s*+(?:forwarded message|forwarded by .{0,80}|пересылаемое сообщение|пересланное сообщение|"
    r"переадресованное сообщение|перенаправленное сообщение|пересылаемое письмо|переслане повідомлення|"
    r"weitergeleitete nachricht)[-_=—–*\s]*+:?\s*+|[>\s]*+(?:begin forwarded message|"
    r"начало переадресованного сообщения|начало пересылаемого сообщения)\s*:\s*",
    re.IGNORECASE,
)
_FIELD = re.compile(r"[>*\s]*([^\W\d_][\w -]{1,18}?)\s*\*?:\*?\s*(.{0,500})", re.DOTALL)
_FROM = frozenset({"from", "от", "від", "von", "от кого"})
_OTHERS = frozenset(
    "sent date to cc subject reply-to отправлено дата кому копия тема надіслано копія gesendet datum an betreff".split()
)
_DATED = re.compile(
    r"[>\s]*\d[^\n<]{4,60}?\d:\d\d(?::\d\d)?[\s,]{1,5}([^\n<]{0,120}<[^\s<>]{3,254}@[^\s<>]{1,254}>)[^\n]{0,30}:\s*"
)


def original_sender(subject: str, text: str) -> Address | None:
    """Return who wrote the letter that this text forwards, None where it forwards nothing or names no address."""
    text = text[:MAX_CHARS]
    is_forward = _SUBJECT.match(subject) is not None
    if not is_forward and "@" not in text:
        return None
    lines = [line[:MAX_LINE_CHARS] for line in text.split("\n")]
    for number, line in enumerate(lines):
        if _DIVIDER.fullmatch(line):
            return _sender(lines[number + 1 : number + 1 + MAX_HEAD_LINES])
        if is_forward and _is_head(lines, number):
            return _sender(lines[number : number + MAX_HEAD_LINES])
    return None


def _is_head(lines: Sequence[str], number: int) -> bool:
    """Tell the block that Outlook writes without a line before it: From, and two fields more."""
    field = _FIELD.fullmatch(lines[number])
    if field is None or field[1].lower() not in _FROM:
        return False
    after = (_FIELD.fullmatch(line) for line in lines[number + 1 : number + 7])
    return sum(1 for one in after if one and one[1].lower() in _OTHERS) >= 2


def _sender(lines: Sequence[str]) -> Address | None:
    for number, line in enumerate(lines):
        if dated := _DATED.fullmatch(line):
            return _person(dated[1])
        field = _FIELD.fullmatch(line)
        if field is not None and field[1].lower() in _FROM:
            value = field[2]
            if "@" not in value and number + 1 < len(lines) and ":" not in lines[number + 1].partition("@")[0]:
                # Broken over two lines, as text programs do.
                value = f"{value} {lines[number + 1].lstrip('> ')}"
            return _person(value)
        if line.strip("> \t") and field is None and number > 2:
            return None
    return None


def _person(value: str) -> Address | None:
    found, _ = addresses([value.replace("*", " ").encode()])
    return next((one for one in found if "@" in one.address), None)
