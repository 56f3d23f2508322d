"""What mail that came back does, what machines do not, and how two of them are kept from talking for ever."""

from __future__ import annotations

import ast
import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.crm import clients, queue, timeline
from hub.crm.linking import Linker
from hub.mail.intake import effects
from hub.mail.intake.effects import Stored, follow_up
from hub.mail.intake.intake import Arrived, FolderPlace, MailIntake
from hub.mail.models import folders, mailboxes, messages
from hub.mail.models import undeliverable as undeliverable_table
from hub.mail.reading import mime
from hub.mail.reading.headers import Address
from hub.mail.register import MessageRow
from hub.mail.undeliverable import undeliverable_of
from tests.factories import Box, leads_of, mail
from tests.integration.test_outbox import IVAN, SALES, T0, Office, office  # noqa: F401 - a fixture
from tests.unit.test_bounces import dsn

pytestmark = pytest.mark.either_database

BORIS = Address("", "boris@romashka.example")


@dataclass
class Inbox:
    """The inbox of the office's mailbox, with the intake that serves it."""

    office: Office
    uid: int = 0

    async def open(self) -> Inbox:
        (self.team_id,) = self.office.actor.team_ids
        async with self.office.db.begin() as conn:
            row = {"mailbox_id": self.office.mailbox_id, "name": "INBOX", "role": "inbox", "gaps": []}
            made = await conn.execute(folders.insert().values(**row).returning(folders.c.id))
        self.place = FolderPlace(made.scalar_one(), "inbox", 1)
        linker = Linker("RU", frozenset(), frozenset({SALES}))
        self.intake = MailIntake(
            self.office.db, self.office.blobs, linker, self.office.mailbox_id, self.team_id, ThreadPoolExecutor(1)
        )
        return self

    async def arrive(self, raw: bytes) -> MessageRow:
        self.uid += 1
        now = self.office.clock()
        await self.intake.store(self.place, [Arrived(self.uid, raw, (), now)], cursor={}, is_new=True, now=now)
        async with self.office.db.begin() as conn:
            row = (await conn.execute(sa.select(messages).order_by(messages.c.id.desc()).limit(1))).mappings().one()
            given = {"is_new": True, "parsed": mime.parse(raw), "raw": raw, "team_id": self.team_id}
            known = {name: row[name] for name in ("id", "mailbox_id", "thread_id", "direction", "received_at")}
            await follow_up(conn, [Stored(**given, **known)], now=now)
        return await self.office.message(row["id"])


@pytest.fixture
async def inbox(office: Office) -> Inbox:  # noqa: F811
    return await Inbox(office).open()


async def sent(office: Office, *to: Address) -> MessageRow:  # noqa: F811
    message_id = await office.send(to=to or (IVAN,))
    await office.sender.work()
    return await office.message(message_id)


def notice(original: MessageRow, address: str, *, action: str = "failed", status: str = "5.1.1") -> bytes:
    block = (
        f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; 550 no user"
    )
    return dsn(blocks=(block,), returned=f"Message-ID: {original.message_id}\n\n")


async def test_what_came_back_marks_the_sending_the_address_the_card_and_the_authors_work(inbox: Inbox) -> None:
    office = inbox.office  # noqa: F811
    original = await sent(office, IVAN, BORIS)
    back = await inbox.arrive(notice(original, IVAN.address))
    after = await office.message(original.id)
    assert (after.state, [one.state for one in after.recipients]) == ("bounced", ["refused", "sent"])
    assert after.recipients[0].code == 550 and "5.1.1" in after.recipients[0].reply
    assert (back.thread_id, back.client_id, back.auto) == (original.thread_id, office.client_id, "bounce")
    async with office.db.read() as conn:
        kept = await undeliverable_of(conn, ["Ivan@Romashka.example", BORIS.address])
        card = await timeline.page(conn, None, office.client_id)
        (item,) = await queue.listed(conn, office.actor, state="claimed", mine=True)
        assert await leads_of(conn, office.actor) == []
        bounce_of = (await conn.execute(sa.select(messages.c.bounce_of).where(messages.c.id == back.id))).scalar()
    assert list(kept) == ["Ivan@Romashka.example"] and kept["Ivan@Romashka.example"].times == 1
    assert {entry.data["state"] for entry in card} == {"bounced", "received"}
    assert (item.ref_id, item.owner_id, item.address) == (original.thread_id, office.actor.user_id, IVAN.address)
    assert bounce_of == original.id


