"""Threads in the database: where `threads` decides, this looks up and stores, for what comes in and what goes out.

Runs in the caller's transaction; a batch costs as many questions as one message. Invariants: an id of a mailbox
belongs to one thread (`thread_ids` is unique); what a ghost held together moves as a whole, and what waited in the
queue still waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue
from hub.crm.models import queue_items
from hub.mail.intake.threads import SUBJECT_DAYS, Letter, Plan, Talk, base_subject, place_all, subject_key
from hub.mail.models import messages, thread_ids, threads
from hub.store.ids import draw
from hub.store.upsert import insert

IDS_AT_ONCE = 5_000
TALKS_AT_MOST = 500
"""Messages looked at to find with whom the threads of some subjects are: the latest."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The thread of a message, and whose the thread is, by this message or an earlier one."""

    thread_id: int
    client_id: int | None
    contact_id: int | None


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
    letter = Letter(
        message_id=message_id,
        in_reply_to=in_reply_to,
        references=tuple(references),
        subject=subject,
        at=at,
        client_id=client_id,
    )
    if answers_thread is None:
        (joined,) = await join_all(conn, [letter], contacts=[contact_id], mailbox_id=mailbox_id, now=now)
        return joined.thread_id
    if message_id:
        await _claim(conn, mailbox_id, {message_id: answers_thread})
    await _renew(conn, {answers_thread: (at, client_id, contact_id)})
    return answers_thread


async def join_all(
    conn: AsyncConnection,
    letters: Sequence[Letter],
    *,
    contacts: Sequence[int | None],
    mailbox_id: int,
    now: datetime,
) -> list[Joined]:
    """The same for a batch, in its order; `contacts` are those of the messages, whose clients stand in `letters`."""
    known = await _known(conn, mailbox_id, {one for letter in letters for one in letter.ids})
    lost = [one for one in letters if one.may_go_by_subject and known.keys().isdisjoint(one.ids)]
    talks = await _talks(conn, mailbox_id, lost)
    plan = place_all(letters, known=known, talks=talks)
    whose = await _whose(conn, {thread for thread in plan.threads if thread > 0})
    await _make(conn, plan, letters, mailbox_id=mailbox_id)
    joined: list[Joined] = []
    touched: dict[int, tuple[datetime, int | None, int | None]] = {}
    for letter, contact_id, thread in zip(letters, contacts, plan.threads, strict=True):
        client_id, owner_contact = whose.get(thread, (None, None))
        if client_id is None:
            client_id, owner_contact = whose[thread] = letter.client_id, contact_id
        joined.append(Joined(thread, client_id, owner_contact))
        last_at = max(letter.at, touched[thread][0]) if thread in touched else letter.at
        touched[thread] = (last_at, client_id, owner_contact)
    await _renew(conn, touched)
    await _claim(conn, mailbox_id, plan.claims)
    for gone in plan.moved:
        if gone > 0:
            await absorb(conn, gone, plan.now(gone), now=now)
    return joined


async def _known(conn: AsyncConnection, mailbox_id: int, ids: Iterable[str]) -> dict[str, int]:
    wanted, known = sorted(ids), dict[str, int]()
    query = sa.select(thread_ids.c.message_id, thread_ids.c.thread_id).where(thread_ids.c.mailbox_id == mailbox_id)
    for start in range(0, len(wanted), IDS_AT_ONCE):
        some = query.where(thread_ids.c.message_id.in_(wanted[start : start + IDS_AT_ONCE]))
        known |= {row.message_id: row.thread_id for row in await conn.execute(some)}
    return known


async def _talks(conn: AsyncConnection, mailbox_id: int, lost: Sequence[Letter]) -> dict[str, list[Talk]]:
    """Return the threads that these answers may belong to by their subject."""
    keys = {key for one in lost if (key := subject_key(one.subject))}
    if not keys:
        return {}
    first = sa.literal(min(one.at for one in lost) - SUBJECT_DAYS, threads.c.last_at.type)
    columns = ("from_address", "direction", "to", "cc")
    query = (
        sa.select(threads.c.id, threads.c.subject_key, threads.c.client_id, threads.c.last_at)
        .add_columns(*(messages.c[name] for name in columns))
        .join(messages, messages.c.thread_id == threads.c.id)
        .where(threads.c.mailbox_id == mailbox_id, threads.c.subject_key.in_(keys), threads.c.last_at >= first)
        .order_by(messages.c.received_at.desc(), messages.c.id.desc())
        .limit(TALKS_AT_MOST)
    )
    found: dict[str, list[Talk]] = {}
    for row in (await conn.execute(query)).mappings():
        people = {row["from_address"]}
        if row["direction"] == "out":
            people = {one["address"].lower() for one in (*row["to"], *row["cc"])}
        talk = Talk(row["id"], frozenset(people - {""}), row["client_id"], row["last_at"])
        found.setdefault(row["subject_key"], []).append(talk)
    return found


