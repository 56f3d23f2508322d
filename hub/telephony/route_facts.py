"""What a decision about a caller stands on, read from the tables: blocks, rules, whose client it is, their manager.

Reads only, by a handful of indexed questions, for a caller waits meanwhile. Decides nothing (`routing` does).
Invariant: a manager's state is of this moment; what ran out at its `until` does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import blocking, rules
from hub.crm.hours import read_zone
from hub.crm.linking import Linker
from hub.crm.models import clients, phones, presence, teams, users
from hub.errors import Refused
from hub.telephony.models import calls, device_states
from hub.telephony.routing import Facts, Owner, OwnerState, Target

_BUSY = frozenset(("INUSE", "BUSY", "RINGINUSE", "ONHOLD", "RINGING"))
_OFFLINE = frozenset(("UNAVAILABLE", "INVALID"))


@dataclass(frozen=True, slots=True)
class Place:
    """The PBX that asks. `queue_of_team` names its queue of each team that has one there."""

    pbx: str
    queue_of_team: Mapping[str, str]
    region: str
    phone_tech: str = "PJSIP"


@dataclass(frozen=True, slots=True)
class Question:
    """Who calls which team's queue. `presentation` is Asterisk's CALLERID(num-pres)."""

    number: str
    queue: str
    presentation: str = ""


async def gather(conn: AsyncConnection, linker: Linker, place: Place, question: Question, *, now: datetime) -> Facts:
    """Read the facts of one caller. A queue that no team is configured for has no rules but the blacklist."""
    region = place.region or linker.region
    caller = blocking.caller(question.number, region, presentation=question.presentation)
    blocks = await blocking.rules_for(conn, caller)
    name = next((team for team, queue in place.queue_of_team.items() if queue == question.queue), "")
    team_id = (await conn.execute(sa.select(teams.c.id).where(teams.c.name == name))).scalar() if name else None
    of_team = await rules.load(conn, team_id) if team_id is not None else rules.TeamRules()
    client, owner = "", None
    if of_team.personal_s and caller.raw:
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
        overflow=await _overflow(conn, place, of_team.overflow_team_id),
        now=now,
        zone=zone,
    )


async def _overflow(conn: AsyncConnection, place: Place, team_id: int | None) -> Target | None:
    if team_id is None:
        return None
    name = (await conn.execute(sa.select(teams.c.name).where(teams.c.id == team_id))).scalar()
    return Target(name, place.queue_of_team.get(name, "")) if name else None


async def _owner(
    conn: AsyncConnection, linker: Linker, place: Place, raw: str, *, now: datetime
) -> tuple[str, Owner | None]:
    """Return the name of the client whose number this is, and the manager whose client that is."""
    best = (await linker.by_phone(conn, raw, region=place.region)).best
    if best is None or best.client_id is None:
        return "", None
    own_phone = sa.and_(phones.c.user_id == users.c.id, phones.c.pbx == place.pbx)
    query = (
        sa.select(users, phones.c.extension.label("own_extension"), presence.c.state, presence.c.until)
        .join(clients, clients.c.owner_id == users.c.id)
        .outerjoin(phones, own_phone)
        .outerjoin(presence, presence.c.user_id == users.c.id)
        .where(clients.c.id == best.client_id, users.c.disabled_at.is_(None))
    )
    row = (await conn.execute(query)).first()
    if row is None:
        return best.client_name, None
    extension = row.own_extension or row.extension
    state: OwnerState = "available"
    if extension is None:
        state = "no_phone"
    elif row.state not in (None, "available") and (row.until is None or row.until > now):
        state = row.state
    else:
        state = await _phone_state(conn, place, extension, row.id)
    return best.client_name, Owner(row.name, extension, state)


async def _phone_state(conn: AsyncConnection, place: Place, extension: str, user_id: int) -> OwnerState:
    """Tell whether the phone can ring: by the device's own state where it is told, else by the calls it is in."""
    device = f"{place.phone_tech}/{extension}"
    told = sa.select(device_states.c.state).where(device_states.c.pbx == place.pbx, device_states.c.device == device)
    state = (await conn.execute(told)).scalar()
    if state is not None:
        word = state.upper()
        return "busy" if word in _BUSY else "offline" if word in _OFFLINE else "available"
    talking = sa.select(calls.c.id).where(
        calls.c.pbx == place.pbx, calls.c.state.in_(("talking", "held")), calls.c.answered_user_id == user_id
    )
    return "busy" if (await conn.execute(talking.limit(1))).first() is not None else "available"
