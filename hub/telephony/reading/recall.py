"""What an earlier process stored of calls that were open when it ended: where a new tracker starts from.

Reads only. Invariant: a call that lives on in the PBX is taken up under the identity, claim and legs it had.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.models import queue_items
from hub.telephony.models import call_intents, call_legs, calls, pbx_states
from hub.telephony.tracking.calls import Call, Channel, Leg, Transfer

_NOT_PLAIN = ("claim_id", "claim_extension", "is_left_waiting", "legs", "transfers")
_PLAIN = [name for name in Call.__slots__ if name not in _NOT_PLAIN]


async def last_boot(conn: AsyncConnection, pbx: str) -> str:
    """Return the boot under which the PBX was last seen, empty where it never was."""
    query = sa.select(pbx_states.c.boot).where(pbx_states.c.pbx == pbx)
    return (await conn.execute(query)).scalar() or ""


async def last_seen(conn: AsyncConnection, pbx: str) -> datetime | None:
    """Return when the PBX was last known to be heard, None where it never was."""
    query = sa.select(pbx_states.c.seen_at).where(pbx_states.c.pbx == pbx)
    return (await conn.execute(query)).scalar()


async def open_calls(conn: AsyncConnection, pbx: str) -> list[Call]:
    """Return the stored snapshots of the PBX's calls that have no end yet."""
    claim = sa.and_(queue_items.c.kind == "call", queue_items.c.ref_id == calls.c.id, queue_items.c.state == "claimed")
    # A claim is open, and rings somebody, from when its take went out until it is no lease any more.
    is_out = sa.and_(call_intents.c.state != "new", queue_items.c.lease_until.is_not(None))
    take = sa.and_(call_intents.c.claim_id == queue_items.c.claim_id, is_out)
    query = sa.select(calls, queue_items.c.claim_id, call_intents.c.extension.label("claim_extension"))
    query = query.select_from(calls.outerjoin(queue_items, claim).outerjoin(call_intents, take))
    rows = (await conn.execute(query.where(calls.c.pbx == pbx, calls.c.state != "ended"))).mappings().all()
    return [await _snapshot(conn, row) for row in rows]


async def stored_calls(conn: AsyncConnection, call_ids: Collection[int]) -> dict[int, Call]:
    """Return the stored snapshots of these calls, by id; claims, which are of open calls only, are left out."""
    if not call_ids:
        return {}
    rows = (await conn.execute(sa.select(calls).where(calls.c.id.in_(call_ids)))).mappings().all()
    return {row["id"]: await _snapshot(conn, {**row, "claim_id": None, "claim_extension": None}) for row in rows}


async def _snapshot(conn: AsyncConnection, row: Mapping[Any, Any]) -> Call:
    of_call = sa.select(call_legs).where(call_legs.c.call_id == row["id"]).order_by(call_legs.c.id)
    legs = [_leg(leg) for leg in (await conn.execute(of_call)).mappings()]
    plain: dict[str, Any] = {name: row[name] for name in _PLAIN}
    transfers = [Transfer(**told | {"at": datetime.fromisoformat(told["at"])}) for told in row["transfers"]]
    plain |= {name: row[name] for name in ("claim_id", "claim_extension")}
    return Call(**plain, legs=tuple(legs), transfers=tuple(transfers))


def _leg(row: sa.RowMapping) -> Leg:
    values = {name: row[name] for name in Leg.__slots__}
    return Leg(**values | {"channel": Channel(row["channel"])})
