"""What the dialplan says of a caller on the way past the queue: turned away, asked to be called back, left a voicemail.

Decides what the team gets of it: a blocked caller's row says so, a wish becomes the team's call-back, once for each
call, however often it is said and whatever the call's end makes of it. Rings nobody. Invariant: one call adds one to
a number's call-back, never two.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import leads, queue
from hub.crm.models import clients, queue_items
from hub.crm.models import leads as lead_rows
from hub.store.changes import publish
from hub.telephony.models import calls

if TYPE_CHECKING:
    from hub.telephony.intake.announced import Heard

Wish = Literal["callback", "voicemail"]


async def note_blocked(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Mark the call of a caller whom the blacklist turned away. Nobody owes them a call back."""
    await conn.execute(sa.update(calls).where(calls.c.id == heard.call_id).values(blocked=True))
    await publish(conn, "call", heard.call_id, at=now, client_id=heard.client_id, data={"state": heard.call.state})


async def note_callback(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Make the team's call-back of a caller who asked for one."""
    await _note(conn, heard, "callback", now=now)


async def note_voicemail(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Make the team's call-back of a caller who left a voicemail; of one without a number too, for it must be heard."""
    await _note(conn, heard, "voicemail", now=now)


async def _note(conn: AsyncConnection, heard: Heard, wish: Wish, *, now: datetime) -> None:
    row = (await conn.execute(sa.select(calls).where(calls.c.id == heard.call_id))).one()
    address = row.from_number or row.from_raw or ("anonymous" if wish == "voicemail" else "")
    if heard.team_id is None or not address or row.blocked:
        return
    data = {"reason": "callback", "call_id": heard.call_id, "wish": wish}
    known = await _noted(conn, heard.call_id, heard.team_id, address)
    if known is not None and known.data.get("wish") in (wish, "voicemail"):
        return
    title = await _client_name(conn, row.client_id) or row.from_name or address
    lead_id = known.ref_id if known else None
    if lead_id is None:
        lead_id = await leads.join_or_open(
            conn,
            team_id=heard.team_id,
            reason="callback",
            name=title,
            address_kind="phone",
            address=address,
            client_id=row.client_id,
            contact_id=row.contact_id,
            now=now,
        )
    await leads.enqueue(conn, lead_id, title=title, data=data, now=now)


async def is_noted(conn: AsyncConnection, call_id: int, team_id: int, address: str) -> bool:
    """Tell whether this call has made its call-back already, so that its end makes no second one."""
    return await _noted(conn, call_id, team_id, address) is not None


async def is_blocked(conn: AsyncConnection, call_id: int) -> bool:
    """Tell whether the blacklist turned this call away."""
    return bool((await conn.execute(sa.select(calls.c.blocked).where(calls.c.id == call_id))).scalar())


async def _noted(conn: AsyncConnection, call_id: int, team_id: int, address: str) -> queue.Item | None:
    query = (
        sa.select(queue_items.c.ref_id)
        .join(lead_rows, lead_rows.c.id == queue_items.c.ref_id)
        .where(queue_items.c.kind == "lead", queue_items.c.state != "done", lead_rows.c.state == "open")
        .where(lead_rows.c.team_id == team_id, lead_rows.c.address_kind == "phone", lead_rows.c.address == address)
    )
    lead_id = (await conn.execute(query)).scalar()
    item = await queue.find_by_thing(conn, "lead", lead_id) if lead_id is not None else None
    return item if item is not None and item.data.get("call_id") == call_id and "wish" in item.data else None


async def _client_name(conn: AsyncConnection, client_id: int | None) -> str:
    if client_id is None:
        return ""
    return (await conn.execute(sa.select(clients.c.name).where(clients.c.id == client_id))).scalar() or ""
