"""The supervisor of all mailboxes: starts, restarts and stops the reader and the sender of each, and holds the lease.

Decides who runs and when one is tried again; how a mailbox is read or written is theirs. Invariants: of all processes
one works on a mailbox, and it stops by itself when it cannot renew its hold in time; what fails in one mailbox, be it a
bug, stops no other and is shown; a refused sign-in is tried once an hour at most, also after a restart of Hub, until
the settings change or a person asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.clock import monotonic_s, utc_now
from hub.crm.linking import Linker
from hub.errors import ConfigError, HubError, Refused, Unavailable
from hub.mail.accounts.accounts import TOPIC
from hub.mail.accounts.boxes import Box, addresses, all_boxes
from hub.mail.intake.handing import warm_up
from hub.mail.intake.preparing import ReplyKey
from hub.mail.models import mailboxes
from hub.mail.sending.sender import Sender
from hub.mail.sync.reader import MailboxReader
from hub.mail.sync.sent_folder import ImapSentFolder
from hub.periodic import Backoff
from hub.settings import Settings
from hub.store import leases
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.encryption import Vault, reply_key
from hub.store.engine import Database

log = logging.getLogger(__name__)

KIND = "mailbox"
REFUSED_PAUSE = timedelta(hours=1)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
STOP_WITHIN_S = 25.0
"""A sender that is stopped waits 20 s for the server's answer to what it has sent."""


@dataclass(slots=True)
class _Held:
    """A mailbox that this process holds. `renewed_at` is of the monotonic clock."""

    box: Box
    fence: int
    renewed_at: float
    reader: asyncio.Task[None] | None = None
    sender: asyncio.Task[None] | None = None
    is_leaving: bool = False
    pause_s: float = FIRST_PAUSE_S
    not_before: dict[str, float] = field(default_factory=dict)

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [task for task in (self.reader, self.sender) if task is not None]


