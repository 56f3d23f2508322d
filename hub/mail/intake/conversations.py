"""Threads in the database: where `threads` decides, this looks up and stores, for what comes in and what goes out.

Runs in the caller's transaction. Invariant: an id of a mailbox belongs to one thread (`thread_ids` is unique), and
what a ghost held together moves as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue
from hub.mail.intake.threads import Placed, base_subject, ids_to_look_up, place
from hub.mail.models import messages, thread_ids, threads
from hub.store.upsert import insert


async def join(
    conn: AsyncConnection,
    *,
    mailbox_id: int,
    message_id: str,
    in_reply_to: str,
    references: Sequence[str],
    subject: str,
    at: datetime,
    now: datetime,
    client_id: int | None = None,
    contact_id: int | None = None,
    answers_thread: int | None = None,
) -> int:
    """Return the thread of a message, made or joined; its ids are stored and its time and client brought up to date.

    `answers_thread` is the thread of the message a person answered in Hub: then nothing is guessed from ids.
    """
    ids = {"message_id": message_id, "in_reply_to": in_reply_to, "references": tuple(references)}
    wanted = ids_to_look_up(**ids)  # type: ignore[arg-type]
    known = await _known(conn, mailbox_id, wanted)
    if answers_thread is not None:
        placed = Placed(answers_thread, tuple(filter(None, (message_id,))))
    else:
        placed = place(**ids, subject=subject, known=known)  # type: ignore[arg-type]
    thread_id = placed.thread_id
    if thread_id is None:
        values = {"mailbox_id": mailbox_id, "subject": base_subject(subject)[:1000], "last_at": at}
        values |= {"client_id": client_id, "contact_id": contact_id}
        thread_id = (await conn.execute(threads.insert().values(**values).returning(threads.c.id))).scalar_one()
    else:
        await _renew(conn, thread_id, at=at, client_id=client_id, contact_id=contact_id)
    for one in placed.claims:
        row = insert(conn, thread_ids).values(mailbox_id=mailbox_id, message_id=one, thread_id=thread_id)
        await conn.execute(row.on_conflict_do_nothing(index_elements=["mailbox_id", "message_id"]))
    for absorbed in placed.absorbs:
        await _absorb(conn, absorbed, thread_id, now=now)
    return int(thread_id)


async def _known(conn: AsyncConnection, mailbox_id: int, ids: Sequence[str]) -> dict[str, int]:
    query = sa.select(thread_ids.c.message_id, thread_ids.c.thread_id)
    query = query.where(thread_ids.c.mailbox_id == mailbox_id, thread_ids.c.message_id.in_(ids))
    return {row.message_id: row.thread_id for row in await conn.execute(query)}


async def _renew(
    conn: AsyncConnection, thread_id: int, *, at: datetime, client_id: int | None, contact_id: int | None
) -> None:
    later = sa.literal(at, threads.c.last_at.type)
    await conn.execute(
        sa.update(threads)
        .where(threads.c.id == thread_id)
        .values(
            last_at=sa.case((threads.c.last_at < later, later), else_=threads.c.last_at),
            client_id=sa.func.coalesce(threads.c.client_id, client_id),
            contact_id=sa.case((threads.c.client_id.is_(None), contact_id), else_=threads.c.contact_id),
        )
    )


async def _absorb(conn: AsyncConnection, absorbed: int, into: int, *, now: datetime) -> None:
    """Move a thread that waited for this ancestor; its queue item closes, since the joined thread has its own."""
    for table in (messages, thread_ids):
        await conn.execute(sa.update(table).where(table.c.thread_id == absorbed).values(thread_id=into))
    await queue.settle(conn, "message", absorbed, now=now)
