"""The outbox of one mailbox at work: each message sent at most once per decision, its copy put into Sent.

Decides the order — claim, commit, send, write the outcome — and what happens when a step fails. Invariants: `sending`
is committed before the first byte goes out; what a dead process was sending becomes `unknown`, never `queued`; the
copy in Sent is a step of its own that can be repeated, since it looks before it appends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from hub.clock import utc_now
from hub.errors import HubError, NotFound, Unavailable, Unknown
from hub.mail.sending import outbox, smtp
from hub.mail.sending.outbox import Due
from hub.settings import Mailbox
from hub.store.blobs import BlobStore
from hub.store.engine import Database

log = logging.getLogger(__name__)

SEND_WITHIN = timedelta(minutes=12)
"""RFC 5321 §4.5.3.2.6 allows a server ten minutes to answer the end of the data."""

DRAIN_WITHIN_S = 20.0
LOOK_EVERY_S = 5.0
COPY_RETRY_AFTER = timedelta(seconds=30)


class SentFolder(Protocol):
    """What the sender needs of the mailbox's IMAP side. Both raise Unavailable (or Unknown) when it does not answer."""

    async def has(self, message_id: str) -> bool:
        """Tell whether the Sent folder holds a message with this Message-ID."""
        ...

    async def append(self, raw: bytes, *, at: datetime) -> None:
        """Put a message that was read into the Sent folder, dated `at`."""
        ...


class Sender:
    """Carries out what the outbox of a mailbox holds, until cancelled."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        mailbox: Mailbox,
        mailbox_id: int,
        sent_folder: SentFolder,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = db
        self._blobs = blobs
        self._mailbox = mailbox
        self._mailbox_id = mailbox_id
        self._sent_folder = sent_folder
        self._now = now
        self._no_copy_before: datetime | None = None

    async def run(self) -> None:
        """Settle what is left over, then send what is due: woken by the bus, and looking every few seconds."""
        with self._db.bus.subscribe(outbox.TOPIC) as hints:
            is_settled = False
            while True:
                try:
                    if not is_settled:
                        await self.settle_left_over()
                        is_settled = True
                    await self.work()
                except Unavailable as error:
                    log.warning("outbox of %s waits: %s", self._mailbox.address, error)
                await hints.wait(at_most_s=LOOK_EVERY_S)

    async def work(self) -> None:
        """Do once all that is due: send, look for the unknown, copy. Raises Unavailable for a dead database."""
        while await self.send_next():
            pass
        await self.look_up_unknown()
        await self.copy_sent()

    async def settle_left_over(self) -> int:
        async with self._db.begin() as conn:
            return await outbox.settle_left_over(conn, self._mailbox_id, now=self._now())

    async def send_next(self) -> bool:
        """Send the first due message; False where nothing is due."""
        async with self._db.begin() as conn:
            due = await outbox.claim_next(conn, self._mailbox_id, now=self._now())
        if due is None:
            return False
        try:
            raw = await self._blobs.get(due.raw_sha256)
        except (NotFound, OSError) as error:
            reason = f"the stored message cannot be read: {error}"
            await self._settle(due, smtp.Deferred(reason, _same(due, "deferred")))
            return True
        sending = asyncio.ensure_future(
            smtp.send(
                self._mailbox.smtp,
                envelope_from=due.from_address,
                recipients=due.recipients,
                raw=raw,
                deadline=SEND_WITHIN,
            )
        )
        try:
            outcome = await asyncio.shield(sending)
        except asyncio.CancelledError:
            # Stopping: the server may be about to answer, and its answer spares a person a decision.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_WITHIN_S):
                    await self._settle(due, await sending)
            sending.cancel()
            raise
        except HubError as error:
            # An address that no SMTP line may carry; `compose` let none through, so nobody can mend this row.
            outcome = smtp.Refused(error.message, _same(due, "refused"))
        await self._settle(due, outcome)
        return True

    async def _settle(self, due: Due, outcome: smtp.Outcome) -> None:
        """Write the outcome, however long the database is away: forgetting it would make the message unknown."""
        while True:
            try:
                async with self._db.begin() as conn:
                    await outbox.settle(conn, due, outcome, now=self._now())
                return
            except Unavailable as error:
                log.warning("outbox of %s: an outcome waits for the database: %s", self._mailbox.address, error)
                await asyncio.sleep(1)

    async def look_up_unknown(self) -> None:
        """Look into Sent for messages of unknown fate: what is there was sent."""
        async with self._db.begin() as conn:
            waiting = await outbox.unknown_to_look_up(conn, self._mailbox_id, now=self._now())
        for due in waiting:
            try:
                is_there = await self._sent_folder.has(due.rfc_message_id)
            except (Unavailable, Unknown) as error:
                log.warning("outbox of %s: no look into Sent: %s", self._mailbox.address, error)
                return
            if is_there:
                async with self._db.begin() as conn:
                    await outbox.settle_unknown(conn, due, now=self._now())

    async def copy_sent(self) -> None:
        """Put copies of what was sent into the Sent folder, unless the server has done so by itself."""
        if self._no_copy_before is not None and self._now() < self._no_copy_before:
            return
        async with self._db.read() as conn:
            wanted = await outbox.copies_wanted(conn, self._mailbox_id)
        for due in wanted:
            try:
                if not await self._sent_folder.has(due.rfc_message_id):
                    await self._sent_folder.append(await self._blobs.get(due.raw_sha256), at=due.date)
            except (Unavailable, Unknown, NotFound, OSError) as error:
                log.warning("outbox of %s: the copy in Sent waits: %s", self._mailbox.address, error)
                self._no_copy_before = self._now() + COPY_RETRY_AFTER
                return
            async with self._db.begin() as conn:
                await outbox.copy_done(conn, due.id)


def _same(due: Due, state: str) -> tuple[smtp.Reply, ...]:
    assert state in ("deferred", "refused")
    return tuple(smtp.Reply(a, "deferred" if state == "deferred" else "refused", None, "") for a in due.recipients)