@pytest.mark.parametrize("is_business", [True, False])
async def test_what_came_back_to_a_persons_own_mailbox_is_the_teams_to_see_only_from_a_card(
    inbox: Inbox, is_business: bool
) -> None:
    office = inbox.office  # noqa: F811
    async with office.db.begin() as conn:
        await conn.execute(sa.update(mailboxes).values(owner_id=office.actor.user_id))
    original = await sent(office, IVAN if is_business else Address("", "doctor@clinic.example"))
    await inbox.arrive(notice(original, original.recipients[0].address))
    assert (await office.message(original.id)).state == "bounced"
    boris = await office.person("boris", "sales")
    async with office.db.read() as conn:
        seen = await queue.listed(conn, boris, state="claimed")
    assert len(seen) == (1 if is_business else 0)


async def test_the_same_notice_again_counts_once_and_a_second_one_twice(inbox: Inbox) -> None:
    original = await sent(inbox.office)
    raw = notice(original, IVAN.address)
    await inbox.arrive(raw)
    await inbox.arrive(raw)
    async with inbox.office.db.read() as conn:
        assert (await conn.execute(sa.select(undeliverable_table.c.times))).scalar_one() == 1
    await inbox.arrive(raw.replace(b"Subject:", b"X-Other: 1\nSubject:"))
    async with inbox.office.db.read() as conn:
        assert (await conn.execute(sa.select(undeliverable_table.c.times))).scalar_one() == 2


@pytest.mark.parametrize("forged", ["never sent", "another address", "no id"])
async def test_a_forged_notice_changes_nothing(inbox: Inbox, forged: str) -> None:
    office = inbox.office  # noqa: F811
    original = await sent(office)
    raw = notice(original, "somebody@else.test" if forged == "another address" else IVAN.address)
    if forged == "never sent":
        raw = raw.replace(original.message_id.encode(), b"<made-up@hub.test>")
    if forged == "no id":
        raw = raw.replace(original.message_id.encode(), b"")
    back = await inbox.arrive(raw)
    assert await office.state(original.id) == ("sent", ["sent"])
    assert back.thread_id != original.thread_id
    async with office.db.read() as conn:
        assert (await conn.execute(sa.select(undeliverable_table))).all() == []
        assert await queue.listed(conn, office.actor, state="claimed", mine=True) == []


async def test_a_notice_that_names_only_the_message_means_its_only_recipient(inbox: Inbox) -> None:
    original = await sent(inbox.office)
    words = f"Sorry. 550 no such mailbox.\n\nMessage-ID: {original.message_id}\n"
    head = "From: postmaster@x.test\nReturn-Path: <>\nSubject: failure notice\n\n"
    await inbox.arrive((head + words).encode())
    assert await inbox.office.state(original.id) == ("bounced", ["refused"])
    two = await sent(inbox.office, IVAN, BORIS)
    await inbox.arrive((head + words.replace(original.message_id, two.message_id)).encode())
    assert await inbox.office.state(two.id) == ("sent", ["sent", "sent"])


async def test_a_delay_is_noted_and_nothing_more(inbox: Inbox) -> None:
    original = await sent(inbox.office)
    back = await inbox.arrive(notice(original, IVAN.address, action="delayed", status="4.4.1"))
    after = await inbox.office.message(original.id)
    assert (after.state, after.recipients[0].state) == ("sent", "sent") and "4.4.1" in after.recipients[0].reply
    assert back.thread_id == original.thread_id
    async with inbox.office.db.read() as conn:
        assert (await conn.execute(sa.select(undeliverable_table))).all() == []


