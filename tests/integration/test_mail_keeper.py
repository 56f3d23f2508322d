"""The supervisor of mailboxes: each is worked on by one process, starts and stops by its row, and locks nobody out."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.crm.access import Actor, load_actor
from hub.crm.base import records
from hub.crm.linking import Linker
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.mail.accounts import accounts, secrets
from hub.mail.accounts.account import AccountSettings, Side, Written
from hub.mail.accounts.keeper import MailKeeper
from hub.mail.mailbox_kind import MAILBOXES, set_up_by
from hub.mail.models import mailboxes
from hub.mail.reading.workers import ParserPool
from hub.settings import HubSection, Secret, Settings
from hub.store import leases
from hub.store.blobs import BlobStore
from hub.store.encryption import Vault
from hub.store.engine import Database
from tests.fakes.imap_server import FakeImapServer, fake_imap
from tests.testbed.waiting import wait_for

LEASE = timedelta(seconds=1)


class Office:
    """A database with an administrator, and keepers that work on it."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.folder = db, folder
        self.settings = Settings(hub=HubSection(data_dir=str(folder), page_networks=("127.0.0.0/8",)))
        self.vault = Vault.of(self.settings)
        self.admin: Actor = None  # type: ignore[assignment]
        self.team = 0

    async def begin(self) -> None:
        self.admin = await self.person("admin", role="admin")
        self.team = next(iter(self.admin.team_ids))

    async def person(self, name: str, **changes: Any) -> Actor:
        facts = {"role": "manager", "team_names": ["sales"], "password_hash": "x", "extension": None} | changes
        async with self.db.begin() as conn:
            email = f"{name}@hub.test"
            user_id = await people.add_user(conn, email=email, name=name, now=utc_now(), **facts)
            actor = await load_actor(conn, user_id)
        assert actor is not None
        return actor

    def written(self, imap: FakeImapServer, *, password: str | None = "p", address: str = "box@hub.test") -> Written:
        side = Side(host="127.0.0.1", port=imap.port, tls="none", username="u")
        account = AccountSettings(imap=side, smtp=msgspec.structs.replace(side, port=1))
        return Written(address, "Box", self.team, account, Secret(password) if password is not None else None)

    async def add(self, imap: FakeImapServer, **changes: Any) -> int:
        async with self.db.begin() as conn:
            written = self.written(imap, **changes)
            return await accounts.add(conn, self.vault, self.admin, written, personal=False, now=utc_now())

    @asynccontextmanager
    async def keeper(
        self, holder: str = "one", lease: timedelta = LEASE, pool: type[Executor] = ThreadPoolExecutor
    ) -> AsyncIterator[MailKeeper]:
        blobs = BlobStore(self.folder / "blobs")
        with pool(1) as parsers:  # type: ignore[call-arg]
            keeper = MailKeeper(self.db, blobs, Linker("RU"), self.settings, parsers, holder=holder, lease=lease)
            running = asyncio.ensure_future(keeper.run())
            try:
                yield keeper
            finally:
                running.cancel()
                await asyncio.wait([running])

    async def row(self, mailbox_id: int) -> Any:
        async with self.db.read() as conn:
            return (await conn.execute(sa.select(mailboxes).where(mailboxes.c.id == mailbox_id))).one()

    async def until(self, mailbox_id: int, state: str, deadline_s: float = 10) -> Any:
        async def is_so() -> Any:
            row = await self.row(mailbox_id)
            return row if row.state == state else None

        return await wait_for(
            is_so, what=f"the mailbox is {state}: {await self.row(mailbox_id)}", deadline_s=deadline_s
        )


@pytest.fixture
async def office(db: Database, tmp_path: Path) -> Office:
    made = Office(db, tmp_path)
    await made.begin()
    return made


