"""One mailbox at work: connect, catch up, then wait in IDLE and take what comes; and again after each failure.

The work of a connection is `session`'s: one stays in INBOX, so that new mail is seen at once, and `second_line` reads
all other folders. Decides how long to wait and when to give up. Invariants: a line that fails
is followed by another after a growing, jittered pause; a refused password is not tried again, since servers lock
accounts; what the reader stores never depends on what it did in an earlier life but through the stored cursors.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NoReturn

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.linking import Linker
from hub.errors import HubError, Unavailable
from hub.mail.imap.connection import ImapConnection, connected
from hub.mail.intake.intake import MailIntake
from hub.mail.intake.preparing import ReplyKey
from hub.mail.models import mailboxes
from hub.mail.sync.fetching import Trouble
from hub.mail.sync.pauses import Pauses
from hub.mail.sync.second_line import Manners, SecondLine
from hub.mail.sync.session import MailSession
from hub.mail.sync.standing import Part, Standing
from hub.periodic import Loop
from hub.settings import Mailbox
from hub.store import outages
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.engine import Database

log = logging.getLogger(__name__)

SENT_EVERY = timedelta(seconds=60)
LOOK_EVERY_S = 15.0
PROBLEMS_AT_MOST = 100


class MailboxReader:
    """Reads one mailbox for ever. `parsers` is where big messages are parsed."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        linker: Linker,
        mailbox: Mailbox,
        mailbox_id: int,
        parsers: Executor,
        *,
        reply_key: ReplyKey | None = None,
    ) -> None:
        self._db, self._blobs, self._linker = db, blobs, linker
        self._mailbox, self._mailbox_id, self._parsers = mailbox, mailbox_id, parsers
        self._reply_key = reply_key
        self._trouble, self._standing, self._manners = Trouble(), Standing(), Manners()

    async def run(self) -> None:
        """Keep the mailbox in step until cancelled, or until its sign-in is refused: `keeper` decides what then."""
        pauses = Pauses()
        with self._db.loops.loop(f"mailbox.{self._mailbox_id}.reader") as loop:
            while True:
                began = asyncio.get_running_loop().time()
                error = await loop.retry(partial(self._live_until_lost, loop))
                if error.code == "auth_refused":
                    await self._show("auth_refused", error.message)
                    return
                pause_s = pauses.after(error, lasted_s=asyncio.get_running_loop().time() - began)
                await self._show("down", error.message, retry_s=pause_s)
                await asyncio.sleep(pause_s)

    async def _live_until_lost(self, loop: Loop) -> HubError:
        """Return why the mail server's connection ended. Raises Unavailable where the database is away instead.

        That says nothing of the mail server, so it must not make its pauses grow.
        """
        try:
            await self._live(loop)
        except HubError as error:
            if error.code == outages.CODE:
                raise
            return error

    async def _live(self, loop: Loop) -> NoReturn:
        """Live through one connection; ends only by an error."""
        # The database first: while it is away, nobody signs in again and again for nothing.
        intake, first_look = await self._intake(), await self._first_look()
        loop.succeeded()
        async with connected(self._mailbox.imap) as imap:
            session = self._session(imap, intake, first_look, "inbox")
            others = SecondLine(
                self._mailbox.imap,
                session,
                lambda line: self._session(line, intake, first_look, "rest"),
                self._show_problems,
                self._manners,
                watch_for=SENT_EVERY,
                look_every_s=LOOK_EVERY_S,
            )
            rest = asyncio.create_task(others.run(), name=f"mailbox {self._mailbox.address} folders")
            try:
                while not rest.done():
                    is_behind = await session.catch_up()
                    await self._show("up", "")
                    if not is_behind:
                        await session.watch(at_most=SENT_EVERY, look_every_s=LOOK_EVERY_S)
                rest.result()
                raise Unavailable("imap_lost", "the connection for folders ended")
            except HubError:
                others.first_line_ended()
                raise
            finally:
                rest.cancel()
                await asyncio.gather(rest, return_exceptions=True)

    def _session(self, imap: ImapConnection, intake: MailIntake, first_look: datetime, part: Part) -> MailSession:
        box = self._mailbox
        return MailSession(
            self._db,
            imap,
            intake,
            self._trouble,
            first_look,
            box.history_days,
            wanted=box.folders,
            part=part,
            standing=self._standing,
        )

    async def _intake(self) -> MailIntake:
        async with self._db.read() as conn:
            query = sa.select(mailboxes.c.team_id, mailboxes.c.owner_id).where(mailboxes.c.id == self._mailbox_id)
            box = (await conn.execute(query)).one()
        stores = (self._db, self._blobs, self._linker)
        mine = {"owner_id": box.owner_id, "reply_key": self._reply_key}
        return MailIntake(*stores, self._mailbox_id, box.team_id, self._parsers, **mine)

    async def _first_look(self) -> datetime:
        """When Hub first saw this mailbox: what came before is history."""
        mine = mailboxes.c.id == self._mailbox_id
        async with self._db.begin() as conn:
            unseen = sa.update(mailboxes).where(mine, mailboxes.c.first_synced_at.is_(None))
            await conn.execute(unseen.values(first_synced_at=utc_now()))
            at: datetime = (await conn.execute(sa.select(mailboxes.c.first_synced_at).where(mine))).scalar_one()
        return at

    async def _show(self, state: str, error: str, *, retry_s: float | None = None) -> None:
        """Write the mailbox's health; tell the pages when it changed. `retry_s`: when it is tried again."""
        now = utc_now()
        if state != "up":
            log.warning("mailbox %s is %s: %s", self._mailbox.address, state, error)
        mine = mailboxes.c.id == self._mailbox_id
        values: dict[str, Any] = {"state": state, "error": error[:300]}
        if state == "up":
            values |= self._problems()
        # Since when it is as it is: a mailbox that stays down keeps the time it went down at.
        since = sa.case((mailboxes.c.state == state, sa.func.coalesce(mailboxes.c.error_at, now)), else_=now)
        values |= {"seen_at": now, "error_at": None} if state == "up" else {"error_at": since}
        values["retry_at"] = None if retry_s is None else now + timedelta(seconds=retry_s)
        try:
            async with self._db.begin() as conn:
                before = (await conn.execute(sa.select(mailboxes.c.state).where(mine))).scalar_one()
                await conn.execute(sa.update(mailboxes).where(mine).values(**values))
                if before != state:
                    await publish(conn, "mailbox", self._mailbox_id, at=now, data={"state": state})
        except Unavailable as unavailable:
            log.warning("mailbox %s: its state could not be stored: %s", self._mailbox.address, unavailable)

    def _problems(self) -> dict[str, Any]:
        """What is wrong with folders, as columns."""
        found = self._standing.problems
        told = [{"folder": name, "kind": one.kind, "said": one.said[:200]} for name, one in found.items()]
        words = "; ".join(f"{name}: {one.said}" for name, one in found.items())
        return {"error": words[:300], "problems": told[:PROBLEMS_AT_MOST]}

    async def _show_problems(self) -> None:
        """Tell what is wrong with folders, while the mailbox is up."""
        values = self._problems()
        mine = sa.update(mailboxes).where(mailboxes.c.id == self._mailbox_id, mailboxes.c.state == "up")
        other = sa.or_(mailboxes.c.error != values["error"], mailboxes.c.problems.is_(None))
        async with self._db.begin() as conn:
            if (await conn.execute(mine.where(other).values(**values))).rowcount:
                await publish(conn, "mailbox", self._mailbox_id, at=utc_now(), data={"state": "up"})