async def test_an_address_that_writes_is_alive_again(inbox: Inbox) -> None:
    original = await sent(inbox.office)
    await inbox.arrive(notice(original, IVAN.address))
    await inbox.arrive(mail(f"Иван <{IVAN.address.upper()}>", message_id="<back@x>"))
    async with inbox.office.db.read() as conn:
        assert await undeliverable_of(conn, [IVAN.address]) == {}


async def test_a_colleague_who_holds_the_conversation_keeps_it(inbox: Inbox) -> None:
    office = inbox.office  # noqa: F811
    boris = await office.person("boris", "sales")
    original = await sent(office)
    answer = await inbox.arrive(mail(IVAN.address, more=f"In-Reply-To: {original.message_id}\r\n", message_id="<a@x>"))
    assert answer.thread_id == original.thread_id
    async with office.db.begin() as conn:
        item = await queue.find_by_thing(conn, "message", original.thread_id or 0)
        assert item is not None
        await queue.claim(conn, boris, item.id, now=T0)
    await inbox.arrive(notice(original, IVAN.address))
    async with office.db.read() as conn:
        item = await queue.find_by_thing(conn, "message", original.thread_id or 0)
    assert item is not None and (item.owner_id, item.title) == (boris.user_id, "Ромашка")


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: auto-replied\r\n",
        "X-Auto-Response-Suppress: All\r\n",
        "List-Id: <news.x>\r\n",
        "Precedence: bulk\r\nX-Autoreply: yes\r\n",
        "Return-Path: <>\r\n",
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n",
    ],
)
async def test_what_machines_write_to_us_makes_neither_lead_nor_work(inbox: Inbox, head: str) -> None:
    await inbox.arrive(mail("stranger@x.test", more=head))
    async with inbox.office.db.read() as conn:
        assert await leads_of(conn, inbox.office.actor) == []
        assert await queue.listed(conn, inbox.office.actor, state="waiting") == []


async def test_an_out_of_office_is_on_the_card_and_wakes_no_finished_conversation(inbox: Inbox) -> None:
    office = inbox.office  # noqa: F811
    original = await sent(office)
    head = f"In-Reply-To: {original.message_id}\r\nAuto-Submitted: auto-replied\r\n"
    away = await inbox.arrive(mail(IVAN.address, more=head, subject="Автоответ: в отпуске"))
    assert (away.thread_id, away.client_id, away.auto) == (original.thread_id, office.client_id, "auto_reply")
    async with office.db.read() as conn:
        assert await queue.find_by_thing(conn, "message", original.thread_id or 0) is None
        assert len(await timeline.page(conn, None, office.client_id)) == 2


async def test_two_machines_that_talk_too_fast_make_no_more_work_but_are_shown(inbox: Inbox) -> None:
    office = inbox.office  # noqa: F811
    first = await inbox.arrive(mail("robot@x.test", message_id="<0@x>"))
    thread_id = first.thread_id or 0
    seen = []
    for number in range(1, effects.FAST + 3):
        async with office.db.begin() as conn:
            await queue.close(conn, "message", thread_id, now=office.clock())
        office.clock.later(seconds=20)
        more = "In-Reply-To: <0@x>\r\n"
        one = await inbox.arrive(mail("Robot@x.test", message_id=f"<{number}@x>", more=more, body=f"{number}"))
        assert one.thread_id == thread_id
        async with office.db.read() as conn:
            item = await queue.find_by_thing(conn, "message", thread_id)
            about = (await conn.execute(sa.select(messages.c.about).where(messages.c.id == one.id))).scalar_one()
        assert item is not None
        seen.append((item.state, "too_fast" in about))
    assert seen == [("waiting", False)] * (effects.FAST - 1) + [("done", True)] * 3
    office.clock.later(hours=2)
    later = await inbox.arrive(mail("robot@x.test", message_id="<later@x>", more="In-Reply-To: <0@x>\r\n", body="x"))
    async with office.db.read() as conn:
        item = await queue.find_by_thing(conn, "message", later.thread_id or 0)
    assert item is not None and item.state == "waiting"


