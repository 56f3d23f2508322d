"""Reading calls: the register's pages, one call with its legs, and a person's live call. Writes nothing.

Every question passes through `crm.access`. Lists go by key (`started_at`, `id`), newest first, and count nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339, utc_now
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import clients, contacts, queue_items, teams, users
from hub.errors import NotFound
from hub.telephony.models import call_intents, call_legs, calls, merged_calls
from hub.telephony.recordings import recordings
from hub.telephony.recordings.recordings import Recording


@dataclass(frozen=True, slots=True)
class LegRow:
    channel: str
    extension: str | None
    number: str | None
    user_id: int | None
    user_name: str | None
    role: str
    rang_at: datetime | None
    answered_at: datetime | None
    left_at: datetime | None
    result: str | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as lists, cards and the API show it. Times are aware UTC; `wait_s` and `talk_s` are seconds."""

    id: int
    pbx: str
    linked_id: str
    direction: str
    state: str
    outcome: str | None
    estimated: bool
    from_raw: str
    from_number: str | None
    from_name: str
    from_extension: str | None
    to_raw: str
    to_number: str | None
    to_extension: str | None
    did: str | None
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    wait_s: float
    talk_s: float
    answered_extension: str | None
    answered_user_id: int | None
    answered_user_name: str | None
    team_id: int | None
    team_name: str | None
    client_id: int | None
    client_name: str | None
    contact_id: int | None
    contact_name: str | None
    link_reason: str | None
    link_confidence: str | None
    link_manual: bool
    candidates: list[dict[str, Any]]
    transfers: list[dict[str, Any]]
    note: str | None
    blocked: bool
    """Turned away by the blacklist."""
    origin: str
    """`live`, or `cdr` where nobody saw it and the PBX's records told of it later."""
    failure: str | None
    """Why a dialled call reached nobody, as in `control.dial_failures`; None where that was a person's doing."""
    legs: tuple[LegRow, ...] = ()
    recordings: tuple[Recording, ...] = ()
    """Those that the asker may hear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilters:
    """What a list of calls may be narrowed by; None is "any". `since` and `until` bound `started_at`.

    `from_number` and `to_number` are E.164, an extension, or what the PBX itself said.
    """

    client_id: int | None = None
    user_id: int | None = None
    team_id: int | None = None
    pbx: str | None = None
    direction: str | None = None
    state: str | None = None
    outcome: str | None = None
    linked_id: str | None = None
    number: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def _query(actor: Actor) -> sa.Select[Any]:
    names = [
        users.c.name.label("answered_user_name"),
        teams.c.name.label("team_name"),
        clients.c.name.label("client_name"),
        contacts.c.name.label("contact_name"),
    ]
    return (
        sa.select(calls, *names)
        .outerjoin(users, users.c.id == calls.c.answered_user_id)
        .outerjoin(teams, teams.c.id == calls.c.team_id)
        .outerjoin(clients, clients.c.id == calls.c.client_id)
        .outerjoin(contacts, contacts.c.id == calls.c.contact_id)
        .where(_visible(actor))
    )


def _visible(actor: Actor) -> sa.ColumnElement[bool]:
    shared = access.talk_visible(actor, team_id=calls.c.team_id, client_id=calls.c.client_id)
    own = [calls.c.answered_user_id == actor.user_id]
    own += [sa.and_(calls.c.pbx == pbx, calls.c.from_extension == phone) for pbx, phone in actor.phones if phone]
    if actor.extension is not None:
        other = [pbx for pbx, _ in actor.phones]
        own.append(sa.and_(calls.c.from_extension == actor.extension, calls.c.pbx.not_in(other)))
    return sa.or_(shared, *own)


def _row(row: sa.RowMapping, legs: tuple[LegRow, ...] = (), heard: tuple[Recording, ...] = ()) -> CallRow:
    facts = {name: row[name] for name in CallRow.__slots__ if name not in ("legs", "recordings")}
    return CallRow(legs=legs, recordings=heard, **facts)


async def listed(
    conn: AsyncConnection,
    actor: Actor,
    filters: CallFilters,
    *,
    before: tuple[datetime, int] | None = None,
    limit: int = 50,
    with_legs: bool = False,
) -> list[CallRow]:
    """Return calls the actor may see, newest first; `before` is (started_at, id) of the last of the page before."""
    query = _query(actor)
    for column in ("client_id", "team_id", "pbx", "direction", "state", "outcome", "linked_id"):
        if (wanted := getattr(filters, column)) is not None:
            query = query.where(calls.c[column] == wanted)
    if filters.user_id is not None:
        query = query.where(calls.c.answered_user_id == filters.user_id)
    if filters.number is not None:
        query = query.where(sa.or_(calls.c.from_number == filters.number, calls.c.to_number == filters.number))
    for side in ("from", "to"):
        if (wanted := getattr(filters, f"{side}_number")) is not None:
            ways = [calls.c[f"{side}_{way}"] == wanted for way in ("number", "extension", "raw")]
            query = query.where(sa.or_(*ways))
    if filters.since is not None:
        query = query.where(calls.c.started_at >= filters.since)
    if filters.until is not None:
        query = query.where(calls.c.started_at < filters.until)
    if before is not None:
        at = sa.literal(before[0], calls.c.started_at.type)
        query = query.where(sa.tuple_(calls.c.started_at, calls.c.id) < sa.tuple_(at, before[1]))
    query = query.order_by(calls.c.started_at.desc(), calls.c.id.desc()).limit(limit)
    rows = (await conn.execute(query)).mappings().all()
    ids = [row["id"] for row in rows]
    legs = await _legs(conn, ids) if with_legs else {}
    heard = await recordings.of_calls(conn, actor, ids, now=utc_now())
    return [_row(row, legs.get(row["id"], ()), heard.get(row["id"], ())) for row in rows]


async def find(conn: AsyncConnection, actor: Actor, call_id: int) -> CallRow:
    """Return a call with its legs, also by the id of one that became part of it.

    Raises NotFound, also for what the actor may not see.
    """
    is_part_of = sa.select(merged_calls.c.call_id).where(merged_calls.c.id == call_id)
    call_id = (await conn.execute(is_part_of)).scalar() or call_id
    row = (await conn.execute(_query(actor).where(calls.c.id == call_id))).mappings().first()
    if row is None:
        raise NotFound("call_missing", "no such call")
    heard = await recordings.of_calls(conn, actor, [call_id], now=utc_now())
    return _row(row, (await _legs(conn, [call_id])).get(call_id, ()), heard.get(call_id, ()))


async def current(conn: AsyncConnection, actor: Actor) -> CallRow | None:
    """Return the live call that the actor has on their phone, or that rings there or is being brought to it."""
    taken = sa.select(queue_items.c.ref_id).where(
        queue_items.c.kind == "call", queue_items.c.state == "claimed", queue_items.c.owner_id == actor.user_id
    )
    dialled = sa.select(call_intents.c.channel_id).where(
        call_intents.c.user_id == actor.user_id, call_intents.c.kind == "dial", call_intents.c.state != "refused"
    )
    ringing = sa.select(call_legs.c.call_id).where(
        call_legs.c.user_id == actor.user_id, call_legs.c.role == "callee", call_legs.c.left_at.is_(None)
    )
    mine = sa.or_(
        calls.c.answered_user_id == actor.user_id,
        calls.c.id.in_(taken),
        calls.c.dial_id.in_(dialled),
        calls.c.id.in_(ringing),
    )
    query = _query(actor).where(calls.c.state != "ended", mine).order_by(calls.c.started_at.desc()).limit(1)
    row = (await conn.execute(query)).mappings().first()
    return _row(row, (await _legs(conn, [row["id"]])).get(row["id"], ())) if row else None


async def _legs(conn: AsyncConnection, call_ids: list[int]) -> dict[int, tuple[LegRow, ...]]:
    query = (
        sa.select(call_legs, users.c.name.label("user_name"))
        .outerjoin(users, users.c.id == call_legs.c.user_id)
        .where(call_legs.c.call_id.in_(call_ids))
        .order_by(call_legs.c.call_id, call_legs.c.id)
    )
    found: dict[int, tuple[LegRow, ...]] = {}
    for row in (await conn.execute(query)).mappings():
        leg = LegRow(**{name: row[name] for name in LegRow.__slots__})
        found[row["call_id"]] = (*found.get(row["call_id"], ()), leg)
    return found


def timeline_data(call: Mapping[Any, Any], legs: Sequence[Mapping[Any, Any]], manager: str | None) -> dict[str, Any]:
    """The snapshot of a call's row that its timeline entry carries: the keys below; `number` is the other side's."""
    side = "to" if call["direction"] == "outbound" else "from"
    return {
        "direction": call["direction"],
        "state": call["state"],
        "outcome": call["outcome"],
        "estimated": call["estimated"],
        "failure": call.get("failure"),
        "number": call[f"{side}_number"] or call[f"{side}_raw"][:64],
        "manager": manager,
        "manager_extension": call["answered_extension"] or call["from_extension"],
        "answered_at": rfc3339(call["answered_at"]),
        "ended_at": rfc3339(call["ended_at"]),
        "wait_s": call["wait_s"],
        "talk_s": call["talk_s"],
        "legs": [{name: leg[name] for name in ("extension", "number", "result")} for leg in legs],
    }
