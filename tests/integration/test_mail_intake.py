"""From raw bytes to card, queue and leads, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.crm import clients, leads, people, queue, timeline
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.errors import Unavailable
from hub.mail import register
from hub.mail.intake.intake import Arrived, FolderPlace, MailIntake
from hub.mail.models import folders, mailboxes
from hub.store import changes
from hub.store.blobs import BlobStore
from hub.store.changes import Position
from hub.store.engine import Database

T0 = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Box:
    """A team's mailbox with its intake and one manager."""

    def __init__(self, db: Database, blobs: BlobStore) -> None:
        self.db, self.blobs = db, blobs
        self.uid = 0

    async def open(self) -> None:
        async with self.db.begin() as conn:
            user_id = await people.add_user(
                conn,
                email="anna@hub.test",
                name="Анна",
                role="manager",
                password_hash="x",
                team_names=["sales"],
                now=T0,
            )
            actor = await load_actor(conn, user_id)
            assert actor
            self.actor: Actor = actor
            (self.team_id,) = actor.team_ids
            box = mailboxes.insert().values(address="sales@hub.test", team_id=self.team_id, created_at=T0)
            self.mailbox_id = (await conn.execute(box.returning(mailboxes.c.id))).scalar_one()
            self.places = {}
            for role in ("inbox", "sent"):
                row = {"mailbox_id": self.mailbox_id, "name": role, "role": role, "gaps": []}
                made = await conn.execute(folders.insert().values(**row).returning(folders.c.id))
                self.places[role] = FolderPlace(made.scalar_one(), role, 1)  # type: ignore[arg-type]
        linker = Linker("RU", frozenset(), frozenset({"sales@hub.test"}))
        self.intake = MailIntake(self.db, self.blobs, linker, self.mailbox_id, self.team_id, ThreadPoolExecutor(1))

    async def arrive(self, raw: bytes, *, role: str = "inbox", is_new: bool = True, uid: int | None = None) -> int:
        self.uid += 1
        arrived = Arrived(uid or self.uid, raw, (), T0)
        cursor = {"high_uid": self.uid}
        return await self.intake.store(self.places[role], [arrived], cursor=cursor, is_new=is_new, now=T0)

    async def messages(self) -> list[register.MessageRow]:
        async with self.db.read() as conn:
            return await register.listed(conn, self.actor, register.MessageFilters())

    async def waiting(self) -> list[queue.Item]:
        async with self.db.read() as conn:
            return await queue.listed(conn, self.actor, state="waiting")

    async def leads(self) -> list[leads.Lead]:
        async with self.db.read() as conn:
            return await leads.listed(conn, self.actor, before=None, limit=10)


@pytest.fixture
async def box(db: Database, blobs: BlobStore) -> Box:
    one = Box(db, blobs)
    await one.open()
    return one


async def test_what_a_stranger_writes_to_a_persons_own_mailbox_is_offered_and_told_to_no_team(box: Box) -> None:
    olga = box.actor.user_id
    box.intake = replace(box.intake, owner_id=olga)
    raw = b"From: Doctor <doctor@clinic.example>\r\nTo: olga@hub.test\r\nSubject: x\r\n\r\ny"
    assert await box.arrive(raw) == 1
    assert (await box.waiting(), await box.leads()) == ([], [])
    async with box.db.read() as conn:
        told = await changes.read_after(conn, Position(0, 0))
    assert [(one.team_id, one.user_id) for one in told if one.kind == "message"] == [(None, olga)]


def mail(
    sender: str = "Ирина <irina@romashka.test>",
    *,
    message_id: str = "<1@romashka.test>",
    more: str = "",
    body: str = "Добрый день!",
    to: str = "sales@hub.test",
    subject: str = "Question",
) -> bytes:
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n{more}"
    return (head + f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n").encode()


async def known_client(box: Box) -> int:
    async with box.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=T0)
        await clients.add_address(conn, None, client_id, kind="email", raw="Irina@Romashka.test", now=T0)
    return client_id


async def test_a_mail_of_a_known_address_is_on_the_card_and_waits_under_the_clients_name(box: Box) -> None:
    client_id = await known_client(box)
    assert await box.arrive(mail()) == 1
    async with box.db.read() as conn:
        (entry,) = await timeline.page(conn, client_id)
    assert (entry.kind, entry.data["subject"]) == ("message", "Question")
    (item,) = await box.waiting()
    assert (item.kind, item.title, item.client_id) == ("message", "Ромашка", client_id)
    assert await box.leads() == []


async def test_two_mails_of_one_stranger_are_one_lead(box: Box) -> None:
    await box.arrive(mail())
    await box.arrive(mail(message_id="<2@romashka.test>", subject="Another"))
    (lead,) = await box.leads()
    assert (lead.times, lead.address, lead.name) == (2, "irina@romashka.test", "Ирина")


async def test_the_same_place_twice_and_the_same_bytes_elsewhere_are_one_message(box: Box) -> None:
    assert await box.arrive(mail(), uid=7) == 1
    assert await box.arrive(mail(), uid=7) == 0
    assert await box.arrive(mail(), uid=8) == 0
    assert len(await box.messages()) == 1
    (item,) = await box.waiting()
    assert item.version == 1


