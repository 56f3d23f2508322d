"""What is stored when two calls turn out to be one: an attended transfer, a pickup, a parked caller retrieved.

The call that lives on keeps its own link, team and claim, and takes from the other whatever it lacks: client, note,
legs, recordings, what was asked of the PBX. The other leaves every list; whoever still has its address is led on.
Invariants: no leg, note or recording is lost, and doing it twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue, timeline
from hub.store.changes import publish
from hub.telephony.models import call_intents, call_legs, calls, merged_calls, recordings
from hub.telephony.reading.relink import put_on_card

_LINK = ("client_id", "contact_id", "link_reason", "link_confidence", "link_manual", "candidates")


async def merge(conn: AsyncConnection, call_id: int, gone: tuple[str, str], *, now: datetime) -> None:
    """Make the call of the same PBX whose (boot, linked id) is `gone` a part of the call `call_id`."""
    call = (await conn.execute(sa.select(calls).where(calls.c.id == call_id))).one()
    identity = (calls.c.pbx == call.pbx, calls.c.boot == gone[0], calls.c.linked_id == gone[1], calls.c.id != call_id)
    other = (await conn.execute(sa.select(calls).where(*identity))).first()
    if other is None:
        return
    await queue.close(conn, "call", other.id, now=now)
    await timeline.remove(conn, "call", other.id, now=now)
    await _move_legs(conn, other.id, call_id)
    for table in (call_intents, recordings, merged_calls):
        await conn.execute(sa.update(table).where(table.c.call_id == other.id).values(call_id=call_id))
    await conn.execute(sa.delete(calls).where(calls.c.id == other.id))
    await conn.execute(sa.insert(merged_calls).values(id=other.id, call_id=call_id))
    if taken := _what_it_lacks(call, other):
        await conn.execute(sa.update(calls).where(calls.c.id == call_id).values(**taken))
        await put_on_card(conn, call_id, now=now)
    about = {"team_id": other.team_id, "user_id": other.answered_user_id, "client_id": other.client_id}
    await publish(conn, "call", other.id, at=now, **about, data={"state": "merged", "into": call_id})


def _what_it_lacks(call: Any, other: Any) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    is_surer = other.link_manual and not call.link_manual
    if other.client_id is not None and (call.client_id is None or is_surer):
        taken |= {name: getattr(other, name) for name in _LINK}
    if call.team_id is None and other.team_id is not None:
        taken["team_id"] = other.team_id
    if other.note:
        taken["note"] = "\n".join(filter(None, (call.note, other.note)))
    return taken


async def _move_legs(conn: AsyncConnection, from_id: int, to_id: int) -> None:
    """Move the legs that the other call does not have yet; those that it has it knows better."""
    there = sa.select(call_legs.c.uniqueid).where(call_legs.c.call_id == to_id)
    of_other = call_legs.c.call_id == from_id
    # A caller leg beside the call's own would make two callers.
    moved = sa.update(call_legs).where(of_other, call_legs.c.uniqueid.not_in(there))
    await conn.execute(moved.values(call_id=to_id, role="callee"))
    await conn.execute(sa.delete(call_legs).where(of_other))
