"""A calendar's invitation as facts: what, when, where, who, and how often in words. Pure, bounded, never raises.

Decides what of an iCalendar object is shown beside a mail. A rule of recurrence is read and said, never expanded;
time zones are taken by their names (IANA or Windows) or by the offset that the object gives itself, their own rules
are not run. Invariant: what comes out is fit for JSON and at most a few thousand characters long.

Source: RFC 5545, 5546 (methods).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Event
from icalendar.prop.broken import vBroken
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from hub.mail.reading.headers import one_line
from hub.mail.reading.recurrence import said

MAX_CHARS = 200_000
MAX_LINES = 2_000
MAX_ATTENDEES = 100

METHODS = frozenset("PUBLISH REQUEST REPLY ADD CANCEL REFRESH COUNTER DECLINECOUNTER".split())
_FOLD = re.compile(r"\r?\n[ \t]")
_KEPT = frozenset(
    "UID SEQUENCE STATUS SUMMARY LOCATION DESCRIPTION ORGANIZER ATTENDEE DTSTART DTEND DURATION RRULE DUE "
    "RECURRENCE-ID".split()
)
_ZONE = re.compile(r';TZID="?([^";:]{1,200})"?', re.IGNORECASE)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)")


def read(text: str) -> dict[str, Any] | None:
    """Return the first event of an iCalendar text, None where there is none.

    `start` and `end` are `{"at": RFC 3339, "zone": name or "", "all_day": bool}`; a time without a zone ("floating")
    has no offset.
    """
    method, lines, offsets = _first_event(text)
    if not lines:
        return None
    event = _parsed(lines)
    start = _moment(event, "DTSTART", lines, offsets)
    end = _moment(event, "DTEND", lines, offsets) or _after(start, event)
    rule = next((line.partition(":")[2] for line in lines if line[:5].upper() == "RRULE"), None)
    return {
        "method": method if method in METHODS else "",
        "uid": _text(event, "UID", 300),
        "sequence": _number(event.get("SEQUENCE")),
        "status": _text(event, "STATUS", 20).upper(),
        "summary": _text(event, "SUMMARY", 500),
        "place": _text(event, "LOCATION", 500),
        "description": _text(event, "DESCRIPTION", 2_000),
        "start": start,
        "end": end,
        "organiser": _person(event.get("ORGANIZER")),
        "attendees": [one for one in map(_person, _several(event.get("ATTENDEE"))[:MAX_ATTENDEES]) if one],
        "recurrence": said(_rule(rule)) if rule is not None else None,
        "instead_of": _moment(event, "RECURRENCE-ID", lines, offsets),
    }


def event_of(about: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the event that a message carries, of what it is beside its text; None where that is of another shape."""
    event = (about or {}).get("event")
    return event if isinstance(event, dict) and isinstance(event.get("uid"), str) else None


def is_answer(about: Mapping[str, Any] | None) -> bool:
    """Tell whether a message is a participant's answer to an invitation: a calendar wrote it, not a person."""
    event = event_of(about)
    return event is not None and event.get("method") == "REPLY"


def _first_event(text: str) -> tuple[str, list[str], dict[str, timezone]]:
    """Return the method, the kept lines of the first VEVENT (or VTODO), and the offsets that own zones name."""
    method, lines, offsets, zone = "", list[str](), dict[str, timezone](), ""
    inside: list[str] = []
    for line in _FOLD.sub("", text[:MAX_CHARS]).splitlines()[:MAX_LINES]:
        head, _, value = line.partition(":")
        name = head.partition(";")[0].strip().upper()
        if name == "BEGIN":
            inside = [*inside[-5:], value.strip().upper()]
        elif name == "END":
            if inside and inside[-1] in ("VEVENT", "VTODO") and lines:
                break
            inside = inside[:-1]
        elif name == "METHOD" and not lines:
            method = value.strip().upper()
        elif name == "TZID" and inside[-1:] == ["VTIMEZONE"]:
            zone = value.strip()
        elif name == "TZOFFSETTO" and zone and (zone not in offsets or inside[-1:] == ["STANDARD"]):
            if match := _OFFSET.match(value.strip()):
                span = timedelta(hours=int(match[2]) % 15, minutes=int(match[3]) % 60)
                offsets[zone] = timezone(span if match[1] == "+" else -span)
        elif inside[-1:] in (["VEVENT"], ["VTODO"]) and name in _KEPT and len(line) < 20_000:
            # A to-do's date is when it is due.
            lines.append(re.sub(r"(?i)^DUE\b", "DTEND", line))
    return method, lines, offsets


