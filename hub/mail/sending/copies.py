"""The copy of what was sent, in the mailbox's Sent folder: there once, whoever puts it there.

Decides whether the provider files it by itself, and when Hub does: `copy_to_sent` of the mailbox says "always",
"never", or "auto", which looks first, gives large providers half a minute, and learns from what it finds. Invariants:
Hub looks before it appends, so the step may be repeated; what the server refuses is tried a few times, then shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from hub.crash_points import point
from hub.errors import NotFound, Unavailable, Unknown
from hub.mail.sending import claims
from hub.mail.sending.claims import Due
from hub.mail.sending.providers import habits_of, look_after
from hub.settings import Mailbox
from hub.store.blobs import BlobStore
from hub.store.engine import Database

log = logging.getLogger(__name__)

RETRY_AFTER = timedelta(seconds=30)


class SentFolder(Protocol):
    """What the sender needs of the mailbox's IMAP side. Both raise Unavailable (or Unknown) when it does not answer."""

    async def has(self, message_id: str) -> bool:
        """Tell whether the Sent folder holds a message with this Message-ID."""
        ...

    async def append(self, raw: bytes, *, at: datetime) -> None:
        """Put a message that was read into the Sent folder, dated `at`."""
        ...


class Copies:
    """The copies of one mailbox."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        mailbox: Mailbox,
        mailbox_id: int,
        sent_folder: SentFolder,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._db, self._blobs = db, blobs
        self._mailbox, self._mailbox_id = mailbox, mailbox_id
        self._sent_folder, self._now = sent_folder, now
        self._not_before: datetime | None = None
        self._server_files = habits_of(mailbox.smtp.host).files_copies

    async def work(self) -> None:
        """Put copies of what was sent into Sent, unless they are there."""
        if self._not_before is not None and self._now() < self._not_before:
            return
        is_auto = self._mailbox.copy_to_sent == "auto"
        wait = look_after(files_copies=is_auto and self._server_files)
        while True:
            async with self._db.read() as conn:
                wanted = await claims.copies_wanted(conn, self._mailbox_id, now=self._now(), wait=wait)
            if not wanted:
                return
            if self._mailbox.copy_to_sent == "never":
                await self._done(wanted)
                continue
            for due in wanted:
                if not await self._copy(due):
                    return

    async def _copy(self, due: Due) -> bool:
        """Have one copy there; False where the mailbox cannot be asked now."""
        try:
            is_there = await self._sent_folder.has(due.rfc_message_id)
            if is_there and not due.copy_tries:
                # Nobody but the server can have put it there: it does so with all.
                self._server_files = True
            if not is_there:
                point("mail.outbox.copying")
                await self._sent_folder.append(await self._blobs.get(due.raw_sha256), at=due.date)
                point("mail.outbox.copied")
        except (Unavailable, Unknown, NotFound, OSError) as error:
            log.warning("outbox of %s: the copy in Sent waits: %s", self._mailbox.address, error)
            if isinstance(error, Unavailable) and error.code != "sent_unavailable":
                # The mailbox is away, which says nothing of this message.
                self._not_before = self._now() + RETRY_AFTER
                return False
            await self._failed(due, str(error))
            return True
        await self._done([due])
        return True

    async def _done(self, dues: list[Due]) -> None:
        async with self._db.begin() as conn:
            await claims.copies_done(conn, [due.id for due in dues])

    async def _failed(self, due: Due, reason: str) -> None:
        async with self._db.begin() as conn:
            await claims.copy_failed(conn, due, reason, now=self._now())
