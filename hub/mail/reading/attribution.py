"""The line at which a quote begins, among the lines of a mail.

Decides by the lines that mail programs put before a quote, in Russian, Ukrainian and English, and by `>` marks.
Pure, linear. Invariant: in doubt nothing is quoted.
"""

from __future__ import annotations

import re

_SAYS = r"(?:написал(?:\(а\)|а)?|пишет|писал(?:\(а\)|а)?|написав(?:\(ла\)|ла)?|пише|писав|wrote|writes|schrieb|a écrit)"
_WROTE = re.compile(rf"[^\n]{{0,300}}(?:\b{_SAYS}[^\n]{{0,120}}|<\s?[^\s<>]+@[^\s<>]+>\s*):", re.IGNORECASE)
_WHEN = re.compile(
    r"(\d{1,2}[./:-]\d{1,2}|\d{4}|@|понедельник|вторник|сред[ау]|четверг|пятниц|суббот|воскресень|"
    r"^on |^am |^le |^(пн|вт|ср|чт|пт|сб|вс|нд)\b)",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4}-\d\d-\d\d|\b(19|20)\d\d\b")
_DIVIDER = re.compile(
    r"[-_=— ]{2,}+\s*+(original message|forwarded message|исходное сообщение|пересылаемое сообщение|"
    r"начало переадресованного сообщения|переадресованное сообщение|вихідне повідомлення|"
    r"пересланное сообщение|перенаправленное сообщение|ursprüngliche nachricht)[-_=—\s]*+:?",
    re.IGNORECASE,
)
_BEGIN_FORWARD = re.compile(r"(begin forwarded message|начало переадресованного сообщения)\s*:", re.IGNORECASE)
_FROM_LINE = re.compile(r"\*?(from|от|від|от кого|von|de)\s*:\*?\s*\S.*", re.IGNORECASE)
_HEAD_LINE = re.compile(
    r"\*?(sent|date|to|cc|subject|reply-to|отправлено|дата|кому|копия|тема|надіслано|копія|gesendet|an|betreff)\s*:\*?.*",
    re.IGNORECASE,
)
MAX_LINES = 20_000

_RULE = re.compile(r"_{10,}")


def first_quoted_line(lines: list[str]) -> int | None:
    """Return the number of the line where the quote begins that nothing of one's own follows."""
    last_own = _last_own_line(lines)
    for number, line in enumerate(lines[:MAX_LINES]):
        stripped = line.strip()
        if stripped.startswith(">"):
            if number > last_own:
                return number
        elif stripped and _begins_quote(lines, number, stripped, last_own=last_own):
            return number
    return None


def _last_own_line(lines: list[str]) -> int:
    """Return the number of the last line that is neither quoted nor blank nor of a signature below a quote."""
    last, was_quote = -1, False
    for number, line in enumerate(lines):
        if line.rstrip() == "--" and was_quote:
            break
        if line.lstrip().startswith(">"):
            was_quote = True
        elif line.strip():
            last = number
    return last


def _begins_quote(lines: list[str], number: int, line: str, *, last_own: int) -> bool:
    if len(line) > 500:
        return False
    if _DIVIDER.fullmatch(line) or _BEGIN_FORWARD.fullmatch(line):
        return True
    if _FROM_LINE.fullmatch(line):
        following = [one.strip() for one in lines[number + 1 : number + 6]]
        return sum(1 for one in following if _HEAD_LINE.fullmatch(one)) >= 2
    if _RULE.fullmatch(line):
        after = next((one.strip() for one in lines[number + 1 : number + 4] if one.strip()), "")
        return _FROM_LINE.fullmatch(after) is not None
    return _is_attribution(lines, number, line, last_own=last_own)


def _is_attribution(lines: list[str], number: int, line: str, *, last_own: int) -> bool:
    """Tell "Пн, 3 нояб. 2025 г. в 10:12, Иван <i@x> пишет:", which programs also break over two or three lines."""
    if not _WHEN.search(line):
        return False
    joined = line
    for more in range(1, 4):
        following = next((one.strip() for one in lines[number + more : number + more + 5] if one.strip()), "")
        if _WROTE.fullmatch(joined):
            if following.startswith(">"):
                return last_own < number + more
            # "В 10:12 звонил клиент, он написал:" in prose is no attribution: one names the day, and an address or a
            # time of day.
            is_dated = _DATE.search(joined) is not None and re.search(r"@|\d{1,2}:\d{2}", joined) is not None
            return bool(following) and is_dated
        next_line = lines[number + more].strip() if number + more < len(lines) else ""
        if not next_line or len(joined) > 300:
            return False
        if _DATE.search(next_line) and _WROTE.fullmatch(next_line):
            return False  # That line is one of its own; this one is the end of a signature, a phone perhaps.
        joined = f"{joined} {next_line}"
    return False
