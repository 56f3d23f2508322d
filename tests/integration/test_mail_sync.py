"""A mailbox kept in step with a real Dovecot: folders, flags both ways, moves, deletions, epochs.

Three servers, since what one says unasked another must be asked for: all that Dovecot can (QRESYNC), modification
sequences alone (CONDSTORE), and none of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, timeline
from hub.errors import Forbidden, NotFound, Refused
from hub.mail import health
from hub.mail.imap.connection import ImapConnection, connected
from hub.mail.imap.grammar import folder_bytes
from hub.mail.models import flag_wishes, folders, locations, mailboxes, messages
from hub.mail.sync import flags
from hub.settings import MailServer
from hub.store.blobs import BlobStore
from hub.store.changes import Position, read_after
from hub.store.engine import Database
from tests.factories import leads_of, mail
from tests.integration.test_mail_in import Office, running_office
from tests.testbed.dovecot import Dovecot, running_dovecot
from tests.testbed.waiting import wait_for, wait_for_next_second

pytestmark = pytest.mark.dovecot

USERS = tuple(f"box{n}" for n in range(60))
KINDS = {
    "qresync": "",
    "condstore": "IMAP4rev1 IDLE UIDPLUS ENABLE CONDSTORE ESEARCH SPECIAL-USE LIST-EXTENDED LIST-STATUS MOVE",
    "plain": "IMAP4rev1 IDLE UIDPLUS MOVE",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dovecots() -> AsyncIterator[dict[str, Dovecot]]:
    async with (
        running_dovecot(*USERS) as qresync,
        running_dovecot(*USERS, capabilities=KINDS["condstore"]) as condstore,
        running_dovecot(*USERS, capabilities=KINDS["plain"]) as plain,
    ):
        yield {"qresync": qresync, "condstore": condstore, "plain": plain}


_serial = count()


@pytest.fixture
def user() -> str:
    return USERS[next(_serial) % len(USERS)]


@pytest.fixture
def dovecot(dovecots: dict[str, Dovecot]) -> Dovecot:
    return dovecots["qresync"]


each_kind = pytest.mark.parametrize(
    ("db_url", "server"),
    [("sqlite", "qresync"), ("sqlite", "condstore"), ("sqlite", "plain"), ("postgresql", "qresync")],
    indirect=True,
)
"""What a server can has nothing to do with where Hub stores it."""


@pytest.fixture
def server(request: pytest.FixtureRequest, dovecots: dict[str, Dovecot], user: str) -> MailServer:
    return dovecots[request.param].server(user)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at all folders each half second, not each minute."""
    monkeypatch.setattr("hub.mail.sync.reader.SENT_EVERY", timedelta(seconds=0.4))
    monkeypatch.setattr("hub.mail.sync.session.POLL_EVERY_S", 0.3)
    monkeypatch.setattr("hub.mail.sync.session.VISIT_EVERY_S", 0.3)


def numbered(n: int, **more: Any) -> bytes:
    return mail(message_id=f"<{n}@romashka.test>", subject=f"s{n}", **more)


async def put(imap: ImapConnection, folder: str, *raws: bytes, flags: tuple[str, ...] = ()) -> None:
    for raw in raws:
        await imap.append(folder, raw, flags=flags, at=datetime.now(UTC))


async def make(imap: ImapConnection, *names: str) -> None:
    for name in names:
        await imap.ask(b"CREATE " + folder_bytes(name))


@asynccontextmanager
async def other_program(server: MailServer, *, folder: str = "INBOX") -> AsyncIterator[ImapConnection]:
    async with connected(server) as imap:
        await imap.select(folder)
        yield imap