async def test_work_that_waited_before_a_loop_goes_on_waiting(inbox: Inbox) -> None:
    first = await inbox.arrive(mail("robot@x.test", message_id="<0@x>"))
    for number in range(1, effects.FAST + 3):
        inbox.office.clock.later(seconds=20)
        more = "In-Reply-To: <0@x>\r\n"
        await inbox.arrive(mail("robot@x.test", message_id=f"<{number}@x>", more=more, body=f"{number}"))
    async with inbox.office.db.read() as conn:
        item = await queue.find_by_thing(conn, "message", first.thread_id or 0)
    assert item is not None and item.state == "waiting"


async def test_our_own_mail_that_comes_back_to_us_is_shown_and_makes_no_work(inbox: Inbox) -> None:
    office = inbox.office  # noqa: F811
    original = await sent(office)
    raw = b"Received: by a.list.test\r\n" + await office.blobs.get(original.raw_sha256)
    echo = await inbox.arrive(raw)
    assert (echo.direction, echo.message_id, echo.thread_id) == ("in", original.message_id, original.thread_id)
    async with office.db.read() as conn:
        assert await leads_of(conn, office.actor) == []
        assert await queue.listed(conn, office.actor, state="waiting") == []


async def test_a_stranger_who_writes_to_two_mailboxes_of_a_team_at_once_is_one_lead(box: Box) -> None:
    async with box.db.begin() as conn:
        row = {"address": "info@hub.test", "team_id": box.team_id, "created_at": T0}
        second = (await conn.execute(mailboxes.insert().values(**row).returning(mailboxes.c.id))).scalar_one()
        made = await conn.execute(
            folders.insert().values(mailbox_id=second, name="INBOX", role="inbox", gaps=[]).returning(folders.c.id)
        )
        place = FolderPlace(made.scalar_one(), "inbox", 1)
    linker = Linker("RU", frozenset(), frozenset({"sales@hub.test", "info@hub.test"}))
    other = MailIntake(box.db, box.blobs, linker, second, box.team_id, ThreadPoolExecutor(1))

    async def arrive(intake: MailIntake, where: FolderPlace, n: int, now: datetime) -> None:
        raw = mail("New <New@Stranger.test>", message_id=f"<{n}@s>", body=f"{n}")
        await intake.store(where, [Arrived(n, raw, (), now)], cursor={}, is_new=True, now=now)

    for n in range(1, 6):
        now = T0 + timedelta(seconds=n)
        await asyncio.gather(arrive(box.intake, box.places["inbox"], n, now), arrive(other, place, n, now))
    (lead,) = await box.leads()
    assert (lead.address, lead.times, lead.state) == ("new@stranger.test", 5, "open"), "a letter counts once"


@pytest.mark.parametrize(
    ("sender", "is_known"),
    [
        ("new@romashka.example", True),
        ("new@ROMASHKA.example", True),
        ("new@romаshka.example", False),  # a Cyrillic letter within
        ("new@romashka.example.evil.test", False),
        ("new@sub.romashka.example", False),
        ("new@gmail.com", False),
        ("new@mail.ru", False),
    ],
)
async def test_a_companys_domain_is_the_companys_and_no_look_alike_or_public_one_is(
    box: Box, sender: str, is_known: bool
) -> None:
    async with box.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=T0)
        await clients.add_address(conn, None, client_id, kind="domain", raw="romashka.example", now=T0)
        await clients.add_address(conn, None, client_id, kind="email", raw="boss@gmail.com", now=T0)
        linked = await Linker("RU").by_email(conn, sender)
    assert (linked.best is not None and linked.best.client_id == client_id) is is_known


def test_nothing_is_ever_sent_but_by_a_person() -> None:
    """Rows of the outbox come from one function, which asks for an actor; what comes in has no way to it."""
    makers = []
    for path in sorted(Path("hub").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func) in ("outbox.insert", "outbox_table.insert") or (
                ast.unparse(call.func) == "insert" and any(ast.unparse(arg) == "outbox" for arg in call.args)
            ):
                makers.append(str(path))
        if path.is_relative_to("hub/mail/intake") or path.is_relative_to("hub/mail/sync"):
            imported = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not any("submit" in line or "smtp" in line or "compose" in line for line in imported), path
    assert makers == ["hub/mail/sending/submit.py"]
