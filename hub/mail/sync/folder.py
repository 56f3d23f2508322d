"""One selected folder at work: its new mail, its history, what changed in it, and the wishes carried out in it.

`plan` and `deltas` say what to do, `fetching` fetches, `intake` stores, `places` writes what changed; here they meet.
While one group of history is being stored the next is fetched. Invariants: a cursor moves with the last of its
messages, in their transaction; at most two groups are in memory; no question has an answer that grows with the folder
where the server can answer in numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.clock import utc_now
from hub.errors import Refused, Unavailable
from hub.mail.imap.asking import Fetched, Selected
from hub.mail.imap.connection import ImapConnection
from hub.mail.imap.grammar import UNDATED, uid_set
from hub.mail.imap.refusals import Throttled
from hub.mail.intake.intake import Arrived, FolderPlace, FolderRole, MailIntake
from hub.mail.models import folders, locations, messages
from hub.mail.sync import flags, places, plan
from hub.mail.sync.choice import INBOX, SENT, Chosen
from hub.mail.sync.deltas import Delta, difference
from hub.mail.sync.fetching import Fetcher, Taken, Trouble
from hub.mail.sync.places import Epoch
from hub.mail.sync.plan import FolderCursor
from hub.store.engine import Database
from hub.store.upsert import insert

NEVER = 2**32
CHANGES_AT_ONCE = 2000
"""So many changed messages are asked for in one command; more, in windows of so many stored ones."""
NEWEST = 300
"""Without modification sequences: so many of the newest messages have their flags compared at each look."""
COMPARE_EVERY = {True: timedelta(hours=24), False: timedelta(minutes=15)}
"""The whole folder, with (True) and without modification sequences."""
TRIES_AT_ONCE = 3
CLOCKS_DIFFER_BY = timedelta(seconds=60)
"""A server's clock may be behind ours, and tells whole seconds."""
COMPARISON = 0
"""Stands for no UID: a comparison that ends the line each time is tried again after pauses that grow."""


@dataclass(frozen=True, slots=True)
class Work:
    """What work in any folder of a mailbox needs. `first_look`: what came before is history. `history_days` 0: all."""

    db: Database
    imap: ImapConnection
    intake: MailIntake
    trouble: Trouble
    first_look: datetime
    history_days: int = 0


@dataclass(slots=True)
class Reach:
    """What one connection has found out of a folder and need not ask again."""

    oldest: int | None = None
    """The lowest UID that is wanted."""
    comparing_below: int | None = None
    """Where the comparison of the whole folder stands; None: at its beginning."""
    was_looked_over: bool = False
    """Whether the edges were compared on this connection: a process may have died between mail and flags."""
    had_old_epochs: bool = True
    is_doubtful: bool = False
    """Whether something went, and a comparison must show what."""
    counts: tuple[int, int] | None = None
    """How many messages we had and the server had, when last counted: the same difference is compared once."""


