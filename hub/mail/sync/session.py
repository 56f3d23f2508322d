"""One connection to a mailbox at work: which folder is looked into when, and how long INBOX is listened to.

What is done in a folder is `folder`'s. A connection reads all folders, or INBOX alone, or all but INBOX (`Part`): two
of them share a mailbox where the server gives two. New mail of all folders goes before anybody's history, INBOX before
the rest, and a folder that stands as it stood is not opened. Invariants: on a connection that reads all, no more than
one folder's work lies between two looks into INBOX; a folder other than INBOX that cannot be opened stops nothing and
is named in `problems`; with nothing new, nothing is asked but how the folders stand.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hub.clock import monotonic_s, utc_now
from hub.errors import Refused
from hub.mail.imap.asking import Folder, Status
from hub.mail.imap.connection import ImapConnection
from hub.mail.intake.intake import MailIntake
from hub.mail.models import folders
from hub.mail.sync import flags, listing, places
from hub.mail.sync.choice import INBOX, Chosen, Problem, choose
from hub.mail.sync.fetching import Trouble
from hub.mail.sync.folder import OpenFolder, Reach, Work, open_folder
from hub.mail.sync.standing import Part, Standing, is_in
from hub.store.bus import Subscription
from hub.store.engine import Database

log = logging.getLogger(__name__)

FIRST_LOOK_S = 1.0
CALM_S = 2.0
"""After a look into INBOX that found nothing new: so long only more messages are heeded."""
FALSE_ALARMS = 2
"""So often a server may tell of more messages that are not there, before that is heeded no sooner than all else."""
INBOX_EVERY_S = 1.0
"""On a connection that reads all folders: so often INBOX is looked into while the others are polled."""
FEW_FOLDERS = 50
"""How so many stand may be asked in one command although INBOX waits for its end."""
TURN_S = 2.0
"""So long history or a comparison is worked on before somebody looks whether new mail has come."""
POLL_EVERY_S = 55.0
"""How often it is asked how all folders stand."""
VISIT_EVERY_S = 300.0
"""Without modification sequences a status does not tell of flags: then a folder is opened now and again."""
_INBOX = Chosen("INBOX", INBOX)


@dataclass(slots=True)
class MailSession:
    """The work of one connection. `first_look`: what arrived before is history. `history_days` 0: all of it.

    `wanted` names the folders to read, or patterns with `*`; empty is all that is mail.
    """

    db: Database
    imap: ImapConnection
    intake: MailIntake
    trouble: Trouble
    first_look: datetime
    history_days: int
    wanted: tuple[str, ...] = ()
    part: Part = "all"
    standing: Standing = field(default_factory=Standing)
    others: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who works in the other folders: this connection while it reads all, or the second one."""
    _turned: asyncio.Event = field(default_factory=asyncio.Event)
    _is_prepared: bool = False
    _reaches: dict[tuple[int, int], Reach] = field(default_factory=dict)
    _polled_at: float | None = None
    _inbox_at: float = 0.0
    _work: Work = field(init=False)

    def __post_init__(self) -> None:
        self._work = Work(self.db, self.imap, self.intake, self.trouble, self.first_look, self.history_days)

    @property
    def problems(self) -> dict[str, Problem]:
        """What is wrong with a folder, by its name; empty when all is well."""
        return self.standing.problems

    def turn_to(self, part: Part) -> None:
        """Read another part of the folders from the next look on, which is soon."""
        if part != self.part:
            self.part, self._polled_at = part, None
            self._turned.set()

    async def catch_up(self) -> bool:
        """Take all new mail of the folders and a turn of history; tell whether history is missing."""
        self._turned.clear()
        if self.part != "all":
            return await self._catch_up()
        async with self.others:
            return await self._catch_up()

    async def _catch_up(self) -> bool:
        if not self._is_prepared:
            await self.imap.enable_changes()
            if self.part != "inbox":
                await self._mend()
            self._is_prepared = True
        if self._polled_at is None or monotonic_s() - self._polled_at >= POLL_EVERY_S:
            self._polled_at = monotonic_s()
            await self._poll()
        else:
            # Between two turns of history only INBOX is asked for, and what is due again.
            await self._look_into_inbox()
            await self._ask_again()
        await self._carry_out_wishes()
        if behind := self.standing.behind_in(self.part):
            await self._take_history(behind)
        return self.standing.behind_in(self.part) is not None

    async def watch(self, *, at_most: timedelta, look_every_s: float) -> None:
        """Wait for `at_most` and take what comes: in INBOX at once, elsewhere what people want.

        Ends early when there is history to take, or something is to be asked for again.
        """
        until = monotonic_s() + at_most.total_seconds()
        with self.db.bus.subscribe(flags.TOPIC) as hints:
            if self.part != "rest":
                await self._listen(hints, until=until, look_every_s=look_every_s)
                return
            while (left_s := self._left_s(until)) > 0 and not self._turned.is_set():
                await hints.wait(at_most_s=min(left_s, look_every_s))
                await self._carry_out_wishes()

    def _left_s(self, until: float) -> float:
        return min(until - monotonic_s(), self.standing.next_again_s(self.part))

    async def _listen(self, hints: Subscription, *, until: float, look_every_s: float) -> None:
        inbox = await self._open(_INBOX)
        await self._take(inbox, is_news=False)
        if inbox.lacks_history:
            # The server began to number anew.
            self.standing.put_behind(inbox.chosen)
        silence_s, calm_s, false_alarms = FIRST_LOOK_S, 0.0, 0
        while (left_s := self._left_s(until)) > 0 and not inbox.lacks_history and not self._turned.is_set():
            # Some servers do not tell in IDLE what came just before it began, so silence is not believed for long, and
            # least of all at first. What they tell is not believed either: a look that finds nothing is not repeated
            # at once.
            wait_s = min(left_s, look_every_s, max(silence_s, calm_s))
            before = self.imap.exists
            is_news = await self.imap.idle(
                at_most=timedelta(seconds=wait_s),
                calm=timedelta(seconds=calm_s),
                is_growth_heeded=false_alarms < FALSE_ALARMS,
                or_until=lambda: _either(hints.wait(at_most_s=3600), self._turned.wait()),
            )
            false_alarms += self.imap.exists > before
            if is_found := await inbox.take_new():
                false_alarms = 0
            silence_s = FIRST_LOOK_S if is_news else min(2 * silence_s, look_every_s)
            calm_s = 0.0 if is_found else CALM_S
            if is_news:
                await inbox.take_changes(is_news=True)
                if inbox.must_compare:
                    await inbox.compare(until=monotonic_s() + TURN_S)
            if await self._carry_out_by_turns():
                inbox = await self._open(inbox.chosen)
                await self._take(inbox, is_news=False)

    # Which folders

    async def _poll(self) -> None:
        """See which folders there are and how they stand; visit those that stand otherwise than before."""
        listed, statuses = await self._list()
        chosen_here = (_INBOX,) if self.part == "inbox" else self.standing.choice.folders
        for chosen in chosen_here:
            if not is_in(self.part, chosen.name):
                continue
            if chosen.name != "INBOX" and monotonic_s() - self._inbox_at >= INBOX_EVERY_S:
                await self._look_into_inbox()
            try:
                if chosen.name == "INBOX":
                    self._inbox_at = monotonic_s()
                status = statuses.get(chosen.name) or await self.imap.status(chosen.name)
                if self._is_due(chosen, status):
                    await self._visit(chosen, status)
            except Refused as error:
                self._refused(chosen, error)
        await self._ask_again()
        if listed and self.standing.behind_in(self.part) is None and not any(one.is_unreadable for one in listed):
            await listing.forget_missing(self.db, self.intake.mailbox_id, listed)

    async def _list(self) -> tuple[list[Folder], dict[str, Status]]:
        """Ask which folders there are, unless only INBOX is ours; and how they stand, where nobody waits meanwhile."""
        if self.part == "inbox":
            return [], {}
        await self.imap.leave()
        standing = self.standing
        if self.part == "rest" or 0 < len(standing.choice.folders) <= FEW_FOLDERS:
            listed, statuses = await self.imap.list_with_status()
        else:
            listed, statuses = await self.imap.list_folders(), {}
        choice = choose(listed, self.wanted)
        if choice != standing.choice:
            await listing.store_choice(self.db, self.intake.mailbox_id, choice)
            standing.take_choice(choice)
        return listed, statuses

    def _is_due(self, chosen: Chosen, status: Status) -> bool:
        knows_flags = bool(status.highestmodseq and self.imap.has_qresync)
        every_s = float("inf") if knows_flags else VISIT_EVERY_S
        return self.standing.must_visit(chosen.name, status, every_s=every_s)

    def _refused(self, chosen: Chosen, error: Refused) -> None:
        """Go on without a folder; without INBOX nothing goes on."""
        if chosen.name == "INBOX":
            raise error
        self.standing.fail(chosen.name, Problem("refused", error.message))

    async def _look_into_inbox(self) -> None:
        if self.part == "rest":
            return
        self._inbox_at = monotonic_s()
        await self.imap.leave()
        status = await self.imap.status(_INBOX.name)
        if status != self.standing.statuses.get(_INBOX.name):
            await self._visit(_INBOX, status)

    async def _ask_again(self) -> None:
        """Visit the folders in which something is due that they did not give before."""
        chosen = {one.name: one for one in (_INBOX, *self.standing.choice.folders)}
        for name in self.standing.due_again(self.part):
            try:
                await self._visit(chosen[name], await self.imap.status(name))
            except Refused as error:
                self._refused(chosen[name], error)

    async def _mend(self) -> None:
        """Put right what a process left that died between the mail and what follows of it."""
        async with self.db.begin() as conn:
            await places.show_what_came_back(conn, self.intake.mailbox_id, now=utc_now())

    # Work in one of them

    async def _open(self, chosen: Chosen) -> OpenFolder:
        return await open_folder(self._work, chosen, self._reaches)

    async def _visit(self, chosen: Chosen, status: Status) -> None:
        folder = await self._open(chosen)
        await self._take(folder, is_news=False)
        await folder.retry_gaps(until=monotonic_s() + TURN_S)
        if folder.must_compare:
            await folder.compare(until=monotonic_s() + TURN_S)
        await folder.forget_old_epochs()
        if folder.lacks_history:
            self.standing.put_behind(chosen)
        await self._settle(folder, status)

    async def _take(self, folder: OpenFolder, *, is_news: bool) -> None:
        await folder.take_new()
        await folder.take_changes(is_news=is_news)

    async def _settle(self, folder: OpenFolder, status: Status) -> None:
        """Note how a visit ended; one that left something undone is repeated."""
        name = folder.chosen.name
        self.standing.visited_at[name] = monotonic_s()
        if folder.must_compare:
            self.standing.statuses.pop(name, None)
        else:
            self.standing.statuses[name] = status
        await self._note_gaps(folder)

    async def _note_gaps(self, folder: OpenFolder) -> None:
        """Tell what a folder does not give, and when it is asked again."""
        name, gaps, again_s = folder.chosen.name, folder.cursor.gaps, folder.next_try_s
        self.standing.ask_again_at.pop(name, None)
        if again_s is not None:
            self.standing.ask_again_at[name] = monotonic_s() + again_s
        if gaps and again_s is None:
            self.standing.fail(name, Problem("too_large", f"{len(gaps)} messages are too large and stay on the server"))
        elif gaps:
            self.standing.fail(name, Problem("not_given", f"{len(gaps)} messages cannot be fetched"))
        else:
            self.standing.well(name)
        retry_at = utc_now() + timedelta(seconds=again_s) if gaps and again_s is not None else None
        await folder.show_next_try(retry_at)

    async def _take_history(self, chosen: Chosen) -> None:
        try:
            folder = await self._open(chosen)
            await folder.take_new()
            await folder.take_history(until=monotonic_s() + TURN_S)
        except Refused as error:
            self.standing.caught_up(chosen)
            self._refused(chosen, error)
            return
        await self._note_gaps(folder)
        # Where the line ends before this, it is this folder's turn again on the next one.
        self.standing.caught_up(chosen)
        if folder.lacks_history:
            self.standing.put_behind(chosen)
        else:
            await folder.forget_old_epochs()
            # The next poll looks once more: gaps may have been found.
            self.standing.forget([chosen.name])

    # What people want

    async def _carry_out_by_turns(self) -> bool:
        """Carry out wishes, not beside a second connection that begins meanwhile."""
        if self.part != "all":
            return await self._carry_out_wishes()
        async with self.others:
            return await self._carry_out_wishes()

    async def _carry_out_wishes(self) -> bool:
        """Do what is wished and due in our folders; tell whether another folder than before may be selected now."""
        now, mailbox_id = utc_now(), self.intake.mailbox_id
        async with self.db.read() as conn:
            due = await flags.due(conn, mailbox_id, now=now)
        if not due:
            return False
        chosen, inbox_id = await self._chosen_by_id()
        # A wish about what lies in no folder that is read belongs to the session that reads the rest.
        mine = [one for one in due if self.part == "all" or (one.folder_id == inbox_id) == (self.part == "inbox")]
        # What another connection has yet to do is not to rest because this one has done its share.
        waits_elsewhere = {one.message_id for one in due if one not in mine and one.has_it is not one.wanted}
        due = [one for one in mine if one.message_id not in waits_elsewhere or one.has_it is not one.wanted]
        if not due:
            return False
        tried: set[int] = {one.message_id for one in due} - waits_elsewhere
        by_folder: dict[int, list[flags.Task]] = defaultdict(list)
        for task in flags.plan(due):
            by_folder[task.folder_id].append(task)
        for folder_id, tasks in by_folder.items():
            if folder_id not in chosen:
                continue
            try:
                folder = await self._open(chosen[folder_id])
                await self._take(folder, is_news=False)
                refused = await folder.carry_out(tasks)
            except Refused as error:
                refused = error.message
            if refused:
                self.standing.fail(chosen[folder_id].name, Problem("flags", f"flags cannot be changed: {refused}"))
                tried |= {one.message_id for one in due if one.folder_id == folder_id}
        if tried:
            async with self.db.begin() as conn:
                await flags.rest(conn, tried, now=now)
        return True

    async def _chosen_by_id(self) -> tuple[dict[int, Chosen], int]:
        """The folders that are read by their rows' ids, and the id of INBOX."""
        by_name = {one.name: one for one in (*self.standing.choice.folders, _INBOX)}
        query = sa.select(folders.c.id, folders.c.name).where(folders.c.mailbox_id == self.intake.mailbox_id)
        async with self.db.read() as conn:
            rows = (await conn.execute(query)).all()
        chosen = {row.id: by_name[row.name] for row in rows if row.name in by_name}
        return chosen, next((row.id for row in rows if row.name == _INBOX.name), 0)


async def _either(*waits: Coroutine[Any, Any, Any]) -> None:
    """Wait for the first of several; the others are let go."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
