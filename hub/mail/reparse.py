"""Parses stored messages again that could not be parsed before: one at an administrator's request, or all of a mailbox.

Decides what a new parse changes: fields, thread, link, timeline. Invariants: the stored bytes are the source; a manual
link stays; a message that was parsed meanwhile is left alone, so repeating is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue, timeline
from hub.crm.linking import Linker
from hub.errors import Conflict, NotFound
from hub.mail import search
from hub.mail.audience import audience_of
from hub.mail.intake import authors, conversations, offering, preparing
from hub.mail.intake.handing import prepare_all
from hub.mail.intake.intake import ours, owner_of, whose_is
from hub.mail.intake.preparing import Prepared
from hub.mail.models import attachments, mail_jobs, mailboxes, messages
from hub.mail.reading.workers import ParserPool
from hub.mail.register import timeline_data
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.engine import Database, hint_after_commit
from hub.store.ids import draw
from hub.store.upsert import insert

log = logging.getLogger(__name__)

TOPIC = "mail_jobs"
AT_ONCE = 5


async def request(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> None:
    """Queue a job that parses the unreadable messages of a mailbox again."""
    newest = (await conn.execute(sa.select(sa.func.max(messages.c.id)))).scalar()
    if newest is None:
        return
    row: dict[str, Any] = {"kind": "reread", "address": str(mailbox_id), "below_id": newest + 1, "done": 0}
    row["created_at"] = now
    restarted = {name: row[name] for name in ("below_id", "done", "created_at")}
    statement = insert(conn, mail_jobs).values(**row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["kind", "address"], set_=restarted))
    hint_after_commit(conn, TOPIC)


async def unreadable(conn: AsyncConnection, mailbox_id: int, below_id: int) -> list[sa.RowMapping]:
    """Return the next messages to parse again, newest first."""
    failed = (messages.c.mailbox_id == mailbox_id, messages.c.parse_state == "failed", messages.c.id < below_id)
    query = sa.select(messages).where(*failed).order_by(messages.c.id.desc()).limit(AT_ONCE)
    return list((await conn.execute(query)).mappings())


async def prepare(rows: Sequence[sa.RowMapping], blobs: BlobStore, parsers: Executor) -> dict[int, Prepared]:
    """Parse messages in the workers; return those that could be parsed, by id."""
    found: list[tuple[int, bytes]] = []
    for row in rows:
        try:
            found.append((row["id"], await blobs.get(row["raw_sha256"])))
        except NotFound:
            log.warning("message %d: its bytes %s are not in the store", row["id"], row["raw_sha256"])
    prepared = await prepare_all(parsers, blobs, [raw for _, raw in found])
    return {message_id: one for (message_id, _), one in zip(found, prepared, strict=True) if one.parsed is not None}


async def store_all(conn: AsyncConnection, linker: Linker, prepared: Mapping[int, Prepared], *, now: datetime) -> None:
    """Store what `prepare` parsed. A message that was parsed or deleted meanwhile is left alone."""
    for message_id, one in prepared.items():
        with contextlib.suppress(NotFound, Conflict):
            await store(conn, linker, message_id, one, now=now)


async def parse_one(db: Database, blobs: BlobStore, message_id: int) -> Prepared:
    """Parse a stored message in a worker of its own. Raises NotFound; Conflict if it was parsed already."""
    async with db.read() as conn:
        row = await _unread(conn, message_id)
    raw = await blobs.get(row["raw_sha256"])
    parsers = ParserPool(1)
    try:
        (prepared,) = await prepare_all(parsers, blobs, [raw])
    finally:
        await asyncio.to_thread(parsers.shutdown)
    return prepared


async def _unread(conn: AsyncConnection, message_id: int) -> sa.RowMapping:
    row = (await conn.execute(sa.select(messages).where(messages.c.id == message_id))).mappings().first()
    if row is None:
        raise NotFound("message_missing", "no such message")
    if row["parse_state"] != "failed":
        raise Conflict("already_read", "this message was parsed already", parse_state=row["parse_state"])
    return row


async def store(conn: AsyncConnection, linker: Linker, message_id: int, prepared: Prepared, *, now: datetime) -> None:
    """Store what `parse_one` or `prepare` parsed, as for a new message; its place and arrival time stay.

    Raises NotFound; Conflict if the message was parsed meanwhile.
    """
    row = await _unread(conn, message_id)
    mine = messages.c.id == message_id
    if prepared.parsed is None:
        attempts = row["parse_attempts"] + prepared.attempts
        await conn.execute(sa.update(messages).where(mine).values(parse_attempts=attempts))
        return
    box = (await conn.execute(sa.select(mailboxes).where(mailboxes.c.id == row["mailbox_id"]))).mappings().one()
    is_out = row["direction"] == "out"
    if not is_out:
        prepared = authors.with_author(prepared, await ours(conn, linker))
    (linked,) = await whose_is(conn, linker, [prepared], is_out=is_out)
    letter = preparing.letter(
        prepared,
        at=row["received_at"],
        is_out=is_out,
        is_new=False,
        client_id=linked.best.client_id if linked.best else None,
    )
    contact_id = linked.best.contact_id if linked.best else None
    (thread,) = await conversations.join_all(
        conn, [letter], contacts=[contact_id], mailbox_id=row["mailbox_id"], now=now
    )
    if row["thread_id"] is not None:
        await conversations.absorb(conn, row["thread_id"], thread.thread_id, now=now)
    ids = await draw(conn, attachments, len(prepared.files))
    values: dict[str, Any] = {
        **prepared.values,
        **({} if row["link_manual"] else owner_of(linked, thread)),
        "thread_id": thread.thread_id,
        "candidates": [asdict(candidate) for candidate in linked.candidates],
        "parse_attempts": 0,
    }
    if ids:
        files = [{**file, "id": n, "message_id": message_id} for file, n in zip(prepared.files, ids, strict=True)]
        await conn.execute(attachments.insert(), files)
    values["html"] = prepared.html_with(ids)
    after = (await conn.execute(sa.update(messages).where(mine).values(**values).returning(messages))).mappings().one()
    if prepared.reading is not None:
        await search.add(conn, {message_id: prepared.reading.terms})
    client_id, person = after["client_id"], after["contact_id"]
    if client_id is not None:
        at, data = after["received_at"], timeline_data(after)
        await timeline.put(
            conn, "message", message_id, client_id=client_id, contact_id=person, at=at, data=data, now=now
        )
    to = audience_of(team_id=box["team_id"], owner_id=box["owner_id"])
    told = {"direction": after["direction"], "state": after["state"]}
    await publish(conn, "message", message_id, at=now, **to, client_id=client_id, data=told)
    item = await queue.find_by_thing(conn, "message", thread.thread_id)
    if item is not None and item.state != "done":
        # It waits under no name since nothing was known of it.
        await offering.offer_all(conn, [(after, linked)], team_id=box["team_id"], owner_id=box["owner_id"], now=now)
