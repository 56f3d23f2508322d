"""Drafts: saved over the version that was seen, one's own, one message at most, and back again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, queue
from hub.crm.access import Actor
from hub.crm.base import records
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.mail import register, relink
from hub.mail.models import outbox
from hub.mail.reading.mime import ParsedMessage, parse
from hub.mail.register import MessageFilters
from hub.mail.sending import cancelling, drafts, submit
from hub.mail.sending.claims import mark, next_due
from hub.mail.sending.draft_kind import DRAFTS
from hub.mail.sending.drafts import Content, Draft, Start
from hub.mail.sending.recipients import read_addresses
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.authentication import SERVICES
from tests.testbed import talk
from tests.testbed.site import Site, running_site

BOX = "sales@hub.test"
NOW = utc_now()


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


async def _mail(site: Site, **about: Any) -> int:
    return await talk.message(site.db, site.blobs, **about)


async def _begin(site: Site, actor: Actor, start: Start | None = None, **content: Any) -> Draft:
    given = {"mailbox": BOX, "to": "Иван <ivan@romashka.example>", "subject": "Счёт", "text": "Добрый день"}
    async with site.db.begin() as conn:
        return await drafts.create(conn, actor, start or Start(), Content(**given | content), now=NOW)


async def _send(site: Site, actor: Actor, draft_id: int, *, undo_s: float = 10) -> int:
    async with site.db.read() as conn:
        draft = await drafts.find(conn, actor, draft_id)
    lines = (("to", draft.to), ("cc", draft.cc), ("bcc", draft.bcc))
    to = tuple(read_addresses(line, field=name) for name, line in lines)
    new = submit.of_draft(draft, site.blobs, to)
    frozen = await submit.freeze(site.db, site.blobs, actor, new, now=NOW)
    linker, undo = site.app[SERVICES].linker, timedelta(seconds=undo_s)
    async with site.db.begin() as conn:
        return await submit.queue_message(conn, actor, frozen, linker=linker, now=NOW, undo=undo)


async def _sent(site: Site, actor: Actor, message_id: int) -> tuple[bytes, ParsedMessage]:
    async with site.db.read() as conn:
        row = await register.find(conn, actor, message_id)
    raw = await site.blobs.get(row.raw_sha256)
    return raw, parse(raw)


async def test_a_save_over_an_old_version_is_told_which_is_newer_and_changes_nothing(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    draft = await _begin(site, olga)
    async with site.db.begin() as conn:
        one = await drafts.save(conn, olga, draft.id, Content(mailbox=BOX, text="первая"), version=1, now=NOW)
        again = await drafts.save(conn, olga, draft.id, Content(mailbox=BOX, text="первая"), version=1, now=NOW)
    assert (one.version, again.version) == (2, 2), "an answer that was lost is given again"
    async with site.db.begin() as conn:
        with pytest.raises(Conflict) as stale:
            await drafts.save(conn, olga, draft.id, Content(mailbox=BOX, text="вторая"), version=1, now=NOW)
    assert (stale.value.code, stale.value.details["version"]) == ("draft_newer", 2)
    async with site.db.read() as conn:
        assert (await drafts.find(conn, olga, draft.id)).text == "первая"


async def test_a_colleague_and_an_administrator_see_nothing_of_a_draft(site: Site) -> None:
    olga, petr, boss = await site.person("olga"), await site.person("petr"), await site.person("boss", role="admin")
    await _mail(site)
    draft = await _begin(site, olga)
    for other in (petr, boss):
        async with site.db.begin() as conn:
            assert (await records.page(conn, other, DRAFTS)).items == []
            with pytest.raises(NotFound):
                await drafts.find(conn, other, draft.id)
            with pytest.raises(NotFound):
                await drafts.save(conn, other, draft.id, Content(mailbox=BOX), version=1, now=NOW)
            with pytest.raises(NotFound):
                await drafts.delete(conn, other, draft.id, now=NOW)
            with pytest.raises(NotFound):
                await drafts.restore(conn, other, draft.id)


async def test_a_draft_is_one_message_and_goes_from_the_list_with_it(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    draft = await _begin(site, olga, bcc="secret@b.example", html="<p>Добрый <b>день</b></p>")
    message_id = await _send(site, olga, draft.id)
    raw, parsed = await _sent(site, olga, message_id)
    assert (parsed.text, parsed.html) == ("Добрый день", "<p>Добрый <b>день</b></p>")
    assert b"secret" not in raw
    async with site.db.read() as conn:
        assert (await records.page(conn, olga, DRAFTS)).items == []
        with pytest.raises(Conflict):
            await drafts.find(conn, olga, draft.id)
    with pytest.raises(Conflict):
        await _send(site, olga, draft.id)


async def test_two_sends_of_one_draft_at_once_make_one_message(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    draft = await _begin(site, olga)
    new = submit.of_draft(draft, site.blobs, (read_addresses(draft.to, field="to"), (), ()))
    both = [await submit.freeze(site.db, site.blobs, olga, new, now=NOW) for _ in range(2)]
    linker = site.app[SERVICES].linker
    async with site.db.begin() as conn:
        await submit.queue_message(conn, olga, both[0], linker=linker, now=NOW)
    with pytest.raises(Conflict):
        async with site.db.begin() as conn:
            await submit.queue_message(conn, olga, both[1], linker=linker, now=NOW)
    async with site.db.read() as conn:
        assert len(await register.listed(conn, olga, MessageFilters(direction="out"))) == 1


async def test_what_is_taken_back_is_the_draft_it_was_and_nothing_is_left_of_it(site: Site) -> None:
    olga, api = await site.person("olga"), await site.api("olga")
    async with api.post("clients", json={"name": "Ромашка"}) as answer:
        client_id = (await answer.json())["id"]
    incoming = await _mail(site, client_id=client_id)
    async with site.db.begin() as conn:
        row = await register.find(conn, olga, incoming)
        assert row.thread_id is not None
        item = await queue.enqueue(
            conn,
            team_id=row.team_id,
            kind="message",
            ref_id=row.thread_id,
            title="x",
            address="",
            client_id=None,
            data={},
            now=NOW,
        )
        item_id = item.id
        await queue.claim(conn, olga, item_id, now=NOW)
    start = Start(kind="reply", answers_id=incoming, client_id=client_id)
    draft = await _begin(site, olga, start, quotes=True, bcc="b@b.example")
    async with site.db.begin() as conn:
        await drafts.add_file(
            conn, olga, draft.id, name="a.txt", kind="text/plain", size=1, sha256=await site.blobs.put(b"a")
        )
        draft = await drafts.find(conn, olga, draft.id)
    message_id = await _send(site, olga, draft.id)
    async with site.db.begin() as conn:
        assert (await queue.find(conn, item_id, actor=olga)).state == "done"
        assert await claim_none(conn, olga, message_id)
    async with site.db.begin() as conn:
        assert await cancelling.cancel(conn, olga, message_id, now=NOW) == draft.id
    async with site.db.read() as conn:
        back = await drafts.find(conn, olga, draft.id)
        assert replace(back, version=0, saved_at=NOW) == replace(draft, version=0, saved_at=NOW)
        with pytest.raises(NotFound):
            await register.find(conn, olga, message_id)
        assert len(await register.listed(conn, olga, MessageFilters())) == 1
        item = await queue.find(conn, item_id, actor=olga)
        assert (item.state, item.owner_id) == ("claimed", olga.user_id), "back in its owner's hands"
        card = await clients.find(conn, None, client_id)
        assert card.id == client_id
    async with api.get(f"clients/{client_id}/timeline") as answer:
        assert [one["ref"] for one in (await answer.json())["items"]] == [incoming]
    assert await _send(site, olga, draft.id) != message_id, "and it can be sent again"


async def claim_none(conn: Any, actor: Actor, message_id: int) -> bool:
    row = await register.find(conn, actor, message_id)
    return await next_due(conn, row.mailbox_id, now=NOW + timedelta(seconds=9)) == []


async def test_what_was_taken_back_comes_onto_no_card_when_its_reader_becomes_a_client(site: Site) -> None:
    olga, api = await site.person("olga"), await site.api("olga")
    await _mail(site, sender="other@b.example")
    message_id = await _send(site, olga, (await _begin(site, olga, to="new@b.example")).id)
    async with site.db.begin() as conn:
        await cancelling.cancel(conn, olga, message_id, now=NOW)
        client_id = await clients.create(conn, None, kind="person", name="Новый", now=NOW)
        await clients.add_address(conn, None, client_id, kind="email", raw="new@b.example", now=NOW)
        linker = site.app[SERVICES].linker
        await relink.batch(conn, linker, "new@b.example", message_id + 1, unlinks=True, now=NOW)
    async with api.get(f"clients/{client_id}/timeline") as answer:
        assert (await answer.json())["items"] == []


async def test_what_a_sender_has_cannot_be_taken_back(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    message_id = await _send(site, olga, (await _begin(site, olga)).id)
    async with site.db.begin() as conn:
        row = await register.find(conn, olga, message_id)
        (due,) = await next_due(conn, row.mailbox_id, now=NOW + timedelta(seconds=11))
        assert await mark(conn, [replace(due, since=NOW)], now=NOW + timedelta(seconds=11))
    async with site.db.begin() as conn:
        with pytest.raises(Conflict) as gone:
            await cancelling.cancel(conn, olga, message_id, now=NOW)
        assert gone.value.code == "gone"


async def test_a_colleague_does_not_take_back_what_another_sent(site: Site) -> None:
    olga, petr = await site.person("olga"), await site.person("petr")
    await _mail(site)
    message_id = await _send(site, olga, (await _begin(site, olga)).id)
    async with site.db.begin() as conn:
        with pytest.raises(Forbidden):
            await cancelling.cancel(conn, petr, message_id, now=NOW)


async def test_what_goes_later_waits_until_then_and_bears_that_date(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    at = (NOW + timedelta(days=1)).replace(microsecond=0)
    message_id = await _send(site, olga, (await _begin(site, olga, send_at=at)).id)
    _, parsed = await _sent(site, olga, message_id)
    assert parsed.date == at
    async with site.db.begin() as conn:
        ((draft, goes),) = await drafts.waiting_to_go(conn, olga)
        assert (draft.message_id, goes) == (message_id, at)
        row = await register.find(conn, olga, message_id)
        assert await next_due(conn, row.mailbox_id, now=at - timedelta(seconds=1)) == []
        assert await next_due(conn, row.mailbox_id, now=at)


async def test_a_forward_carries_files_pictures_and_the_whole_original_along(site: Site) -> None:
    olga = await site.person("olga")
    html = '<p>Смета <img src="cid:pic@them"></p>'
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    original = await _mail(site, html=html, files=(("a.png", "image/png", png),), cid="pic@them", text="Смета")
    other = await _mail(site, subject="Fwd: Re: Смета", files=(("смета.pdf", "application/pdf", b"%PDF"),))
    for message_id, names in ((original, ["a.png"]), (other, ["смета.pdf"])):
        start = Start(kind="forward", answers_id=message_id)
        draft = await _begin(site, olga, start, to="boss@b.example", html="<p>Смотрите</p>", text="", quotes=True)
        _, parsed = await _sent(site, olga, await _send(site, olga, draft.id))
        assert [one.name for one in parsed.attachments] == names
        assert parsed.in_reply_to == ""
        assert "ivan@romashka.example" in parsed.text and parsed.text.startswith("Смотрите")
        assert parsed.html is not None and "Forwarded message" in parsed.html
    first = await _first_forward(site, olga)
    (picture,) = first.attachments
    assert picture.cid is not None and f"cid:{picture.cid}" in (first.html or "")
    assert picture.content == png


async def _first_forward(site: Site, actor: Actor) -> ParsedMessage:
    async with site.db.read() as conn:
        rows = await register.listed(conn, actor, MessageFilters(direction="out"))
    return (await _sent(site, actor, rows[-1].id))[1]


async def test_an_answer_goes_out_from_the_mailbox_that_got_the_message(site: Site) -> None:
    olga = await site.person("olga")
    boss = await site.person("boss", role="admin")
    incoming = await _mail(site)
    await talk.message(site.db, site.blobs, team="support")
    draft = await _begin(site, boss, Start(kind="reply", answers_id=incoming), mailbox="support@hub.test")
    assert draft.mailbox_address == BOX
    with pytest.raises(NotFound):
        await _begin(site, olga, mailbox="support@hub.test")


async def test_a_picture_that_was_taken_out_of_the_text_stays_behind(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    draft = await _begin(site, olga)
    sha256 = await site.blobs.put(b"png")
    async with site.db.begin() as conn:
        with pytest.raises(Refused):
            await drafts.add_file(conn, olga, draft.id, name="x", kind="text/html", size=3, sha256=sha256, inline=True)
        kept, _gone = [
            await drafts.add_file(
                conn, olga, draft.id, name=f"{n}.png", kind="image/png", size=3, sha256=sha256, inline=True
            )
            for n in range(2)
        ]
        html = drafts.cids_for_files(f'<p><img src="/drafts/{draft.id}/files/{kept.id}"></p>', [kept])
        await drafts.save(conn, olga, draft.id, Content(mailbox=BOX, to="a@b.example", html=html), version=1, now=NOW)
    _, parsed = await _sent(site, olga, await _send(site, olga, draft.id))
    assert [one.cid for one in parsed.attachments] == [kept.cid]
    assert parsed.html is not None and f'src="cid:{kept.cid}"' in parsed.html


async def test_a_deleted_draft_comes_back_and_is_forgotten_after_a_week(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    draft = await _begin(site, olga)
    async with site.db.begin() as conn:
        await drafts.delete(conn, olga, draft.id, now=NOW)
        assert (await records.page(conn, olga, DRAFTS)).items == []
        assert (await drafts.restore(conn, olga, draft.id)).text == draft.text
        await drafts.delete(conn, olga, draft.id, now=NOW - timedelta(days=8))
    await _begin(site, olga)
    async with site.db.begin() as conn:
        with pytest.raises(NotFound):
            await drafts.restore(conn, olga, draft.id)


async def test_an_undone_message_leaves_no_way_to_be_sent(site: Site) -> None:
    olga = await site.person("olga")
    await _mail(site)
    message_id = await _send(site, olga, (await _begin(site, olga)).id)
    async with site.db.begin() as conn:
        row = await register.find(conn, olga, message_id)
        await cancelling.cancel(conn, olga, message_id, now=NOW)
        assert await next_due(conn, row.mailbox_id, now=NOW + timedelta(days=9)) == []
        states = (await conn.execute(sa.select(outbox.c.state).where(outbox.c.message_id == message_id))).scalars()
        assert list(states) == ["undone"]
