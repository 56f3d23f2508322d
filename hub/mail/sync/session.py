"""One connection to a mailbox at work: its folders compared with what is stored, and what is missing fetched.

`sync` says what to fetch, `fetching` fetches, `intake` stores; here they meet. New mail of all folders goes before
anybody's history, and INBOX before the rest. Invariants: a cursor moves with the last of its messages, in their
transaction; a folder other than INBOX that cannot be opened stops nothing and is named in `problems`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hub.clock import utc_now
from hub.errors import Refused
from hub.mail.imap.connection import ImapConnection
from hub.mail.imap.grammar import uid_set
from hub.mail.intake.intake import Arrived, FolderPlace, FolderRole, MailIntake
from hub.mail.models import folders
from hub.mail.sync.fetching import Fetcher, Taken, Trouble
from hub.mail.sync.plan import (
    BATCH,
    WINDOW,
    FolderCursor,
    begin,
    looked_through,
    newer,
    older,
    retried,
    taken,
    window,
)
from hub.mail.sync.sent_folder import sent_folder_of
from hub.store.engine import Database
from hub.store.upsert import insert

log = logging.getLogger(__name__)

GAPS_AT_ONCE = 5
NEVER = 2**32


@dataclass(slots=True)
class _Open:
    """The selected folder: where it is stored, who fetches from it, how far it is."""

    name: str
    place: FolderPlace
    fetcher: Fetcher
    cursor: FolderCursor


@dataclass(slots=True)
class MailSession:
    """The work of one connection. `first_look`: what arrived before is history. `history_days` 0: all of it."""

    db: Database
    imap: ImapConnection
    intake: MailIntake
    trouble: Trouble
    first_look: datetime
    history_days: int
    problems: dict[str, str] = field(default_factory=dict)
    """What is wrong with a folder, by its name; empty when all is well."""
    _oldest: dict[tuple[int, int], int] = field(default_factory=dict)

    async def catch_up(self) -> bool:
        """Take all new mail of all folders and one batch of history of each; tell whether history is missing."""
        sent = sent_folder_of(await self.imap.list_folders())
        is_behind = await self._round("INBOX", "inbox")
        if sent is not None:
            try:
                is_behind |= await self._round(sent, "sent")
            except Refused as error:
                log.warning("%s cannot be read: %s", sent, error.message)
                self.problems[sent] = error.message
        return is_behind

    async def watch(self, *, at_most: timedelta, look_every_s: float) -> None:
        """Stay in INBOX for `at_most` and take what comes. Ends early when there is history to take."""
        loop = asyncio.get_running_loop()
        until = loop.time() + at_most.total_seconds()
        inbox = await self._open("INBOX", "inbox")
        await self._take_new(inbox)
        if self._lacks_history(inbox.cursor):
            return
        while (left_s := until - loop.time()) > 0:
            # Some servers do not tell in IDLE what came just before it began, so silence is not believed for long.
            await self.imap.idle(at_most=timedelta(seconds=min(left_s, look_every_s)))
            await self._take_new(inbox)

    async def _round(self, name: str, role: FolderRole) -> bool:
        folder = await self._open(name, role)
        self.problems.pop(name, None)
        await self._take_new(folder)
        await self._retry_gaps(folder)
        await self._take_history(folder)
        if folder.cursor.gaps:
            self.problems[name] = f"{len(folder.cursor.gaps)} messages cannot be fetched"
        return self._lacks_history(folder.cursor)

    def _lacks_history(self, cursor: FolderCursor) -> bool:
        return cursor.low_uid > 1

    async def _open(self, name: str, role: FolderRole) -> _Open:
        """Select a folder and find how far it is; begin anew where the server numbers anew."""
        selected = await self.imap.select(name)
        folder_id, stored = await self._stored(name, role)
        uidnext = selected.uidnext or max(await self.imap.uids(b"UID *"), default=0) + 1
        cursor = begin(stored, uidvalidity=selected.uidvalidity, uidnext=uidnext)
        place = FolderPlace(folder_id, role, selected.uidvalidity)
        fetcher = Fetcher(self.imap, (folder_id, selected.uidvalidity), self.trouble)
        folder = _Open(name, place, fetcher, cursor)
        if cursor != stored:
            await self._store(folder, (), cursor, is_history=True)
        return folder

    async def _stored(self, name: str, role: FolderRole) -> tuple[int, FolderCursor]:
        where = (folders.c.mailbox_id == self.intake.mailbox_id, folders.c.name == name)
        async with self.db.read() as conn:
            found = (await conn.execute(sa.select(folders).where(*where))).one_or_none()
        if found is None:
            row = {"mailbox_id": self.intake.mailbox_id, "name": name, "role": role, "gaps": []}
            async with self.db.begin() as conn:
                await conn.execute(insert(conn, folders).values(**row).on_conflict_do_nothing())
                found = (await conn.execute(sa.select(folders).where(*where))).one()
        return found.id, FolderCursor(found.uidvalidity, found.high_uid, found.low_uid or 1, tuple(found.gaps))

    async def _take_new(self, folder: _Open) -> None:
        uids = await self.imap.uids(b"UID %d:*" % (folder.cursor.high_uid + 1))
        while batch := newer(folder.cursor, uids):
            for group in await folder.fetcher.groups(batch):
                got = await folder.fetcher.take(group)
                await self._took(folder, group, got, is_history=False)

    async def _take_history(self, folder: _Open) -> None:
        """Take one batch of history, the newest that is missing."""
        oldest = await self._oldest_uid(folder)
        batch: Sequence[int] = ()
        width = WINDOW
        while not batch and (span := window(folder.cursor, oldest_uid=oldest, width=width)):
            uids = await self.imap.uids(b"UID %d:%d" % span)
            batch = older(folder.cursor, [uid for uid in uids if span[0] <= uid], at_most=BATCH)
            if not batch:
                folder.cursor = looked_through(folder.cursor, span[0])
                width *= 8
        for group in reversed(await folder.fetcher.groups(batch)) if batch else ():
            got = await folder.fetcher.take(group)
            await self._took(folder, group, got, is_history=True)
        if window(folder.cursor, oldest_uid=oldest) is None and self._lacks_history(folder.cursor):
            await self._store(folder, (), looked_through(folder.cursor, 1), is_history=True)

    async def _retry_gaps(self, folder: _Open) -> None:
        gaps = folder.cursor.gaps
        if not gaps:
            return
        there = set(await self.imap.uids(b"UID " + uid_set(gaps)))
        for uid in (gap for gap in gaps if gap not in there):
            await self._store(folder, (), retried(folder.cursor, uid, is_filled=True), is_history=True)
        tried = [uid for uid in gaps if uid in there and not self.trouble.is_hopeless(folder.fetcher.place, uid)]
        for uid in tried[:GAPS_AT_ONCE]:
            got = await folder.fetcher.take([uid])
            after = retried(folder.cursor, uid, is_filled=not got.missing)
            await self._store(folder, got.messages, after, is_history=True)

    async def _took(self, folder: _Open, group: Sequence[int], got: Taken, *, is_history: bool) -> None:
        after = taken(folder.cursor, group, is_history=is_history, missing=got.missing)
        await self._store(folder, got.messages, after, is_history=is_history)

    async def _store(self, folder: _Open, messages: Sequence[Any], after: FolderCursor, *, is_history: bool) -> None:
        """Store messages, the cursor with the last of them."""
        arrived = [Arrived(one.uid, one.raw, one.flags, one.internaldate) for one in messages]
        # In a new epoch of a known mailbox, and in a gap, history may hold mail that nobody has seen yet.
        old = [one for one in arrived if is_history and one.received_at < self.first_look]
        fresh = [one for one in arrived if not (is_history and one.received_at < self.first_look)]
        cursor = _columns(after)
        if old:
            await self.intake.store(folder.place, old, cursor={} if fresh else cursor, is_new=False, now=utc_now())
        if fresh or not old:
            await self.intake.store(folder.place, fresh, cursor=cursor, is_new=True, now=utc_now())
        folder.cursor = after

    async def _oldest_uid(self, folder: _Open) -> int:
        """The lowest UID that `history_days` asks for; asked once, and only while history is missing."""
        if not self.history_days or not self._lacks_history(folder.cursor):
            return 1
        key = folder.fetcher.place
        if key not in self._oldest:
            since = utc_now() - timedelta(days=self.history_days)
            found = await self.imap.uids(since.strftime("SINCE %d-%b-%Y").encode("ascii"))
            self._oldest[key] = found[0] if found else NEVER
        return self._oldest[key]


def _columns(cursor: FolderCursor) -> dict[str, Any]:
    return {
        "uidvalidity": cursor.uidvalidity,
        "high_uid": cursor.high_uid,
        "low_uid": cursor.low_uid,
        "gaps": list(cursor.gaps),
    }
