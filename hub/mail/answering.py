"""Who is writing an answer in a conversation just now, so that two do not write the same one.

Only tells: nobody is kept from writing. A sign lasts `LASTS` after the last ping and ends at once when the answer is
sent or the page is left. Invariant: the queue's row of the conversation, its page and the API name the same people,
and each change of who writes is told once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.crm import access, queue
from hub.crm.access import Actor
from hub.crm.models import users
from hub.mail.models import answering, mailboxes, threads
from hub.store.changes import publish
from hub.store.engine import Database
from hub.store.upsert import insert

LASTS = timedelta(seconds=60)
"""Three pings of the page, which come every 20 s."""
SWEEP_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Writer:
    """A person who writes an answer; without another ping they are gone at `until`."""

    user_id: int
    name: str
    until: datetime


async def touch(conn: AsyncConnection, actor: Actor, thread_id: int, *, now: datetime) -> None:
    """Say that the actor writes in this conversation. The caller has checked that they may see it. Raises Forbidden."""
    access.require(actor, "send_mail")
    held = sa.select(answering.c.until).where(*_row(thread_id, actor.user_id), answering.c.until > now)
    is_new = (await conn.execute(held)).first() is None
    values = {"thread_id": thread_id, "user_id": actor.user_id, "until": now + LASTS}
    statement = insert(conn, answering).values(**values)
    again = statement.on_conflict_do_update(index_elements=["thread_id", "user_id"], set_={"until": values["until"]})
    await conn.execute(again)
    if is_new:
        await _told(conn, thread_id, now=now)


async def stop(conn: AsyncConnection, user_id: int, thread_id: int, *, now: datetime) -> None:
    """Say that a person writes no more; nothing where they did not."""
    gone = sa.delete(answering).where(*_row(thread_id, user_id)).returning(answering.c.user_id)
    if (await conn.execute(gone)).first() is not None:
        await _told(conn, thread_id, now=now)


def _row(thread_id: int, user_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (answering.c.thread_id == thread_id, answering.c.user_id == user_id)


async def writers(
    conn: AsyncConnection, thread_ids: Collection[int], *, now: datetime
) -> dict[int, tuple[Writer, ...]]:
    """Return who writes in these conversations now, whoever began last at the end."""
    query = (
        sa.select(answering.c.thread_id, answering.c.user_id, answering.c.until, users.c.name)
        .join(users, users.c.id == answering.c.user_id)
        .where(answering.c.thread_id.in_(thread_ids), answering.c.until > now)
        .order_by(users.c.name, users.c.id)
    )
    found: dict[int, tuple[Writer, ...]] = {}
    for row in await conn.execute(query):
        found[row.thread_id] = (*found.get(row.thread_id, ()), Writer(row.user_id, row.name, row.until))
    return found


async def sweep(conn: AsyncConnection, *, now: datetime) -> int:
    """Take away the signs whose time is over; return of how many conversations."""
    gone = sa.delete(answering).where(answering.c.until <= now).returning(answering.c.thread_id)
    over = set((await conn.execute(gone)).scalars())
    for thread_id in sorted(over):
        await _told(conn, thread_id, now=now)
    return len(over)


async def watch(db: Database) -> None:
    """Sweep until cancelled."""

    async def sweep_due() -> None:
        async with db.read() as conn:
            is_due = (await conn.execute(_due(utc_now()))).first() is not None
        if is_due:
            async with db.begin() as conn:
                await sweep(conn, now=utc_now())

    await db.loops.run("answering", sweep_due, every=SWEEP_EVERY)


def _due(now: datetime) -> sa.Select[tuple[int]]:
    return sa.select(answering.c.user_id).where(answering.c.until <= now).limit(1)


async def _told(conn: AsyncConnection, thread_id: int, *, now: datetime) -> None:
    """Tell the conversation's page, and have the queue's row say the same."""
    here = (await writers(conn, [thread_id], now=now)).get(thread_id, ())
    names = [{"id": one.user_id, "name": one.name} for one in here]
    await queue.annotate(conn, "message", thread_id, {"answering": names}, now=now)
    query = (
        sa.select(threads.c.client_id, mailboxes.c.team_id, mailboxes.c.owner_id)
        .join(mailboxes, mailboxes.c.id == threads.c.mailbox_id)
        .where(threads.c.id == thread_id)
    )
    row = (await conn.execute(query)).one()
    whose = {"team_id": None if row.owner_id else row.team_id, "user_id": row.owner_id}
    await publish(conn, "thread", thread_id, at=now, client_id=row.client_id, data={"answering": names}, **whose)
