"""What a decision about a caller stands on, read from the tables: blocks, rules, whose client it is, their manager.

Reads only, by a few indexed questions, for a caller waits meanwhile. Decides nothing (`routing` does).
Invariant: a manager's state is of this moment, as `presence` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import blocking, phones, rules, substitution
from hub.crm.hours import read_zone
from hub.crm.linking import Linker
from hub.crm.models import clients, team_rules, teams, users
from hub.crm.presence import Said
from hub.errors import Refused
from hub.telephony.presence import presence
from hub.telephony.routing.routing import Facts, Owner, OwnerState, Target


@dataclass(frozen=True, slots=True)
class Place:
    """The PBX that asks. `queue_of_team` names its queue of each team that has one there."""

    pbx: str
    queue_of_team: Mapping[str, str]
    region: str


@dataclass(frozen=True, slots=True)
class Question:
    """Who calls which team's queue. `presentation` is Asterisk's CALLERID(num-pres)."""

    number: str
    queue: str
    presentation: str = ""


async def gather(conn: AsyncConnection, linker: Linker, place: Place, question: Question, *, now: datetime) -> Facts:
    """Read the facts of one caller. A queue that no team is configured for has no rules but the blacklist."""
    caller = blocking.caller(question.number, place.region or linker.region, presentation=question.presentation)
    blocks = await blocking.rules_for(conn, caller)
    name = next((team for team, queue in place.queue_of_team.items() if queue == question.queue), "")
    of_team, other = await _rules(conn, name) if name else (rules.TeamRules(), None)
    client, owner = "", None
    if of_team.personal_s and caller.raw and blocking.blocked_by(caller, blocks) is None:
        client, owner = await _owner(conn, linker, place, caller.raw, now=now)
    try:
        zone = read_zone(of_team.time_zone)
    except Refused:
        zone = None  # a zone that was there when the rules were stored, and is not on this machine
    return Facts(
        caller=caller,
        blocks=blocks,
        rules=of_team,
        team=Target(name or question.queue, question.queue),
        client=client,
        owner=owner,
        overflow=Target(other, place.queue_of_team.get(other, "")) if other else None,
        now=now,
        zone=zone,
    )


async def _rules(conn: AsyncConnection, team: str) -> tuple[rules.TeamRules, str | None]:
    """Return a team's rules, and the name of the team that it overflows to."""
    other = teams.alias()
    query = (
        sa.select(team_rules, other.c.name.label("other_name"))
        .join(teams, teams.c.id == team_rules.c.team_id)
        .outerjoin(other, other.c.id == team_rules.c.overflow_team_id)
        .where(teams.c.name == team)
    )
    row = (await conn.execute(query)).mappings().first()
    return (rules.read(row), row["other_name"]) if row else (rules.TeamRules(), None)


async def _owner(
    conn: AsyncConnection, linker: Linker, place: Place, raw: str, *, now: datetime
) -> tuple[str, Owner | None]:
    """Return the name of the client whose number this is, and the account manager, or who substitutes them now."""
    best = (await linker.by_phone(conn, raw, region=place.region)).best
    if best is None or best.client_id is None:
        return "", None
    owner_id = (await conn.execute(sa.select(clients.c.owner_id).where(clients.c.id == best.client_id))).scalar()
    if owner_id is None:
        return best.client_name, None
    present = await substitution.present(conn, owner_id, now=now)
    query = sa.select(users.c.id, phones.extension_on(place.pbx).label("extension")).where(users.c.id == present)
    row = (await conn.execute(query)).first()
    found = await presence.of_person(conn, row.id, now) if row is not None else None
    if row is None or found is None:
        return best.client_name, None
    state = "no_phone" if row.extension is None else _state(*found)
    return best.client_name, Owner(found[0].name, row.extension, state)


def _state(seen: presence.Colleague, said: Said) -> OwnerState:
    """Say whether a manager's phone is to be rung. It need have no page of Hub open: it is a phone."""
    if seen.state in ("in_call", "ringing"):
        return "busy"
    if said.state != "available":
        return said.state
    return "offline" if seen.phone == "unavailable" else "available"
