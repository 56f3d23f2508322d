"""Values of `within`, relative to now: which days they mean in the asker's time zone.

    {"last": {"days": 30}}   today and the 29 days before it       {"next": {"weeks": 2}}   today and the 13 days after
    {"last": {"hours": 4}}   the 4 hours up to now (moments only)  {"this": "quarter"}, {"previous": "month"}, …
    "today", "yesterday", "tomorrow"                               "overdue"  before today; of a moment: before now

Days begin at midnight of the zone, weeks on Monday, so the number on a badge equals the list at 00:30 in any city.
Pure: `now` and the zone are given. Invariant: a period is half-open, [start, end), and never reversed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

MAX_COUNT = {"hours": 24 * 366, "days": 36_600, "weeks": 5_200, "months": 1_200, "quarters": 400, "years": 100}
SPANS = ("day", "week", "month", "quarter", "year")
_FIRST, _LAST = date(1, 1, 2), date(9999, 12, 30)


@dataclass(frozen=True, slots=True)
class Days:
    """The days from `start` up to, not including, `end`; None has no bound on that side."""

    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments from `start` up to, not including, `end`; None has no bound on that side."""

    start: datetime | None
    end: datetime | None


class NotAPeriod(ValueError):
    """The value is no period; `str(error)` says what would be."""


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day in a zone, in UTC. Where midnight is skipped (DST), the moment after the gap."""
    start = datetime.combine(day, time(), tzinfo=zone)
    return start.astimezone(UTC)


def day_of(moment: datetime, zone: tzinfo) -> date:
    """Return the day on which a moment lies in a zone."""
    return moment.astimezone(zone).date()


def moments_of(days: Days, zone: tzinfo) -> Moments:
    """Return the moments of a range of days in a zone."""
    start = midnight(days.start, zone) if days.start is not None else None
    end = midnight(days.end, zone) if days.end is not None else None
    return Moments(start, end)


def days(value: Any, *, now: datetime, zone: tzinfo) -> Days:
    """Return the days that a value of `within` means for a date. Raises NotAPeriod."""
    today = day_of(now, zone)
    if value == "overdue":
        return Days(None, today)
    if value in ("today", "yesterday", "tomorrow"):
        day = today + timedelta(days={"today": 0, "yesterday": -1, "tomorrow": 1}[value])
        return Days(day, day + timedelta(days=1))
    if not isinstance(value, dict) or len(value) != 1:
        raise NotAPeriod(_TOLD)
    (key, inner), *_ = value.items()
    if key in ("this", "previous", "next") and isinstance(inner, str):
        return _span(inner, {"this": 0, "previous": -1, "next": 1}[key], today)
    if key in ("last", "next") and isinstance(inner, dict) and len(inner) == 1:
        (unit, count), *_ = inner.items()
        return _counted(key == "last", unit, count, today)
    raise NotAPeriod(_TOLD)


def moments(value: Any, *, now: datetime, zone: tzinfo) -> Moments:
    """Return the moments that a value of `within` means for a moment. Raises NotAPeriod."""
    if value == "overdue":
        return Moments(None, now)
    match value:
        case {"last": {"hours": count}} if len(value) == len(value["last"]) == 1:
            return Moments(now - timedelta(hours=_count("hours", count)), now)
        case {"next": {"hours": count}} if len(value) == len(value["next"]) == 1:
            return Moments(now, now + timedelta(hours=_count("hours", count)))
    return moments_of(days(value, now=now, zone=zone), zone)


_TOLD = (
    'a period is {"last": {"days": 30}}, {"next": {"weeks": 2}}, {"this": "quarter"}, {"previous": "month"}, '
    '{"next": "week"}, "today", "yesterday", "tomorrow" or "overdue"'
)


def _count(unit: str, count: Any) -> int:
    if type(count) is not int or not 1 <= count <= MAX_COUNT[unit]:
        raise NotAPeriod(f"the number of {unit} must be from 1 to {MAX_COUNT[unit]}")
    return count


def _counted(is_past: bool, unit: str, count: Any, today: date) -> Days:
    if unit not in MAX_COUNT or unit == "hours":
        raise NotAPeriod("a period counts days, weeks, months, quarters or years; of a moment also hours")
    number = _count(unit, count)
    tomorrow = today + timedelta(days=1)
    if unit in ("days", "weeks"):
        length = timedelta(days=number if unit == "days" else 7 * number)
        return Days(_moved(tomorrow, -length), tomorrow) if is_past else Days(today, _moved(today, length))
    months = number * {"months": 1, "quarters": 3, "years": 12}[unit]
    if is_past:
        return Days(_month_moved(tomorrow, -months), tomorrow)
    return Days(today, _month_moved(today, months))


def _span(span: str, steps: int, today: date) -> Days:
    starts: dict[str, Callable[[], tuple[date, date]]] = {
        "day": lambda: (today + timedelta(days=steps), today + timedelta(days=steps + 1)),
        "week": lambda: _week(today, steps),
        "month": lambda: _months(today.replace(day=1), 1, steps),
        "quarter": lambda: _months(today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1), 3, steps),
        "year": lambda: _months(today.replace(month=1, day=1), 12, steps),
    }
    if span not in starts:
        raise NotAPeriod(f"a period is this, previous or next {', '.join(SPANS)}")
    return Days(*starts[span]())


def _week(today: date, steps: int) -> tuple[date, date]:
    monday = today - timedelta(days=today.weekday()) + timedelta(days=7 * steps)
    return monday, monday + timedelta(days=7)


def _months(first: date, length: int, steps: int) -> tuple[date, date]:
    return _month_moved(first, length * steps), _month_moved(first, length * (steps + 1))


def _month_moved(day: date, months: int) -> date:
    """Move a day by months; the 31st becomes the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9998:
        return _FIRST if year < 1 else _LAST
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (following - timedelta(days=1)).day))


def _moved(day: date, by: timedelta) -> date:
    ordinal = day.toordinal() + by.days
    return date.fromordinal(min(max(_FIRST.toordinal(), ordinal), _LAST.toordinal()))
