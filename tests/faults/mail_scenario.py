"""A mailbox brought in step with its server, once, as a process that may be killed at any point; and what is checked.

`python -m tests.faults.mail_scenario DATABASE BLOBS PORT USER` is one life of the reader's session.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.crm.linking import Linker
from hub.crm.models import leads
from hub.mail.imap.connection import ImapConnection, connected
from hub.mail.imap.grammar import folder_bytes
from hub.mail.intake.intake import MailIntake
from hub.mail.models import flag_wishes, folders, locations, mailboxes, messages
from hub.mail.sync import flags
from hub.mail.sync.deltas import plain
from hub.mail.sync.fetching import Trouble
from hub.mail.sync.session import MailSession
from hub.settings import MailServer, Secret
from hub.store.blobs import BlobStore
from hub.store.engine import Database, open_database
from tests.factories import mail
from tests.testbed.dovecot import PASSWORD

FIRST_LOOK = datetime(2026, 1, 1, tzinfo=UTC)
FOLDERS = ("INBOX", "Архив", "Заказы", "Проект")
SENDERS = ("irina@romashka.test", "oleg@vasilek.test", "anna@mak.test")
Shown = dict[tuple[str, int], tuple[str, tuple[str, ...]]]
"""Subject and flags by folder and UID."""


async def found_mailbox(db: Database) -> None:
    """Make the team and its mailbox."""
    async with db.begin() as conn:
        team_id = await people.ensure_team(conn, "sales", now=utc_now())
        row = {"address": "sales@hub.test", "team_id": team_id, "created_at": utc_now()}
        await conn.execute(mailboxes.insert().values(**row))


async def keep_in_step(db: Database, blobs: BlobStore, server: MailServer) -> None:
    """One connection's work until all folders stand as they were last seen. Raises what ends the line."""
    async with db.read() as conn:
        box = (await conn.execute(sa.select(mailboxes))).one()
    linker = Linker("RU", frozenset(), frozenset({"sales@hub.test"}))
    intake = MailIntake(db, blobs, linker, box.id, box.team_id, ThreadPoolExecutor(1))
    async with connected(server) as imap:
        session = MailSession(db, imap, intake, Trouble(), FIRST_LOOK, 0)
        for _ in range(2):
            while await session.catch_up():
                pass
            session._polled_at = 0.0
        await session.watch(at_most=timedelta(seconds=0), look_every_s=0)


class OtherPrograms:
    """Two mail programs that work in the mailbox, each on a line of its own."""

    def __init__(self, server: MailServer) -> None:
        self.server, self.serial = server, 0

    async def prepare(self) -> None:
        async with connected(self.server) as imap:
            for name in FOLDERS[1:]:
                await imap.ask(b"CREATE " + folder_bytes(name))
            for n in range(6):
                await self._put(imap, FOLDERS[n % 3])

    async def number_anew(self) -> None:
        """Make a folder again: another UIDVALIDITY, messages that were seen in the last one, and a new one."""
        async with connected(self.server) as imap:
            await imap.ask(b"DELETE " + folder_bytes("Проект"))
            await imap.ask(b"CREATE " + folder_bytes("Проект"))
            for n in (10_001, 10_002):
                await self._put(imap, "Проект", n)
            await self._put(imap, "Проект")

    async def _put(self, imap: ImapConnection, folder: str, known: int = 0) -> None:
        self.serial += not known
        n = known or self.serial
        sender = SENDERS[n % len(SENDERS)]
        raw = mail(sender, message_id=f"<{n}@other.test>", subject=f"s{n}", body=f"text {n}\r\n" * 50)
        await imap.append(folder, raw, flags=["\\Seen"] if n % 2 else [], at=datetime.now(UTC))

    async def work(self) -> None:
        """Append, move, flag and delete, both at once."""
        await asyncio.gather(self._come_and_go(), self._sort_and_mark())

    async def _come_and_go(self) -> None:
        async with connected(self.server) as imap:
            await self._put(imap, "INBOX")
            await self._put(imap, "Архив")
            await imap.select("Архив")
            if oldest := (await imap.uids())[:-3]:
                await imap.ask(b"UID STORE %d +FLAGS (\\Deleted)" % oldest[0])
                await imap.ask(b"EXPUNGE")

    async def _sort_and_mark(self) -> None:
        async with connected(self.server) as imap:
            await imap.select("INBOX")
            uids = await imap.uids()
            if len(uids) > 2:
                await imap.ask(b"UID MOVE %d " % uids[0] + folder_bytes("Архив"))
                await imap.ask(b"UID STORE %d %s (\\Flagged)" % (uids[1], b"+FLAGS" if self.serial % 3 else b"-FLAGS"))
            await self._put(imap, "Заказы")


async def on_server(server: MailServer) -> Shown:
    found: Shown = {}
    async with connected(server) as imap:
        for folder in FOLDERS:
            await imap.select(folder)
            for one in await imap.fetch(await imap.uids()):
                subject = one.raw.split(b"Subject: ", 1)[1].split(b"\r\n", 1)[0].decode()
                found[folder, one.uid] = (subject, plain(one.flags))
    return found


async def in_hub(db: Database) -> Shown:
    query = sa.select(folders.c.name, locations.c.uid, locations.c.flags, messages.c.subject)
    async with db.read() as conn:
        rows = await conn.execute(query.select_from(locations.join(folders).join(messages)))
        return {(row.name, row.uid): (row.subject, tuple(row.flags)) for row in rows}


async def check(db: Database, server: MailServer, *, what: str) -> None:
    """Hub has what the server has, each message once, and no lead more than senders, none counted twice."""
    theirs, ours = await on_server(server), await in_hub(db)
    assert ours == theirs, what
    async with db.read() as conn:
        known = (await conn.execute(sa.select(messages))).all()
        lies = set((await conn.execute(sa.select(locations.c.message_id))).scalars())
        counted = {row.address: row.times for row in await conn.execute(sa.select(leads))}
        wishes = (await conn.execute(sa.select(sa.func.count()).select_from(flag_wishes))).scalar()
    assert max(Counter(row.subject for row in known).values()) == 1, what
    assert {row.id for row in known if row.deleted_at is None} == lies, what
    assert counted == Counter(row.from_address for row in known), what
    assert wishes == 0, what


async def wish_something(db: Database, *, serial: int) -> None:
    """Have a person mark the newest message that Hub knows to lie somewhere."""
    async with db.begin() as conn:
        newest = sa.select(locations.c.message_id).order_by(locations.c.message_id.desc()).limit(1)
        message_id = (await conn.execute(newest)).scalar()
        box = (await conn.execute(sa.select(mailboxes.c.id))).scalar_one()
        if message_id is not None:
            await flags._write(conn, box, message_id, "answered", bool(serial % 2), now=utc_now())


async def main(*words: str) -> None:
    url, directory, port, user = words
    server = MailServer(host="127.0.0.1", port=int(port), tls="none", username=user, password=Secret(PASSWORD))
    db: Any = open_database(url)
    try:
        await keep_in_step(db, BlobStore(Path(directory)), server)
    finally:
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