class Watched:
    """What the tests ask of an office's mailbox."""

    def __init__(self, office: Office) -> None:
        self.office, self.db = office, office.db

    async def places(self) -> set[tuple[str, str]]:
        """Folder and subject of each place, of current epochs and others alike."""
        query = sa.select(folders.c.name, messages.c.subject).select_from(locations.join(folders).join(messages))
        async with self.db.read() as conn:
            return {(name, subject) for name, subject in await conn.execute(query)}

    async def row(self, subject: str) -> Any:
        async with self.db.read() as conn:
            return (await conn.execute(sa.select(messages).where(messages.c.subject == subject))).one()

    async def wishes(self) -> int:
        async with self.db.read() as conn:
            return int((await conn.execute(sa.select(sa.func.count()).select_from(flag_wishes))).scalar_one())

    async def until_places(self, expected: set[tuple[str, str]], deadline_s: float = 20) -> None:
        async def same() -> bool:
            return await self.places() == expected

        try:
            await wait_for(same, what="the places are as expected", deadline_s=deadline_s)
        except AssertionError:
            assert await self.places() == expected
            raise

    async def until_flags(self, subject: str, expected: set[str]) -> None:
        async def same() -> bool:
            return set((await self.row(subject)).flags) == expected

        await wait_for(same, what=f"{subject} shows {expected}", deadline_s=20)

    async def until_no_wishes(self) -> None:
        async def none() -> bool:
            return await self.wishes() == 0

        await wait_for(none, what="every wish is carried out", deadline_s=20)

    async def wish(self, subject: str, flag: str, wanted: bool) -> None:
        row = await self.row(subject)
        async with self.db.begin() as conn:
            await flags.wish(conn, self.office.actor, row.id, flag, wanted, utc_now())


@asynccontextmanager
async def watching(db: Database, blobs: BlobStore, server: MailServer) -> AsyncIterator[Watched]:
    async with running_office(db, blobs, server) as office:
        yield Watched(office)


async def test_every_folder_is_read_however_it_is_named(
    db: Database, blobs: BlobStore, dovecot: Dovecot, user: str
) -> None:
    odd = ["Клиенты", "Big & Co", 'a "quoted" \\ name', "star * percent %", "😀 смайл", "a ~ & -", "Sp ace"]
    server = dovecot.server(user)
    async with connected(server) as imap:
        await make(imap, *odd)
        for n, name in enumerate(["INBOX", "Sent", *odd, "Junk", "Drafts"]):
            await put(imap, name, numbered(n))
    async with watching(db, blobs, server) as box:
        await box.until_places({(name, f"s{n}") for n, name in enumerate(["INBOX", "Sent", *odd])})
        async with db.read() as conn:
            known = (await conn.execute(sa.select(folders).where(folders.c.is_chosen))).all()
            (done,) = (await health.folders_of(conn, [box.office.mailbox_id])).values()
        assert {row.name: (row.role, row.on_server) for row in known} == {
            **dict.fromkeys(odd, ("other", 1)),
            "INBOX": ("inbox", 1),
            "Sent": ("sent", 1),
        }
        assert sum(one.stored for one in done) == sum(one.on_server for one in done) == 9
        assert all(one.is_complete for one in done)


@each_kind
async def test_flags_that_another_program_sets_are_shown_and_told_to_the_pages(
    db: Database, blobs: BlobStore, server: MailServer
) -> None:
    async with connected(server) as imap:
        await make(imap, "Заказы")
        await put(imap, "INBOX", numbered(1), numbered(2))
        await put(imap, "Заказы", numbered(3), flags=("\\Seen",))
    async with watching(db, blobs, server) as box:
        await box.until_places({("INBOX", "s1"), ("INBOX", "s2"), ("Заказы", "s3")})
        await box.until_flags("s3", {"seen"})
        await box.office.until_state("up")
        async with other_program(server) as other:
            await other.ask(b"UID STORE 2 +FLAGS (\\Flagged $Label1)")
            await box.until_flags("s2", {"flagged", "$label1"})
            await other.ask(b"UID STORE 2 -FLAGS (\\Flagged)")
            await box.until_flags("s2", {"$label1"})
            await other.select("Заказы")
            await other.ask(b"UID STORE 1 -FLAGS (\\Seen)")
            await box.until_flags("s3", set())
        async with db.read() as conn:
            told = await read_after(conn, Position(0, 0))
        row = await box.row("s2")
        mine = [change.data for change in told if change.kind == "message" and change.object_id == row.id]
        assert mine[-1]["flags"] == ["$label1"]