class MailKeeper:
    """Keeps every mailbox at work that no other process holds. `parsers` is where big messages are parsed."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        linker: Linker,
        settings: Settings,
        parsers: Executor,
        *,
        holder: str | None = None,
        lease: timedelta = leases.LEASE,
    ) -> None:
        self._db, self._blobs, self._linker, self._settings, self._parsers = db, blobs, linker, settings, parsers
        self._vault = Vault.of(settings)
        self._holder = holder or leases.holder_name()
        self._lease = lease
        self._reply_key = b""
        self._held: dict[int, _Held] = {}
        self._has_warm_worker = False

    async def run(self) -> None:
        """Keep all mailboxes at work until cancelled."""
        # A pause must never be so long that a hold which cannot be renewed outlives its lease.
        every = self._lease / 4
        loops = self._db.loops
        with (
            self._db.bus.subscribe(TOPIC) as hints,
            loops.loop("mailboxes", backoff=Backoff(longest=every)) as loop,
        ):
            try:
                while True:
                    await loop.retry(self._keep)
                    await hints.wait(at_most_s=every.total_seconds())
            finally:
                await self._leave_all()

    async def _keep(self) -> None:
        """Do once all that is to be done. Raises Unavailable for all but a configuration that cannot work."""
        try:
            await self._renew()
            await self._look()
        except (ConfigError, Unavailable):
            raise
        except HubError as error:
            raise Unavailable(error.code, error.message) from error

    @property
    def holding(self) -> list[str]:
        """The addresses of the mailboxes that this process works on."""
        return sorted(held.box.address for held in self._held.values() if not held.is_leaving)

    # The hold

    async def _renew(self) -> None:
        """Hold on to what is held; let go at once of what was taken over or could not be renewed in time."""
        for mailbox_id, held in list(self._held.items()):
            asked_at = monotonic_s()
            try:
                async with asyncio.timeout(self._lease.total_seconds() / 4), self._db.begin() as conn:
                    name = str(mailbox_id)
                    is_mine = await leases.renew(conn, KIND, name, self._holder, held.fence, lease=self._lease)
            except (Unavailable, TimeoutError):
                if monotonic_s() - held.renewed_at > self._lease.total_seconds() * 0.7:
                    log.warning("mailbox %s: its hold could not be renewed, so it is let go", held.box.address)
                    self._stop(held)
                continue
            if is_mine:
                held.renewed_at = asked_at
            elif not held.is_leaving:
                log.warning("mailbox %s was taken over by another process", held.box.address)
                self._stop(held)

    async def _look(self) -> None:
        """Compare what is to run with what runs."""
        self._reply_key = self._reply_key or await asyncio.to_thread(reply_key, self._settings)
        boxes = await all_boxes(self._db, self._settings, self._vault, holder=self._holder)
        wanted = {box.id: box for box in boxes}
        linker = dataclasses.replace(self._linker, own_emails=self._linker.own_emails | addresses(boxes))
        for mailbox_id, held in list(self._held.items()):
            box = wanted.get(mailbox_id)
            if box is None or box.mark != held.box.mark:
                self._stop(held)
            if held.is_leaving and all(task.done() for task in held.tasks):
                await self._left(mailbox_id, held)
        for box in boxes:
            if box.id not in self._held:
                await self._take(box)
            if (now_held := self._held.get(box.id)) is not None and not now_held.is_leaving:
                now_held.box = box
                await self._start(now_held, linker)

    async def _take(self, box: Box) -> None:
        asked_at = monotonic_s()
        async with self._db.begin() as conn:
            fence = await leases.take(conn, KIND, str(box.id), self._holder, lease=self._lease)
        if fence is not None:
            self._held[box.id] = _Held(box, fence, asked_at)

    def _stop(self, held: _Held) -> None:
        if not held.is_leaving:
            held.is_leaving = True
            for task in held.tasks:
                task.cancel()

    async def _left(self, mailbox_id: int, held: _Held) -> None:
        del self._held[mailbox_id]
        async with self._db.begin() as conn:
            await leases.release(conn, KIND, str(mailbox_id), self._holder, held.fence)

    async def _leave_all(self) -> None:
        for held in self._held.values():
            self._stop(held)
        tasks = [task for held in self._held.values() for task in held.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_WITHIN_S)
        for mailbox_id, held in list(self._held.items()):
            with contextlib.suppress(Unavailable):
                await self._left(mailbox_id, held)

    # The work

    async def _start(self, held: _Held, linker: Linker) -> None:
        """Start what does not run, where it may."""
        box = held.box
        if box.box is None:
            await self._show(box, "down", box.problem)
            return
        mailbox = box.box
        if self._may_start(held, "reader", held.reader) and not self._is_refused(box):
            domains = frozenset(address.rpartition("@")[2] for address in linker.own_emails)
            key = ReplyKey(self._reply_key, domains) if self._reply_key else None
            reader = MailboxReader(self._db, self._blobs, linker, mailbox, box.id, self._parsers, reply_key=key)
            if not self._has_warm_worker:
                warm_up(self._parsers, self._blobs)
                self._has_warm_worker = True
            held.reader = self._task(held, "reader", lambda: self._read(box, reader))
        if self._may_start(held, "sender", held.sender):
            sent = _Sent(ImapSentFolder(mailbox.imap), lambda: self._is_refused(held.box))
            sender = Sender(self._db, self._blobs, mailbox, box.id, sent)
            held.sender = self._task(held, "sender", sender.run)

    def _may_start(self, held: _Held, name: str, task: asyncio.Task[None] | None) -> bool:
        return (task is None or task.done()) and monotonic_s() >= held.not_before.get(name, 0.0)

    def _is_refused(self, box: Box) -> bool:
        """Whether these very settings were refused less than an hour ago."""
        if box.state != "auth_refused" or box.refused_with != box.mark or box.error_at is None:
            return False
        return utc_now() < box.error_at + REFUSED_PAUSE

    def _task(self, held: _Held, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def run() -> None:
            began = monotonic_s()
            try:
                await work()
            except HubError as error:
                await self._show(held.box, "down", error.message)
            except Exception as error:
                # A bug that one mailbox's mail brings out must not stop the others; it is told loudly, and shown.
                log.exception("mailbox %s: its %s ended by a bug", held.box.address, name)
                await self._show(held.box, "down", f"an error of Hub itself: {type(error).__name__}")
            if monotonic_s() - began > LONGEST_PAUSE_S:
                held.pause_s = FIRST_PAUSE_S
            held.not_before[name] = monotonic_s() + held.pause_s
            held.pause_s = min(held.pause_s * 2, LONGEST_PAUSE_S)

        return asyncio.get_running_loop().create_task(run(), name=f"mailbox {held.box.address} {name}")

    async def _read(self, box: Box, reader: MailboxReader) -> None:
        """Read until the sign-in is refused, and remember with which settings it was."""
        await reader.run()
        with self._db.loops.loop(f"mailbox.{box.id}.refusal") as loop:
            await loop.retry(lambda: self._remember_refusal(box))

    async def _remember_refusal(self, box: Box) -> None:
        values = {"state": "auth_refused", "refused_with": box.mark, "error_at": utc_now()}
        async with self._db.begin() as conn:
            await conn.execute(sa.update(mailboxes).where(mailboxes.c.id == box.id).values(**values))

    async def _show(self, box: Box, state: str, error: str) -> None:
        now, mine = utc_now(), mailboxes.c.id == box.id
        other = sa.or_(mailboxes.c.state != state, mailboxes.c.error != error[:300])
        with contextlib.suppress(Unavailable):
            async with self._db.begin() as conn:
                values = {"state": state, "error": error[:300], "error_at": now}
                if (await conn.execute(sa.update(mailboxes).where(mine, other).values(**values))).rowcount:
                    await publish(conn, "mailbox", box.id, at=now, data={"state": state})


@dataclass(slots=True)
class _Sent:
    """The Sent folder, unless the mailbox's sign-in is refused: the outbox must not try what the reader may not."""

    folder: ImapSentFolder
    is_refused: Callable[[], bool]

    async def has(self, message_id: str) -> bool:
        self._require_open()
        try:
            return await self.folder.has(message_id)
        except Refused as error:
            raise Unavailable("sent_unavailable", error.message) from error

    async def append(self, raw: bytes, *, at: datetime) -> None:
        self._require_open()
        try:
            await self.folder.append(raw, at=at)
        except Refused as error:
            raise Unavailable("sent_unavailable", error.message) from error

    def _require_open(self) -> None:
        if self.is_refused():
            raise Unavailable("sent_unavailable", "the mailbox's sign-in is refused")