@dataclass(slots=True)
class OpenFolder:
    """The selected folder. Made by `open_folder`; of no use once another is selected."""

    work: Work
    chosen: Chosen
    place: FolderPlace
    cursor: FolderCursor
    selected: Selected
    compared_at: datetime | None
    retry_at: datetime | None
    """When pages say that what is missing is asked for again."""
    reach: Reach
    fetcher: Fetcher = field(init=False)

    def __post_init__(self) -> None:
        where = (self.place.folder_id, self.place.uidvalidity)
        self.fetcher = Fetcher(self.work.imap, where, self.work.trouble)

    @property
    def epoch(self) -> Epoch:
        return Epoch(self.place.folder_id, self.place.uidvalidity)

    @property
    def next_try_s(self) -> float | None:
        """In how many seconds something of what is missing is to be asked for again."""
        return self.work.trouble.next_try_s(self.fetcher.place, self.cursor.gaps)

    @property
    def lacks_history(self) -> bool:
        return self.cursor.low_uid > 1

    # New mail, before all else

    async def take_new(self) -> bool:
        """Take all new mail; tell whether there was any."""
        imap, before = self.work.imap, self.cursor.high_uid
        while span := plan.ahead(self.cursor, uidnext=self.selected.uidnext):
            uids = [uid for uid in await imap.uids(b"UID %d:%d" % span) if span[0] <= uid <= span[1]]
            await self._take_newer(uids)
            if not uids:
                # Nothing up to there; of a desert only the far end is asked for. The cursor passes no UID that the
                # server may still give: its UIDNEXT may be wrong.
                lowest = await imap.lowest(span[1] + 1)
                if not lowest:
                    break
                self.cursor = plan.reached(self.cursor, lowest - 1)
        await self._take_newer(await imap.uids(b"UID %d:*" % (self.cursor.high_uid + 1)))
        return self.cursor.high_uid != before

    async def _take_newer(self, uids: Sequence[int]) -> None:
        while batch := plan.newer(self.cursor, uids):
            for group in await self.fetcher.groups(batch):
                got = await self.fetcher.take(group)
                await self._took(group, got, is_history=False)

    # What the server would not give before

    async def retry_gaps(self, *, until: float) -> None:
        """Ask again for what is due of it, until the loop's clock shows `until`."""
        gaps = self.cursor.gaps
        if not gaps:
            return
        there: set[int] = set()
        for at in range(0, len(gaps), plan.WINDOW):
            some = gaps[at : at + plan.WINDOW]
            there |= set(await self.work.imap.uids(b"UID " + uid_set(some)))
        for uid in (gap for gap in gaps if gap not in there):
            await self._store((), plan.retried(self.cursor, uid, is_filled=True), is_history=True)
        due = sorted(uid for uid in gaps if uid in there and not self.work.trouble.is_resting(self.fetcher.place, uid))
        for group in await self.fetcher.groups(due, is_history=True):
            got = await self.fetcher.take(group)
            after = self.cursor
            for uid in group:
                after = plan.retried(after, uid, is_filled=uid not in got.missing)
            await self._store(got.messages, after, is_history=True)
            if asyncio.get_running_loop().time() >= until:
                break

    async def show_next_try(self, retry_at: datetime | None) -> None:
        """Note for the pages when what is missing is asked for again; None where nothing is."""
        if retry_at != self.retry_at:
            async with self.work.db.begin() as conn:
                mine = sa.update(folders).where(folders.c.id == self.place.folder_id)
                await conn.execute(mine.values(retry_at=retry_at))
            self.retry_at = retry_at

    # History

    async def take_history(self, *, until: float) -> None:
        """Take history, the newest first, until the loop's clock shows `until` or something new has come."""
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(self._groups_of_history()) as groups:
            waiting = await anext(groups, None)
            while waiting is not None:
                may_go_on = loop.time() < until and not self.work.imap.has_news
                # The next is fetched while this one is stored; where one fails, the other is let end first.
                stored, fetched = await asyncio.gather(
                    self._took(*waiting, is_history=True),
                    anext(groups, None) if may_go_on else _nothing(),
                    return_exceptions=True,
                )
                if isinstance(stored, BaseException):
                    raise stored
                if isinstance(fetched, BaseException):
                    raise fetched
                waiting = fetched

    async def _groups_of_history(self) -> AsyncGenerator[tuple[tuple[int, ...], Taken], None]:
        """Fetch history group by group. Reads no cursor that `_took` moves meanwhile: it keeps its own."""
        imap, cursor = self.work.imap, self.cursor
        oldest = await self._oldest_uid()
        while span := plan.window(cursor, oldest_uid=oldest):
            uids = [uid for uid in await imap.uids(b"UID %d:%d" % span) if span[0] <= uid <= span[1]]
            for group in reversed(await self.fetcher.groups(uids, is_history=True)) if uids else ():
                got = await self.fetcher.take(group)
                crash_points.point("mail.sync.fetched")
                yield group, got
            below = span[0] if uids else await imap.highest(oldest, span[0]) + 1
            cursor = plan.looked_through(cursor, max(oldest, min(below, span[0])))
        # Only an empty group moves the cursor over what is not there.
        yield (), Taken((), ())

    async def _oldest_uid(self) -> int:
        """The lowest UID that `history_days` asks for; in a new epoch, the lowest of what was there in the last."""
        if not self.work.history_days:
            return 1
        if self.reach.oldest is None:
            since = utc_now() - timedelta(days=self.work.history_days)
            async with self.work.db.read() as conn:
                known = await _first_known(conn, self.epoch)
            since = min(since, known - timedelta(days=1)) if known else since
            lowest = await self.work.imap.lowest(1, since.strftime(" SINCE %d-%b-%Y").encode("ascii"))
            self.reach.oldest = lowest or NEVER
        return self.reach.oldest

    async def _took(self, group: Sequence[int], got: Taken, *, is_history: bool) -> None:
        if not group:
            await self._store((), plan.looked_through(self.cursor, 1), is_history=True)
            return
        after = plan.taken(self.cursor, group, is_history=is_history, missing=got.missing)
        await self._store(got.messages, after, is_history=is_history)

    async def _store(self, messages: Sequence[Fetched], after: FolderCursor, *, is_history: bool) -> None:
        """Store messages, the cursor with the last of them, then the flags of their places."""
        # A server dates by whole seconds: what came in the second of the first look is new.
        intake, first_look = self.work.intake, self.work.first_look.replace(microsecond=0)
        if not is_history:
            first_look -= CLOCKS_DIFFER_BY
        now = utc_now()
        # What a server dates not at all is history where it is taken as such, else it has just come.
        undated_at = UNDATED if is_history else now
        dates = {one.uid: undated_at if one.internaldate == UNDATED else one.internaldate for one in messages}
        came = [
            Arrived(one.uid, one.raw, one.flags, dates[one.uid], gm_msgid=one.gm_msgid, labels=one.labels)
            for one in messages
        ]
        # A UIDNEXT that was too low makes old mail look new; in a new epoch of a known mailbox, and in a gap, history
        # may hold mail that nobody has seen yet. So the date decides.
        parts: dict[bool, list[Arrived]] = {True: [], False: []}
        for one in came:
            parts[self.chosen.is_quiet or one.received_at < first_look].append(one)
        old, fresh = parts[True], parts[False]
        crash_points.point("mail.sync.storing")
        if old:
            await intake.store(self.place, old, cursor={} if fresh else columns(after), is_new=False, now=now)
        if fresh or not old:
            await intake.store(self.place, fresh, cursor=columns(after), is_new=True, now=now)
        self.cursor = after
        crash_points.point("mail.sync.stored")
        flags_of = {one.uid: one.flags for one in messages}
        async with self.work.db.read() as conn:
            behind = await places.unlike(conn, self.epoch, flags_of) if messages else set()
        if behind:
            async with self.work.db.begin() as conn:
                await places.arrived(conn, self.epoch, {uid: flags_of[uid] for uid in behind}, now=utc_now())
            crash_points.point("mail.sync.flagged")

    # What changed

    async def take_changes(self, *, is_news: bool) -> None:
        """Write what changed: flags, and what is gone. `is_news`: the server said so after the folder was selected."""
        if not self.reach.was_looked_over:
            self.reach.was_looked_over = True
            await self._compare_below(self.cursor.high_uid + 1, at_most=NEWEST)
            if self.lacks_history:
                await self._compare_below(await self._above_lowest(), at_most=NEWEST)
        theirs = self.selected.highestmodseq
        if not theirs:
            if is_news or self.selected.exists:
                await self._compare_below(self.cursor.high_uid + 1, at_most=NEWEST)
            await self._look_for_gone()
            return
        if plan.must_compare(self.cursor, modseq=theirs):
            await self._write(Delta({}), replace(self.cursor, modseq=theirs), compared_at=None)
        elif is_news or theirs > self.cursor.modseq:
            await self._ask_changes(theirs)
        if not self.work.imap.has_qresync:
            await self._look_for_gone()

    async def _ask_changes(self, theirs: int) -> None:
        imap, cursor = self.work.imap, self.cursor
        if cursor.low_uid > cursor.high_uid:
            await self._write(Delta({}), replace(cursor, modseq=max(theirs, cursor.modseq)))
            return
        is_much = False
        if "ESEARCH" in imap.capabilities:
            since = b"UID %d:%d MODSEQ %d" % (cursor.low_uid, cursor.high_uid, cursor.modseq + 1)
            is_much = await imap.how_many(since) > CHANGES_AT_ONCE
        reached, below = max(theirs, cursor.modseq), cursor.high_uid + 1
        while below > cursor.low_uid:
            first = cursor.low_uid
            if is_much:
                async with self.work.db.read() as conn:
                    first = await places.uid_below(conn, self.epoch, below, places=CHANGES_AT_ONCE) or first
            changed = await imap.changed_since(cursor.modseq, first, below - 1)
            crash_points.point("mail.sync.changes")
            # What changes while windows are asked is told again from the sequence the first one knew.
            reached = reached if is_much else max(reached, changed.modseq)
            below = first
            after = replace(self.cursor, modseq=reached) if below <= cursor.low_uid else self.cursor
            await self._write(Delta(changed.flags, changed.vanished), after)

    async def _look_for_gone(self) -> None:
        """Where the server does not tell what vanished: compare all if it has another number of messages than we."""
        if self.lacks_history or self.work.history_days:
            return
        async with self.work.db.read() as conn:
            ours = await places.how_many(conn, self.epoch) + len(self.cursor.gaps)
        counts = (ours, self.work.imap.exists)
        if ours != self.work.imap.exists and counts != self.reach.counts:
            self.reach.is_doubtful = True
        self.reach.counts = counts

    async def _above_lowest(self) -> int:
        """The UID above the lowest stored `NEWEST`."""
        query = sa.select(locations.c.uid).where(self.epoch.here).order_by(locations.c.uid).limit(NEWEST)
        async with self.work.db.read() as conn:
            uids = list((await conn.execute(query)).scalars())
        return uids[-1] + 1 if uids else 0

    @property
    def must_compare(self) -> bool:
        """Whether the whole folder is due for comparison: the backstop, whatever the server tells."""
        if self.lacks_history:
            return False
        pause = COMPARE_EVERY[bool(self.selected.highestmodseq)]
        return self.reach.is_doubtful or self.compared_at is None or utc_now() - self.compared_at > pause

    async def compare(self, *, until: float) -> bool:
        """Compare on, from the newest backwards, until the loop's clock shows `until`; True when through."""
        below = self.reach.comparing_below or self.cursor.high_uid + 1
        while below:
            below = await self._compare_below(below, at_most=places.AT_ONCE)
            self.reach.comparing_below = below or None
            if asyncio.get_running_loop().time() >= until or self.work.imap.has_news:
                break
        if not below:
            self.reach.is_doubtful = False
            await self._write(Delta({}), self.cursor, compared_at=utc_now())
        return not below

    async def _compare_below(self, below: int, *, at_most: int) -> int:
        """Compare a window of stored places with the server; return where the next one ends, 0 where none is left."""
        async with self.work.db.read() as conn:
            ours = await places.stored(conn, self.epoch, below=below, at_most=at_most)
        trouble, where = self.work.trouble, self.fetcher.place
        if not ours or trouble.is_resting(where, COMPARISON):
            return 0
        first = min(ours)
        try:
            theirs = await self.work.imap.flags(first, below - 1)
        except Throttled:
            raise
        except Unavailable:
            trouble.line_ended(where, [COMPARISON])
            raise
        trouble.cleared(where, [COMPARISON])
        delta = difference(ours, theirs, known_gaps=self.cursor.gaps)
        unknown = [uid for uid in delta.unknown if self.cursor.low_uid <= uid <= self.cursor.high_uid]
        if delta.flags or delta.vanished or unknown:
            crash_points.point("mail.sync.compared")
            await self._write(delta, plan.found_missing(self.cursor, unknown))
        return first

    async def _write(self, delta: Delta, after: FolderCursor, **more: Any) -> None:
        values = columns(after) | more
        async with self.work.db.begin() as conn:
            await places.apply(conn, self.epoch, delta, columns=values, now=utc_now())
        self.cursor = after
        if "compared_at" in more:
            self.compared_at = more["compared_at"]
        crash_points.point("mail.sync.applied")

    async def forget_old_epochs(self) -> None:
        """With all of this epoch stored, what lies in earlier ones lies nowhere."""
        if self.lacks_history or not self.reach.had_old_epochs:
            return
        while True:
            async with self.work.db.begin() as conn:
                gone = await places.forget(conn, self.place.folder_id, but_epoch=self.place.uidvalidity, now=utc_now())
            if not gone:
                break
            crash_points.point("mail.sync.forgotten")
        self.reach.had_old_epochs = False

    # What people want

    async def carry_out(self, tasks: Sequence[flags.Task]) -> str:
        """Do what is wished in this folder and look at it; return the server's words where it refuses."""
        refused = ""
        # Where the server has begun to number anew, the same UID is another message until the wish is found there.
        for task in (one for one in tasks if one.uidvalidity == self.place.uidvalidity):
            for _ in range(TRIES_AT_ONCE):
                since = self.cursor.modseq if self.work.imap.has_condstore else 0
                try:
                    await self.work.imap.set_flag(
                        task.uids, flags.NAMES[task.flag], is_on=task.wanted, unchanged_since=since
                    )
                except Refused as error:
                    refused = error.message
                    break
                crash_points.point("mail.sync.wished")
                if await self._is_shown(task):
                    break
        return refused

    async def _is_shown(self, task: flags.Task) -> bool:
        """Read again what the server has, and tell whether it is what was wished."""
        if self.selected.highestmodseq:
            await self._ask_changes(self.cursor.modseq)
        there: dict[int, tuple[str, ...]] = {}
        for first, last in _spans(task.uids):
            there |= await self.work.imap.flags(first, last)
        mine = {uid: words for uid, words in there.items() if uid in task.uids}
        await self._write(Delta(mine), self.cursor)
        spelled = flags.NAMES[task.flag].lower()
        return all((spelled in {word.lower() for word in words}) is task.wanted for words in mine.values())


