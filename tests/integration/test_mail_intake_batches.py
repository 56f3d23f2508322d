"""Batches: what many messages stored at once come to, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from hub.crm import clients, queue, timeline
from hub.errors import Conflict
from hub.mail import reparse
from hub.mail.intake.intake import Arrived
from hub.mail.intake.preparing import ReplyKey
from hub.mail.intake.reply_tag import tagged_address, tagged_id
from hub.mail.models import locations, messages, thread_ids, threads
from hub.mail.reading.workers import ParserPool
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import T0, Box, known_client, mail
from tests.testbed.fatal_work import prepare_or_die


@pytest.fixture
async def box(db: Database, blobs: BlobStore) -> Box:
    one = Box(db, blobs)
    await one.open()
    return one


async def arrive_all(box: Box, raws: Sequence[bytes], *, is_new: bool = True, role: str = "inbox") -> int:
    batch = []
    for raw in raws:
        box.uid += 1
        batch.append(Arrived(box.uid, raw, ("\\Seen", "$Label1"), T0 + timedelta(minutes=box.uid)))
    return await box.intake.store(box.places[role], batch, cursor={}, is_new=is_new, now=T0)


async def test_a_batch_is_on_its_cards_in_its_threads_and_waits_once_for_each_of_them(box: Box) -> None:
    client_id = await known_client(box)
    async with box.db.begin() as conn:
        company = await clients.create(conn, None, kind="organisation", name="Лютик", now=T0)
        await clients.add_address(conn, None, company, kind="domain", raw="lutik.test", now=T0)
    raws = [
        mail(message_id="<3@r.test>", more="In-Reply-To: <2@r.test>\r\n", subject="Re: Цена"),
        mail(message_id="<2@r.test>", more="In-Reply-To: <1@r.test>\r\n", subject="Re: Цена"),
        mail(message_id="<1@r.test>", subject="Цена"),
        mail("Пётр <petr@lutik.test>", message_id="<p@lutik.test>"),
        mail("x@stranger.test", message_id="<s1@x>"),
        mail("x@stranger.test", message_id="<s2@x>"),
        mail("x@stranger.test", message_id="<s2@x>"),
    ]
    assert await arrive_all(box, raws) == 6
    async with box.db.read() as conn:
        assert len(await timeline.page(conn, None, client_id)) == 3
        assert len(await timeline.page(conn, None, company)) == 1
        assert (await conn.execute(sa.select(sa.func.count()).select_from(threads))).scalar() == 4
        flags = (await conn.execute(sa.select(locations.c.flags))).scalars().all()
    assert flags == [["$label1", "seen"]] * 7
    assert len(await box.waiting()) == 4
    (lead,) = await box.leads()
    assert lead.times == 2


async def test_an_answer_with_rewritten_ids_joins_what_the_same_client_wrote_before(box: Box) -> None:
    await known_client(box)
    sent = mail("sales@hub.test", message_id="<o@hub.test>", to="irina@romashka.test", subject="Поставка насосов")
    await arrive_all(box, [sent], role="sent")
    others = mail("boris@b.test", message_id="<b@b>", subject="Поставка насосов")
    answer = mail(message_id="<r@r>", more="In-Reply-To: <0100@amazonses.test>\r\n", subject="Re: Поставка насосов")
    await arrive_all(box, [others])
    await arrive_all(box, [answer])
    by_id = {m.message_id: m.thread_id for m in await box.messages()}
    assert by_id["<r@r>"] == by_id["<o@hub.test>"] != by_id["<b@b>"]


async def test_mail_that_waits_still_waits_when_history_brings_the_ancestor_of_its_thread(box: Box) -> None:
    await arrive_all(box, [mail(message_id="<3@r>", more="In-Reply-To: <2@r>\r\n")])
    (item,) = await box.waiting()
    old = [mail(message_id="<1@r>"), mail(message_id="<2@r>", more="In-Reply-To: <1@r>\r\n")]
    await arrive_all(box, old, is_new=False)
    (still,) = await box.waiting()
    assert still.id == item.id
    assert {m.thread_id for m in await box.messages()} == {still.ref_id}


async def test_what_waits_moves_to_a_thread_that_was_done_with(box: Box) -> None:
    await arrive_all(box, [mail(message_id="<1@r>")])
    (first,) = await box.waiting()
    async with box.db.begin() as conn:
        await queue.close(conn, "message", first.ref_id, now=T0)
    await arrive_all(box, [mail(message_id="<3@r>", more="In-Reply-To: <2@r>\r\n", subject="Third")])
    await arrive_all(box, [mail(message_id="<2@r>", more="In-Reply-To: <1@r>\r\n")], is_new=False)
    (item,) = await box.waiting()
    assert (item.ref_id, item.data["subject"]) == (first.ref_id, "Third")
    assert {m.thread_id for m in await box.messages()} == {first.ref_id}


async def test_a_clients_mail_to_a_personal_mailbox_is_its_owners_and_waits_for_nobody_else(box: Box) -> None:
    await known_client(box)
    box.intake = replace(box.intake, owner_id=box.actor.user_id)
    await arrive_all(box, [mail(), mail("private@x.test", message_id="<p@x>")])
    assert (await box.waiting(), await box.leads()) == ([], [])
    async with box.db.read() as conn:
        (mine,) = await queue.listed(conn, box.actor, state="claimed", mine=True)
    assert (mine.title, mine.owner_id) == ("Ромашка", box.actor.user_id)


async def test_the_same_mail_in_two_mailboxes_is_two_messages(box: Box, db: Database, blobs: BlobStore) -> None:
    other = Box(db, blobs)
    other.__dict__.update(box.__dict__)
    async with db.begin() as conn:
        from hub.mail.models import folders, mailboxes

        made = mailboxes.insert().values(address="second@hub.test", team_id=box.team_id, created_at=T0)
        second = (await conn.execute(made.returning(mailboxes.c.id))).scalar_one()
        row = {"mailbox_id": second, "name": "inbox", "role": "inbox", "gaps": []}
        folder_id = (await conn.execute(folders.insert().values(**row).returning(folders.c.id))).scalar_one()
    other.intake = replace(box.intake, mailbox_id=second)
    other.places = {"inbox": replace(box.places["inbox"], folder_id=folder_id)}
    assert await arrive_all(box, [mail()]) == await arrive_all(other, [mail()]) == 1
    assert len(await box.messages()) == 2


async def test_an_answer_finds_its_thread_by_hubs_own_mark_and_a_forged_mark_finds_none(box: Box) -> None:
    key = ReplyKey(b"k" * 32, frozenset({"hub.test"}))
    box.intake = replace(box.intake, reply_key=key)
    ours, forged = (tagged_id(secret, UUID(int=7), "hub.test") for secret in (key.key, b"x" * 32))
    sent = mail(
        "sales@hub.test", message_id=ours, to="irina@romashka.test", subject="Offer", more="References: <q@q>\r\n"
    )
    await arrive_all(box, [sent], role="sent")
    by_address = tagged_address(key.key, UUID(int=7), "sales@hub.test")
    await arrive_all(box, [mail(message_id="<1@r>", subject="Re: Offer", to=by_address)])
    await arrive_all(box, [mail(message_id="<2@r>", subject="A", more=f"References: <x@ses.test> {ours}\r\n")])
    await arrive_all(box, [mail(message_id="<3@r>", subject="B", more=f"In-Reply-To: {forged}\r\n")])
    of = {m.message_id: m.thread_id for m in await box.messages()}
    assert of[ours] == of["<1@r>"] == of["<2@r>"] != of["<3@r>"]
    async with box.db.read() as conn:
        known = set((await conn.execute(sa.select(thread_ids.c.message_id))).scalars())
    assert forged not in known


class Mortal(ParserPool):
    """Workers that die of deadly messages; `log` tells of how many messages each had in hand."""

    def __init__(self, log: Path) -> None:
        super().__init__(2)
        self.log = log

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(prepare_or_die, self.log, *args, **kwargs)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    with Mortal(tmp_path / "deaths") as pool:
        yield pool


async def test_a_message_that_kills_three_workers_is_shown_raw_its_batch_whole_and_can_be_read_again(
    box: Box, mortal: Mortal
) -> None:
    client_id = await known_client(box)
    good = [mail(message_id=f"<{n}@r>", subject=f"s{n}") for n in range(4)]
    deadly = mail(message_id="<9@r>", more="In-Reply-To: <1@r>\r\n", body="deadly", subject="Re: s1")
    box.intake = replace(box.intake, parsers=mortal)
    assert await arrive_all(box, [*good[:2], deadly, *good[2:]]) == 5
    assert mortal.log.read_text().split() == ["5", "1", "1", "1"]
    found = {m.subject: m for m in await box.messages()}
    assert set(found) == {"s0", "s1", "s2", "s3", ""}
    raw = found[""]
    assert (raw.parse_state, await box.blobs.get(raw.raw_sha256)) == ("failed", deadly)
    async with box.db.read() as conn:
        attempts = sa.select(messages.c.parse_attempts).where(messages.c.id == raw.id)
        assert (await conn.execute(attempts)).scalar() == 3
    assert len(await box.waiting()) == 5

    prepared = await reparse.parse_one(box.db, box.blobs, raw.id)
    async with box.db.begin() as conn:
        await reparse.store(conn, box.intake.linker, raw.id, prepared, now=T0)
    found = {m.subject: m for m in await box.messages()}
    read = found["Re: s1"]
    assert (read.id, read.parse_state, read.thread_id, read.client_id) == (
        raw.id,
        "parsed",
        found["s1"].thread_id,
        client_id,
    )
    async with box.db.read() as conn:
        assert raw.id in {entry.ref_id for entry in await timeline.page(conn, None, client_id)}
    assert {item.title for item in await box.waiting()} == {"Ромашка"}
    with pytest.raises(Conflict):
        await reparse.parse_one(box.db, box.blobs, raw.id)


async def test_many_files_put_at_once_are_whole_under_their_names_and_nothing_else_is_left(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "many")
    contents = [b"%d" % (n // 2) * 10_000 for n in range(60)]
    hashes = store.put_now(contents)
    assert [await store.get(one) for one in hashes] == contents
    assert store.put_now(contents) == hashes
    names = [path.name for path in (tmp_path / "many").rglob("*") if path.is_file()]
    assert sorted(names) == sorted(set(hashes))
