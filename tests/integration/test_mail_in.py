"""A mailbox at work: what comes is on the card within two seconds, whatever happens to the line.

Against a real Dovecot and against the demo's own server; on both databases.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, people, queue, timeline
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.demo.mail import running_mail
from hub.mail import register
from hub.mail.imap.connection import connected
from hub.mail.models import locations, mailboxes
from hub.mail.sync.reader import MailboxReader
from hub.settings import Mailbox, MailServer, Secret
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import leads_of, mail
from tests.testbed.dovecot import Dovecot, running_dovecot
from tests.testbed.proxy import running_proxy
from tests.testbed.waiting import wait_for, wait_for_next_second

pytestmark = pytest.mark.either_database

BOX = "sales@hub.test"


class Peer:
    """A mail server as the tests use it."""

    imap: MailServer

    async def deliver(self, raw: bytes, folder: str = "INBOX") -> None:
        raise NotImplementedError


class DovecotPeer(Peer):
    def __init__(self, dovecot: Dovecot) -> None:
        self.dovecot, self.imap = dovecot, dovecot.server(BOX)

    async def deliver(self, raw: bytes, folder: str = "INBOX") -> None:
        self.dovecot.deliver(BOX, raw, folder=folder)


class DemoPeer(Peer):
    def __init__(self, demo: Any) -> None:
        self.demo, self.imap = demo, demo.mailbox(BOX, team="sales").imap

    async def deliver(self, raw: bytes, folder: str = "INBOX") -> None:
        await self.demo.deliver(raw, to=BOX, folder=folder)


@pytest.fixture(params=["demo", pytest.param("dovecot", marks=pytest.mark.dovecot)])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    if request.param == "demo":
        async with running_mail([BOX]) as demo:
            yield DemoPeer(demo)
    else:
        async with running_dovecot(BOX) as dovecot:
            yield DovecotPeer(dovecot)


class Office:
    """A team with one mailbox, whose reader runs."""

    def __init__(self, db: Database, blobs: BlobStore, imap: MailServer, *, folders: tuple[str, ...] = ()) -> None:
        self.db, self.blobs, self.imap, self.folders = db, blobs, imap, folders
        self._task: asyncio.Future[None] | None = None

    async def open(self) -> None:
        async with self.db.begin() as conn:
            user_id = await people.add_user(
                conn,
                email="anna@hub.test",
                name="Анна",
                role="manager",
                password_hash="x",
                team_names=["sales"],
                now=utc_now(),
            )
            actor = await load_actor(conn, user_id)
            assert actor
            self.actor: Actor = actor
            (team_id,) = actor.team_ids
            made = mailboxes.insert().values(address=BOX, team_id=team_id, created_at=utc_now())
            self.mailbox_id = (await conn.execute(made.returning(mailboxes.c.id))).scalar_one()

    async def start(self) -> None:
        box = Mailbox(address=BOX, team="sales", imap=self.imap, smtp=self.imap, folders=self.folders)
        linker = Linker("RU", frozenset(), frozenset({BOX}))
        reader = MailboxReader(self.db, self.blobs, linker, box, self.mailbox_id, ThreadPoolExecutor(1))
        self._task = asyncio.ensure_future(reader.run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def until_state(self, state: str) -> None:
        async def reached() -> bool:
            async with self.db.read() as conn:
                return (await conn.execute(sa.select(mailboxes.c.state))).scalar() == state

        await wait_for(reached, what=f"the mailbox is {state}", deadline_s=20)

    async def messages(self) -> list[register.MessageRow]:
        async with self.db.read() as conn:
            return await register.listed(conn, self.actor, register.MessageFilters(), limit=500)

    async def until(
        self, check: Callable[[list[register.MessageRow]], bool], what: str, deadline_s: float = 20
    ) -> None:
        async def holds() -> bool:
            return check(await self.messages())

        await wait_for(holds, what=what, deadline_s=deadline_s)

    async def waiting(self) -> list[queue.Item]:
        async with self.db.read() as conn:
            return await queue.listed(conn, self.actor, state="waiting")


@asynccontextmanager
async def running_office(db: Database, blobs: BlobStore, imap: MailServer) -> AsyncIterator[Office]:
    office = Office(db, blobs, imap)
    await office.open()
    await office.start()
    try:
        yield office
    finally:
        await office.stop()


async def test_a_mail_of_a_known_address_is_on_the_card_within_two_seconds(
    db: Database, blobs: BlobStore, peer: Peer
) -> None:
    async with running_office(db, blobs, peer.imap) as office:
        async with db.begin() as conn:
            client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
            await clients.add_address(conn, None, client_id, kind="email", raw="irina@romashka.test", now=utc_now())
        await office.until_state("up")

        async def on_card() -> list[timeline.Entry]:
            async with db.read() as conn:
                return await timeline.page(conn, None, client_id)

        for n in range(3):
            began = time.monotonic()
            await peer.deliver(mail(message_id=f"<{n}@romashka.test>"))

            async def come(n: int = n) -> bool:
                return len(await on_card()) == n + 1

            await wait_for(come, what="the mail is on the card", deadline_s=5)
            assert time.monotonic() - began < 2
        assert len(await office.waiting()) == 3


async def test_strangers_become_leads_once(db: Database, blobs: BlobStore, peer: Peer) -> None:
    async with running_office(db, blobs, peer.imap) as office:
        await office.until_state("up")
        for n in range(3):
            await peer.deliver(mail(message_id=f"<{n}@romashka.test>"))
        await office.until(lambda found: len(found) == 3, "three mails")
        async with db.read() as conn:
            (lead,) = await leads_of(conn, office.actor)
        assert (lead.address, lead.times) == ("irina@romashka.test", 3)


async def test_what_was_there_before_is_history_and_what_comes_meanwhile_is_not(
    db: Database, blobs: BlobStore, peer: Peer
) -> None:
    for n in range(120):
        await peer.deliver(mail(message_id=f"<old{n}@romashka.test>", subject=f"old {n}"))
    await wait_for_next_second()
    async with running_office(db, blobs, peer.imap) as office:
        await office.until_state("up")
        await peer.deliver(mail(message_id="<new@romashka.test>", subject="new"))
        await office.until(lambda found: len(found) == 121, "all mails", deadline_s=40)
        (item,) = await office.waiting()
        assert item.data["subject"] == "new"


async def test_a_restarted_reader_takes_nothing_twice(db: Database, blobs: BlobStore, peer: Peer) -> None:
    async with running_office(db, blobs, peer.imap) as office:
        await office.until_state("up")
        await peer.deliver(mail())
        await office.until(lambda found: len(found) == 1, "one mail")
        await office.stop()
        await peer.deliver(mail(message_id="<2@romashka.test>"))
        await office.start()
        await office.until(lambda found: len(found) == 2, "two mails")
        async with db.read() as conn:
            assert (await conn.execute(sa.select(sa.func.count()).select_from(locations))).scalar() == 2


async def test_a_line_cut_again_and_again_loses_nothing_and_doubles_nothing(
    db: Database, blobs: BlobStore, peer: Peer
) -> None:
    for n in range(60):
        await peer.deliver(mail(message_id=f"<{n}@romashka.test>", body="x" * 2000))
    async with running_proxy(peer.imap.port, cut_after_bytes=[900, 900, 3_000, 3_000, 12_000]) as proxy:
        imap = msgspec.structs.replace(peer.imap, port=proxy.port)
        async with running_office(db, blobs, imap) as office:
            await office.until(lambda found: len(found) == 60, "all mails", deadline_s=60)
            assert proxy.cuts >= 3
            assert len({m.message_id for m in await office.messages()}) == 60


async def test_a_wrong_password_stops_and_says_so(db: Database, blobs: BlobStore, peer: Peer) -> None:
    wrong = msgspec.structs.replace(peer.imap, password=Secret("wrong"))
    async with running_office(db, blobs, wrong) as office:
        await office.until_state("auth_refused")


@pytest.mark.dovecot
async def test_a_new_uidvalidity_makes_no_duplicate_and_no_second_lead(db: Database, blobs: BlobStore) -> None:
    async with running_dovecot(BOX) as dovecot, running_office(db, blobs, dovecot.server(BOX)) as office:
        await office.until_state("up")
        for n in range(3):
            dovecot.deliver(BOX, mail(message_id=f"<{n}@romashka.test>"))
        await office.until(lambda found: len(found) == 3, "three mails")
        await office.stop()
        await dovecot.stop()
        dovecot.renumber(BOX)
        await dovecot.start()
        dovecot.deliver(BOX, mail(message_id="<after@romashka.test>"))
        await office.start()
        await office.until(lambda found: len(found) == 4, "the new one too")
        async with db.read() as conn:
            (lead,) = await leads_of(conn, office.actor)
        assert lead.times == 4


async def test_an_answer_sent_from_another_program_is_on_record_as_sent(
    db: Database, blobs: BlobStore, peer: Peer
) -> None:
    answer = mail(BOX, message_id="<a@hub.test>", to="irina@romashka.test")
    async with connected(peer.imap) as imap:
        await imap.append("Sent", answer, flags=["\\Seen"], at=datetime.now(UTC))
    async with running_office(db, blobs, peer.imap) as office:
        await office.until(lambda found: len(found) == 1, "the sent mail")
        (message,) = await office.messages()
        assert (message.direction, message.state) == ("out", "sent")
