"""When an address gets an owner: earlier calls of that number go onto the client's card.

Works on the indexed numbers of the register, a bounded number of the latest calls at a time. Invariant: a link that
a person made stays.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import timeline
from hub.crm.models import users
from hub.telephony.models import call_legs, calls
from hub.telephony.reading.register import timeline_data

AT_MOST = 500


async def relink(conn: AsyncConnection, *, client_id: int, contact_id: int | None, number: str, now: datetime) -> int:
    """Put the latest unlinked calls of `number` (E.164) on a client's card; return how many."""
    query = (
        sa.select(calls.c.id)
        .where(sa.or_(calls.c.from_number == number, calls.c.to_number == number))
        .where(calls.c.client_id.is_(None), calls.c.link_manual.is_(False))
        .order_by(calls.c.started_at.desc())
        .limit(AT_MOST)
    )
    found = (await conn.execute(query)).scalars().all()
    values = {"client_id": client_id, "contact_id": contact_id, "link_reason": "client", "link_confidence": "exact"}
    for call_id in found:
        await conn.execute(sa.update(calls).where(calls.c.id == call_id).values(**values))
        await put_on_card(conn, call_id, now=now)
    return len(found)


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
