"""Reading calls beyond the base: names and legs of a page, one call, a person's live call. Writes nothing.

Pages are read by `crm.base.records`, and who may see a call is `call_kind.may`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339, utc_now
from hub.crm.access import Actor
from hub.crm.base.permissions import permitted
from hub.crm.clients import CLIENTS
from hub.crm.contacts import CONTACTS
from hub.crm.models import clients, contacts, queue_items, teams, users
from hub.errors import NotFound
from hub.telephony.models import call_intents, call_legs, calls, merged_calls
from hub.telephony.reading.call_kind import CALLS, CallRow, LegRow
from hub.telephony.recordings import recordings
from hub.telephony.recordings.recordings import Recording


def _joined(actor: Actor) -> sa.Select[Any]:
    """Select calls with the names of what they refer to; of a client or contact that is hidden there is none."""
    client = sa.and_(clients.c.id == calls.c.client_id, permitted(actor, CLIENTS, "see"))
    contact = sa.and_(contacts.c.id == calls.c.contact_id, permitted(actor, CONTACTS, "see"))
    return (
        sa.select(
            calls,
            users.c.name.label("answered_user_name"),
            teams.c.name.label("team_name"),
            clients.c.name.label("client_name"),
            contacts.c.name.label("contact_name"),
        )
        .outerjoin(users, users.c.id == calls.c.answered_user_id)
        .outerjoin(teams, teams.c.id == calls.c.team_id)
        .outerjoin(clients, client)
        .outerjoin(contacts, contact)
    )


def _query(actor: Actor) -> sa.Select[Any]:
    return _joined(actor).where(permitted(actor, CALLS, "see"))


def _row(row: sa.RowMapping, legs: tuple[LegRow, ...] = (), heard: tuple[Recording, ...] = ()) -> CallRow:
    facts = {name: row[name] for name in CallRow.__slots__ if name not in ("legs", "recordings")}
    return CallRow(legs=legs, recordings=heard, **facts)


async def detailed(conn: AsyncConnection, actor: Actor, rows: Sequence[CallRow]) -> list[CallRow]:
    """Return calls that were read through `records` with their names, legs and the recordings that may be heard."""
    ids = [row.id for row in rows]
    found = {row["id"]: row for row in (await conn.execute(_joined(actor).where(calls.c.id.in_(ids)))).mappings()}
    legs = await _legs(conn, ids)
    heard = await recordings.of_calls(conn, actor, ids, now=utc_now())
    return [_row(found[one], legs.get(one, ()), heard.get(one, ())) for one in ids if one in found]


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