@each_kind
async def test_a_wish_is_shown_at_once_and_carried_out_on_the_server(
    db: Database, blobs: BlobStore, server: MailServer
) -> None:
    async with connected(server) as imap:
        await put(imap, "INBOX", numbered(1), numbered(2))
        await put(imap, "Sent", numbered(2))
    async with watching(db, blobs, server) as box:
        await box.until_places({("INBOX", "s1"), ("INBOX", "s2"), ("Sent", "s2")})
        await box.office.until_state("up")
        await box.wish("s1", "flagged", True)
        await box.wish("s2", "seen", True)
        assert (await box.row("s1")).flags == ["flagged"]
        await box.until_no_wishes()
        async with other_program(server) as other:
            assert await other.uids(b"FLAGGED") == [1]
            assert await other.uids(b"SEEN") == [2]
            await other.select("Sent")
            assert await other.uids(b"SEEN") == [1]
        await box.wish("s2", "seen", False)
        await box.until_no_wishes()
        assert (await box.row("s2")).flags == []
        async with other_program(server, folder="Sent") as other:
            assert await other.uids(b"SEEN") == []


@each_kind
async def test_wishes_made_while_the_line_is_away_are_carried_out_and_other_flags_are_left_alone(
    db: Database, blobs: BlobStore, server: MailServer
) -> None:
    async with connected(server) as imap:
        await put(imap, "INBOX", *(numbered(n) for n in range(1, 6)))
    async with watching(db, blobs, server) as box:
        await box.until_places({("INBOX", f"s{n}") for n in range(1, 6)})
        await box.office.stop()
        row = await box.row("s3")
        async with db.begin() as conn:
            await flags.wish_answered(conn, box.office.mailbox_id, row.id, utc_now())
        # Meanwhile the message changes: what was known when the wish was made is no longer true.
        async with other_program(server) as other:
            await other.ask(b"UID STORE 3 +FLAGS ($Label1)")
            await other.ask(b"UID STORE 1,2,4 +FLAGS (\\Flagged)")
        await box.office.start()
        await box.until_no_wishes()
        await box.until_flags("s3", {"seen", "answered", "$label1"})
        await box.until_flags("s4", {"flagged"})
        async with other_program(server) as other:
            assert (await other.flags(3, 3))[3] == ("\\Answered", "\\Seen", "$Label1")


async def test_a_wish_marks_no_other_message_where_the_server_has_begun_to_number_anew(
    db: Database, blobs: BlobStore, dovecot: Dovecot, user: str
) -> None:
    server = dovecot.server(user)
    async with connected(server) as imap:
        await make(imap, "Work")
        await put(imap, "Work", numbered(1), numbered(2))
    async with watching(db, blobs, server) as box:
        await box.until_places({("Work", "s1"), ("Work", "s2")})
        await box.office.stop()
        await box.wish("s1", "flagged", True)
        async with connected(server) as imap:
            await imap.ask(b"DELETE Work")
            await make(imap, "Work")
            await put(imap, "Work", numbered(2), numbered(1))
        await box.office.start()
        await box.until_places({("Work", "s1"), ("Work", "s2")})
        await box.wish("s1", "flagged", True)
        await box.until_no_wishes()
        async with other_program(server, folder="Work") as other:
            assert await other.uids(b"FLAGGED") == [2]


