"""The job that has every attachment looked at by the virus scanner, the newest first.

Decides in which order files are looked at and what is written of the answer. Looks at each content once, however many
messages carry it; two processes that look at the same file write the same. Invariant: a file that the scanner did
not answer for keeps its state and is asked for again; nothing is deleted, an infected file is only marked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.audit import record
from hub.errors import NotFound, Unavailable
from hub.mail.files.scanner import Clamd, Unfit
from hub.mail.models import attachments, mailboxes, messages
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.engine import Database

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
BATCH = 50
TRIES = 3
"""How often a file may leave the scanner without a verdict; then it is marked, so that the others get their turn."""


class AttachmentScanner:
    """Looks at what waits. `run` ends only by cancellation."""

    def __init__(self, db: Database, blobs: BlobStore, clamd: Clamd, *, now: Callable[[], datetime] = utc_now) -> None:
        self._db, self._blobs, self._clamd, self._now = db, blobs, clamd, now
        self._strikes: dict[str, int] = {}

    async def run(self) -> None:
        with self._db.loops.loop("attachment_scan") as loop:
            while True:
                if await loop.retry(self.scan_due) < BATCH:
                    await asyncio.sleep(LOOK_EVERY_S)

    async def scan_due(self) -> int:
        """Look at the newest files that nobody looked at; return how many. Raises Unavailable: then some still wait."""
        done: set[str] = set()
        async with self._db.read() as conn:
            rows: list[str] = []
            for state in ("waiting", "none"):
                query = sa.select(attachments.c.sha256).where(attachments.c.scan == state)
                rows += (await conn.execute(query.order_by(attachments.c.id.desc()).limit(BATCH))).scalars()
        for sha256 in rows[:BATCH]:
            if sha256 not in done:
                done.add(sha256)
                await self._look(sha256)
        return len(rows[:BATCH])

    async def _look(self, sha256: str) -> None:
        try:
            verdict = await self._clamd.scan(self._blobs.path(sha256))
        except Unfit as error:
            await self._write(sha256, "failed", str(error))
        except (NotFound, FileNotFoundError):
            await self._write(sha256, "failed", "the stored bytes are not there")
        except Unavailable as error:
            if error.code == "scanner_away":
                raise
            strikes = self._strikes[sha256] = self._strikes.get(sha256, 0) + 1
            if strikes < TRIES:
                raise
            await self._write(sha256, "failed", str(error))
        else:
            await self._write(sha256, "clean" if verdict.is_clean else "infected", verdict.name)

    async def _write(self, sha256: str, state: str, note: str) -> None:
        self._strikes.pop(sha256, None)
        now = self._now()
        waits = sa.and_(attachments.c.sha256 == sha256, attachments.c.scan.in_(("none", "waiting")))
        update = sa.update(attachments).where(waits).values(scan=state, scan_note=note[:200])
        async with self._db.begin() as conn:
            changed = (await conn.execute(update.returning(attachments.c.id, attachments.c.message_id))).all()
            if state == "infected":
                log.warning("%d attachments are infected with %s: %s", len(changed), note, sha256)
                for row in changed:
                    about = {"found": note, "message": row.message_id}
                    await record(
                        conn,
                        "attachment.found_infected",
                        at=now,
                        user_id=None,
                        object_kind="attachment",
                        object_id=row.id,
                        details=about,
                    )
            query = (
                sa.select(messages.c.id, messages.c.client_id, mailboxes.c.team_id, mailboxes.c.owner_id)
                .join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
                .where(messages.c.id.in_({row.message_id for row in changed}))
            )
            for message in (await conn.execute(query)).all():
                whose = {"team_id": None if message.owner_id else message.team_id, "user_id": message.owner_id}
                await publish(
                    conn, "message", message.id, at=now, client_id=message.client_id, data={"scan": state}, **whose
                )
