"""Taking back what was sent, while it has not gone: the undo of ten seconds, and what was to go later.

One statement decides between the person and the sender. Invariants: what is taken back is not sent, and its draft is
there again with everything; it leaves the card and the register (its row stays, `undone`, for its id is spoken
for), and the queue item that sending closed opens again unless something happened to it since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crash_points import point
from hub.crm import queue, timeline
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.errors import Conflict, Forbidden
from hub.mail import register
from hub.mail.audience import audience
from hub.mail.models import messages, outbox, outbox_recipients
from hub.mail.sending import drafts
from hub.mail.sending import outbox as outbox_rows
from hub.store.changes import publish


async def cancel(conn: AsyncConnection, actor: Actor, message_id: int, *, now: datetime) -> int | None:
    """Take a message back; return the id of the draft that it is again, None where it never was one.

    Raises Conflict `gone` once a sender has it, Forbidden for a colleague's (an administrator's word counts), NotFound.
    """
    message = await register.find(conn, actor, message_id)
    if message.author_id != actor.user_id and not actor.is_admin:
        raise Forbidden("not_yours", "only its writer takes a message back")
    update = (
        sa.update(outbox)
        .where(outbox.c.message_id == message_id, outbox.c.state == "queued", outbox.c.sending_since.is_(None))
        .values(state="undone")
        .returning(outbox.c.id)
    )
    taken = (await conn.execute(update)).first()
    if taken is None:
        try:
            # What was tried and waits to be tried again is no draft any more: the rest of it is called off.
            await outbox_rows.cancel(conn, actor, message_id, now=now)
        except Conflict:
            raise Conflict("gone", "it has gone", state=message.state) from None
        return None
    point("mail.cancel.decided")
    of_it = outbox_recipients.c.outbox_id == taken.id
    await conn.execute(sa.update(outbox_recipients).where(of_it).values(state="undone"))
    await conn.execute(sa.update(messages).where(messages.c.id == message_id).values(state="undone"))
    await timeline.remove(conn, "message", message_id, now=now)
    draft = await drafts.come_back(conn, message_id, now=now)
    if draft is not None and draft.closed_version is not None and message.thread_id is not None:
        await queue.reopen(
            conn, "message", message.thread_id, version=draft.closed_version, owned=draft.closed_owned, now=now
        )
    to = await audience(conn, message.mailbox_id, author_id=message.author_id)
    data = {"direction": "out", "state": "undone"}
    await publish(conn, "message", message_id, at=now, **to, client_id=message.client_id, data=data)
    await record(conn, "message.undone", at=now, user_id=actor.user_id, object_kind="message", object_id=message_id)
    return draft.id if draft is not None else None


@dataclass(frozen=True, slots=True)
class Waiting:
    """When a message goes that has not gone; `undo_until` where its writer has just sent it."""

    goes_at: datetime
    undo_until: datetime | None


async def waiting(conn: AsyncConnection, message_id: int) -> Waiting | None:
    """Return when a message goes, None once it is on its way. Whether it may be seen is the caller's to ask."""
    query = sa.select(outbox.c.not_before, outbox.c.undo_until).where(outbox.c.message_id == message_id)
    query = query.where(outbox.c.state == "queued", outbox.c.sending_since.is_(None))
    row = (await conn.execute(query)).first()
    return Waiting(row.not_before, row.undo_until) if row is not None else None