async def test_an_answer_joins_its_thread_and_the_queue_keeps_one_item(box: Box) -> None:
    await box.arrive(mail())
    await box.arrive(mail(message_id="<2@romashka.test>", more="In-Reply-To: <1@romashka.test>\r\n"))
    assert len({m.thread_id for m in await box.messages()}) == 1
    assert len(await box.waiting()) == 1


async def test_history_is_on_the_card_and_nothing_to_do(box: Box) -> None:
    client_id = await known_client(box)
    await box.arrive(mail(), is_new=False)
    await box.arrive(mail("stranger@x.test", message_id="<3@x.test>"), is_new=False)
    async with box.db.read() as conn:
        assert len(await timeline.page(conn, client_id)) == 1
    assert (await box.waiting(), await box.leads()) == ([], [])


@pytest.mark.parametrize(
    "more", ["Auto-Submitted: auto-replied\r\n", "List-Id: <x.test>\r\nList-Unsubscribe: <mailto:u@x.test>\r\n"]
)
async def test_automatic_mail_and_lists_make_no_lead_and_nothing_to_do(box: Box, more: str) -> None:
    await box.arrive(mail(more=more))
    assert (await box.waiting(), await box.leads()) == ([], [])
    assert len(await box.messages()) == 1


async def test_mail_from_our_own_mailbox_is_no_lead(box: Box) -> None:
    await box.arrive(mail("Sales <SALES@hub.test>"))
    assert (await box.waiting(), await box.leads()) == ([], [])


async def test_an_answer_sent_from_another_program_is_on_the_card_and_settles_what_waited(box: Box) -> None:
    client_id = await known_client(box)
    await box.arrive(mail())
    answer = mail(
        "sales@hub.test",
        message_id="<a@hub.test>",
        to="irina@romashka.test",
        more="In-Reply-To: <1@romashka.test>\r\n",
    )
    await box.arrive(answer, role="sent")
    async with box.db.read() as conn:
        entries = await timeline.page(conn, client_id)
    assert sorted(e.data["direction"] for e in entries) == ["in", "out"]
    assert await box.waiting() == []


async def test_a_new_mail_in_a_finished_thread_waits_again(box: Box) -> None:
    await box.arrive(mail())
    (item,) = await box.waiting()
    async with box.db.begin() as conn:
        await queue.claim(conn, box.actor, item.id, now=T0)
        await queue.finish(conn, box.actor, item.id, now=T0)
    await box.arrive(mail(message_id="<2@romashka.test>", more="In-Reply-To: <1@romashka.test>\r\n"))
    (again,) = await box.waiting()
    assert (again.id, again.owner_id) == (item.id, None)


async def test_html_is_stored_safe_and_its_pictures_lead_to_attachments(box: Box) -> None:
    raw = (
        b"From: a@x.test\r\nTo: sales@hub.test\r\nSubject: s\r\nMessage-ID: <h@x.test>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/related; boundary=B\r\n\r\n--B\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        b"<p onclick=alert(1)>Hi<script>alert(1)</script><img src='cid:pic@x'><img src='http://evil.test/t.gif'></p>\r\n"
        b"--B\r\nContent-Type: image/png\r\nContent-ID: <pic@x>\r\nContent-Disposition: inline; filename=p.png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--B--\r\n"
    )
    await box.arrive(raw)
    async with box.db.read() as conn:
        (listed,) = await register.listed(conn, box.actor, register.MessageFilters())
        message = await register.find(conn, box.actor, listed.id)
    assert message.html is not None
    (file,) = message.attachments
    assert f'src="/attachments/{file.id}"' in message.html
    for evil in ("script", "onclick", ' src="http'):
        assert evil not in message.html
    assert (await box.blobs.get(file.sha256)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\xff\xfe no headers at all",
        b"From: \xd0\xcf@\r\nSubject: =?broken?Q?x\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        b"Message-ID: <" + b"x" * 5000 + b">\r\nSubject: " + b"y" * 5000 + b"\r\n\r\n\0body",
        b"Content-Type: text/plain; charset=no-such\r\n\r\n\xcf\xf0\xe8\xe2\xe5\xf2",
    ],
)
async def test_what_cannot_be_read_is_kept_and_blocks_nothing(box: Box, raw: bytes) -> None:
    assert await box.arrive(raw) == 1
    (kept,) = await box.messages()
    assert await box.blobs.get(kept.raw_sha256) == raw
    assert await box.arrive(mail()) == 1


async def test_on_a_disk_that_takes_nothing_the_cursor_stays_and_the_mail_comes_later(box: Box, tmp_path: Path) -> None:
    in_the_way = tmp_path / "blobs"
    in_the_way.write_text("not a folder")
    with pytest.raises(Unavailable):
        await box.arrive(mail())
    async with box.db.read() as conn:
        assert set((await conn.execute(sa.select(folders.c.high_uid))).scalars()) == {0}
    assert await box.messages() == []
    in_the_way.unlink()
    assert await box.arrive(mail()) == 1
