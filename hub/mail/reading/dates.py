"""The Date field, as programs really write it.

Decides which moment a text means; pure, linear, never raises. Read are RFC 5322 dates and what stands in their place:
ISO 8601, `05.03.2026 10:00`, month names in Russian and a few other languages, zones as `+03:00`, `GMT+3` or `MSK`,
words before and behind the date. Invariant: a date without a zone is UTC; a day before a month where both fit
(`05.03.2026`), the American order only with slashes and where nothing else fits.

Source: RFC 5322 §3.3 and §4.3, ISO 8601; zones: tz database, abbreviations in use where mail is written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

MAX_BYTES = 200

_STRICT = re.compile(
    rb"\s*(?:[A-Za-z]{3},\s*)?\d{1,2}\s+[A-Za-z]{3}\s+\d{4}\s+\d\d:\d\d(?::\d\d)?\s+(?:[+-]\d{4}|GMT|UTC|UT|Z)"
    rb"(?:\s*\([^()]{0,60}\))?\s*"
)
"""What nearly every mail has; the standard library reads it."""

_MONTHS = {
    "jan": 1, "янв": 1, "січ": 1, "ene": 1, "gen": 1,
    "feb": 2, "фев": 2, "лют": 2, "fév": 2, "fev": 2,
    "mar": 3, "мар": 3, "бер": 3, "mär": 3, "mrz": 3,
    "apr": 4, "апр": 4, "кві": 4, "avr": 4, "abr": 4,
    "may": 5, "мая": 5, "май": 5, "тра": 5, "mai": 5, "mag": 5,
    "jun": 6, "июн": 6, "чер": 6, "giu": 6,
    "jul": 7, "июл": 7, "лип": 7, "lug": 7,
    "aug": 8, "авг": 8, "сер": 8, "aoû": 8, "ago": 8,
    "sep": 9, "сен": 9, "вер": 9, "set": 9,
    "oct": 10, "окт": 10, "жов": 10, "okt": 10, "ott": 10, "out": 10,
    "nov": 11, "ноя": 11, "лис": 11,
    "dec": 12, "дек": 12, "гру": 12, "déc": 12, "dez": 12, "dic": 12,
}  # fmt: skip
_LONG = {"juin": 6, "juil": 7, "июнь": 6, "июль": 7}
_ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "west": 1, "bst": 1,
    "cet": 1, "cest": 2, "mez": 1, "mesz": 2, "met": 1, "mest": 2, "eet": 2, "eest": 3, "trt": 3, "iddt": 3, "ist": 5.5,
    "msk": 3, "мск": 3, "msd": 4, "samt": 4, "yekt": 5, "екб": 5, "omst": 6, "novt": 7, "krat": 7, "irkt": 8, "yakt": 9,
    "vlat": 10, "magt": 11, "pett": 12, "almt": 6, "uzt": 5, "amt": 4, "azt": 4, "get": 4,
    "hkt": 8, "cst+8": 8, "sgt": 8, "jst": 9, "kst": 9,
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "aest": 10, "aedt": 11,
}  # fmt: skip

_ISO = re.compile(r"(\d{4})[-./](\d{1,2})[-./](\d{1,2})(?:T|\b)")
_NUMBERS = re.compile(r"(?<!\d)(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d)(?!\d)")
_NAMED = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|-?го|\.)?[\s\-./]*(?:de\s+)?([^\W\d_]{3,12})\.?[\s\-./,]*(?:de\s+)?(\d{4}|\d\d)(?!\d)"
)
_AMERICAN = re.compile(
    r"([^\W\d_]{3,12})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(?:[\d:]{4,8}\s+(?:[A-Z]{2,5}\s+)?)?(\d{4})(?!\d)"
)
_TIME = re.compile(r"(?<![\d:])(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?(?!\d)(?:\s*([AaPp])\.?[Mm]\b\.?)?")
_DOTTED = re.compile(r"(?<![\d.])(\d\d)\.(\d\d)\.(\d\d)(?![\d.])()")
_OFFSET = re.compile(r"\s*\(?\s*(?:GMT|UTC|UT|MSK|МСК)?\s*([+\-−])\s*(\d{1,2}):?(\d\d)?(?!\d)", re.IGNORECASE)
_ZONE = re.compile(r"\s*\(?\s*([^\W\d_]{1,5})(?![^\W\d_])")


def date(value: bytes | None) -> datetime | None:
    """Return an aware UTC time, None where the field makes no sense."""
    if value is None:
        return None
    value = value[:MAX_BYTES]
    readers = (_plain, _read) if _STRICT.fullmatch(value) else (_read,)
    for reader in readers:
        try:
            at = reader(value)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
            continue
        return at if 1970 <= at.year <= 2200 else None
    return None


def _plain(value: bytes) -> datetime:
    return parsedate_to_datetime(value.decode("ascii"))


def _read(value: bytes) -> datetime:
    """Read what is no plain RFC 5322 date; the standard library has the last word."""
    text = " ".join(_text_of(value).split())
    day = _day(text)
    if day is None:
        return parsedate_to_datetime(text)
    time = _TIME.search(text) or _DOTTED.search(text)
    if time is None:
        return datetime(*day, tzinfo=UTC)
    hour, minute, second = int(time[1]), int(time[2]), min(int(time[3] or 0), 59)
    if time[4]:
        hour = hour % 12 + (12 if time[4] in "pP" else 0)
    return datetime(*day, hour, minute, second, tzinfo=_zone(text, time.end()))


def _text_of(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        # Month names in Russian that nobody encoded; of another charset's only the figures count.
        return value.decode("cp1251", "replace")


def _day(text: str) -> tuple[int, int, int] | None:
    if found := _ISO.search(text):
        return int(found[1]), int(found[2]), int(found[3])
    for found in _NAMED.finditer(text):
        if month := _month(found[2]):
            return _year(found[3]), month, int(found[1])
    if (found := _AMERICAN.search(text)) and (month := _month(found[1])):
        return int(found[3]), month, int(found[2])
    if found := _NUMBERS.search(text):
        first, second, year = int(found[1]), int(found[3]), _year(found[4])
        is_american = second > 12 and found[2] == "/"
        return (year, first, second) if is_american else (year, second, first)
    return None


def _month(word: str) -> int | None:
    word = word.lower()
    return _LONG.get(word) or _LONG.get(word[:4]) or _MONTHS.get(word[:3])


def _year(digits: str) -> int:
    """Return a year of two digits as RFC 5322 §4.3 reads it."""
    year = int(digits)
    return year if len(digits) == 4 else year + (2000 if year < 50 else 1900)


def _zone(text: str, place: int) -> timezone:
    """Return the zone that stands behind the time: an offset counts before a name."""
    if found := _OFFSET.match(text, place):
        digits = found[2] + (found[3] or "")
        hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
        offset = timedelta(hours=hours, minutes=minutes)
        if offset < timedelta(hours=15):
            return timezone(-offset if found[1] != "+" else offset)
    if found := _ZONE.match(text, place):
        return timezone(timedelta(hours=_ZONES.get(found[1].lower(), 0)))
    return UTC
