"""Where colleagues are: what their phones do, put together with what they say (`crm.presence`). Only reads.

Decides what a phone's state means for its person: a device that Asterisk calls in use is a call, and a call's leg is
one unless the phone has been idle since it was answered, so that a hang-up nobody saw keeps nobody "in a call". What
is known of a PBX that is down, or that nobody listens to, counts for nothing. Who may see whom is `access`'s rule for
teams: a manager sees the people of their own teams and themselves, an administrator everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm import presence as said_presence
from hub.crm.access import Actor
from hub.crm.models import phones, team_members, teams, users
from hub.crm.presence import SILENT, Effective, OnPhone, Said, State, effective
from hub.errors import NotFound
from hub.telephony import health
from hub.telephony.models import call_legs, calls, device_states, pbx_states

OPEN_STATES = ("ringing", "waiting", "connecting", "talking", "held")
MAX_PEOPLE = 500
SLACK = timedelta(seconds=2)
"""A device's state and the call's own events come by different ways, and may pass each other by this much."""

PhoneState = Literal["none", "unknown", "unavailable", "idle", "ringing", "in_use", "busy", "on_hold"]
_everywhere = users.alias("everywhere")
_HAND: Sequence[PhoneState] = ("in_use", "on_hold", "busy", "ringing", "idle", "unavailable", "unknown")
"""Of several phones of one person, the one that says most."""


@dataclass(frozen=True, slots=True)
class Colleague:
    """A person as others see them now. `phone` is their phone's own state, `none` for who has none."""

    id: int
    name: str
    extension: str | None
    state: State
    since: datetime | None
    until: datetime | None
    phone: PhoneState
    team_ids: tuple[int, ...] = ()

    @property
    def can_take(self) -> bool:
        """Free, and with a phone that nobody knows to be out of reach."""
        return self.state == "free" and self.phone not in ("none", "unavailable")


@dataclass(slots=True)
class _Hand:
    """What was found of one person's phones."""

    devices: dict[tuple[str, str], tuple[PhoneState, datetime]] = field(default_factory=dict)
    """By (pbx, extension)."""
    legs: list[Any] = field(default_factory=list)


async def of_team(conn: AsyncConnection, actor: Actor, now: datetime) -> list[Colleague]:
    """Return the enabled people whom the actor works with, themselves among them, by name."""
    query = sa.select(users.c.id, users.c.name, users.c.extension).where(users.c.disabled_at.is_(None))
    if not actor.is_admin:
        mates = sa.select(team_members.c.user_id).where(access.of_my_teams(actor, team_members.c.team_id))
        query = query.where(sa.or_(users.c.id.in_(mates), users.c.id == actor.user_id))
    return await _colleagues(conn, query, now=now)


async def of_one_team(conn: AsyncConnection, actor: Actor, team_id: int, now: datetime) -> list[Colleague]:
    """Return the people of one team. Raises NotFound, also for a team that is not the actor's."""
    await require_team(conn, actor, team_id)
    members = sa.select(team_members.c.user_id).where(team_members.c.team_id == team_id)
    query = sa.select(users.c.id, users.c.name, users.c.extension)
    return await _colleagues(conn, query.where(users.c.disabled_at.is_(None), users.c.id.in_(members)), now=now)


async def of_me(conn: AsyncConnection, actor: Actor, now: datetime) -> tuple[Colleague, Said]:
    """Return how the actor looks to others, and their own word, which a call may hide."""
    query = sa.select(users.c.id, users.c.name, users.c.extension).where(users.c.id == actor.user_id)
    (me,) = await _colleagues(conn, query, now=now)
    said = (await said_presence.said_of(conn, [actor.user_id])).get(actor.user_id, SILENT)
    return me, said.at(now)


async def of_person(conn: AsyncConnection, user_id: int, now: datetime) -> tuple[Colleague, Said] | None:
    """Return how a person looks, and their own word, for Hub's own machinery; None for one who is disabled."""
    query = sa.select(users.c.id, users.c.name, users.c.extension)
    query = query.where(users.c.id == user_id, users.c.disabled_at.is_(None))
    found = await _colleagues(conn, query, now=now)
    said = (await said_presence.said_of(conn, [user_id])).get(user_id, SILENT)
    return (found[0], said.at(now)) if found else None