@each_kind
async def test_a_moved_message_stays_one_message_and_a_deleted_one_stays_on_record(
    db: Database, blobs: BlobStore, server: MailServer
) -> None:
    async with connected(server) as imap:
        await make(imap, "Архив")
    async with watching(db, blobs, server) as box:
        await box.office.until_state("up")
        async with other_program(server) as other:
            await put(other, "INBOX", numbered(1), numbered(2), numbered(3))
            await box.until_places({("INBOX", "s1"), ("INBOX", "s2"), ("INBOX", "s3")})
            await other.ask(b"UID MOVE 1 " + folder_bytes("Архив"))
            await box.until_places({("Архив", "s1"), ("INBOX", "s2"), ("INBOX", "s3")})
            await other.ask(b"UID STORE 2 +FLAGS (\\Deleted)")
            await other.ask(b"EXPUNGE")
            await box.until_places({("Архив", "s1"), ("INBOX", "s3")})
        gone, moved = await box.row("s2"), await box.row("s1")
        assert gone.deleted_at is not None
        assert moved.deleted_at is None
        assert len(await box.office.messages()) == 3
        async with db.read() as conn:
            (lead,) = await leads_of(conn, box.office.actor)
        async with connected(server) as imap:
            await put(imap, "INBOX", numbered(2))

        async def is_back() -> bool:
            return (await box.row("s2")).deleted_at is None

        await wait_for(is_back, what="the message that came back is no longer deleted", deadline_s=20)
        assert len(await box.office.messages()) == 3
        async with db.read() as conn:
            (same,) = await leads_of(conn, box.office.actor)
        assert same.times == lead.times


@each_kind
async def test_what_went_while_nobody_looked_is_seen_at_the_next_look(
    db: Database, blobs: BlobStore, server: MailServer
) -> None:
    async with connected(server) as imap:
        await make(imap, "Заказы")
        await put(imap, "INBOX", *(numbered(n) for n in range(1, 7)))
        await put(imap, "Заказы", numbered(9))
    async with watching(db, blobs, server) as box:
        await box.until_places({("INBOX", f"s{n}") for n in range(1, 7)} | {("Заказы", "s9")})
        await box.office.until_state("up")
        await box.office.stop()
        async with other_program(server) as other:
            await other.ask(b"UID STORE 1:3 +FLAGS (\\Deleted)")
            await other.ask(b"UID EXPUNGE 1:3")
            await other.ask(b"UID STORE 6 +FLAGS (\\Seen)")
            await put(other, "INBOX", numbered(7))
            await other.ask(b"RENAME " + folder_bytes("Заказы") + b" " + folder_bytes("Заказы 2026"))
        await box.office.start()
        await box.until_places({("INBOX", f"s{n}") for n in range(4, 8)} | {("Заказы 2026", "s9")})
        await box.until_flags("s6", {"seen"})
        assert (await box.row("s9")).deleted_at is None
        assert (await box.row("s1")).deleted_at is not None
        assert len(await box.office.messages()) == 8


