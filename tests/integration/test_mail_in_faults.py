"""A mailbox at work on a server that misbehaves: nothing is lost in silence, nothing stops the rest."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.mail.models import folders, mailboxes
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import mail
from tests.fakes.imap_server import fake_imap, uids_of
from tests.integration.test_mail_in import BOX, Office, running_office
from tests.testbed.dovecot import running_dovecot
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database


def numbered(n: int) -> bytes:
    return mail(message_id=f"<{n}@romashka.test>", subject=f"s{n}")


async def subjects(office: Office) -> set[str]:
    return {message.subject for message in await office.messages()}


async def gaps(db: Database) -> list[int]:
    async with db.read() as conn:
        return (await conn.execute(sa.select(folders.c.gaps).where(folders.c.name == "INBOX"))).scalar() or []


async def test_one_mail_that_the_server_will_not_give_holds_up_nothing_and_is_fetched_once_it_will(
    db: Database, blobs: BlobStore
) -> None:
    async with fake_imap() as server:
        for n in range(1, 8):
            server.deliver(n, numbered(n))
        broken = {4}

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if b"BODY.PEEK" in command and uids_of(command) & broken:
                return tag + b" NO [SERVERBUG] Internal error occurred\r\n"
            return None

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 6, "all the others")
            assert await gaps(db) == [4]
            server.deliver(8, numbered(8))
            await office.until(lambda found: len(found) == 7, "what comes after")
            await office.stop()
            broken.clear()
            await office.start()
            await office.until(lambda found: len(found) == 8, "the one that was missing")
            assert await gaps(db) == []


async def test_a_mail_left_out_of_an_answer_is_not_passed_over_in_silence(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        for n in range(1, 4):
            server.deliver(n, numbered(n))
        left_out = True

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if left_out and b"BODY.PEEK" in command and 2 in uids_of(command):
                rest = uids_of(command) - {2}
                rows = b"".join(server._row(uid, command, server.folders["INBOX"]) for uid in rest)
                return rows + tag + b" OK done\r\n"
            return None

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 2, "the two that came")
            await office.stop()
            assert await gaps(db) == [2]
            left_out = False
            await office.start()
            await office.until(lambda found: len(found) == 3, "the third too")


async def test_one_mail_that_ends_the_line_each_time_is_narrowed_down_and_left_out(
    db: Database, blobs: BlobStore
) -> None:
    async with fake_imap() as server:
        for n in range(1, 8):
            server.deliver(n, numbered(n))

        def instead(tag: bytes, command: bytes) -> bytes | None:
            # Flags are told without looking into the message.
            deadly = command.startswith(b"UID FETCH") and 4 in uids_of(command) and not command.endswith(b"(UID FLAGS)")
            return b"* BYE FETCH failed: Internal error occurred.\r\n" if deadly else None

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 6, "all the others", deadline_s=100)
            assert await gaps(db) == [4]
            server.deliver(8, numbered(8))
            await office.until(lambda found: len(found) == 7, "what comes after")
            lines = server.connections

            async def is_told() -> bool:
                async with db.read() as conn:
                    return "INBOX: 1 messages" in ((await conn.execute(sa.select(mailboxes.c.error))).scalar() or "")

            await wait_for(is_told, what="the mailbox says that a message is missing")
            server.deliver(9, numbered(9))
            await office.until(lambda found: len(found) == 8, "and after that")
            assert server.connections == lines, "what ended the line before is not asked for again and again"


async def test_a_server_that_gives_nothing_at_all_is_no_hundred_gaps(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        for n in range(1, 31):
            server.deliver(n, numbered(n))
        refuses = True
        server.instead = lambda tag, command: (
            tag + b" NO [SERVERBUG] storage is away\r\n" if refuses and b"BODY.PEEK" in command else None
        )
        async with running_office(db, blobs, server.settings) as office:
            await office.until_state("down")
            assert await gaps(db) == []
            refuses = False
            await office.until(lambda found: len(found) == 30, "all of them", deadline_s=40)


async def test_a_gap_that_was_deleted_on_the_server_is_forgotten(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.deliver(1, numbered(1))
        server.deliver(2, numbered(2))

        def instead(tag: bytes, command: bytes) -> bytes | None:
            refused = b"BODY.PEEK" in command and 1 in uids_of(command)
            return tag + b" NO broken\r\n" if refused else None

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the other")
            await office.stop()
            assert await gaps(db) == [1]
            del server.folders["INBOX"].messages[1]
            await office.start()

            async def is_forgotten() -> bool:
                return await gaps(db) == []

            await wait_for(is_forgotten, what="the gap is forgotten")


async def test_new_mail_in_inbox_does_not_wait_for_the_history_of_sent(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        for n in range(1, 401):
            server.deliver(n, numbered(n), folder="Sent")
        server.deliver(1, mail(message_id="<new@romashka.test>", subject="new"))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: any(m.subject == "new" for m in found), "the mail in INBOX")
            assert len(await office.messages()) < 400


async def test_a_sent_folder_that_cannot_be_opened_does_not_stop_the_inbox(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.instead = lambda tag, command: tag + b" NO locked\r\n" if command == b'SELECT "Sent"' else None
        server.deliver(1, numbered(1))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the mail in INBOX")
            server.deliver(2, numbered(2))
            await office.until(lambda found: len(found) == 2, "the next one")


async def test_a_server_that_tells_no_uidnext_makes_no_leads_of_history(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.folders["INBOX"].uidnext = 0
        for n in range(1, 4):
            server.deliver(n, numbered(n))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 3, "the history")
            assert await office.waiting() == []


@pytest.mark.parametrize("number", [b"9" * 5000, b"4294967296"])
@pytest.mark.parametrize("rogue", [b"* SEARCH 1 %s", b"* OK [UIDVALIDITY %s] ok", b"* 1 FETCH (UID %s FLAGS ())"])
async def test_numbers_beyond_imaps_end_the_line_at_most_and_never_hub(
    db: Database, blobs: BlobStore, rogue: bytes, number: bytes
) -> None:
    async with fake_imap() as server:
        said: list[bytes] = []

        def instead(tag: bytes, command: bytes) -> bytes | None:
            asked = {b"S": b"UID SEARCH", b"O": b"SELECT", b"1": b"UID FETCH"}[rogue[2:3]]
            if said or not command.startswith(asked):
                return None
            said.append(rogue % number)
            return said[0] + b"\r\n" + tag + b" OK done\r\n"

        server.instead = instead
        server.deliver(1, numbered(1))
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the honest mail after all")
        assert said


async def test_a_server_without_room_for_us_is_asked_again_soon(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.instead = lambda tag, command: (
            tag + b" NO [LIMIT] Too many simultaneous connections\r\n"
            if (command.startswith(b"LOGIN") and server.connections < 3)
            else None
        )
        async with running_office(db, blobs, server.settings) as office:
            await office.until_state("up")


async def test_a_server_that_refuses_idle_is_polled(
    db: Database, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.mail.sync.reader.LOOK_EVERY_S", 0.2)
    async with fake_imap() as server:
        server.instead = lambda tag, command: tag + b" NO not today\r\n" if command == b"IDLE" else None
        async with running_office(db, blobs, server.settings) as office:
            await office.until_state("up")
            server.deliver(1, numbered(1))
            await office.until(lambda found: len(found) == 1, "the mail")
            assert server.connections == 2, "INBOX's and the other folders'"
            async with db.read() as conn:
                assert (await conn.execute(sa.select(mailboxes.c.state))).scalar() == "up"


@pytest.mark.dovecot
async def test_a_file_that_dovecot_cannot_read_stops_no_mailbox(db: Database, blobs: BlobStore) -> None:
    async with running_dovecot(BOX) as dovecot:
        for n in range(1, 6):
            dovecot.deliver(BOX, numbered(n))
        unreadable = sorted((dovecot.home / "mail" / BOX / "new").iterdir())[2]
        unreadable.chmod(0)
        async with running_office(db, blobs, dovecot.server(BOX)) as office:
            await office.until(lambda found: len(found) == 4, "all the others", deadline_s=100)
            assert await subjects(office) == {"s1", "s2", "s4", "s5"}
            assert await gaps(db) == [3]
            await office.stop()
            (where,) = (dovecot.home / "mail" / BOX).rglob(unreadable.name + "*")
            where.chmod(0o600)
            await office.start()
            await office.until(lambda found: len(found) == 5, "the one that can be read again")
