"""A message that could not be read, read again: after Hub was mended, an administrator asks for it.

Decides what becomes of what is known since: the fields, the thread, the link, the card. Invariants: the bytes are the
kept ones; what a person linked stays; a message that was read is not touched, so asking twice is harmless.
"""

from __future__ import annotations

import asyncio
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
from hub.mail.models import attachments, mailboxes, messages
from hub.mail.reading.workers import ParserPool
from hub.mail.register import timeline_data
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.engine import Database
from hub.store.ids import draw


async def read_again(db: Database, blobs: BlobStore, message_id: int) -> Prepared:
    """Read the kept bytes of a message in a worker of its own. Raises NotFound; Conflict for one that was read."""
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
        raise Conflict("already_read", "this message was read", parse_state=row["parse_state"])
    return row


async def renew(conn: AsyncConnection, linker: Linker, message_id: int, prepared: Prepared, *, now: datetime) -> None:
    """Store what `read_again` read: as if the message had come today, but where it stands and when it came."""
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
