"""Rules of teams as people and programs write them: a form's texts become typed rules, and a caller's way is tried out.

What pages and the API share. Decides no rule (`crm.rules` checks, `telephony.routing` decides). Invariant: a trial
goes by the same facts and the same decision as a real call, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import rules
from hub.crm.access import Actor
from hub.crm.hours import DAYS, Holiday, Shift
from hub.crm.rules import TeamRules
from hub.errors import Refused
from hub.settings import Pbx
from hub.telephony.recordings import recordings
from hub.telephony.routing.route_facts import Place, Question, gather
from hub.telephony.routing.routing import Decision, Facts, answer_line, decide
from hub.web.request_context import Form, Services

_SPAN = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*[-–—]\s*(\d{1,2})(?:[:.](\d{2}))?")
_HOLIDAY = re.compile(r"(\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{4})\s*(.*)")
_HOURS_FIRST = re.compile(r"((?:[\d:.]+\s*[-–—]\s*[\d:.]+\s*,?\s*)+)(.*)")
_NUMBERS = {"personal_s": 0, "overflow_s": 0, "service_level_s": 20, "after_call_s": 0}


async def store(conn: AsyncConnection, actor: Actor, team_id: int, written: TeamRules, *, now: datetime) -> None:
    """Store a team's rules and what follows from them. Raises Forbidden, NotFound, Refused."""
    changed = await rules.save(conn, actor, team_id, written, now=now)
    if "keep_recordings_days" in changed:
        await recordings.apply_retention(conn, team_id)


def read_form(form: Form) -> TeamRules:
    """Read rules as the page sends them. Raises Refused that names the field."""
    values: dict[str, Any] = {name: _number(form, name, empty) for name, empty in _NUMBERS.items()}
    values |= {name: form.text(name, max_chars=20) or "fallback" for name in ("when_closed", "when_tired")}
    values["time_zone"] = form.text("time_zone", max_chars=40)
    values["hours"] = {}
    if form.text("open") == "hours":
        values["hours"] = {day: read_shifts(form.text(f"hours_{day}", max_chars=200), place=day) for day in DAYS}
    values["holidays"] = [msgspec.to_builtins(one) for one in read_holidays(form.text("holidays", max_chars=20_000))]
    values["overflow_team_id"] = form.number("overflow_team_id")
    values["record_calls"] = form.text("record_calls") == "yes"
    values["keep_recordings_days"] = _number(form, "keep_recordings_days", 0) or None
    try:
        return msgspec.convert(values, TeamRules)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`").split("[")[0]
        raise Refused("out_of_range", str(error), field=field) from None


def _number(form: Form, name: str, empty: int) -> int:
    text = form.text(name, max_chars=10)
    if not text:
        return empty
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Refused("out_of_range", f"{name}: {sanitize.shown(text)!r} is not a whole number", field=name)
    return int(text)


def read_shifts(text: str, *, place: str) -> tuple[Shift, ...]:
    """Read "09:00–13:00, 14-18:30"; empty is none. Raises Refused that names the place."""
    pieces = [piece.strip() for piece in re.split(r"[,;]", text) if piece.strip()]
    found = []
    for piece in pieces:
        if not (span := _SPAN.fullmatch(piece)):
            shown = sanitize.shown(piece, max_chars=40)
            raise Refused("bad_hours", f"{place}: {shown!r} is not from–until", field="hours", place=place)
        start, end = f"{int(span[1]):02}:{span[2] or '00'}", f"{int(span[3]):02}:{span[4] or '00'}"
        found.append((start, "24:00" if end == "00:00" else end))
    return tuple(found)


def show_shifts(shifts: tuple[Shift, ...] | list[Shift]) -> str:
    """Write shifts as `read_shifts` reads them."""
    return ", ".join(f"{start}–{end}" for start, end in shifts)


def read_holidays(text: str) -> list[Holiday]:
    """Read one holiday a line: a date, hours if it is a short day, a name. Raises Refused that names the line."""
    found = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        parts = _HOLIDAY.fullmatch(line)
        if not parts:
            shown = sanitize.shown(line, max_chars=60)
            raise Refused("bad_holidays", f"holidays: {shown!r} does not begin with a date", field="holidays")
        day, rest = parts[1], parts[2].strip()
        if "." in day:
            d, m, y = day.split(".")
            day = f"{y}-{int(m):02}-{int(d):02}"
        hours: tuple[Shift, ...] = ()
        if short := _HOURS_FIRST.fullmatch(rest):
            hours, rest = read_shifts(short[1].strip().rstrip(","), place=day), short[2].strip()
        found.append(Holiday(date=day, name=rest, hours=hours))
    return found


def show_holidays(holidays: tuple[Holiday, ...]) -> str:
    """Write holidays as `read_holidays` reads them."""
    return "\n".join(" ".join(filter(None, (h.date, show_shifts(h.hours), h.name))) for h in holidays)


def form_values(written: TeamRules) -> Mapping[str, str]:
    """The texts that the page shows of stored rules, by the names of its fields."""
    numbers = {name: str(getattr(written, name)) for name in _NUMBERS}
    return {
        **numbers,
        **{f"hours_{day}": show_shifts(written.hours.get(day, ())) for day in DAYS},
        "open": "hours" if written.hours else "always",
        "time_zone": written.time_zone,
        "holidays": show_holidays(written.holidays),
        "overflow_team_id": str(written.overflow_team_id or ""),
        "when_closed": written.when_closed,
        "when_tired": written.when_tired,
        "record_calls": "yes" if written.record_calls else "",
        "keep_recordings_days": str(written.keep_recordings_days or ""),
    }


@dataclass(frozen=True, slots=True)
class Trial:
    """The route of a caller at this moment. `line` is what the dialplan would read."""

    pbx: str
    facts: Facts
    decision: Decision

    @property
    def line(self) -> str:
        return answer_line(self.decision)


async def try_caller(
    conn: AsyncConnection,
    services: Services,
    *,
    team_id: int,
    pbx: str | None,
    number: str,
    hidden: bool,
    now: datetime,
) -> Trial:
    """Say what would happen to this caller of a team now. Raises NotFound, Refused `team_without_queue`."""
    team = await rules.find_team(conn, team_id)
    for one in services.settings.pbx:
        place = place_of(one)
        if pbx in (None, one.name) and team in place.queue_of_team:
            presentation = "prohib" if hidden else "allowed"
            question = Question(number[:40], place.queue_of_team[team], presentation)
            facts = await gather(conn, services.linker, place, question, now=now)
            return Trial(one.name, facts, decide(facts))
    text = f"no pbx has a queue for the team {team!r} in Hub's configuration ([[pbx.team]])"
    raise Refused("team_without_queue", text, field="team")


def place_of(pbx: Pbx) -> Place:
    """The facts about a PBX that routing needs."""
    return Place(pbx.name, {team.team: team.queue for team in pbx.team}, pbx.region)