def _without_zone(line: str) -> str:
    """Take the zone's name out of a line: the library would load or guess it."""
    head, colon, value = line.partition(":")
    return _ZONE.sub("", head) + colon + value if line[:2].upper() in ("DT", "RE") else line


def _zone_of(name: str, lines: list[str]) -> str:
    line = next((line for line in lines if line.upper().startswith((f"{name};", f"{name}:"))), "")
    match = _ZONE.search(line.partition(":")[0])
    return one_line(match[1], max_chars=100) if match else ""


def _parsed(lines: list[str]) -> Event:
    """Read an event's lines; those that the library refuses are left out one by one."""
    lines = [_without_zone(line) for line in lines]
    event = _by_library(lines)
    if event is None:
        event = Event()
        for line in lines:
            for name, value in (_by_library([line]) or {}).items():
                event.setdefault(name, value)
    for name in [name for name, value in event.items() if _is_broken(value)]:
        del event[name]
    return event


def _by_library(lines: list[str]) -> Event | None:
    try:
        read = Event.from_ical("\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT", ""]))
        return read if isinstance(read, Event) else None
    except Exception:  # noqa: BLE001 a library reads what a stranger made up
        return None


def _is_broken(value: Any) -> bool:
    return any(isinstance(one, vBroken) for one in _several(value))


def _moment(event: Event, name: str, lines: list[str], offsets: dict[str, timezone]) -> dict[str, Any] | None:
    at = getattr(_one(event.get(name)), "dt", None)
    zone = _zone_of(name, lines)
    if isinstance(at, datetime):
        if zone:
            known = _zone(zone) or offsets.get(zone)
            at = at.replace(tzinfo=known) if known else at.replace(tzinfo=None)
        elif at.tzinfo is not None:
            at, zone = at.astimezone(UTC), "UTC"
        return {"at": _iso(at), "zone": zone, "all_day": False}
    return {"at": at.isoformat(), "zone": "", "all_day": True} if isinstance(at, date) else None


def _iso(at: datetime) -> str:
    try:
        return at.isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return at.replace(tzinfo=None).isoformat(timespec="seconds")


def _zone(name: str) -> tzinfo | None:
    """Return a time zone by its IANA or Windows name, also with a path of its maker before it."""
    name = WINDOWS_TO_OLSON.get(name, name)
    for candidate in (name, "/".join(name.split("/")[-2:])):
        if re.fullmatch(r"[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,2}", candidate):
            try:
                return ZoneInfo(candidate)
            except (KeyError, ValueError, OSError):
                continue
    return None


def _after(start: dict[str, Any] | None, event: Event) -> dict[str, Any] | None:
    """The end by a duration; None where nothing says when it ends."""
    span = getattr(_one(event.get("DURATION")), "dt", None)
    if start is None or not isinstance(span, timedelta):
        return None
    try:
        if start["all_day"]:
            return {**start, "at": (date.fromisoformat(start["at"]) + span).isoformat()}
        return {**start, "at": _iso(datetime.fromisoformat(start["at"]) + span)}
    except (ValueError, OverflowError):
        return None


def _person(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    value = _one(value)
    params = getattr(value, "params", {})
    address = re.sub(r"(?i)^mailto:", "", one_line(str(value), max_chars=254))
    person = {"name": _clean(params.get("CN", ""), 300), "address": address if "@" in address else ""}
    person |= {
        "status": _clean(params.get("PARTSTAT", ""), 20).upper(),
        "role": _clean(params.get("ROLE", ""), 20).upper(),
    }
    if to := re.sub(r"(?i)^mailto:", "", _clean(_one(params.get("DELEGATED-TO", "")), 254)):
        person["delegated_to"] = to
    return person if person["name"] or person["address"] else None


def _rule(text: str) -> dict[str, list[str]]:
    """Take a rule's parts as words: names in capitals, values as text."""
    pairs = [part.partition("=") for part in text[:2_000].split(";")[:20]]
    return {
        _clean(name, 20).upper(): [_clean(one, 40) for one in value.split(",")[:50]]
        for name, is_pair, value in pairs
        if is_pair
    }


def _several(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _text(event: Event, name: str, max_chars: int) -> str:
    value = _one(event.get(name))
    if value is None:
        return ""
    if name == "DESCRIPTION":
        lines = [one_line(line, max_chars=max_chars) for line in str(value)[:max_chars].split("\n")]
        return _storable("\n".join(lines)).strip()
    return _clean(value, max_chars)


def _clean(value: Any, max_chars: int) -> str:
    return _storable(one_line(str(value)[: max_chars * 4], max_chars=max_chars))


def _storable(text: str) -> str:
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


def _number(value: Any) -> int:
    try:
        return max(0, min(int(_one(value)), 2**31))
    except (TypeError, ValueError):
        return 0
