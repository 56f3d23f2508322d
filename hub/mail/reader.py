"""One mailbox at work: connect, catch up, then wait in IDLE and fetch what comes.

`sync` says what to fetch, `imap` fetches, `intake` stores. IDLE is only a hint: each time the folders are compared by
UID. Decides how long to wait and when to give up. Invariants: a line that fails is followed by another after a
growing, jittered pause; a refused password is not tried again for long, since servers lock accounts; what the
reader does never depends on what it did in an earlier life but through the folder's stored cursor.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.linking import Linker
from hub.errors import HubError, Refused, Unavailable
from hub.mail.imap import ImapConnection, Size, connected
from hub.mail.intake import Arrived, FolderPlace, FolderRole, MailIntake
from hub.mail.models import folders, mailboxes
from hub.mail.sent_folder import sent_folder_of
from hub.mail.sync import Batch, FolderCursor, begin, next_batch
from hub.settings import Mailbox
from hub.store.blobs import BlobStore
from hub.store.changes import tell
from hub.store.engine import Database
from hub.store.upsert import insert

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 120.0
AUTH_PAUSE_S = 900.0
SENT_EVERY = timedelta(seconds=60)
LOOK_EVERY_S = 15.0
MAX_BATCH_BYTES = 16 * 1024 * 1024
MAX_MESSAGE_BYTES = 200 * 1024 * 1024


class MailboxReader:
    """Reads one mailbox for ever. `parsers` is where big messages are parsed."""

    def __init__(
        self, db: Database, blobs: BlobStore, linker: Linker, mailbox: Mailbox, mailbox_id: int, parsers: Executor
    ) -> None:
        self._db, self._blobs, self._linker = db, blobs, linker
        self._mailbox, self._mailbox_id, self._parsers = mailbox, mailbox_id, parsers

    async def run(self) -> None:
        """Keep the mailbox in step until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._live()
            except Refused as error:
                await self._show("auth_refused" if error.code == "auth_refused" else "down", error.message)
                pause_s = AUTH_PAUSE_S
            except HubError as error:
                await self._show("down", error.message)
            if asyncio.get_running_loop().time() - began > 60:
                pause_s = min(pause_s, FIRST_PAUSE_S)
            await asyncio.sleep(pause_s * (0.5 + secrets.randbelow(1000) / 1000))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _live(self) -> None:
        """Live through one connection; ends only by an error."""
        async with connected(self._mailbox.imap) as imap:
            sent = sent_folder_of(await imap.list_folders())
            intake = await self._intake()
            while True:
                if sent is not None:
                    await self._sync(imap, intake, sent, "sent")
                await self._sync(imap, intake, "INBOX", "inbox")
                await self._show("up", "")
                await self._wait_for_mail(imap, intake)

    async def _wait_for_mail(self, imap: ImapConnection, intake: MailIntake) -> None:
        """Stay in INBOX until it is time to look into Sent again: after a while, or when the outbox has worked."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SENT_EVERY.total_seconds()
        while (left_s := until - loop.time()) > 0:
            # Some servers do not tell in IDLE what came just before it began, so silence is not believed for long.
            await imap.idle(at_most=timedelta(seconds=min(left_s, LOOK_EVERY_S)))
            await self._sync_selected(imap, intake, "INBOX", "inbox")

    async def _intake(self) -> MailIntake:
        async with self._db.read() as conn:
            query = sa.select(mailboxes.c.team_id).where(mailboxes.c.id == self._mailbox_id)
            team_id = (await conn.execute(query)).scalar_one()
        return MailIntake(self._db, self._blobs, self._linker, self._mailbox_id, team_id, self._parsers)

    async def _sync(self, imap: ImapConnection, intake: MailIntake, name: str, role: FolderRole) -> None:
        selected = await imap.select(name)
        folder_id, stored = await self._cursor(name, role)
        cursor = begin(stored, uidvalidity=selected.uidvalidity, uidnext=selected.uidnext)
        if cursor != stored:
            async with self._db.begin() as conn:
                update = sa.update(folders).where(folders.c.id == folder_id)
                await conn.execute(update.values(**_columns(cursor)))
        await self._sync_selected(imap, intake, name, role)

    async def _sync_selected(self, imap: ImapConnection, intake: MailIntake, name: str, role: FolderRole) -> None:
        """Fetch all that the selected folder has and the store has not."""
        folder_id, cursor = await self._cursor(name, role)
        assert cursor.uidvalidity is not None
        place = FolderPlace(folder_id, role, cursor.uidvalidity)
        first_look = await self._first_look()
        oldest = await self._oldest_wanted(imap) if cursor.low_uid > 1 else 1
        uids = await imap.uids(_criteria(cursor))
        while (batch := next_batch(cursor, uids, oldest_uid=oldest)) is not None:
            await self._store(imap, intake, place, batch, first_look)
            cursor = batch.after
            if batch.is_history:
                # New mail goes first, also while history is still coming.
                uids = await imap.uids()
        if cursor.low_uid > 1:
            all_there = FolderCursor(cursor.uidvalidity, cursor.high_uid)
            await intake.store(place, [], cursor=_columns(all_there), is_new=False, now=utc_now())

    async def _store(
        self, imap: ImapConnection, intake: MailIntake, place: FolderPlace, batch: Batch, first_look: datetime
    ) -> None:
        sizes = {one.uid: one.size for one in await imap.sizes(batch.uids)}
        too_big = [uid for uid, size in sizes.items() if size > MAX_MESSAGE_BYTES]
        if too_big:
            log.error("%s: %s is over the size Hub takes; it stays on the server", self._mailbox.address, too_big)
        wanted = [Size(uid, size) for uid, size in sorted(sizes.items()) if uid not in too_big]
        groups = list(by_bytes(wanted))
        for uids in groups:
            arrived = [Arrived(f.uid, f.raw, f.flags, f.internaldate) for f in await imap.fetch(uids)]
            # In a new epoch of a known mailbox history may hold mail that nobody has seen yet.
            fresh = [one for one in arrived if not batch.is_history or one.received_at >= first_look]
            old = [one for one in arrived if one not in fresh]
            await intake.store(place, old, cursor={}, is_new=False, now=utc_now())
            await intake.store(place, fresh, cursor={}, is_new=True, now=utc_now())
        await intake.store(place, [], cursor=_columns(batch.after), is_new=False, now=utc_now())

    async def _cursor(self, name: str, role: FolderRole) -> tuple[int, FolderCursor]:
        async with self._db.begin() as conn:
            row = {"mailbox_id": self._mailbox_id, "name": name, "role": role, "gaps": []}
            await conn.execute(insert(conn, folders).values(**row).on_conflict_do_nothing())
            where = (folders.c.mailbox_id == self._mailbox_id, folders.c.name == name)
            found = (await conn.execute(sa.select(folders).where(*where))).one()
        return found.id, FolderCursor(found.uidvalidity, found.high_uid, found.low_uid or 1)

    async def _first_look(self) -> datetime:
        """When Hub first saw this mailbox: what came before is history."""
        mine = mailboxes.c.id == self._mailbox_id
        async with self._db.begin() as conn:
            unseen = sa.update(mailboxes).where(mine, mailboxes.c.first_synced_at.is_(None))
            await conn.execute(unseen.values(first_synced_at=utc_now()))
            at: datetime = (await conn.execute(sa.select(mailboxes.c.first_synced_at).where(mine))).scalar_one()
        return at

    async def _oldest_wanted(self, imap: ImapConnection) -> int:
        """The lowest UID that `history_days` asks for."""
        if not self._mailbox.history_days:
            return 1
        since = utc_now() - timedelta(days=self._mailbox.history_days)
        found = await imap.uids(since.strftime("SINCE %d-%b-%Y").encode("ascii"))
        return found[0] if found else 2**32

    async def _show(self, state: str, error: str) -> None:
        """Write the mailbox's health; tell the pages when it changed."""
        now = utc_now()
        if state != "up":
            log.warning("mailbox %s is %s: %s", self._mailbox.address, state, error)
        values = {"state": state, "error": error[:300]} | ({"seen_at": now} if state == "up" else {})
        mine = mailboxes.c.id == self._mailbox_id
        try:
            async with self._db.begin() as conn:
                before = (await conn.execute(sa.select(mailboxes.c.state).where(mine))).scalar_one()
                await conn.execute(sa.update(mailboxes).where(mine).values(**values))
                if before != state:
                    await tell(conn, "mailbox", self._mailbox_id, at=now, data={"state": state})
        except Unavailable as unavailable:
            log.warning("mailbox %s: its state could not be stored: %s", self._mailbox.address, unavailable)


def _columns(cursor: FolderCursor) -> dict[str, int | None]:
    return {"uidvalidity": cursor.uidvalidity, "high_uid": cursor.high_uid, "low_uid": cursor.low_uid}


def _criteria(cursor: FolderCursor) -> bytes:
    """Ask for all only while history is missing: in a large mailbox that answer is megabytes."""
    return b"ALL" if cursor.low_uid > 1 else b"UID %d:*" % (cursor.high_uid + 1)


def by_bytes(sizes: Sequence[Size]) -> Iterator[list[int]]:
    """Cut a batch into groups of at most `MAX_BATCH_BYTES`, so that memory is bounded whatever lies there."""
    group: list[int] = []
    total = 0
    for one in sizes:
        if group and total + one.size > MAX_BATCH_BYTES:
            yield group
            group, total = [], 0
        group.append(one.uid)
        total += one.size
    if group:
        yield group