async def _whose(conn: AsyncConnection, ids: Iterable[int]) -> dict[int, tuple[int | None, int | None]]:
    wanted = sorted(ids)
    if not wanted:
        return {}
    query = sa.select(threads.c.id, threads.c.client_id, threads.c.contact_id).where(threads.c.id.in_(wanted))
    return {row.id: (row.client_id, row.contact_id) for row in await conn.execute(query)}


async def _make(conn: AsyncConnection, plan: Plan, letters: Sequence[Letter], *, mailbox_id: int) -> None:
    """Make the threads that are new, and put their ids in the place of the plan's own numbers."""
    new = {thread: letter for thread, letter in reversed(list(zip(plan.threads, letters, strict=True))) if thread < 0}
    ids = dict(zip(sorted(new, reverse=True), await draw(conn, threads, len(new)), strict=True))
    rows = [
        {
            "id": ids[thread],
            "mailbox_id": mailbox_id,
            "subject": base_subject(letter.subject)[:1000],
            "subject_key": subject_key(letter.subject),
            "last_at": letter.at,
        }
        for thread, letter in sorted(new.items(), reverse=True)
    ]
    if rows:
        await conn.execute(threads.insert(), rows)
    plan.threads = [ids.get(thread, thread) for thread in plan.threads]
    plan.claims = {one: ids.get(thread, thread) for one, thread in plan.claims.items()}
    plan.moved = {gone: ids.get(plan.now(gone), plan.now(gone)) for gone in plan.moved}


async def _renew(conn: AsyncConnection, touched: dict[int, tuple[datetime, int | None, int | None]]) -> None:
    """Bring the time of threads up to date, and whose they are where nobody was known."""
    if not touched:
        return
    later = sa.bindparam("at", type_=threads.c.last_at.type)
    client_id, contact_id = (sa.bindparam(name, type_=threads.c.client_id.type) for name in ("client", "contact"))
    renewing = (
        sa.update(threads)
        .where(threads.c.id == sa.bindparam("thread"))
        .values(
            last_at=sa.case((threads.c.last_at < later, later), else_=threads.c.last_at),
            client_id=sa.func.coalesce(threads.c.client_id, client_id),
            contact_id=sa.case((threads.c.client_id.is_(None), contact_id), else_=threads.c.contact_id),
        )
    )
    rows = [
        {"thread": thread, "at": at, "client": client, "contact": contact}
        for thread, (at, client, contact) in sorted(touched.items())
    ]
    await conn.execute(renewing, rows)


async def _claim(conn: AsyncConnection, mailbox_id: int, claims: dict[str, int]) -> None:
    if not claims:
        return
    rows = [{"mailbox_id": mailbox_id, "message_id": one, "thread_id": thread} for one, thread in claims.items()]
    claiming = insert(conn, thread_ids).on_conflict_do_nothing(index_elements=["mailbox_id", "message_id"])
    await conn.execute(claiming, rows)


async def absorb(conn: AsyncConnection, absorbed: int, into: int, *, now: datetime) -> None:
    """Make a thread part of another, as when its ancestor came; what waits in the queue for it waits on."""
    if absorbed == into:
        return
    for table in (messages, thread_ids):
        await conn.execute(sa.update(table).where(table.c.thread_id == absorbed).values(thread_id=into))
    items = await queue.of_things(conn, "message", [absorbed, into])
    waits, there = items.get(absorbed), items.get(into)
    if waits is None or waits.state == "done":
        return
    if there is None:
        await conn.execute(sa.update(queue_items).where(queue_items.c.id == waits.id).values(ref_id=into))
        return
    if there.state == "done":
        await queue.enqueue(
            conn,
            team_id=waits.team_id,
            kind="message",
            ref_id=into,
            title=waits.title,
            address=waits.address,
            client_id=waits.client_id,
            data=waits.data,
            now=now,
        )
        if waits.owner_id is not None:
            await queue.assign(conn, "message", into, waits.owner_id, now=now)
    await queue.close(conn, "message", absorbed, now=now)