async def worker_runs() -> bool:
    """Tell whether this process has a child that reads mail."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"reading.workers" in stat.with_name("cmdline").read_bytes():
                return True
    return False


async def test_a_worker_is_there_before_the_first_mail(office: Office) -> None:
    """The first mail after a start would wait a second or more for an interpreter and its imports."""
    async with fake_imap() as imap:
        async with office.keeper(pool=ParserPool):
            await asyncio.sleep(0)
            assert not await worker_runs(), "who has no mailbox needs no worker"
            await office.add(imap)
            await wait_for(worker_runs, what="a worker runs")
        assert not await worker_runs()


def refuse(imap: FakeImapServer, password: bytes = b'"p"') -> None:
    def instead(tag: bytes, command: bytes) -> bytes | None:
        is_wrong = command.startswith(b"LOGIN") and not command.endswith(password)
        return tag + b" NO [AUTHENTICATIONFAILED] no\r\n" if is_wrong else None

    imap.instead = instead


def attempts(imap: FakeImapServer) -> int:
    return sum(command.startswith(b"LOGIN") for command in imap.heard)


async def test_a_mailbox_works_from_the_moment_it_is_added_until_it_is_paused(office: Office) -> None:
    async with fake_imap() as imap, office.keeper() as keeper:
        mailbox_id = await office.add(imap)
        await office.until(mailbox_id, "up")
        assert keeper.holding == ["box@hub.test"]
        async with office.db.begin() as conn:
            await accounts.enable(conn, office.admin, mailbox_id, False, now=utc_now())

        async def is_let_go() -> bool:
            return not keeper.holding

        await wait_for(is_let_go, what="the paused mailbox is let go")
        before = imap.connections
        async with office.db.begin() as conn:
            await accounts.enable(conn, office.admin, mailbox_id, True, now=utc_now())
        await office.until(mailbox_id, "up")
        assert imap.connections > before


async def test_a_refused_password_is_tried_once_until_it_changes_or_a_person_asks(office: Office) -> None:
    async with fake_imap() as imap:
        refuse(imap)
        async with office.keeper():
            mailbox_id = await office.add(imap, password="wrong")
            row = await office.until(mailbox_id, "auth_refused")
            assert "refused the sign-in" in row.error and "wrong" not in row.error

            async def is_marked() -> bool:
                return (await office.row(mailbox_id)).refused_with is not None

            await wait_for(is_marked, what="what was refused is remembered")
            assert attempts(imap) == 1
        # Hub is started again, and again: the server hears nothing.
        for holder in ("two", "three"):
            async with office.keeper(holder) as keeper:
                await wait_for(_holds(keeper), what="the keeper holds the mailbox")
                await asyncio.sleep(LEASE.total_seconds() * 0.6)  # two looks
        assert attempts(imap) == 1
        async with office.keeper("four"):
            async with office.db.begin() as conn:
                await accounts.try_again(conn, office.admin, mailbox_id, now=utc_now())

            async def tried_once_more() -> bool:
                return attempts(imap) == 2 and (await office.row(mailbox_id)).refused_with is not None

            await wait_for(tried_once_more, what="one further attempt")
            async with office.db.begin() as conn:
                right = office.written(imap)
                await accounts.change(conn, office.vault, office.admin, mailbox_id, right, now=utc_now())
            await office.until(mailbox_id, "up")
            assert attempts(imap) in (3, 4), "one, and one for the second connection"


def _holds(keeper: MailKeeper) -> Any:
    async def check() -> bool:
        return keeper.holding == ["box@hub.test"]

    return check


async def test_an_hour_after_a_refusal_it_is_tried_once_by_itself(office: Office) -> None:
    async with fake_imap() as imap:
        refuse(imap)
        async with office.keeper():
            mailbox_id = await office.add(imap, password="wrong")
            await office.until(mailbox_id, "auth_refused")
        async with office.db.begin() as conn:
            long_ago = utc_now() - timedelta(minutes=61)
            await conn.execute(sa.update(mailboxes).values(error_at=long_ago))
        async with office.keeper("two"):

            async def tried() -> bool:
                row = await office.row(mailbox_id)
                return attempts(imap) == 2 and row.error_at > long_ago

            await wait_for(tried, what="one attempt after an hour")
        assert attempts(imap) == 2


async def test_of_two_keepers_one_works_and_the_other_takes_over_when_it_is_killed(office: Office, db_url: str) -> None:
    async with fake_imap() as imap:
        mailbox_id = await office.add(imap)
        words = [sys.executable, "-m", "tests.faults.keeping", db_url, str(office.folder), str(LEASE.total_seconds())]
        process = await asyncio.create_subprocess_exec(*words)
        try:
            await office.until(mailbox_id, "up", deadline_s=30)
            async with office.keeper("two") as second:
                await asyncio.sleep(LEASE.total_seconds() * 1.5)
                assert second.holding == [] and imap.connections <= 2, "its two"
                before = imap.connections
                process.send_signal(signal.SIGKILL)
                await process.wait()
                await wait_for(_holds(second), what="the second takes over", deadline_s=5)

                async def connected() -> bool:
                    return imap.connections > before

                await wait_for(connected, what="and works")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_keeper_whose_mailbox_was_taken_over_stops_working_on_it(office: Office) -> None:
    async with fake_imap() as imap, office.keeper() as keeper:
        mailbox_id = await office.add(imap)
        await office.until(mailbox_id, "up")
        async with office.db.begin() as conn:
            stolen = {"holder": "another host", "fence": leases.leases.c.fence + 1}
            until = leases.database_time(conn, timedelta(minutes=5))
            await conn.execute(sa.update(leases.leases).values(**stolen, until=until))

        async def let_go() -> bool:
            return not keeper.holding and not imap._idlers

        await wait_for(let_go, what="the stale holder stops")
        async with office.db.read() as conn:
            assert (await conn.execute(sa.select(leases.leases.c.holder))).scalar_one() == "another host"


async def test_a_mailbox_whose_secret_no_key_opens_is_named_and_stops_no_other(office: Office) -> None:
    async with fake_imap() as imap:
        broken = await office.add(imap, address="broken@hub.test")
        async with office.db.begin() as conn:
            await conn.execute(sa.text("UPDATE mail_secrets SET key_id = '0000dead'"))
        sound = await office.add(imap)
        async with office.keeper():
            await office.until(sound, "up")
            row = await office.until(broken, "down")
            assert "0000dead" in row.error


async def test_the_company_s_own_mailboxes_of_pages_are_never_a_client(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.mail.sync.reader.LOOK_EVERY_S", 0.2)
    async with fake_imap() as imap, office.keeper():
        mailbox_id = await office.add(imap)
        await office.until(mailbox_id, "up")
        imap.deliver(1, b"From: box@hub.test\r\nTo: box@hub.test\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n")

        async def is_stored() -> Any:
            async with office.db.read() as conn:
                return (await conn.execute(sa.text("SELECT id FROM messages"))).first()

        await wait_for(is_stored, what="the message is stored")
        async with office.db.read() as conn:
            assert (await conn.execute(sa.text("SELECT id FROM leads"))).first() is None


async def test_who_may_add_and_see_which_mailbox(office: Office) -> None:
    olga, pavel = await office.person("olga"), await office.person("pavel")
    async with fake_imap() as imap:
        written = office.written(imap, address="olga@hub.test")
        async with office.db.begin() as conn:
            for personal in (True, False):
                with pytest.raises(Forbidden):
                    await accounts.add(conn, office.vault, olga, written, personal=personal, now=utc_now())
        olga = allowed(olga, "own_mailbox")
        async with office.db.begin() as conn:
            mine = await accounts.add(conn, office.vault, olga, written, personal=True, now=utc_now())
        with pytest.raises(Conflict):
            async with office.db.begin() as conn:
                await accounts.add(conn, office.vault, office.admin, written, personal=False, now=utc_now())
        async with office.db.read() as conn:
            for actor in (olga, office.admin):
                page = await records.page(conn, actor, MAILBOXES, where=set_up_by(actor))
                assert [one.id for one in page.items] == [mine]
            assert (await accounts.find(conn, olga, mine)).settings.may_private is False  # type: ignore[union-attr]
            with pytest.raises(NotFound):
                await accounts.find(conn, pavel, mine)
        async with office.db.begin() as conn:
            with pytest.raises(NotFound):
                await accounts.change(conn, office.vault, pavel, mine, written, now=utc_now())
            with pytest.raises(NotFound):
                await accounts.try_again(conn, pavel, mine, now=utc_now())


def allowed(actor: Actor, privilege: Any) -> Actor:
    return dataclasses.replace(actor, privileges=frozenset({privilege}))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"host": "bad host"}, "bad_host"),
        ({"host": "a\r\nb"}, "control_character"),
        ({"username": "a\r\nLOGOUT"}, "control_character"),
        ({"auth": "oauth"}, "bad_auth"),
    ],
)
async def test_what_a_line_cannot_carry_is_refused_before_it_is_stored(
    office: Office, changes: dict[str, str], code: str
) -> None:
    async with fake_imap() as imap:
        written = office.written(imap)
        side = msgspec.structs.replace(written.settings.imap, **changes)
        wrong = Written(written.address, "x", office.team, msgspec.structs.replace(written.settings, imap=side))
        with pytest.raises(Refused) as refusal:
            async with office.db.begin() as conn:
                await accounts.add(conn, office.vault, office.admin, wrong, personal=False, now=utc_now())
        assert refusal.value.code == code


async def test_passwords_of_a_mailbox_are_kept_when_none_is_given_anew(office: Office) -> None:
    async with fake_imap() as imap:
        mailbox_id = await office.add(imap, password="first")
        async with office.db.begin() as conn:
            again = office.written(imap, password=None)
            await accounts.change(conn, office.vault, office.admin, mailbox_id, again, now=utc_now())
        async with office.db.read() as conn:
            assert (await secrets.read(conn, office.vault, mailbox_id))["imap"].reveal() == "first"
            (told,) = (await conn.execute(sa.text("SELECT details FROM audit WHERE action = 'mailbox.changed'"))).all()
            assert "first" not in str(told)
