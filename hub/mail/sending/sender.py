"""The outbox of one mailbox at work: each message sent at most once per decision, its copy put into Sent.

Decides the order — pick up, name the recipients, mark and commit, send, write the outcome — and what happens when a
step fails. A few lines send at a time; their outcomes and the marks of the next messages share a transaction, since a
commit costs as much as a message. Invariants: `sending` is committed before the first byte of the data goes out; what
a dead process was sending becomes `unknown`, never `queued`, and is at most one message for each line; the copy in
Sent is `copies`' step, which can be repeated.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial

from hub.clock import utc_now
from hub.crash_points import point
from hub.errors import HubError, NotFound, Unavailable, Unknown
from hub.mail.sending import claims, outbox, smtp
from hub.mail.sending.burst import Burst, Done, same
from hub.mail.sending.claims import Due
from hub.mail.sending.copies import Copies, SentFolder
from hub.mail.sending.pace import Pace
from hub.mail.sending.providers import LANES, habits_of
from hub.periodic import Loop
from hub.settings import Mailbox
from hub.store.blobs import BlobStore
from hub.store.engine import Database

log = logging.getLogger(__name__)

SEND_WITHIN = timedelta(minutes=12)
"""RFC 5321 §4.5.3.2.6 allows a server ten minutes to answer the end of the data."""

DRAIN_WITHIN_S = 20.0
LOOK_EVERY_S = 5.0

__all__ = ["Sender", "SentFolder"]


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
        self._pace = Pace()
        self._copies = Copies(db, blobs, mailbox, mailbox_id, sent_folder, now=now)
        self._look_first: dict[int, Due] = {}
        self._is_settled = False
        self._loop: Loop | None = None

    async def run(self) -> None:
        """Settle what is left over, then send what is due: woken by the bus, and looking every few seconds."""
        name = f"mailbox.{self._mailbox_id}.outbox"
        with self._db.bus.subscribe(outbox.TOPIC) as hints, self._db.loops.loop(name) as self._loop:
            while True:
                await self._loop.retry(self._settle_and_work)
                await hints.wait(at_most_s=self._patience_s())

    async def _settle_and_work(self) -> None:
        if not self._is_settled:
            await self.settle_left_over()
        await self.work()

    def _patience_s(self) -> float:
        opens = self._pace.opens_at(self._now())
        if opens is None:
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(0.05, (opens - self._now()).total_seconds()))

    async def work(self) -> None:
        """Do once all that is due: send, look for the unknown, copy. Raises Unavailable for a dead database."""
        await self._look_before_sending()
        await self._send_due()
        await self.look_up_unknown()
        await self._copies.work()

    async def settle_left_over(self) -> int:
        """Settle what an earlier life of this process left: see `claims`. Return how many it was sending."""
        now = self._now()
        async with self._db.begin() as conn:
            left = await claims.settle_left_over(conn, self._mailbox_id, now=now)
            held = await claims.hold_stale(conn, self._mailbox_id, now=now)
        async with self._db.read() as conn:
            old = await claims.to_look_up_first(conn, self._mailbox_id, now=now)
        self._look_first = {due.id: due for due in old}
        self._is_settled = True
        if left or held:
            log.warning("outbox of %s: %d interrupted, %d held as too old", self._mailbox.address, left, held)
        return left

    async def send_next(self) -> bool:
        """Send the first due message; False where nothing is due."""
        return await self._burst().carry(at_most=1) > 0

    def _burst(self) -> Burst:
        return Burst(self, self._mailbox.smtp, lanes=LANES, drain_within_s=DRAIN_WITHIN_S, now=self._now)

    async def _send_due(self) -> None:
        """Send all that is due, a few at a time."""
        async with self._db.read() as conn:
            of_page = await claims.limits_of(conn, self._mailbox_id)
        known = habits_of(self._mailbox.smtp.host).sends_per_min
        self._pace.sends_per_min = of_page or self._mailbox.sends_per_min or known
        await self._burst().carry()

    async def next_due(self, *, at_most: int, but_not: Collection[int]) -> list[Due]:
        """Return what may go now, as far as the pace allows. Raises Unavailable."""
        now = self._now()
        room = self._pace.room(now)
        count = at_most if room is None else min(at_most, room)
        if count <= 0:
            return []
        async with self._db.read() as conn:
            dues = await claims.next_due(
                conn, self._mailbox_id, now=now, at_most=count, but_not={*but_not, *self._look_first}
            )
        point("mail.outbox.picked")
        if self._loop is not None:
            self._loop.succeeded()  # there may be work without end
        self._pace.began(len(dues), now)
        return dues

    def gave_back(self, count: int) -> None:
        """So many of what was picked up did not begin."""
        self._pace.gave_back(count)

    async def write(self, done: Sequence[Done], asked: Sequence[Due]) -> set[int]:
        """Write outcomes, and mark what is asked for as being sent, in one transaction; return what may go.

        However long the database is away, both are kept: forgetting an outcome would make its message unknown.
        """
        with self._db.loops.loop(f"mailbox.{self._mailbox_id}.outcomes") as loop:
            return await loop.retry(partial(self._write, done, asked))

    async def _write(self, done: Sequence[Done], asked: Sequence[Due]) -> set[int]:
        async with self._db.begin() as conn:
            now = self._now()
            await claims.settle_all(conn, done, now=now)
            point("mail.outbox.settling")
            marked = await claims.mark(conn, asked, now=now)
            point("mail.outbox.marked")
        point("mail.outbox.committed")
        return marked

    async def send(self, due: Due, line: smtp.SmtpLine, before_data: smtp.BeforeData) -> smtp.Outcome | smtp.TakenBack:
        try:
            path = self._blobs.path(due.raw_sha256)
            point("mail.outbox.sending")
            outcome = await line.send(
                envelope_from=due.from_address,
                recipients=due.recipients,
                raw=path,
                deadline=SEND_WITHIN,
                before_data=before_data,
            )
            point("mail.outbox.answered")
            return outcome
        except (NotFound, OSError) as error:
            return smtp.Deferred(f"the stored message cannot be read: {error}", same(due, "deferred"))
        except HubError as error:
            # An address that no SMTP line may carry; `compose` let none through, so nobody can mend this row.
            return smtp.Refused(error.message, same(due, "refused"))

    async def heed(self, outcome: smtp.Outcome) -> bool:
        """Remember how the line fares; False where nothing more is to be tried for a while."""
        if not isinstance(outcome, smtp.Deferred) or not outcome.is_line:
            self._pace.line_works()
            await self._tell_health("ok", "")
            return True
        until = self._pace.line_failed(self._now(), is_sign_in=outcome.is_sign_in)
        await self._tell_health("auth_refused" if outcome.is_sign_in else "down", outcome.reason)
        log.debug("outbox of %s rests until %s", self._mailbox.address, until)
        return False

    _told_health = ""

    async def _tell_health(self, state: str, error: str) -> None:
        if state == self._told_health:
            return
        with contextlib.suppress(Unavailable):
            async with self._db.begin() as conn:
                changed = await claims.show_health(conn, self._mailbox_id, state, error, now=self._now())
            self._told_health = state
            if changed and state == "auth_refused":
                log.error(
                    "mailbox %s: its mail server refuses the sign-in for sending: %s", self._mailbox.address, error
                )
            elif changed and state == "down":
                log.warning("mailbox %s: nothing can be sent: %s", self._mailbox.address, error)

    async def _look_before_sending(self) -> None:
        """What was due long before Hub started is looked for in the mailbox: an older state of the database may have
        been brought back, and the message have gone out since."""
        for due in list(self._look_first.values()):
            try:
                is_there = await self._is_in_mailbox(due)
            except (Unavailable, Unknown) as error:
                log.warning("outbox of %s: old mail waits for a look into Sent: %s", self._mailbox.address, error)
                return
            if is_there:
                async with self._db.begin() as conn:
                    await claims.settle_found(conn, due, now=self._now())
            del self._look_first[due.id]

    async def look_up_unknown(self) -> None:
        """Look into the mailbox for messages of unknown fate: what is there was sent."""
        async with self._db.read() as conn:
            waiting = await claims.has_unknown(conn, self._mailbox_id, now=self._now())
        if not waiting:
            return
        async with self._db.begin() as conn:
            dues = await claims.unknown_to_look_up(conn, self._mailbox_id, now=self._now())
        for due in dues:
            try:
                is_there = await self._is_in_mailbox(due)
            except (Unavailable, Unknown) as error:
                log.warning("outbox of %s: no look into Sent: %s", self._mailbox.address, error)
                return
            if is_there:
                async with self._db.begin() as conn:
                    await claims.settle_found(conn, due, now=self._now())

    async def _is_in_mailbox(self, due: Due) -> bool:
        async with self._db.read() as conn:
            if await claims.seen_in_mailbox(conn, self._mailbox_id, [due]):
                return True
        return await self._sent_folder.has(due.rfc_message_id)
