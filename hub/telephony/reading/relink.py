"""When an address gets, loses or changes its owner: the calls of that number go onto, or off, a client's card.

Works on the indexed numbers of the register, a batch of the latest calls at a time. Invariants: a link that a person
made stays; a call is on the card that its link names; a batch that is done again changes nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue, timeline
from hub.crm.linking import Linked, Linker
from hub.crm.models import users
from hub.store.changes import publish
from hub.telephony.models import call_legs, calls
from hub.telephony.reading.register import timeline_data

BATCH = 100


async def batch(
    conn: AsyncConnection, linker: Linker, number: str, below_id: int | None, *, unlinks: bool, now: datetime
) -> int:
    """Ask anew whose the next calls of `number` (E.164) are; return the next bound (`relinking.Batch`)."""
    of_number = sa.or_(calls.c.from_number == number, calls.c.to_number == number)
    query = sa.select(calls).where(of_number, calls.c.link_manual.is_(False)).order_by(calls.c.id.desc()).limit(BATCH)
    if below_id is not None:
        query = query.where(calls.c.id < below_id)
    rows = (await conn.execute(query)).mappings().all()
    linked = await linker.by_phone(conn, number)
    for row in rows:
        await _ask_anew(conn, row, linked, unlinks=unlinks, now=now)
    return int(rows[-1]["id"]) if len(rows) == BATCH else 0


async def _ask_anew(conn: AsyncConnection, row: Any, linked: Linked, *, unlinks: bool, now: datetime) -> None:
    """Write whose a call is now. It stays where it is while its client has the number, or never had it: one that
    somebody dialled from a card belongs to that card, whoever has the number."""
    candidates = [asdict(one) for one in linked.candidates]
    best, held = linked.best, row["client_id"]
    came_by_number = held in {one["client_id"] for one in row["candidates"]}
    stays = held is not None and (
        held in {one.client_id for one in linked.candidates} or not came_by_number or (best is None and not unlinks)
    )
    values: dict[str, Any] = {} if candidates == row["candidates"] else {"candidates": candidates}
    if not stays and best is not None:
        values |= {"client_id": best.client_id, "contact_id": best.contact_id}
        values |= {"link_reason": best.reason, "link_confidence": best.confidence}
    elif not stays and held is not None:
        values |= dict.fromkeys(("client_id", "contact_id", "link_reason", "link_confidence"))
    if not values:
        return
    renewed = sa.update(calls).where(calls.c.id == row["id"]).values(**values).returning(calls)
    call = (await conn.execute(renewed)).mappings().one()
    if (call["client_id"], call["contact_id"]) == (held, row["contact_id"]):
        return
    if held is not None and held != call["client_id"]:
        await timeline.remove(conn, "call", row["id"], now=now)
    await put_on_card(conn, row["id"], now=now)
    await queue.set_client(conn, "call", row["id"], client_id=call["client_id"], now=now)
    shown = {"team_id": call["team_id"], "user_id": call["answered_user_id"], "client_id": call["client_id"]}
    await publish(conn, "call", row["id"], at=now, **shown, data={"state": call["state"]})


async def put_on_card(conn: AsyncConnection, call_id: int, *, now: datetime) -> None:
    """Write the timeline entry of a call that is linked to a client."""
    query = sa.select(calls, users.c.name.label("manager")).outerjoin(users, users.c.id == calls.c.answered_user_id)
    call = (await conn.execute(query.where(calls.c.id == call_id))).mappings().one()
    if call["client_id"] is None:
        return
    of_call = sa.select(call_legs).where(call_legs.c.call_id == call_id).order_by(call_legs.c.id)
    legs = (await conn.execute(of_call)).mappings().all()
    data = timeline_data(call, legs, call["manager"])
    owner = {"client_id": call["client_id"], "contact_id": call["contact_id"]}
    await timeline.put(conn, "call", call_id, **owner, at=call["started_at"], data=data, now=now)
