"""Reading a conversation: what it is, its messages as far as a person may see them, and what is known around it.

Writes nothing. Invariant: a conversation of which the actor may see no message does not exist for them, and what
they see of it is what `register` shows them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.models import addresses
from hub.errors import NotFound
from hub.mail import register
from hub.mail.filters import MessageFilters
from hub.mail.models import folders, locations, mailboxes
from hub.mail.register import MessageRow

PAGE = 100


@dataclass(frozen=True, slots=True)
class Around:
    """A message and its conversation. `newer` and `earlier` are newest first, without bodies."""

    message: MessageRow
    newer: tuple[MessageRow, ...]
    earlier: tuple[MessageRow, ...]
    older: tuple[datetime, int] | None
    """The place behind the last of `earlier`, where there is more."""


async def newest(conn: AsyncConnection, actor: Actor, thread_id: int) -> MessageRow:
    """Return the newest message of a conversation that the actor may see, without its body. Raises NotFound."""
    rows = await register.listed(conn, actor, MessageFilters(thread_id=thread_id), limit=1)
    if not rows:
        raise NotFound("thread_missing", "no such conversation")
    return rows[0]


async def page(
    conn: AsyncConnection,
    actor: Actor,
    thread_id: int,
    *,
    before: tuple[datetime, int] | None = None,
    limit: int = PAGE,
) -> list[MessageRow]:
    """Return a page of a conversation, newest first, without bodies. Empty where there is none to see."""
    return await register.listed(conn, actor, MessageFilters(thread_id=thread_id), before=before, limit=limit)


async def around(conn: AsyncConnection, actor: Actor, message_id: int) -> Around:
    """Return a message with its body and the rest of its conversation. Raises NotFound.

    A message far back in a long conversation stands at the head of its page.
    """
    message = await register.find(conn, actor, message_id)
    if message.thread_id is None:
        return Around(message, (), (), None)
    rows = await page(conn, actor, message.thread_id)
    place = next((n for n, row in enumerate(rows) if row.id == message_id), None)
    if place is None:
        before = (message.received_at, message.id)
        rows, place = [message, *await page(conn, actor, message.thread_id, before=before)], 0
    last = rows[-1]
    older = (last.received_at, last.id) if len(rows) >= PAGE else None
    return Around(message, tuple(rows[:place]), tuple(rows[place + 1 :]), older)


async def known_domains(conn: AsyncConnection, client_id: int | None) -> frozenset[str]:
    """Return the domains that a stranger's might be mistaken for: the company's own, and the client's."""
    found = {one.rpartition("@")[2] for one in await own_addresses(conn)}
    if client_id is not None:
        theirs = sa.select(addresses.c.value).where(
            addresses.c.client_id == client_id, addresses.c.kind.in_(("email", "domain"))
        )
        found |= {one.rpartition("@")[2] for one in (await conn.execute(theirs.limit(200))).scalars()}
    return frozenset(found)


async def own_addresses(conn: AsyncConnection) -> frozenset[str]:
    """Return the addresses of all mailboxes."""
    return frozenset((await conn.execute(sa.select(mailboxes.c.address))).scalars())


async def folders_of(conn: AsyncConnection, message_ids: Sequence[int]) -> dict[int, str]:
    """Return the folder each message lies in on the server: the oldest place of those that it has."""
    query = (
        sa.select(locations.c.message_id, folders.c.name)
        .join(folders, folders.c.id == locations.c.folder_id)
        .where(locations.c.message_id.in_(message_ids))
        .order_by(locations.c.id.desc())
    )
    return {row.message_id: row.name for row in await conn.execute(query)}
