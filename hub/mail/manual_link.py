"""A person says whose message, or whose whole thread, it is. Nothing overwrites that later.

Invariant: the messages' rows, their places on cards, their history and the audit row change together.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, contacts, queue
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base import history, records
from hub.crm.base.history import Edit, Way
from hub.crm.base.permissions import permitted
from hub.errors import Refused
from hub.mail import register
from hub.mail.message_kind import MESSAGES
from hub.mail.models import messages, threads
from hub.mail.relink import Link, put


async def link(
    conn: AsyncConnection,
    actor: Actor,
    message_id: int,
    *,
    client_id: int | None,
    contact_id: int | None,
    whole_thread: bool = False,
    way: Way = "hub",
    now: datetime,
) -> int:
    """Put a message (or what the actor may see of its thread) on a client's card, or off every card; return how many.

    Neither client nor contact named: nobody's. Raises NotFound, Refused.
    """
    message = await register.find(conn, actor, message_id)
    await records.require_on(conn, MESSAGES, message_id, ["edit"], actor)
    if contact_id is not None:
        owner = (await contacts.find(conn, actor, contact_id)).client_id
        if client_id is not None and owner != client_id:
            raise Refused("not_their_contact", "this contact is another client's", field="contact")
        client_id = owner
    if client_id is not None:
        await clients.find(conn, actor, client_id)
    which = messages.c.id == message_id
    if whole_thread and message.thread_id is not None:
        which = sa.and_(messages.c.thread_id == message.thread_id, permitted(actor, MESSAGES, "edit"))
        whose = {"client_id": client_id, "contact_id": contact_id}
        await conn.execute(sa.update(threads).where(threads.c.id == message.thread_id).values(**whose))
        await queue.set_client(conn, "message", message.thread_id, client_id=client_id, now=now)
    changed = 0
    for row in (await conn.execute(sa.select(messages).where(which))).mappings().all():
        if await put(conn, row, Link(client_id, contact_id, "manual", "exact"), manual=True, now=now):
            changed += 1
            changes = {"client": [row["client_id"], client_id], "contact": [row["contact_id"], contact_id]}
            await history.write(conn, "message", row["id"], version=0, changes=changes, edit=Edit(actor, way, now))
    await record(
        conn,
        "message.linked",
        at=now,
        user_id=actor.user_id,
        object_kind="message",
        object_id=message_id,
        details={"client": client_id, "contact": contact_id, "before": message.client_id, "messages": changed},
    )
    return changed
