"""When a team works: its hours by weekday, its holidays and short days. Pure: a moment in, open or closed out.

Hours are wall-clock times of the team's own zone, so a shift keeps its times when the clocks change; a shift past
midnight belongs to the day on which it begins, holiday or not. Knows no team and no call. Invariant: what
`check_hours` and `check_holidays` let through can be read back by everything here without an error.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from hub import sanitize
from hub.errors import Refused

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_SHIFTS = 6
MAX_HOLIDAYS = 400
LOOKS_AHEAD = timedelta(days=60)

Shift = tuple[str, str]
"""From and until, `HH:MM`; until may be `24:00`, and an until before the from is on the next day."""

Hours = Mapping[str, Sequence[Shift]]
"""Shifts by weekday, `mon` to `sun`. Empty: the team works at every hour. A day that is not there: closed."""

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


class Holiday(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A day that is unlike its weekday. `date` is ISO 8601; without `hours` the team is closed."""

    date: str
    name: str = ""
    hours: tuple[Shift, ...] = ()


@dataclass(frozen=True, slots=True)
class Openness:
    """Whether the team works at a moment, and by which rule. `opens_at` is set while it is closed, if it is known."""

    is_open: bool
    why: Literal["always", "hours", "holiday"]
    holiday: str = ""
    opens_at: datetime | None = None


def openness(hours: Hours, holidays: Sequence[Holiday], at: datetime, zone: tzinfo | None) -> Openness:
    """Tell whether a team works at `at` (aware). `zone` is the team's; None is this machine's."""
    special = {holiday.date: holiday for holiday in holidays}
    local = at.astimezone(zone)
    today = local.date()
    holiday = special.get(today.isoformat())
    if not hours and holiday is None:
        return Openness(is_open=True, why="always")
    why: Literal["hours", "holiday"] = "holiday" if holiday is not None else "hours"
    name = holiday.name if holiday is not None else ""
    if _is_within(hours, special, local):
        return Openness(is_open=True, why=why, holiday=name)
    return Openness(is_open=False, why=why, holiday=name, opens_at=_next_opening(hours, special, local, zone))


def _is_within(hours: Hours, special: Mapping[str, Holiday], local: datetime) -> bool:
    minute = local.hour * 60 + local.minute
    today = local.date()
    if any(start <= minute < end for start, end in _shifts(hours, special, today)):
        return True
    yesterday = _shifts(hours, special, today - timedelta(days=1))
    return any(minute < end - 1440 for _, end in yesterday if end > 1440)


def _shifts(hours: Hours, special: Mapping[str, Holiday], day: date) -> Iterator[tuple[int, int]]:
    """Give the day's shifts in minutes from its midnight; one past midnight ends after minute 1440."""
    holiday = special.get(day.isoformat())
    if holiday is not None:
        found: Sequence[Shift] = holiday.hours
    elif not hours:
        found = (("00:00", "24:00"),)
    else:
        found = hours.get(DAYS[day.weekday()], ())
    for start_text, end_text in found:
        start, end = _minutes(start_text), _minutes(end_text)
        yield start, end if end > start else end + 1440


def _next_opening(
    hours: Hours, special: Mapping[str, Holiday], local: datetime, zone: tzinfo | None
) -> datetime | None:
    for ahead in range(LOOKS_AHEAD.days):
        day = local.date() + timedelta(days=ahead)
        for start, _ in sorted(_shifts(hours, special, day)):
            # A start that the clocks skip is read with the offset before the change: it opens when they have changed.
            opens = datetime.combine(day, time(start // 60 % 24, start % 60))
            opens += timedelta(days=start // 1440)
            aware = opens.replace(tzinfo=zone) if zone is not None else opens.astimezone()
            if aware > local:
                return aware
    return None


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:5])


def check_hours(hours: Hours) -> dict[str, list[list[str]]]:
    """Return hours as they are stored. Raises Refused that names the day and what is wrong."""
    for day in hours:
        if day not in DAYS:
            raise Refused("bad_hours", f"hours: there is no weekday {sanitize.shown(day)!r}", field="hours")
    return {day: _check_shifts(hours[day], place=day) for day in DAYS if day in hours}


def check_holidays(holidays: Sequence[Holiday]) -> list[dict[str, object]]:
    """Return holidays as they are stored, by date. Raises Refused that names the date."""
    if len(holidays) > MAX_HOLIDAYS:
        raise Refused("bad_holidays", f"holidays: at most {MAX_HOLIDAYS}", field="holidays")
    by_date: dict[str, dict[str, object]] = {}
    for holiday in holidays:
        try:
            day = date.fromisoformat(holiday.date).isoformat()
        except ValueError:
            shown = sanitize.shown(holiday.date, max_chars=40)
            raise Refused("bad_holidays", f"holidays: {shown!r} is not a date", field="holidays") from None
        if day in by_date:
            raise Refused("bad_holidays", f"holidays: {day} is there twice", field="holidays")
        name = sanitize.shown(holiday.name, max_chars=80)
        by_date[day] = {"date": day, "name": name, "hours": _check_shifts(holiday.hours, place=day)}
    return [by_date[day] for day in sorted(by_date)]


def _check_shifts(shifts: Sequence[Shift], *, place: str) -> list[list[str]]:
    if len(shifts) > MAX_SHIFTS:
        raise Refused("bad_hours", f"{place}: at most {MAX_SHIFTS} shifts a day", field="hours", place=place)
    for shift in shifts:
        for text in shift:
            if not _TIME.fullmatch(text):
                shown = sanitize.shown(text, max_chars=20)
                raise Refused("bad_hours", f"{place}: {shown!r} is not a time (HH:MM)", field="hours", place=place)
        if shift[0] == shift[1] or shift[0] == "24:00":
            text = f"{place}: a shift from {shift[0]} until {shift[1]} has no length"
            raise Refused("bad_hours", text, field="hours", place=place)
    return [list(shift) for shift in sorted(shifts)]


@functools.cache
def zone_names() -> tuple[str, ...]:
    """Return the names of time zones that people choose from, in order."""
    return tuple(sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def read_zone(name: str) -> tzinfo | None:
    """Return the zone of this name, None (this machine's) for an empty one. Raises Refused."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        shown = sanitize.shown(name, max_chars=40)
        raise Refused("bad_zone", f"time_zone: there is no time zone {shown!r}", field="time_zone") from None
