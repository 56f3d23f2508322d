"""From "Send" to the recipient and the Sent folder, on both databases: nothing lost, nothing sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.crm import clients, people, queue, timeline
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.crm.models import audit, team_members
from hub.demo.mail import DemoMail, running_mail
from hub.errors import Conflict, NotFound, Refused, Unavailable
from hub.mail import answering, register
from hub.mail.models import mailboxes, messages, thread_ids
from hub.mail.models import outbox as outbox_table
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import parse
from hub.mail.register import MessageRow
from hub.mail.sending import outbox, sender, submit, verdicts
from hub.mail.sending.compose import OutgoingFile
from hub.mail.sending.sender import Sender
from hub.mail.sending.submit import NewMessage
from hub.settings import Mailbox
from hub.store.blobs import BlobStore
from hub.store.bus import Bus
from hub.store.changes import Position, read_after
from hub.store.engine import Database
from tests.testbed.smtp import STALL, running_peer
from tests.testbed.waiting import wait_for

T0 = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SALES = "sales@hub.test"
IVAN = Address("Иван", "ivan@romashka.example")


@dataclass
class Clock:
    now: datetime = T0

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class DemoSentFolder:
    """The Sent folder of the scripted server, reached directly; `is_down` makes it unavailable."""

    mail: DemoMail
    is_down: bool = False
    looks: int = 0

    async def has(self, message_id: str) -> bool:
        self.looks += 1
        if self.is_down:
            raise Unavailable("imap_down", "no connection")
        return any(parse(raw).message_id == message_id for raw in await self.mail.stored("Sent"))

    async def append(self, raw: bytes, *, at: datetime) -> None:
        if self.is_down:
            raise Unavailable("imap_down", "no connection")
        await self.mail.deliver(raw, folder="Sent", at=at, seen=True)


@dataclass
class Office:
    """A mailbox with its team and manager, a client, and the sender that serves it."""

    db: Database
    blobs: BlobStore
    mail: DemoMail
    clock: Clock = field(default_factory=Clock)

    async def open(self) -> Office:
        self.actor = await self.person("anna", "sales")
        async with self.db.begin() as conn:
            team_id = await people.ensure_team(conn, "sales", now=T0)
            row = {"address": SALES, "name": "Отдел продаж", "team_id": team_id, "created_at": T0}
            made = await conn.execute(mailboxes.insert().values(**row).returning(mailboxes.c.id))
            self.mailbox_id: int = made.scalar_one()
            self.client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=T0)
            await clients.add_address(conn, None, self.client_id, kind="email", raw=IVAN.address, now=T0)
        self.settings = self.mail.mailbox(SALES, team="sales")
        self.sent_folder = DemoSentFolder(self.mail)
        self.sender = self.new_sender()
        return self

    async def person(self, name: str, team: str) -> Actor:
        async with self.db.begin() as conn:
            user_id = await people.add_user(
                conn,
                email=f"{name}@hub.test",
                name=name.title(),
                role="manager",
                password_hash="x",
                team_names=[team],
                extension=None,
                now=T0,
            )
            actor = await load_actor(conn, user_id)
        assert actor is not None
        return actor

    def new_sender(self, settings: Mailbox | None = None) -> Sender:
        box = settings or self.settings
        return Sender(self.db, self.blobs, box, self.mailbox_id, self.sent_folder, now=self.clock)

    async def send(self, actor: Actor | None = None, **changes: Any) -> int:
        given: dict[str, Any] = {"mailbox": SALES, "to": (IVAN,), "subject": "Счёт", "text": "Добрый день"}
        new = NewMessage(**(given | changes))
        frozen = await submit.freeze(self.db, self.blobs, actor or self.actor, new, now=self.clock())
        async with self.db.begin() as conn:
            linker = Linker("RU", own_emails=frozenset({SALES}))
            return await submit.queue_message(conn, actor or self.actor, frozen, linker=linker, now=self.clock())

    async def message(self, message_id: int) -> MessageRow:
        async with self.db.read() as conn:
            return await register.find(conn, self.actor, message_id)

    async def state(self, message_id: int) -> tuple[str, list[str]]:
        row = await self.message(message_id)
        return row.state, [one.state for one in row.recipients]


@pytest.fixture
async def office(db: Database, blobs: BlobStore) -> AsyncIterator[Office]:
    async with running_mail([SALES]) as mail:
        yield await Office(db, blobs, mail).open()


async def test_a_message_goes_out_once_and_stands_on_card_register_and_in_sent(office: Office) -> None:
    files = (OutgoingFile("счёт.pdf", "application/pdf", b"%PDF"),)
    bcc = (Address("", "boss@hub.test"),)
    message_id = await office.send(cc=(Address("", "b@x.example"),), bcc=bcc, files=files)
    queued = await office.message(message_id)
    assert (queued.state, queued.direction, queued.author_name) == ("queued", "out", "Anna")
    assert (queued.client_id, queued.link_reason) == (office.client_id, "client")
    assert [(a.name, a.size) for a in queued.attachments] == [("счёт.pdf", 4)]
    await office.sender.work()
    await office.sender.work()
    (submitted,) = office.mail.journal
    assert submitted.sender == SALES
    assert submitted.recipients == (IVAN.address, "b@x.example", "boss@hub.test")
    assert submitted.raw == await office.blobs.get(queued.raw_sha256)
    assert b"boss" not in submitted.raw
    assert await office.state(message_id) == ("sent", ["sent"] * 3)
    assert await office.mail.stored("Sent") == [submitted.raw]
    read = parse(submitted.raw)
    assert (read.from_, read.message_id) == (Address("Отдел продаж", SALES), queued.message_id)
    async with office.db.read() as conn:
        (entry,) = await timeline.page(conn, None, office.client_id)
        seen = [c for c in await read_after(conn, Position(0, 0)) if c.kind == "message"]
        deeds = (await conn.execute(sa.select(audit.c.action, audit.c.user_id))).all()
    assert (entry.kind, entry.ref_id, entry.data["state"]) == ("message", message_id, "sent")
    assert [change.data["state"] for change in seen] == ["queued", "sending", "sent"]
    assert ("message.queued", office.actor.user_id) in [tuple(deed) for deed in deeds]


async def test_the_sender_is_woken_by_the_commit(office: Office, bus: Bus) -> None:
    running = asyncio.ensure_future(office.sender.run())
    try:
        message_id = await office.send()

        async def is_sent() -> bool:
            return (await office.state(message_id))[0] == "sent"

        await wait_for(is_sent, what="the message is sent", deadline_s=4)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_answer_joins_the_thread_and_the_client_of_what_it_answers(office: Office) -> None:
    first = await office.send(to=(Address("", "who@else.example"),), client_id=office.client_id)
    original = await office.message(first)
    answer = await office.message(await office.send(in_reply_to=first, subject="Re: Счёт"))
    by_id = await office.message(await office.send(in_reply_to=original.message_id, to=(Address("", "z@z.example"),)))
    assert original.link_manual and answer.thread_id == by_id.thread_id == original.thread_id
    assert (answer.in_reply_to, answer.references) == (original.message_id, [original.message_id])
    assert (by_id.client_id, by_id.link_reason) == (office.client_id, "thread")
    stranger = await office.message(await office.send(in_reply_to="<never@seen>"))
    assert stranger.thread_id != original.thread_id and stranger.in_reply_to == "<never@seen>"
    async with office.db.read() as conn:
        ghosts = (await conn.execute(sa.select(thread_ids.c.message_id))).scalars().all()
    assert "<never@seen>" in ghosts


async def test_what_was_answered_is_marked_so_once_the_answer_went_out(office: Office) -> None:
    asked = await office.send()
    await office.sender.work()
    async with office.db.begin() as conn:
        came = sa.update(messages).where(messages.c.id == asked)
        await conn.execute(came.values(direction="in", flags=[]))
    answer = await office.send(in_reply_to=asked)
    assert (await office.message(asked)).flags == [], "not before it went"
    await office.sender.work()
    assert (await office.message(answer)).state == "sent"
    assert (await office.message(asked)).flags == ["answered", "seen"]


async def test_sending_ends_the_sign_that_one_answers(office: Office) -> None:
    other = await office.person("boris", "sales")
    asked = await office.message(await office.send())
    assert asked.thread_id is not None
    async with office.db.begin() as conn:
        for one in (office.actor, other):
            await answering.touch(conn, one, asked.thread_id, now=T0)
    await office.send(in_reply_to=asked.id)
    async with office.db.read() as conn:
        left = (await answering.writers(conn, [asked.thread_id], now=T0))[asked.thread_id]
    assert [one.user_id for one in left] == [other.user_id]


async def test_answering_finishes_the_item_of_the_conversation_but_not_a_colleagues(office: Office) -> None:
    other = await office.person("boris", "sales")
    for holder, left in ((None, "done"), (office.actor, "done"), (other, "claimed")):
        message = await office.message(await office.send())
        assert message.thread_id is not None
        async with office.db.begin() as conn:
            shown = {"title": "x", "address": "x", "client_id": None, "data": {}}
            item = await queue.enqueue(
                conn,
                team_id=next(iter(office.actor.team_ids)),
                kind="message",
                ref_id=message.thread_id,
                now=T0,
                **shown,  # type: ignore[arg-type]
            )
            if holder:
                await queue.claim(conn, holder, item.id, now=T0)
        await office.send(in_reply_to=message.id)
        async with office.db.read() as conn:
            item = await queue.find_by_thing(conn, "message", message.thread_id)
        assert item is not None and item.state == left


async def test_a_deferred_message_is_tried_again_only_where_it_did_not_arrive(office: Office) -> None:
    office.mail.faults.refuse = {"b@x.example": "451 greylisted", "c@x.example": "550 no such user"}
    message_id = await office.send(to=(IVAN, Address("", "b@x.example"), Address("", "c@x.example")))
    await office.sender.work()
    assert await office.state(message_id) == ("deferred", ["sent", "deferred", "refused"])
    office.mail.faults.refuse = {}
    office.clock.later(seconds=30)
    await office.sender.work()
    assert len(office.mail.journal) == 1, "not before its time"
    office.clock.later(seconds=31)
    await office.sender.work()
    assert await office.state(message_id) == ("sent", ["sent", "sent", "refused"])
    assert [one.recipients for one in office.mail.journal] == [(IVAN.address,), ("b@x.example",)]
    assert len(await office.mail.stored("Sent")) == 1
    refused = (await office.message(message_id)).recipients[2]
    assert (refused.code, refused.reply) == (550, "no such user")


async def test_after_two_days_of_trying_hub_gives_up_and_says_so(office: Office) -> None:
    office.mail.faults.data_answer = "452 mailbox full"
    message_id = await office.send()
    for _ in range(len(verdicts.RETRY_AFTER) + 1):
        await office.sender.work()
        office.clock.later(hours=4)
    assert await office.state(message_id) == ("refused", ["refused"])
    assert office.mail.journal == [] and await office.mail.stored("Sent") == []


async def test_a_refused_message_is_not_tried_again_until_a_person_says_so(office: Office) -> None:
    office.mail.faults.mail_answer = "550 sender unknown"
    message_id = await office.send()
    await office.sender.work()
    assert await office.state(message_id) == ("refused", ["refused"])
    office.mail.faults.mail_answer = ""
    office.clock.later(days=3)
    await office.sender.work()
    assert office.mail.journal == []
    async with office.db.begin() as conn:
        await outbox.send_again(conn, office.actor, message_id, now=office.clock())
    await office.sender.work()
    assert await office.state(message_id) == ("sent", ["sent"])
    async with office.db.begin() as conn:
        with pytest.raises(Conflict):
            await outbox.send_again(conn, office.actor, message_id, now=office.clock())


async def test_a_cut_after_the_data_is_unknown_and_never_sent_again_by_hub(office: Office) -> None:
    office.mail.faults.cut = "dot"
    message_id = await office.send()
    await office.sender.work()
    assert await office.state(message_id) == ("unknown", ["unknown"])
    office.mail.faults.cut = ""
    for _ in range(30):
        office.clock.later(minutes=30)
        await office.sender.work()
    assert len(office.mail.journal) == 1
    assert await office.state(message_id) == ("unknown", ["unknown"])
    assert office.sent_folder.looks < 15, "looked for, ever less often, for an hour"


async def test_what_is_unknown_but_found_in_sent_was_sent(office: Office) -> None:
    office.mail.faults.cut = "dot"
    message_id = await office.send()
    await office.sender.work()
    # The provider files what it takes, a little later.
    await office.mail.deliver(office.mail.journal[0].raw, folder="Sent")
    office.clock.later(minutes=2)
    await office.sender.work()
    assert await office.state(message_id) == ("sent", ["sent"])
    assert len(await office.mail.stored("Sent")) == 1


async def test_a_person_decides_what_is_unknown(office: Office) -> None:
    office.mail.faults.cut = "dot"
    went, again = await office.send(), await office.send()
    await office.sender.work()
    office.mail.faults.cut = ""
    async with office.db.begin() as conn:
        await outbox.accept_as_sent(conn, office.actor, went, now=office.clock())
        await outbox.send_again(conn, office.actor, again, now=office.clock())
    await office.sender.work()
    assert [await office.state(m) for m in (went, again)] == [("sent", ["sent"])] * 2
    assert len(office.mail.journal) == 3 and len(await office.mail.stored("Sent")) == 2
    async with office.db.read() as conn:
        deeds = set((await conn.execute(sa.select(audit.c.action))).scalars())
    assert {"message.accepted_as_sent", "message.sent_again"} <= deeds


async def test_what_a_dead_process_was_sending_becomes_unknown(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "DRAIN_WITHIN_S", 0.05)
    async with running_peer(END=STALL) as peer:
        box = Mailbox(address=SALES, team="sales", imap=office.settings.imap, smtp=peer.server())
        message_id = await office.send()
        dying = asyncio.ensure_future(office.new_sender(box).send_next())
        await peer.stalled.wait()
        assert (await office.state(message_id))[0] == "sending", "committed before the data went out"
        dying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dying
    assert (await office.state(message_id))[0] == "sending"
    assert await office.new_sender().settle_left_over() == 1
    assert await office.state(message_id) == ("unknown", ["unknown"])
    await office.sender.work()
    assert office.mail.journal == []


async def test_a_stopping_process_waits_for_the_answer_and_writes_it(office: Office) -> None:
    office.mail.faults.hold = asyncio.Event()
    message_id = await office.send()
    stopping = asyncio.ensure_future(office.sender.send_next())

    async def has_arrived() -> bool:
        return bool(office.mail.journal)

    await wait_for(has_arrived, what="the server has the data")
    stopping.cancel()
    office.mail.faults.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert await office.state(message_id) == ("sent", ["sent"])


async def test_of_many_senders_exactly_one_sends(office: Office) -> None:
    message_ids = [await office.send(subject=str(n)) for n in range(5)]
    await asyncio.gather(*(office.new_sender().work() for _ in range(6)))
    assert len(office.mail.journal) == 5
    assert {(await office.state(m))[0] for m in message_ids} == {"sent"}
    assert len(await office.mail.stored("Sent")) >= 5


async def test_the_copy_waits_for_the_mailbox_and_is_put_there_once(office: Office) -> None:
    office.sent_folder.is_down = True
    message_id = await office.send()
    await office.sender.work()
    assert (await office.state(message_id))[0] == "sent"
    looks = office.sent_folder.looks
    await office.sender.work()
    assert office.sent_folder.looks == looks, "a mailbox that is away is not asked without end"
    office.sent_folder.is_down = False
    office.clock.later(minutes=1)
    await office.sender.work()
    await office.sender.work()
    assert len(await office.mail.stored("Sent")) == 1
    # A crash between the copy and its commit: done again, it finds the copy.
    async with office.db.begin() as conn:
        await conn.execute(sa.update(outbox_table).values(copy_state="wanted"))
    await office.sender.work()
    assert len(await office.mail.stored("Sent")) == 1 and len(office.mail.journal) == 1


async def test_nobody_sends_from_a_mailbox_of_another_team(office: Office) -> None:
    stranger = await office.person("vera", "support")
    with pytest.raises(NotFound):
        await office.send(stranger)
    new = NewMessage(mailbox=SALES, to=(IVAN,), subject="x", text="x")
    frozen = await submit.freeze(office.db, office.blobs, office.actor, new, now=T0)
    async with office.db.begin() as conn:
        await conn.execute(team_members.delete())
    async with office.db.begin() as conn:
        left_the_team = await load_actor(conn, office.actor.user_id)
        assert left_the_team is not None
        with pytest.raises(NotFound):
            await submit.queue_message(conn, left_the_team, frozen, linker=Linker("RU"), now=T0)
    async with office.db.read() as conn:
        assert (await conn.execute(sa.select(messages.c.id))).first() is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": (Address("", "a@x.example\r\nRCPT TO:<b@x>"),)}, "to"),
        ({"to": ()}, "to"),
        ({"subject": "a\x00b"}, "subject"),
        ({"text": "  ", "html": None}, "text"),
        ({"html": "<script>x</script>", "text": None}, "text"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_anything_is_stored(
    office: Office, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as caught:
        await office.send(**changes)
    assert caught.value.details["field"] == field


async def test_html_is_made_safe_and_gets_a_text(office: Office) -> None:
    html = "<p onclick=x>Добрый <b>день</b></p><script>alert(1)</script>"
    message = await office.message(await office.send(text=None, html=html))
    assert (message.html, message.text) == ("<p>Добрый <b>день</b></p>", "Добрый день")


async def test_bytes_that_are_gone_hold_up_no_other_message(office: Office) -> None:
    lost = await office.send(subject="lost")
    office.blobs.path((await office.message(lost)).raw_sha256).unlink()
    fine = await office.send(subject="fine")
    await office.sender.work()
    assert [(await office.state(m))[0] for m in (lost, fine)] == ["deferred", "sent"]
