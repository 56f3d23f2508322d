"""One connection to a mailbox at work: which folder is looked into when, and how long INBOX is listened to.

What is done in a folder is `folder`'s. New mail of all folders goes before anybody's history, INBOX before the rest,
and a folder that stands as it stood is not opened. Invariants: a folder other than INBOX that cannot be opened stops
nothing and is named in `problems`; with nothing new, nothing is asked but how the folders stand.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hub.clock import utc_now
from hub.errors import Refused
from hub.mail.imap.asking import Folder, Status
from hub.mail.imap.connection import ImapConnection
from hub.mail.intake.intake import MailIntake
from hub.mail.models import folders
from hub.mail.sync import flags, places
from hub.mail.sync.choice import Choice, Chosen, choose
from hub.mail.sync.fetching import Trouble
from hub.mail.sync.folder import OpenFolder, Reach, Work, open_folder
from hub.store.engine import Database
from hub.store.upsert import insert

log = logging.getLogger(__name__)

FIRST_LOOK_S = 1.0
TURN_S = 2.0
"""So long history or a comparison is worked on before somebody looks whether new mail has come."""
POLL_EVERY_S = 55.0
"""How often it is asked how all folders stand."""
VISIT_EVERY_S = 300.0
"""Without modification sequences a status does not tell of flags: then a folder is opened now and again."""


_UNSEEN: dict[str, Any] = {
    "uidvalidity": None,
    "high_uid": 0,
    "low_uid": None,
    "highestmodseq": None,
    "gaps": [],
    "on_server": 0,
    "is_chosen": False,
}


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
    _failing: dict[str, str] = field(default_factory=dict)
    _choice: Choice = field(default_factory=lambda: Choice((), {}))
    _reaches: dict[tuple[int, int], Reach] = field(default_factory=dict)
    _statuses: dict[str, Status] = field(default_factory=dict)
    """How each folder stood when its last visit began."""
    _visited_at: dict[str, float] = field(default_factory=dict)
    _polled_at: float | None = None
    _behind: list[Chosen] = field(default_factory=list)
    """Folders whose history is missing; the first has its turn next."""
    _work: Work = field(init=False)

    def __post_init__(self) -> None:
        self._work = Work(self.db, self.imap, self.intake, self.trouble, self.first_look, self.history_days)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with a folder, by its name; empty when all is well."""
        return self._choice.problems | self._failing

    async def catch_up(self) -> bool:
        """Take all new mail of all folders and a turn of history; tell whether history is missing."""
        loop = asyncio.get_running_loop()
        if self._polled_at is None:
            await self.imap.enable_changes()
            await self._mend()
        if self._polled_at is None or loop.time() - self._polled_at >= POLL_EVERY_S:
            self._polled_at = loop.time()
            await self._poll()
        else:
            # Between two turns of history only INBOX is asked for.
            inbox = self._choice.folders[0]
            status = await self.imap.status(inbox.name)
            if status != self._statuses.get(inbox.name):
                await self._visit(inbox, status)
        await self._carry_out_wishes()
        if self._behind:
            await self._take_history(self._behind.pop(0))
        return bool(self._behind)

    async def watch(self, *, at_most: timedelta, look_every_s: float) -> None:
        """Stay in INBOX for `at_most` and take what comes. Ends early when there is history to take."""
        loop = asyncio.get_running_loop()
        until = loop.time() + at_most.total_seconds()
        inbox = await self._open(self._choice.folders[0])
        await self._take(inbox, is_news=False)
        if inbox.lacks_history:
            # The server began to number anew.
            self._behind.append(inbox.chosen)
        silence_s = FIRST_LOOK_S
        with self.db.bus.subscribe(flags.TOPIC) as hints:
            while (left_s := until - loop.time()) > 0 and not inbox.lacks_history:
                # Some servers do not tell in IDLE what came just before it began, so silence is not believed for long,
                # and least of all at first.
                wait = timedelta(seconds=min(left_s, look_every_s, silence_s))
                silence_s = min(2 * silence_s, look_every_s)
                is_news = await self.imap.idle(at_most=wait, or_until=lambda: hints.wait(at_most_s=3600))
                await inbox.take_new()
                if is_news:
                    silence_s = FIRST_LOOK_S
                    await inbox.take_changes(is_news=True)
                    if inbox.must_compare:
                        await inbox.compare(until=loop.time() + TURN_S)
                if await self._carry_out_wishes():
                    inbox = await self._open(inbox.chosen)
                    await self._take(inbox, is_news=False)

    # Which folders

    async def _poll(self) -> None:
        """See which folders there are and how they stand; visit those that stand otherwise than before."""
        listed, statuses = await self.imap.list_with_status()
        choice = choose(listed, self.wanted)
        if choice != self._choice:
            for name, what in choice.problems.items():
                log.warning("folder %s: %s", name, what)
            await self._store_choice(choice)
            self._choice = choice
            self._failing = {name: why for name, why in self._failing.items() if name in _names(choice)}
        for chosen in choice.folders:
            try:
                status = statuses.get(chosen.name) or await self.imap.status(chosen.name)
                if self._is_due(chosen, status):
                    await self._visit(chosen, status)
            except Refused as error:
                if chosen.name == "INBOX":
                    raise
                self._fail(chosen.name, error.message)
        if not self._behind:
            await self._forget_missing(listed)

    def _is_due(self, chosen: Chosen, status: Status) -> bool:
        if self._statuses.get(chosen.name) != status or chosen.name in self._failing:
            return True
        since = asyncio.get_running_loop().time() - self._visited_at[chosen.name]
        return since >= VISIT_EVERY_S and not (status.highestmodseq and self.imap.has_qresync)

    def _fail(self, name: str, why: str) -> None:
        if self._failing.get(name) != why:
            log.warning("folder %s: %s", name, why)
        self._failing[name] = why

    async def _store_choice(self, choice: Choice) -> None:
        mailbox_id = self.intake.mailbox_id
        async with self.db.begin() as conn:
            mine = sa.update(folders).where(folders.c.mailbox_id == mailbox_id, folders.c.name.not_in(_names(choice)))
            await conn.execute(mine.values(is_chosen=False))
            for one in choice.folders:
                values = {"role": one.role, "is_chosen": True}
                row = insert(conn, folders).values(mailbox_id=mailbox_id, name=one.name, gaps=[], **values)
                await conn.execute(row.on_conflict_do_update(index_elements=["mailbox_id", "name"], set_=values))

    async def _forget_missing(self, listed: list[Folder]) -> None:
        """What lay in a folder that the server has no more lies nowhere; where it was renamed, it was found again."""
        there = {one.name for one in listed if one.selectable}
        if not there:
            return
        query = sa.select(folders.c.id, folders.c.name).where(
            folders.c.mailbox_id == self.intake.mailbox_id, folders.c.uidvalidity.is_not(None)
        )
        async with self.db.read() as conn:
            known = (await conn.execute(query)).all()
        for row in known:
            if row.name in there or row.name == "INBOX":
                continue
            more = 1
            while more:
                async with self.db.begin() as conn:
                    more = await places.forget(conn, row.id, but_epoch=None, now=utc_now())
                    if not more:
                        await conn.execute(sa.update(folders).where(folders.c.id == row.id).values(**_UNSEEN))
            log.info("folder %s is no longer on the server", row.name)

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
        await folder.retry_gaps()
        if folder.must_compare:
            await folder.compare(until=asyncio.get_running_loop().time() + TURN_S)
        await folder.forget_old_epochs()
        if folder.lacks_history and chosen not in self._behind:
            self._behind.append(chosen)
        self._settle(folder, status)

    async def _take(self, folder: OpenFolder, *, is_news: bool) -> None:
        await folder.take_new()
        await folder.take_changes(is_news=is_news)

    def _settle(self, folder: OpenFolder, status: Status) -> None:
        """Note how a visit ended; one that left something undone is repeated."""
        name = folder.chosen.name
        self._visited_at[name] = asyncio.get_running_loop().time()
        if folder.cursor.gaps or folder.must_compare:
            self._statuses.pop(name, None)
        else:
            self._statuses[name] = status
        self._note_gaps(folder)

    def _note_gaps(self, folder: OpenFolder) -> None:
        if folder.cursor.gaps:
            self._fail(folder.chosen.name, f"{len(folder.cursor.gaps)} messages cannot be fetched")
        else:
            self._failing.pop(folder.chosen.name, None)

    async def _take_history(self, chosen: Chosen) -> None:
        try:
            folder = await self._open(chosen)
            await folder.take_new()
            await folder.take_history(until=asyncio.get_running_loop().time() + TURN_S)
        except Refused as error:
            if chosen.name == "INBOX":
                raise
            self._fail(chosen.name, error.message)
            return
        self._note_gaps(folder)
        if folder.lacks_history:
            self._behind.append(chosen)
        else:
            await folder.forget_old_epochs()
            # The next poll looks once more: gaps may have been found.
            self._statuses.pop(chosen.name, None)

    # What people want

    async def _carry_out_wishes(self) -> bool:
        """Do what is wished and due; tell whether another folder than before may be selected now."""
        now, mailbox_id = utc_now(), self.intake.mailbox_id
        async with self.db.read() as conn:
            due = await flags.due(conn, mailbox_id, now=now)
        if not due:
            return False
        by_folder: dict[int, list[flags.Task]] = defaultdict(list)
        for task in flags.plan(due):
            by_folder[task.folder_id].append(task)
        chosen = await self._chosen_by_id()
        for folder_id, tasks in by_folder.items():
            if folder_id not in chosen:
                continue
            try:
                folder = await self._open(chosen[folder_id])
                await self._take(folder, is_news=False)
                if refused := await folder.carry_out(tasks):
                    self._fail(folder.chosen.name, f"flags cannot be changed: {refused}")
            except Refused as error:
                self._fail(chosen[folder_id].name, error.message)
        async with self.db.begin() as conn:
            await flags.rest(conn, {one.message_id for one in due}, now=now)
        return True

    async def _chosen_by_id(self) -> dict[int, Chosen]:
        by_name = {one.name: one for one in self._choice.folders}
        query = sa.select(folders.c.id, folders.c.name).where(folders.c.mailbox_id == self.intake.mailbox_id)
        async with self.db.read() as conn:
            rows = (await conn.execute(query)).all()
        return {row.id: by_name[row.name] for row in rows if row.name in by_name}


def _names(choice: Choice) -> list[str]:
    return [one.name for one in choice.folders]
