"""Jobs on stored messages, in batches: indexing their words, parsing them again.

Decides the order and the size of the batches; what a batch does is `search`'s and `reparse`'s. Invariants: a batch and
how far the job is are one transaction; of several processes one works on a job at a time; killed anywhere, it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.clock import utc_now
from hub.crm.linking import Linker
from hub.mail import reparse, search
from hub.mail.models import attachments, mail_jobs, messages
from hub.mail.reading.workers import ParserPool
from hub.mail.reparse import TOPIC
from hub.store.blobs import BlobStore
from hub.store.engine import Database, hint_after_commit
from hub.store.upsert import insert

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
PAUSE = timedelta(seconds=0.02)
"""Between two batches, so that other writers have their turn."""
INDEXED_AT_ONCE = 50


async def rebuild_search(conn: AsyncConnection, *, now: datetime) -> int:
    """Have the words of every stored message kept anew; return the newest message's id, 0 where there is none."""
    newest = (await conn.execute(sa.select(sa.func.max(messages.c.id)))).scalar() or 0
    if newest:
        row: dict[str, Any] = {"kind": "index", "address": "", "below_id": newest + 1, "done": 0, "created_at": now}
        again = {name: row[name] for name in ("below_id", "done", "created_at")}
        statement = insert(conn, mail_jobs).values(**row)
        await conn.execute(statement.on_conflict_do_update(index_elements=["kind", "address"], set_=again))
        hint_after_commit(conn, TOPIC)
    return int(newest)


class MailJobs:
    """Does the jobs. `run` ends only by cancellation."""

    def __init__(
        self, db: Database, linker: Linker, blobs: BlobStore, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._db, self._linker, self._blobs, self._now = db, linker, blobs, now

    async def run(self) -> None:
        with self._db.bus.subscribe(TOPIC) as hints:
            await self._db.loops.run_jobs(
                "mail_jobs", self.step, pause=PAUSE, wait=lambda: hints.wait(at_most_s=LOOK_EVERY_S)
            )

    async def step(self) -> bool:
        """Do one batch of the first job; False where there is none, or another process has it."""
        async with self._db.read() as conn:
            first = sa.select(mail_jobs).order_by(mail_jobs.c.kind.desc(), mail_jobs.c.id).limit(1)
            job = (await conn.execute(first)).first()
        if job is None:
            return False
        if job.kind == "reread":
            await self._reparse(job)
        else:
            await self._index(job)
        return True

    async def _reparse(self, job: Any) -> None:
        async with self._db.read() as conn:
            rows = await reparse.unreadable(conn, int(job.address), job.below_id)
        with ParserPool(1) as parsers:
            prepared = await reparse.prepare(rows, self._blobs, parsers)
        async with self._db.begin() as conn:
            if await self._hold(conn, job):
                await reparse.store_all(conn, self._linker, prepared, now=self._now())
                below = rows[-1]["id"] if len(rows) == reparse.AT_ONCE else 0
                await self._advance(conn, job, len(prepared), below)

    async def _index(self, job: Any) -> None:
        async with self._db.read() as conn:
            names = ("id", "subject", "from_name", "from_address", "to", "cc", "bcc", "text")
            query = sa.select(*(messages.c[name] for name in names)).where(messages.c.id < job.below_id)
            query = query.order_by(messages.c.id.desc()).limit(INDEXED_AT_ONCE)
            rows = (await conn.execute(query)).mappings().all()
            files: defaultdict[int, list[str]] = defaultdict(list)
            of_these = attachments.c.message_id.in_([row["id"] for row in rows])
            for file in await conn.execute(sa.select(attachments.c.message_id, attachments.c.name).where(of_these)):
                files[file.message_id].append(file.name)
        # The words are found outside of the transaction, and beside the event loop.
        kept = {row["id"]: await asyncio.to_thread(search.terms_of_row, row, files[row["id"]]) for row in rows}
        async with self._db.begin() as conn:
            if await self._hold(conn, job):
                await search.add(conn, kept)
                below = rows[-1]["id"] if len(rows) == INDEXED_AT_ONCE else 0
                await self._advance(conn, job, len(rows), below)

    async def _hold(self, conn: AsyncConnection, job: Any) -> bool:
        """Keep the job for this transaction; False where it is elsewhere, or was begun anew in between."""
        mine = sa.select(mail_jobs.c.below_id).where(mail_jobs.c.id == job.id, mail_jobs.c.below_id == job.below_id)
        if conn.dialect.name == "postgresql":
            mine = mine.with_for_update(skip_locked=True)
        return (await conn.execute(mine)).first() is not None

    async def _advance(self, conn: AsyncConnection, job: Any, done: int, below: int) -> None:
        mine = mail_jobs.c.id == job.id
        if below > 1:
            await conn.execute(sa.update(mail_jobs).where(mine).values(below_id=below, done=mail_jobs.c.done + done))
        else:
            await conn.execute(mail_jobs.delete().where(mine))
            log.info("the job %s %s is done", job.kind, job.address)
        crash_points.point("mail.jobs.batch")