async def require_team(conn: AsyncConnection, actor: Actor, team_id: int) -> str:
    """Return the name of a team of the actor's. Raises NotFound."""
    query = sa.select(teams.c.name).where(teams.c.id == team_id, access.of_my_teams(actor, teams.c.id))
    name: str | None = (await conn.execute(query)).scalar()
    if name is None:
        raise NotFound("team_missing", "no such team")
    return name


async def pbxs_up(conn: AsyncConnection, now: datetime) -> tuple[list[str], list[str]]:
    """Return the PBXs of which the state is known, and those of which it is not."""
    rows = (await conn.execute(sa.select(pbx_states).order_by(pbx_states.c.pbx))).all()
    up = [r.pbx for r in rows if r.state == "up" and r.seen_at is not None and r.seen_at > now - health.SILENT_AFTER]
    return up, [r.pbx for r in rows if r.pbx not in up]


async def of_people(conn: AsyncConnection, user_ids: Iterable[int], now: datetime) -> dict[int, Colleague]:
    """Return how these people look, those who are disabled left out, for Hub's own machinery."""
    query = sa.select(users.c.id, users.c.name, users.c.extension)
    query = query.where(users.c.disabled_at.is_(None), users.c.id.in_(sorted(set(user_ids))))
    return {one.id: one for one in await _colleagues(conn, query, now=now)}


async def _colleagues(conn: AsyncConnection, query: sa.Select[Any], *, now: datetime) -> list[Colleague]:
    rows = (await conn.execute(query.order_by(users.c.name, users.c.id).limit(MAX_PEOPLE))).all()
    ids = [row.id for row in rows]
    said = await said_presence.said_of(conn, ids)
    membership: dict[int, list[int]] = {}
    members = sa.select(team_members).where(team_members.c.user_id.in_(ids)).order_by(team_members.c.team_id)
    for row in await conn.execute(members):
        membership.setdefault(row.user_id, []).append(row.team_id)
    hands = await _hands(conn, {row.id: row.extension for row in rows}, now=now)
    found = []
    for row in rows:
        hand = hands[row.id]
        shown: Effective = effective(said.get(row.id, SILENT), _on_phone(hand), now=now)
        phone = _phone_state(hand)
        found.append(
            Colleague(
                row.id,
                row.name,
                row.extension or next((extension for _, extension in hand.devices), None),
                shown.state,
                shown.since,
                shown.until,
                phone,
                tuple(membership.get(row.id, ())),
            )
        )
    return found


async def _hands(conn: AsyncConnection, extensions: Mapping[int, str | None], *, now: datetime) -> dict[int, _Hand]:
    """Look at people's phones: (pbx, extension) of each, their devices' states, and the open legs of their calls."""
    hands = {user_id: _Hand() for user_id in extensions}
    up, down = await pbxs_up(conn, now)
    own: dict[tuple[int, str], str] = {}
    named: dict[tuple[str, str], int] = {}
    theirs = sa.or_(phones.c.user_id.in_(list(extensions)), phones.c.extension.in_({*extensions.values()} - {None}))
    for row in await conn.execute(sa.select(phones).where(theirs)):
        own[row.user_id, row.pbx] = row.extension
        named[row.pbx, row.extension] = row.user_id
    owners: dict[tuple[str, str], int] = {}
    for user_id, everywhere in extensions.items():
        for pbx in {*up, *down, *(name for one, name in own if one == user_id)}:
            extension = own.get((user_id, pbx), everywhere)
            if extension and named.get((pbx, extension), user_id) == user_id:
                hands[user_id].devices[pbx, extension] = ("unknown", now)
                owners[pbx, extension] = user_id
        if everywhere and not hands[user_id].devices:
            hands[user_id].devices["", everywhere] = ("unknown", now)
    if not up or not owners:
        return hands
    of_them = device_states.c.extension.in_(sorted({extension for _, extension in owners}))
    for row in await conn.execute(sa.select(device_states).where(device_states.c.pbx.in_(up), of_them)):
        key = (row.pbx, row.extension)
        if (user := owners.get(key)) is not None:
            known = hands[user].devices[key]
            hands[user].devices[key] = min(known, (row.state, row.since), key=lambda one: _HAND.index(one[0]))
    legs = (
        sa.select(call_legs, calls.c.pbx, calls.c.started_at)
        .join(calls, calls.c.id == call_legs.c.call_id)
        .where(calls.c.pbx.in_(up), calls.c.state.in_(OPEN_STATES), call_legs.c.left_at.is_(None))
        .where(call_legs.c.user_id.in_(list(extensions)))
    )
    for row in await conn.execute(legs):
        hands[row.user_id].legs.append(row)
    return hands


