"""Where a mail's own words end and its signature begins.

Decides by the line `-- `, by the usual closings in Russian, Ukrainian, English and German, and by what phones add of
themselves. Pure, linear. Invariant: in doubt there is no signature; a signature is short and is never the whole mail.
"""

from __future__ import annotations

import re

MAX_LINES = 15
MAX_LINE_CHARS = 120

_CLOSING = re.compile(
    r"(?:с (?:большим |глубоким |искренним )?уважением|с наилучшими пожеланиями|с (?:самыми )?добрыми пожеланиями|"
    r"с почтением|всего (?:вам )?(?:самого )?(?:доброго|хорошего)|з (?:найкращими побажаннями|повагою)|"
    r"(?:best|kind|kindest|warm|warmest|many)(?: regards| wishes)|best|regards|"
    r"(?:yours )?(?:sincerely|faithfully|truly)|"
    r"sincerely yours|cheers|mit freundlichen grüßen|mit freundlichen gruessen|freundliche grüße|"
    r"beste grüße|viele grüße|mfg)\b[,.!]?(?:\s+\S[^\n?]{0,60})?",
    re.IGNORECASE,
)
_DEVICE = re.compile(
    r"(?:отправлено (?:с|со|из|через) \S.{0,60}|sent from (?:my|the|mail for|yahoo|outlook|samsung|proton)\b.{0,60}|"
    r"sent via \S.{0,40}|get outlook for .{0,20}|скачать outlook для .{0,20}|надіслано (?:з|із|через) \S.{0,60}|"
    r"von meinem .{1,40} gesendet|gesendet (?:von|mit) \S.{0,40}|(?:—|--|-)?\s*отправлено (?:с|из) \S.{0,60})",
    re.IGNORECASE,
)


def signature_from(text: str) -> int | None:
    """Return the place (in characters) where the signature begins, None where none can be told for sure."""
    lines = text.split("\n")
    start = _first_line(lines)
    if start is None or not any(line.strip() for line in lines[:start]):
        return None
    return sum(len(line) + 1 for line in lines[:start])


def _first_line(lines: list[str]) -> int | None:
    filled = 0
    device: int | None = None
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number].strip()
        if lines[number].rstrip("\r\n") in ("-- ", "--") or line == "—":
            return number if filled else device
        if not line:
            continue
        filled += 1
        if filled > MAX_LINES or len(line) > MAX_LINE_CHARS or line.startswith(">"):
            return device
        if filled <= 2 and _DEVICE.fullmatch(line):
            device = number
        elif _CLOSING.fullmatch(line) and filled <= 9 and _is_signature_like(lines[number + 1 :]):
            return number
    return device


def _is_signature_like(lines: list[str]) -> bool:
    """Names, posts, phones: lines that are short and ask nothing."""
    return all(len(line.strip()) <= 90 and not line.rstrip().endswith("?") for line in lines)
