"""From raw bytes to card, queue and leads, on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.crm import queue, timeline
from hub.errors import Unavailable
from hub.mail import register
from hub.mail.models import folders
from hub.store import changes
from hub.store.changes import Position
from tests.factories import T0, Box, known_client, mail


async def test_what_a_stranger_writes_to_a_persons_own_mailbox_is_offered_and_told_to_no_team(box: Box) -> None:
    olga = box.actor.user_id
    box.intake = replace(box.intake, owner_id=olga)
    raw = b"From: Doctor <doctor@clinic.example>\r\nTo: olga@hub.test\r\nSubject: x\r\n\r\ny"
    assert await box.arrive(raw) == 1
    assert (await box.waiting(), await box.leads()) == ([], [])
    async with box.db.read() as conn:
        told = await changes.read_after(conn, Position(0, 0))
    assert [(one.team_id, one.user_id) for one in told if one.kind == "message"] == [(None, olga)]


async def test_a_mail_of_a_known_address_is_on_the_card_and_waits_under_the_clients_name(box: Box) -> None:
    client_id = await known_client(box)
    assert await box.arrive(mail()) == 1
    async with box.db.read() as conn:
        (entry,) = await timeline.page(conn, None, client_id)
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
        assert len(await timeline.page(conn, None, client_id)) == 1
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
        entries = await timeline.page(conn, None, client_id)
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
