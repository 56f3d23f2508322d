"""Addresses that come, go and move: past messages follow in a job, in batches, and what a person said stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub.app import RELINKS
from hub.clock import utc_now
from hub.crm import clients, queue, relinking
from hub.crm.linking import Linker
from hub.crm.models import addresses, audit, relink_jobs, timeline_entries
from hub.crm.relinking import RelinkRuns
from hub.errors import NotFound
from hub.mail import jobs, manual_link, register, relink
from hub.mail.filters import MessageFilters
from hub.mail.jobs import MailJobs
from hub.mail.models import messages, threads
from hub.store import changes
from hub.store.blobs import BlobStore
from hub.store.changes import Position
from hub.store.engine import Database
from tests.factories import got, made, post
from tests.testbed import talk
from tests.testbed.site import Site

IVAN = "ivan@romashka.example"
LINKER = Linker("RU", own_emails=frozenset({"sales@hub.test"}))


async def work(db: Database, blobs: BlobStore | None = None) -> int:
    """Do every batch of every job; return how many there were."""
    steps = 0
    of_mail, relinks = MailJobs(db, LINKER, blobs or BlobStore(Path("unused"))), RelinkRuns(db, LINKER, RELINKS)
    while await of_mail.step() or await relinks.step():
        steps += 1
        assert steps < 200
    return steps


async def client(db: Database, name: str, *emails: str) -> int:
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="person", name=name, now=utc_now())
        for email in emails:
            kind: Any = "email" if "@" in email else "domain"
            await clients.add_address(conn, None, client_id, kind=kind, raw=email, now=utc_now())
    return client_id


async def wanted(db: Database, *emails: str) -> None:
    async with db.begin() as conn:
        for one in emails:
            kind: Any = "email" if "@" in one else "domain"
            await relinking.want(conn, kind, [one], unlinks=True, now=utc_now())


async def owners(db: Database) -> dict[int, tuple[int | None, str | None]]:
    async with db.read() as conn:
        rows = await conn.execute(sa.select(messages.c.id, messages.c.client_id, messages.c.link_reason))
        return {row.id: (row.client_id, row.link_reason) for row in rows}


async def on_card(db: Database, client_id: int) -> set[int]:
    async with db.read() as conn:
        entries = sa.select(timeline_entries.c.ref_id).where(timeline_entries.c.client_id == client_id)
        return set((await conn.execute(entries)).scalars())


async def test_every_message_follows_however_many_there_are(
    db: Database, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relink, "BATCH", 3)
    monkeypatch.setattr(relink, "WINDOW", 7)
    incoming = [await talk.message(db, blobs, sender=IVAN) for _ in range(8)]
    other = await talk.message(db, blobs, sender="x" + IVAN)
    answer = await talk.message(db, blobs, direction="out", sender="sales@hub.test")
    async with db.begin() as conn:
        to = [{"name": "Иван", "address": IVAN.upper()}]
        await conn.execute(sa.update(messages).where(messages.c.id == answer).values(to=to))
    ivan = await client(db, "Иван", IVAN)
    await wanted(db, IVAN)
    assert await work(db) > 2
    assert await owners(db) == {
        **dict.fromkeys((*incoming, answer), (ivan, "client")),
        other: (None, None),
    }
    assert await on_card(db, ivan) == {*incoming, answer}
    async with db.read() as conn:
        told = await changes.read_after(conn, Position(0, 0))
    assert {one.object_id for one in told if one.kind == "message" and one.client_id == ivan} == {*incoming, answer}


async def test_an_address_that_moves_takes_its_messages_from_card_to_card(db: Database, blobs: BlobStore) -> None:
    old, new = await client(db, "Старый", IVAN), await client(db, "Новый")
    message_id = await talk.message(db, blobs, sender=IVAN)
    await wanted(db, IVAN)
    await work(db)
    assert await on_card(db, old) == {message_id}
    async with db.begin() as conn:
        await conn.execute(sa.update(addresses).values(client_id=new))
    await wanted(db, IVAN)
    await work(db)
    assert (await on_card(db, old), await on_card(db, new)) == (set(), {message_id})
    async with db.begin() as conn:
        await conn.execute(addresses.delete())
    await wanted(db, IVAN)
    await work(db)
    assert await owners(db) == {message_id: (None, None)}
    assert await on_card(db, new) == set()


async def test_a_domain_links_as_likely_and_an_address_of_its_own_wins(db: Database, blobs: BlobStore) -> None:
    firm, ivan = await client(db, "Ромашка", "romashka.example"), await client(db, "Иван", IVAN)
    of_ivan = await talk.message(db, blobs, sender=IVAN)
    of_firm = await talk.message(db, blobs, sender="info@romashka.example")
    stranger = await talk.message(db, blobs, sender="info@notromashka.example")
    await wanted(db, "romashka.example")
    await work(db)
    assert await owners(db) == {of_ivan: (ivan, "client"), of_firm: (firm, "domain"), stranger: (None, None)}


async def test_a_thread_takes_along_what_nothing_else_links_and_leaves_it_again(db: Database, blobs: BlobStore) -> None:
    ivan = await client(db, "Иван", IVAN)
    first, second = [await talk.message(db, blobs, sender=one) for one in (IVAN, "petr@elsewhere.example")]
    own = await talk.message(db, blobs, sender="sales@hub.test")
    async with db.begin() as conn:
        await conn.execute(sa.update(messages).values(thread_id=1))
    await wanted(db, IVAN)
    await work(db)
    assert await owners(db) == {first: (ivan, "client"), second: (ivan, "thread"), own: (None, None)}
    async with db.begin() as conn:
        await conn.execute(addresses.delete())
    await wanted(db, IVAN)
    await work(db)
    assert {owner for owner, _ in (await owners(db)).values()} == {None}
    async with db.read() as conn:
        assert (await conn.execute(sa.select(threads.c.client_id).where(threads.c.id == 1))).scalar() is None


async def test_what_a_person_said_stays_whatever_addresses_come_and_go(site: Site) -> None:
    db, olga = site.db, await site.person("olga")
    right, wrong = await client(db, "Правильный"), await client(db, "Другой")
    message_id = await talk.message(db, site.blobs, sender=IVAN)
    nobodys = await talk.message(db, site.blobs, sender=IVAN)
    async with db.begin() as conn:
        await manual_link.link(conn, olga, message_id, client_id=right, contact_id=None, now=utc_now())
        await manual_link.link(conn, olga, nobodys, client_id=None, contact_id=None, now=utc_now())
        await clients.add_address(conn, olga, wrong, kind="email", raw=IVAN, now=utc_now())
    await work(db)
    assert await owners(db) == {message_id: (right, "manual"), nobodys: (None, "manual")}
    assert (await on_card(db, right), await on_card(db, wrong)) == ({message_id}, set())


async def test_what_waits_in_the_queue_goes_by_its_clients_name_once_that_is_known(
    db: Database, blobs: BlobStore, site: Site
) -> None:
    olga = await site.person("olga")
    await talk.message(db, blobs, sender=IVAN)
    async with db.begin() as conn:
        about: dict[str, Any] = {"title": IVAN, "address": IVAN, "client_id": None, "data": {}, "now": utc_now()}
        await queue.enqueue(conn, team_id=min(olga.team_ids), kind="message", ref_id=1, **about)
    ivan = await client(db, "Иван Петров", IVAN)
    for _ in range(2):
        await wanted(db, IVAN)
        await work(db)
    async with db.read() as conn:
        (item,) = await queue.listed(conn, olga, state="waiting")
        told = [one for one in await changes.read_after(conn, Position(0, 0)) if one.kind == "queue_item"]
    assert (item.title, item.client_id) == ("Иван Петров", ivan)
    assert len(told) == 2, "offered, and linked once"


async def test_a_batch_that_is_done_again_changes_and_tells_nothing(db: Database, blobs: BlobStore) -> None:
    await client(db, "Иван", IVAN)
    await talk.message(db, blobs, sender=IVAN)
    await wanted(db, IVAN)
    await work(db)
    async with db.read() as conn:
        before = await changes.head(conn)
    await wanted(db, IVAN)
    await work(db)
    async with db.read() as conn:
        assert [one.kind for one in await changes.read_after(conn, before)] == []
        assert (await conn.execute(sa.select(relink_jobs))).all() == []


async def test_old_mail_is_found_once_the_job_has_been_through_it(
    db: Database, blobs: BlobStore, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "INDEXED_AT_ONCE", 2)
    olga = await site.person("olga")
    stored = [await talk.message(db, blobs, subject=f"Договор {n}", files=(("акт.pdf", "", b""),)) for n in range(5)]
    async with db.begin() as conn:
        await conn.execute(sa.text("DELETE FROM message_search"))
    async with db.read() as conn:
        assert await register.listed(conn, olga, MessageFilters(text="договоры"), limit=9) == []
    async with db.begin() as conn:
        await jobs.rebuild_search(conn, now=utc_now())
    assert await work(db) == 3
    async with db.read() as conn:
        found = await register.listed(conn, olga, MessageFilters(text="договоры file:акт"), limit=9)
    assert {one.id for one in found} == set(stored)


async def test_what_could_not_be_read_is_read_again_linked_and_found(site: Site) -> None:
    db, olga, browser = site.db, await site.person("olga"), await site.browser("olga")
    ivan = await client(db, "Иван", IVAN)
    raws = [
        f"From: {IVAN}\r\nTo: sales@hub.test\r\nSubject: Договор {n}\r\nMessage-ID: <again{n}@x.example>\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nпоставка\r\n'
        '--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename="act.csv"\r\n\r\na\r\n--b--'
        for n in range(7)
    ]
    stored = [await talk.message(db, site.blobs, subject="", sender="", text="") for _ in raws]
    lost = await talk.message(db, site.blobs, subject="", sender="", text="")
    async with db.begin() as conn:
        for message_id, raw in zip(stored, raws, strict=True):
            values = {"parse_state": "failed", "raw_sha256": await site.blobs.put(raw.encode())}
            await conn.execute(sa.update(messages).where(messages.c.id == message_id).values(**values))
        gone = sa.update(messages).where(messages.c.id == lost)
        await conn.execute(gone.values(parse_state="failed", raw_sha256="0" * 64))
    async with browser.post("/mailboxes/1/read-again") as answer:
        assert answer.url.path == "/mailboxes/1"
    await work(db, site.blobs)
    async with db.read() as conn:
        found = await register.listed(conn, olga, MessageFilters(text="договоры поставки file:act"))
        still = await register.listed(conn, olga, MessageFilters(is_unreadable=True), limit=9)
    assert sorted(one.id for one in found) == stored
    assert {(one.client_id, one.from_address, one.parse_state) for one in found} == {(ivan, IVAN, "parsed")}
    assert await on_card(db, ivan) == set(stored)
    assert [one.id for one in still] == [lost], "what is not there cannot be read, and holds up nothing"


async def test_a_thread_is_linked_by_hand_as_far_as_one_may_see_it(site: Site) -> None:
    api = await site.api("olga")
    olga, pavel = await site.person("olga"), await site.person("pavel")
    whose = (await made(api))["id"]
    mine = [await talk.message(site.db, site.blobs) for _ in range(2)]
    foreign = await talk.message(site.db, site.blobs, owner_id=pavel.user_id)
    async with site.db.begin() as conn:
        await conn.execute(sa.update(messages).values(thread_id=1))
    status, answer = await post(api, f"messages/{mine[0]}/link", json={"client": whose, "thread": True})
    assert (status, answer["client"]["id"], answer["link"]["manual"]) == (200, whose, True)
    assert await on_card(site.db, whose) == set(mine)
    assert (await owners(site.db))[foreign] == (None, None)
    async with site.db.read() as conn:
        trace = (await conn.execute(sa.select(audit).where(audit.c.action == "message.linked"))).one()
        assert trace.details == {"client": whose, "contact": None, "before": None, "messages": 2}
        with pytest.raises(NotFound):
            await register.find(conn, olga, foreign)


async def test_whose_a_message_is_can_be_said_on_a_page(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    whose = await made(api)
    message_id = await talk.message(site.db, site.blobs)
    async with browser.get(f"/messages/{message_id}/link", params={"q": "ромашка"}) as answer:
        assert f'value="{whose["id"]}"' in await answer.text()
    contact = whose["contacts"][0]["id"]
    form = {"whose": f"{whose['id']}/{contact}", "thread": "1"}
    async with browser.post(f"/messages/{message_id}/link", data=form) as answer:
        assert answer.status == 200
        assert answer.url.path == f"/messages/{message_id}"
    shown = await got(api, f"messages/{message_id}")
    assert (shown["client"]["id"], shown["contact"]["id"]) == (whose["id"], contact)
    for bad in ("999", f"{whose['id']}/999", "x", "1/2/3"):
        async with browser.post(f"/messages/{message_id}/link", data={"whose": bad}) as answer:
            assert answer.status in (400, 404), bad