async def test_folders_may_be_chosen_and_one_that_is_not_there_is_told(
    db: Database, blobs: BlobStore, dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = dovecot.server(user)
    async with connected(server) as imap:
        await make(imap, "A1", "A2", "B1")
        for n, name in enumerate(["INBOX", "A1", "A2", "B1", "Junk"]):
            await put(imap, name, numbered(n))
    await wait_for_next_second()
    office = Office(db, blobs, server, folders=("A*", "Junk", "Nowhere"))
    await office.open()
    await office.start()
    try:
        box = Watched(office)
        await box.until_places({("INBOX", "s0"), ("A1", "s1"), ("A2", "s2"), ("Junk", "s4")})

        async def is_told() -> bool:
            async with db.read() as conn:
                told = (await conn.execute(sa.select(mailboxes.c.state, mailboxes.c.error))).one()
            return tuple(told) == ("up", "Nowhere: the server has no such folder")

        await wait_for(is_told, what="the unknown folder is named", deadline_s=20)
        async with connected(server) as imap:
            await put(imap, "Junk", mail("spammer@x.test", message_id="<spam@x.test>", subject="spam"))
            await put(imap, "A1", mail("anna@x.test", message_id="<a@x.test>", subject="new"))
        await box.until_places(
            {("INBOX", "s0"), ("A1", "s1"), ("A2", "s2"), ("Junk", "s4"), ("Junk", "spam"), ("A1", "new")}
        )
        assert [item.data["subject"] for item in await office.waiting()] == ["new"], "junk is nobody's work"
    finally:
        await office.stop()


async def test_only_those_who_may_write_from_a_mailbox_wish_for_flags_in_it(
    db: Database, blobs: BlobStore, dovecot: Dovecot, user: str
) -> None:
    server = dovecot.server(user)
    async with connected(server) as imap:
        await put(imap, "INBOX", numbered(1))
    async with watching(db, blobs, server) as box:
        await box.until_places({("INBOX", "s1")})
        row = await box.row("s1")
        stranger = replace(box.office.actor, team_ids=frozenset())
        async with db.begin() as conn:
            with pytest.raises(NotFound):
                await flags.wish(conn, stranger, row.id, "seen", True, utc_now())
            with pytest.raises(Refused, match="deleted"):
                await flags.wish(conn, box.office.actor, row.id, "deleted", True, utc_now())
            client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
            await conn.execute(sa.update(messages).values(client_id=client_id))
            with pytest.raises(Forbidden):
                await flags.wish(conn, stranger, row.id, "seen", True, utc_now())
        assert await box.wishes() == 0


async def test_many_changes_at_once_are_asked_for_in_windows(
    db: Database, blobs: BlobStore, dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.mail.sync.folder.CHANGES_AT_ONCE", 4)
    server = dovecot.server(user)
    async with connected(server) as imap:
        await put(imap, "INBOX", *(numbered(n) for n in range(1, 16)))
    async with watching(db, blobs, server) as box:
        await box.until_places({("INBOX", f"s{n}") for n in range(1, 16)})
        await box.office.stop()
        async with other_program(server) as other:
            await other.ask(b"UID STORE 1:12 +FLAGS (\\Seen)")
            await other.ask(b"UID STORE 5,6 +FLAGS (\\Deleted)")
            await other.ask(b"EXPUNGE")
        # Without a comparison: what is seen comes from the windows.
        monkeypatch.setattr("hub.mail.sync.folder.NEWEST", 0)
        await box.office.start()
        await box.until_places({("INBOX", f"s{n}") for n in range(1, 16) if n not in (5, 6)})
        for n in range(1, 16):
            if n not in (5, 6):
                await box.until_flags(f"s{n}", {"seen"} if n <= 12 else set())


async def test_a_folder_that_lost_what_hub_never_saw_is_found_out_by_the_comparison(
    db: Database, blobs: BlobStore, dovecot: Dovecot, user: str
) -> None:
    server = dovecot.server(user)
    async with connected(server) as imap:
        await put(imap, "INBOX", *(numbered(n) for n in range(1, 6)))
    async with watching(db, blobs, server) as box:
        await box.until_places({("INBOX", f"s{n}") for n in range(1, 6)})
        await box.office.stop()
        async with db.begin() as conn:
            # As after a restored backup: the cursor says more than what is stored.
            three = sa.select(messages.c.id).where(messages.c.subject == "s3").scalar_subquery()
            await conn.execute(sa.delete(locations).where(locations.c.message_id == three))
            await conn.execute(sa.update(folders).values(compared_at=None))
        await box.office.start()
        await box.until_places({("INBOX", f"s{n}") for n in range(1, 6)})
        assert len(await box.office.messages()) == 5


async def test_an_answer_written_in_another_program_is_on_the_card(
    db: Database, blobs: BlobStore, dovecot: Dovecot, user: str
) -> None:
    server = dovecot.server(user)
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
        await clients.add_address(conn, None, client_id, kind="email", raw="irina@romashka.test", now=utc_now())
    async with watching(db, blobs, server) as box:
        await box.office.until_state("up")
        async with connected(server) as imap:
            answer = mail("sales@hub.test", message_id="<a@hub.test>", to="irina@romashka.test", subject="answer")
            await put(imap, "Sent", answer, flags=("\\Seen",))

        async def on_card() -> list[timeline.Entry]:
            async with db.read() as conn:
                return await timeline.page(conn, None, client_id)

        (entry,) = await wait_for(on_card, what="the answer is on the card", deadline_s=20)
        assert (entry.data["subject"], entry.data["direction"]) == ("answer", "out")
        assert await box.office.waiting() == []