def _phone_state(hand: _Hand) -> PhoneState:
    states = [state for state, _ in hand.devices.values()]
    return min(states, key=_HAND.index) if states else "none"


def _on_phone(hand: _Hand) -> OnPhone | None:
    """Say what a person's hand is at, or that it is free."""
    legs = [leg for leg in hand.legs if not _was_put_down(hand, leg)]
    talks = [_since(leg) for leg in legs if leg.answered_at is not None or leg.role == "caller"]
    rings = [_since(leg) for leg in legs if leg.answered_at is None and leg.role != "caller"]
    for state, since in hand.devices.values():
        if state in ("in_use", "on_hold", "busy"):
            # The phone itself knows best that it is off the hook; the call knows better since when.
            return OnPhone("in_call", min([*talks, since]))
    for state, since in hand.devices.values():
        if state == "ringing":
            return OnPhone("ringing", min([*rings, since]))
    if talks:
        return OnPhone("in_call", min(talks))
    return OnPhone("ringing", min(rings)) if rings else None


def _since(leg: Any) -> datetime:
    since: datetime = leg.answered_at or leg.rang_at or leg.started_at
    return since


def _was_put_down(hand: _Hand, leg: Any) -> bool:
    """Tell whether the phone of a leg that nobody saw end has been idle, or gone, since the leg began."""
    known = hand.devices.get((leg.pbx, leg.extension or ""))
    return known is not None and known[0] in ("idle", "unavailable") and known[1] > _since(leg) + SLACK


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as lists show it."""

    pbx: str
    device: str
    extension: str | None
    user_id: int | None
    user_name: str | None
    state: str
    since: datetime
    contact: str


async def devices(
    conn: AsyncConnection, actor: Actor, *, after: tuple[str, str], limit: int, now: datetime
) -> list[DeviceRow]:
    """Return devices by (pbx, name): for a manager those of the people they work with, for an administrator all.

    The state of a device whose PBX is down, or is listened to by nobody, is `unknown`.
    """
    up, _ = await pbxs_up(conn, now)
    owner = _owner()
    query = (
        sa.select(device_states, users.c.id.label("user_id"), users.c.name.label("user_name"))
        .select_from(device_states.outerjoin(users, users.c.id == owner))
        .where(sa.tuple_(device_states.c.pbx, device_states.c.device) > sa.tuple_(*after))
        .order_by(device_states.c.pbx, device_states.c.device)
        .limit(limit)
    )
    if not actor.is_admin:
        mates = sa.select(team_members.c.user_id).where(access.of_my_teams(actor, team_members.c.team_id))
        query = query.where(sa.or_(owner.in_(mates), owner == actor.user_id))
    found = []
    for row in await conn.execute(query):
        state, contact = (row.state, row.contact) if row.pbx in up else ("unknown", "")
        about = (row.pbx, row.device, row.extension, row.user_id, row.user_name)
        found.append(DeviceRow(*about, state, row.since, contact))
    return found


def _owner() -> sa.ColumnElement[int]:
    """Whose a device is: a row of `phones` says so, else the extension that a person has on every other PBX."""
    here = sa.select(phones.c.user_id).where(
        phones.c.pbx == device_states.c.pbx, phones.c.extension == device_states.c.extension
    )
    has_another = (
        sa.exists()
        .where(phones.c.pbx == device_states.c.pbx, phones.c.user_id == _everywhere.c.id)
        .correlate(device_states, _everywhere)
    )
    everywhere = sa.select(_everywhere.c.id).where(_everywhere.c.extension == device_states.c.extension, ~has_another)
    return sa.func.coalesce(here.scalar_subquery(), everywhere.scalar_subquery())
