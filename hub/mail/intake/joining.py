"""A message that belongs to another one's conversation, put there after it was stored.

Decides when it takes the rest of its own thread along: when there is no rest. Invariant: a thread is one mailbox's.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import timeline
from hub.mail.models import messages, thread_ids, threads
from hub.mail.register import timeline_data


async def join(conn: AsyncConnection, message_id: int, original: sa.RowMapping, *, now: datetime) -> None:
    """Put a message into the conversation of `original`, and onto its card."""
    columns = ("mailbox_id", "thread_id", "received_at")
    query = sa.select(*(messages.c[name] for name in columns)).where(messages.c.id == message_id)
    one = (await conn.execute(query)).one()
    into = original["thread_id"]
    # What another mailbox got stays there, and only goes onto the card.
    is_here = one.mailbox_id == original["mailbox_id"]
    if is_here and one.thread_id is not None and into is not None and one.thread_id != into:
        others = sa.select(messages.c.id).where(messages.c.thread_id == one.thread_id, messages.c.id != message_id)
        if (await conn.execute(others.limit(1))).first() is None:
            ids = sa.update(thread_ids).where(thread_ids.c.thread_id == one.thread_id)
            await conn.execute(ids.values(thread_id=into))
        await conn.execute(sa.update(messages).where(messages.c.id == message_id).values(thread_id=into))
        renew = sa.update(threads).where(threads.c.id == into, threads.c.last_at < one.received_at)
        await conn.execute(renew.values(last_at=one.received_at))
    if original["client_id"] is None:
        return
    whose = {"client_id": original["client_id"], "contact_id": original["contact_id"]}
    by = {"link_reason": "thread", "link_confidence": "exact"}
    update = sa.update(messages).where(messages.c.id == message_id, messages.c.link_manual.is_(False))
    row = (await conn.execute(update.values(**whose, **by).returning(messages))).mappings().first()
    if row is not None:
        at, data = row["received_at"], timeline_data(row)
        await timeline.put(conn, "message", message_id, at=at, data=data, now=now, **whose)