async def open_folder(work: Work, chosen: Chosen, reaches: dict[tuple[int, int], Reach]) -> OpenFolder:
    """Select a folder and find how far it is; begin anew where the server numbers anew. Raises Refused."""
    selected = await work.imap.select(chosen.name)
    row = await _row(work, chosen)
    stored = FolderCursor(row.uidvalidity, row.high_uid, row.low_uid or 1, tuple(row.gaps), row.highestmodseq or 0)
    uidnext = selected.uidnext
    if not uidnext or selected.uidvalidity != stored.uidvalidity:
        # Where a new epoch begins, what is there now decides what is history, and not what the server foretells.
        newest = await work.imap.newest() if selected.exists else 0
        uidnext = newest + 1 if newest or not selected.exists else uidnext
    cursor = plan.begin(stored, uidvalidity=selected.uidvalidity, uidnext=uidnext, modseq=selected.highestmodseq)
    reach = reaches.setdefault((row.id, selected.uidvalidity), Reach())
    compared_at, values = row.compared_at, {}
    if cursor.uidvalidity != stored.uidvalidity:
        # A new epoch is read whole, which compares it.
        compared_at = utc_now()
        values = columns(cursor) | {"compared_at": compared_at}
        reach.was_looked_over = True
    if values or row.on_server != selected.exists:
        async with work.db.begin() as conn:
            update = sa.update(folders).where(folders.c.id == row.id)
            await conn.execute(update.values(on_server=selected.exists, **values))
        crash_points.point("mail.sync.opened")
    role: FolderRole = "inbox" if chosen.role == INBOX else "sent" if chosen.role == SENT else "other"
    place = FolderPlace(row.id, role, selected.uidvalidity)
    selected = replace(selected, uidnext=uidnext)
    return OpenFolder(work, chosen, place, cursor, selected, compared_at, row.retry_at, reach)


