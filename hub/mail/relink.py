"""When an address gets an owner: earlier messages from and to it go onto the client's card.

A bounded number of the latest messages at a time. Invariant: a link that a person made stays.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import timeline
from hub.mail.models import messages, threads
from hub.mail.register import timeline_data

AT_MOST = 500


async def relink(conn: AsyncConnection, *, client_id: int, contact_id: int | None, email: str, now: datetime) -> int:
    """Put unlinked messages from `email`, and their threads, on a client's card; return how many."""
    of_sender = sa.select(messages.c.thread_id).where(messages.c.from_address == email)
    query = (
        sa.select(messages)
        .where(sa.or_(messages.c.from_address == email, messages.c.thread_id.in_(of_sender)))
        .where(messages.c.client_id.is_(None), messages.c.link_manual.is_(False))
        .order_by(messages.c.received_at.desc())
        .limit(AT_MOST)
    )
    found = (await conn.execute(query)).mappings().all()
    values = {"client_id": client_id, "contact_id": contact_id}
    for message in found:
        reason = {"link_reason": "client", "link_confidence": "exact"}
        await conn.execute(sa.update(messages).where(messages.c.id == message["id"]).values(**values, **reason))
        await timeline.put(
            conn,
            "message",
            message["id"],
            client_id=client_id,
            contact_id=contact_id,
            at=message["received_at"],
            data=timeline_data(message),
            now=now,
        )
    owned = {m["thread_id"] for m in found if m["thread_id"] is not None}
    if owned:
        unowned = sa.update(threads).where(threads.c.id.in_(owned), threads.c.client_id.is_(None))
        await conn.execute(unowned.values(**values))
    return len(found)
