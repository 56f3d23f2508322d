"""Messages that could not be read are read again from their bytes, as after a better version of Hub was installed.

Decides what of a message's row is renewed: all that its bytes say; never where it lies, its flags, or what a person
linked. Its conversation stays the one it was shown in, and takes up its Message-ID for the answers to come.
Invariant: a message that cannot be read this time either stays as it was.
"""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import timeline
from hub.crm.linking import Linker
from hub.errors import NotFound
from hub.mail import relink, search
from hub.mail.audience import audience
from hub.mail.intake.authors import with_author
from hub.mail.intake.handing import prepare_all
from hub.mail.intake.intake import ours
from hub.mail.intake.preparing import Prepared
from hub.mail.models import attachments, mail_jobs, messages, thread_ids
from hub.mail.register import timeline_data
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.engine import hint_after_commit
from hub.store.upsert import insert

log = logging.getLogger(__name__)

AT_ONCE = 5
_KEPT = frozenset(("raw_sha256", "size"))


async def want(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> None:
    """Have the unreadable messages of a mailbox read again, in a job."""
    newest = (await conn.execute(sa.select(sa.func.max(messages.c.id)))).scalar()
    if newest is None:
        return
    row: dict[str, Any] = {"kind": "reread", "address": str(mailbox_id), "below_id": newest + 1, "done": 0}
    row["created_at"] = now
    again = {name: row[name] for name in ("below_id", "done", "created_at")}
    statement = insert(conn, mail_jobs).values(**row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["kind", "address"], set_=again))
    hint_after_commit(conn, relink.TOPIC)


async def unreadable(conn: AsyncConnection, mailbox_id: int, below_id: int) -> list[sa.RowMapping]:
    """Return the next messages to read again, the newest first."""
    failed = (messages.c.mailbox_id == mailbox_id, messages.c.parse_state == "failed", messages.c.id < below_id)
    query = sa.select(messages).where(*failed).order_by(messages.c.id.desc()).limit(AT_ONCE)
    return list((await conn.execute(query)).mappings())


async def prepare(rows: list[sa.RowMapping], blobs: BlobStore, parsers: Executor) -> dict[int, Prepared]:
    """Read these messages again in the workers; those that could be read, by id."""
    found: list[tuple[int, bytes]] = []
    for row in rows:
        try:
            found.append((row["id"], await blobs.get(row["raw_sha256"])))
        except NotFound:
            log.warning("message %d: its bytes %s are not in the store", row["id"], row["raw_sha256"])
    prepared = await prepare_all(parsers, blobs, [raw for _, raw in found])
    return {message_id: one for (message_id, _), one in zip(found, prepared, strict=True) if one.parsed is not None}


async def write(conn: AsyncConnection, linker: Linker, row: Any, prepared: Prepared, *, now: datetime) -> None:
    """Renew one message with what was read of it; it may have been read, or linked, in between."""
    here = messages.c.id == row["id"]
    if row["direction"] == "in":
        prepared = with_author(prepared, await ours(conn, linker))
    ids = []
    for file in prepared.files:
        made = attachments.insert().values(message_id=row["id"], **file).returning(attachments.c.id)
        ids.append((await conn.execute(made)).scalar_one())
    values = {name: value for name, value in prepared.values.items() if name not in _KEPT}
    renewed = sa.update(messages).where(here, messages.c.parse_state == "failed")
    renewed = renewed.values(**values, html=prepared.html_with(ids)).returning(messages)
    fresh = (await conn.execute(renewed)).mappings().one()
    if prepared.reading is not None:
        await search.add(conn, {row["id"]: prepared.reading.terms})
    if fresh["message_id"] and fresh["thread_id"] is not None:
        claim = {name: fresh[name] for name in ("mailbox_id", "message_id", "thread_id")}
        await conn.execute(insert(conn, thread_ids).values(**claim).on_conflict_do_nothing())
    if not fresh["link_manual"] and await relink.ask_anew(conn, linker, fresh, now=now):
        return
    if fresh["client_id"] is not None:
        about = {name: fresh[name] for name in ("client_id", "contact_id")}
        data = timeline_data(fresh)
        await timeline.put(conn, "message", row["id"], **about, at=fresh["received_at"], data=data, now=now)
    to = await audience(conn, fresh["mailbox_id"], author_id=fresh["author_id"])
    data = {"direction": fresh["direction"], "state": fresh["state"]}
    await publish(conn, "message", row["id"], at=now, **to, client_id=fresh["client_id"], data=data)