async def _row(work: Work, chosen: Chosen) -> sa.Row[Any]:
    mailbox_id = work.intake.mailbox_id
    query = sa.select(folders).where(folders.c.mailbox_id == mailbox_id, folders.c.name == chosen.name)
    async with work.db.read() as conn:
        found = (await conn.execute(query)).one_or_none()
    if found is None:
        row = {"mailbox_id": mailbox_id, "name": chosen.name, "role": chosen.role, "gaps": []}
        async with work.db.begin() as conn:
            await conn.execute(insert(conn, folders).values(**row).on_conflict_do_nothing())
            found = (await conn.execute(query)).one()
    return found


def columns(cursor: FolderCursor) -> dict[str, Any]:
    """A cursor as columns of `mail_folders`."""
    return {
        "uidvalidity": cursor.uidvalidity,
        "high_uid": cursor.high_uid,
        "low_uid": cursor.low_uid,
        "gaps": list(cursor.gaps),
        "highestmodseq": cursor.modseq or None,
    }


async def _first_known(conn: AsyncConnection, epoch: Epoch) -> datetime | None:
    """When the oldest message came that lies in an earlier epoch of the folder."""
    other = sa.or_(locations.c.uidvalidity < epoch.uidvalidity, locations.c.uidvalidity > epoch.uidvalidity)
    query = sa.select(sa.func.min(messages.c.received_at)).select_from(locations.join(messages))
    at: datetime | None = (await conn.execute(query.where(locations.c.folder_id == epoch.folder_id, other))).scalar()
    return at


async def _nothing() -> None:
    return None


def _spans(uids: Sequence[int], *, width: int = 500) -> list[tuple[int, int]]:
    """Cover `uids` by spans that are not wide: what lies between two far ones is nobody's question."""
    spans: list[list[int]] = []
    for uid in sorted(uids):
        if spans and uid - spans[-1][0] < width:
            spans[-1][1] = uid
        else:
            spans.append([uid, uid])
    return [(a, b) for a, b in spans]
