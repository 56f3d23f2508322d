"""Mail servers that behave badly: no message is given up, none is made up, nothing is stopped, nobody is stormed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.mail import health
from hub.mail.imap.connection import ImapConnection
from hub.mail.models import folders, mailboxes
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import mail
from tests.fakes.imap_server import Cut, FakeImapServer, fake_imap, uids_of
from tests.integration.test_mail_in import Office, running_office
from tests.integration.test_mail_in_faults import gaps, numbered
from tests.testbed.waiting import wait_for

pytestmark = [pytest.mark.parametrize("db_url", ["sqlite"], indirect=True), pytest.mark.either_database]
"""What a server says has nothing to do with where Hub stores it."""


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.mail.sync.pauses.FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr("hub.mail.sync.trouble.FIRST_REST_S", 0.2)


def asks_for(command: bytes, uid: int) -> bool:
    return b"BODY.PEEK" in command and uid in uids_of(command)


def without(server: FakeImapServer, command: bytes, blank: set[int], literal: bytes) -> bytes:
    """The usual rows, but for `blank`, of which the text is `literal`."""
    inbox = server.folders["INBOX"]
    rows = []
    for uid in sorted(uids_of(command) & set(inbox.messages)):
        if uid in blank:
            rows.append(
                b'* 1 FETCH (UID %d FLAGS () INTERNALDATE "%s" BODY[] %s)\r\n' % (uid, inbox.internaldate, literal)
            )
        else:
            rows.append(server._row(uid, command, inbox))
    return b"".join(rows)


async def health_of(office: Office) -> health.Health:
    async with office.db.read() as conn:
        return await health.of_one(conn, office.actor, office.mailbox_id, now=utc_now())


# A message is never given up


async def test_a_message_cut_in_its_literal_three_times_comes_without_a_restart(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        for n in range(1, 8):
            server.deliver(n, numbered(n))
        cuts: list[bytes] = []

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if not asks_for(command, 4) or len(cuts) >= 3:
                return None
            cuts.append(command)
            return Cut(server.usual(command)[:-20])

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 7, "all of them", deadline_s=30)
            assert len(cuts) == 3
            await wait_for(lambda: _has_no_gaps(db), what="no gap is left")


async def _has_no_gaps(db: Database) -> bool:
    return await gaps(db) == []


@pytest.mark.parametrize(
    "answer", [b"* BYE Internal error", b"* BYE Server shutting down", b"* BYE [UNAVAILABLE] backend is away"]
)
async def test_six_goodbyes_at_fetch_leave_nothing_out(db: Database, blobs: BlobStore, answer: bytes) -> None:
    async with fake_imap() as server:
        for n in range(1, 8):
            server.deliver(n, numbered(n))
        left = [answer] * 6
        server.instead = lambda tag, command: Cut(left.pop() + b"\r\n") if b"BODY.PEEK" in command and left else None
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 7, "all of them", deadline_s=30)
            await wait_for(lambda: _has_no_gaps(db), what="no gap is left")
        assert not left


async def test_a_throttle_at_fetch_is_a_pause_and_no_messages_fault(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        for n in range(1, 4):
            server.deliver(n, numbered(n))
        refused_at: list[float] = []

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if b"BODY.PEEK" not in command or len(refused_at) >= 2:
                return None
            refused_at.append(time.monotonic())
            return tag + b" NO [OVERQUOTA] Account exceeded bandwidth. Suggested Backoff Time: 700 ms\r\n"

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until_state("down")
            box = await health_of(office)
            assert (box.trouble, await gaps(db)) == ("throttled", [])
            assert box.retry_at is not None
            await office.until(lambda found: len(found) == 3, "all of them")
            assert refused_at[1] - refused_at[0] >= 0.7
            assert time.monotonic() - refused_at[1] >= 0.7
            await office.until_state("up")
            assert (await health_of(office)).retry_at is None


async def test_nothing_of_all_is_not_all_and_is_asked_for_again_at_growing_pauses_until_it_comes(
    db: Database, blobs: BlobStore
) -> None:
    async with fake_imap() as server:
        server.deliver(1, numbered(1))
        refused_at: list[float] = []

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if not asks_for(command, 1) or len(refused_at) >= 4:
                return None
            refused_at.append(time.monotonic())
            return tag + b" NO [SERVERBUG] Internal error occurred\r\n"

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:

            async def is_told() -> health.FolderHealth | None:
                box = await health_of(office)
                told = ("INBOX", "not_given") in [(one.folder, one.kind) for one in box.problems]
                (inbox, *_) = box.folders or (None,)
                return inbox if inbox is not None and inbox.missing and inbox.retry_at and told else None

            inbox = await wait_for(is_told, what="the page tells of it")
            assert (inbox.stored, inbox.on_server, inbox.is_complete, inbox.percent) == (0, 1, False, 0)
            await office.until(lambda found: len(found) == 1, "the message", deadline_s=30)
            assert len(refused_at) == 4
            pauses = [later - earlier for earlier, later in itertools.pairwise(refused_at)]
            assert pauses[1] >= 0.4 and pauses[2] >= 0.8, pauses

            async def is_well() -> bool:
                box = await health_of(office)
                return box.is_well and box.is_complete and not box.problems and box.stored == 1

            await wait_for(is_well, what="all is told to be here")


# What came without bytes is no message


@pytest.mark.parametrize("literal", [b"{0}\r\n", b"NIL", b'""'])
async def test_a_message_without_bytes_is_asked_for_once_more_and_is_no_blank_message(
    db: Database, blobs: BlobStore, literal: bytes
) -> None:
    async with fake_imap() as server:
        for n in range(1, 5):
            server.deliver(n, numbered(n))
        blanks: list[bytes] = []

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if not asks_for(command, 2) or blanks:
                return None
            blanks.append(command)
            return without(server, command, {2, 3}, literal) + tag + b" OK done\r\n"

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 4, "all of them")
            assert {one.subject for one in await office.messages()} == {"s1", "s2", "s3", "s4"}
            assert await gaps(db) == []


async def test_twenty_messages_without_bytes_hold_up_nothing_and_come_once_the_server_gives_them(
    db: Database, blobs: BlobStore
) -> None:
    async with fake_imap() as server:
        for n in range(1, 31):
            server.deliver(n, numbered(n))
        server.deliver(50, mail(message_id="<sent@hub.test>", subject="sent"), folder="Sent")
        blank = set(range(1, 21))
        server.instead = lambda tag, command: (
            without(server, command, blank, b"{0}\r\n") + tag + b" OK done\r\n"
            if b"BODY.PEEK" in command and uids_of(command) & blank
            else None
        )
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 11, "what lies behind, and Sent")
            await office.until_state("up")
            server.deliver(31, numbered(31))
            await office.until(lambda found: len(found) == 12, "what comes after")
            assert set(await gaps(db)) == blank
            assert all(one.subject for one in await office.messages()), "no blank message"
            blank.clear()
            await office.until(lambda found: len(found) == 32, "the twenty, without a restart")


async def test_a_message_that_the_server_tells_to_be_empty_is_one(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.deliver(1, b"")
        server.deliver(2, numbered(2))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 2, "both")
            assert await gaps(db) == []


# Folders that cannot be read, and what servers promise and do not keep


async def test_an_unreadable_row_leaves_out_its_folder_alone_and_names_it(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.instead = lambda tag, command: (
            b'* LIST () "/" INBOX\r\n* LIST () "/" Two\tWords\r\n* LIST () "/" "open quote\r\n'
            b'* LIST (\\HasNoChildren) "\\" Sent\r\n' + tag + b" OK done\r\n"
            if command.startswith(b"LIST")
            else None
        )
        server.deliver(1, numbered(1))
        server.deliver(1, numbered(2), folder="Sent")
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 2, "the mail in INBOX and behind a bare backslash")

            async def named() -> bool:
                box = await health_of(office)
                return {(one.folder, one.kind) for one in box.problems} == {
                    ("Two Words", "unreadable"),
                    ("open quote", "unreadable"),
                }

            await wait_for(named, what="the folders that are left out are named")
            async with db.read() as conn:
                names = set((await conn.execute(sa.select(folders.c.name))).scalars())
            assert names == {"INBOX", "Sent"}


async def test_a_server_that_refuses_condstore_at_select_is_asked_without_it(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.capabilities += b" CONDSTORE"
        server.instead = lambda tag, command: (
            tag + b" BAD no such parameter\r\n" if command.endswith(b"(CONDSTORE)") else None
        )
        server.deliver(1, numbered(1))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the mail")
            await office.until_state("up")


@pytest.mark.parametrize("lie", [b"", b" MAX 3", b" MIN 1500 MAX 3"])
async def test_a_lying_esearch_hides_no_mail(db: Database, blobs: BlobStore, lie: bytes) -> None:
    async with fake_imap() as server:
        server.capabilities += b" ESEARCH"
        # A desert above them makes Hub ask for the far end of it.
        there = (3, 500, 4000)
        for n in there:
            server.deliver(n, numbered(n))
        server.instead = lambda tag, command: (
            b'* ESEARCH (TAG "%s") UID%s\r\n' % (tag, lie) + tag + b" OK done\r\n" if b"RETURN" in command else None
        )
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 3, "all of them")


async def test_a_server_that_has_signed_us_in_already_is_taken_at_its_word(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.greeting = b"* PREAUTH welcome back"
        server.deliver(1, numbered(1))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the mail")
        assert not any(line.startswith((b"LOGIN", b"AUTHENTICATE")) for line in server.heard)


# No storm


def dated(at: datetime) -> bytes:
    return at.strftime("%d-%b-%Y %H:%M:%S +0000").encode()


async def test_a_uidnext_that_is_too_low_makes_no_leads_of_old_mail(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        inbox = server.folders["INBOX"]
        inbox.uidnext, inbox.internaldate = 1, dated(datetime.now(UTC) - timedelta(hours=2))
        for n in range(1, 4):
            server.deliver(n, numbered(n))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 3, "the old mail")
            # More old mail, found late: a program moves it in.
            server.deliver(7, numbered(7))
            await office.until(lambda found: len(found) == 4, "the mail that was moved in")
            assert await office.waiting() == []
            inbox.internaldate = dated(datetime.now(UTC))
            server.deliver(8, numbered(8))
            await office.until(lambda found: len(found) == 5, "the new mail")
            (item,) = await office.waiting()
            assert item.data["subject"] == "s8"


async def test_mail_of_the_second_of_the_first_look_is_new_though_servers_date_by_whole_seconds(
    db: Database, blobs: BlobStore
) -> None:
    second = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    async with fake_imap() as server:
        server.folders["INBOX"].internaldate = dated(second)
        server.deliver(1, numbered(1))
        office = Office(db, blobs, server.settings)
        await office.open()
        async with db.begin() as conn:
            looked = sa.update(mailboxes).values(first_synced_at=second + timedelta(milliseconds=700))
            await conn.execute(looked)
        await office.start()
        try:
            await office.until(lambda found: len(found) == 1, "the mail of that second")
            (item,) = await office.waiting()
            assert item.data["subject"] == "s1"
        finally:
            await office.stop()


async def test_a_uidnext_far_too_high_hides_no_mail(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.folders["INBOX"].uidnext = 4_000_000_000
        server.deliver(1, numbered(1))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the first")
            server.deliver(2, numbered(2))
            await office.until(lambda found: len(found) == 2, "the second")
        assert Counter(line.split(b" ")[0] for line in server.heard)[b"UID"] < 40


@pytest.mark.parametrize("grows", [False, True])
async def test_exists_said_again_and_again_costs_at_most_a_look_in_two_seconds(
    db: Database, blobs: BlobStore, grows: bool
) -> None:
    async with fake_imap() as server:
        server.deliver(1, numbered(1))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the mail")
            await wait_for(lambda: _hears(server, b"* 1 EXISTS"), what="INBOX is listened to")
            heard, began, said = len(server.heard), time.monotonic(), 0

            while time.monotonic() - began < 6:
                said += server.say(b"* %d EXISTS" % (said + 2 if grows else 1))
                # Real time is the subject here: twenty times a second.
                await asyncio.sleep(0.05)
            looks = sum(line.startswith(b"UID SEARCH") for line in server.heard[heard:])
            assert said > 60
            assert looks <= 5, "three in six seconds, and two before the server is known for it"
            arrived = time.monotonic()
            server.deliver(2, numbered(2))
            await office.until(lambda found: len(found) == 2, "real mail all the same")
            assert time.monotonic() - arrived < 3


async def _hears(server: FakeImapServer, line: bytes) -> bool:
    return server.say(line) > 0


async def test_a_noop_that_says_exists_each_time_is_no_news(db: Database) -> None:
    async with fake_imap() as server:
        server.capabilities = b"IMAP4rev1"
        server.deliver(1, numbered(1))
        server.instead = lambda tag, command: b"* 1 EXISTS\r\n" + tag + b" OK done\r\n" if command == b"NOOP" else None
        connection = ImapConnection(server.settings)
        await connection.open()
        try:
            await connection.select("INBOX")
            for _ in range(3):
                assert not await connection.idle(at_most=timedelta(milliseconds=20))
            server.instead = lambda tag, command: (
                b"* 2 EXISTS\r\n" + tag + b" OK done\r\n" if command == b"NOOP" else None
            )
            assert await connection.idle(at_most=timedelta(milliseconds=20))
        finally:
            await connection.close()
