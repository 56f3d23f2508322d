"""Mail that would break the database, the parser or the worker: it is stored and shown, and stops nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.mail import register
from hub.mail.intake.intake import Arrived
from hub.mail.models import folders, locations
from hub.mail.reading.workers import ParserPool
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import T0, Box, mail
from tests.testbed.fatal_work import die, never_return

pytestmark = pytest.mark.either_database

SMALL_BYTES = 8 * 1024
NUL_WORD = "=?utf-8?B?" + base64.b64encode(b"a\0b").decode() + "?="
LONE = "=?utf-7?Q?+2AA-?="
HOSTILE = {
    "nul in names": f"From: {NUL_WORD} <a@x.test>\r\nTo: {NUL_WORD} <b@x.test>\r\nSubject: {NUL_WORD}\r\n\r\nx",
    "nul in ids": "From: a@x.test\r\nMessage-ID: <a\0b@x>\r\nReferences: <r\0@x> <q@x>\r\nIn-Reply-To: <r\0@x>\r\n\r\n",
    "half a surrogate": f"From: {LONE} <a@x.test>\r\nTo: {LONE} <b@x.test>\r\nSubject: {LONE}\r\n\r\nx",
    "half a surrogate in the text": "From: a@x.test\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    "half a surrogate in html": "From: a@x.test\r\nContent-Type: text/html; charset=utf-7\r\n\r\n<p>+2AA- &#xD800;</p>",
    "utf-16": "From: a@x.test\r\nContent-Type: text/plain; charset=utf-16\r\n\r\nxyz",
    "nul in html": "From: a@x.test\r\nContent-Type: text/html\r\n\r\n<p>a\0b&#0;</p>",
    "long names": "From: a@x.test\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: application/"
    + "x" * 500
    + '; name="'
    + "n" * 900
    + '\0"\r\nContent-ID: <'
    + "c" * 900
    + "\0>\r\n\r\nfile\r\n--B--\r\n",
    "long address": "From: " + "a" * 900 + "@" + "b" * 900 + ".test\r\nTo: " + "c" * 3000 + "@x\r\n\r\nx",
    "date before christ": "From: a@x.test\r\nDate: Mon, 1 Jan 0001 00:00:00 +2359\r\n\r\nx",
    "date after the end": "From: a@x.test\r\nDate: Fri, 31 Dec 9999 23:59:59 -2359\r\n\r\nx",
    "many references": "From: a@x.test\r\nReferences: " + " ".join(f"<{n}@x>" for n in range(40_000)) + "\r\n\r\nx",
    "long references": "From: a@x.test\r\nReferences: "
    + " ".join(f"<{'r' * 900}{n}@x>" for n in range(50))
    + "\r\n\r\nx",
}


@pytest.fixture
async def box(db: Database, blobs: BlobStore) -> Box:
    one = Box(db, blobs)
    await one.open()
    return one


@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile_mail_is_stored_and_the_next_one_too(box: Box, kind: str) -> None:
    raw = HOSTILE[kind].encode("utf-8", "surrogateescape")
    assert await box.arrive(raw) == 1
    (kept,) = await box.messages()
    assert await box.blobs.get(kept.raw_sha256) == raw
    assert kept.parse_state == "parsed"
    assert await box.arrive(mail()) == 1


async def refuse_in_database(box: Box, word: str) -> None:
    """Have the database itself refuse a message of this subject: what a bug of ours looks like from here."""
    if box.db.dialect == "sqlite":
        statements = [
            f"CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.subject = '{word}' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        ]
    else:
        statements = [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
            f"CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.subject = '{word}') "
            "EXECUTE FUNCTION refuse()",
        ]
    async with box.db.begin() as conn:
        for statement in statements:
            await conn.exec_driver_sql(statement)


async def test_a_message_that_the_database_refuses_is_stored_raw_and_its_batch_whole(box: Box) -> None:
    await refuse_in_database(box, "poison")
    raws = [mail(message_id=f"<{n}@x.test>", subject="poison" if n == 2 else f"s{n}") for n in range(1, 5)]
    batch = [Arrived(uid, raw, (), T0) for uid, raw in enumerate(raws, 1)]
    stored = await box.intake.store(box.places["inbox"], batch, cursor={"high_uid": 4}, is_new=True, now=T0)
    assert stored == 4
    found = {m.subject: m for m in await box.messages()}
    assert set(found) == {"s1", "s3", "s4", ""}
    assert found[""].parse_state == "failed"
    assert await box.blobs.get(found[""].raw_sha256) == raws[1]
    async with box.db.read() as conn:
        query = sa.select(folders.c.high_uid).where(folders.c.id == box.places["inbox"].folder_id)
        assert (await conn.execute(query)).scalar() == 4


async def test_a_mail_that_no_parser_reads_is_shown_raw_and_still_waits_for_somebody(box: Box) -> None:
    class Broken(ThreadPoolExecutor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            return super().submit(lambda: [][1])

    box.intake = replace(box.intake, parsers=Broken(1))
    raw = mail(body="x" * SMALL_BYTES)
    assert await box.arrive(raw) == 1
    (kept,) = await box.messages()
    assert kept.parse_state == "failed"
    assert await box.blobs.get(kept.raw_sha256) == raw
    assert len(await box.waiting()) == 1


@pytest.fixture
def pool() -> Iterator[ParserPool]:
    with ParserPool(1, within_s=2) as one:
        yield one


@pytest.mark.parametrize("fate", [die, never_return])
async def test_a_worker_that_dies_or_is_stuck_takes_no_other_mail_along(
    box: Box, pool: ParserPool, fate: Callable[[], None]
) -> None:
    box.intake = replace(box.intake, parsers=pool)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        doomed = loop.run_in_executor(pool, fate)
        in_line = asyncio.ensure_future(box.arrive(mail(body="x" * SMALL_BYTES)))
        with pytest.raises(BrokenProcessPool):
            await doomed
        assert await in_line == 1
        assert await box.arrive(mail(message_id="<2@x.test>", body="y" * SMALL_BYTES)) == 1
    assert {m.parse_state for m in await box.messages()} == {"parsed"}


async def test_big_html_is_read_in_a_worker_and_its_pictures_lead_to_attachments(box: Box, pool: ParserPool) -> None:
    box.intake = replace(box.intake, parsers=pool)
    body = "<p>Hi<script>alert(1)</script><img src='cid:pic@x'><img src='cid:none@x'></p>" + "<b>x</b>" * SMALL_BYTES
    raw = (
        "From: a@x.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=B\r\n\r\n--B\r\n"
        f"Content-Type: text/html; charset=utf-8\r\n\r\n{body}\r\n--B\r\nContent-Type: image/png\r\n"
        "Content-ID: <pic@x>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--B--\r\n"
    ).encode()
    await box.arrive(raw)
    (listed,) = await box.messages()
    async with box.db.read() as conn:
        message = await register.find(conn, box.actor, listed.id)
    (file,) = message.attachments
    assert message.html is not None
    assert message.html.count("/attachments/") == 1
    assert f'src="/attachments/{file.id}"' in message.html
    assert "script" not in message.html


async def test_an_older_answer_that_is_read_later_settles_no_newer_mail(box: Box) -> None:
    await box.arrive(mail())
    answer = mail(
        "sales@hub.test", message_id="<a@hub.test>", to="irina@romashka.test", more="In-Reply-To: <1@romashka.test>\r\n"
    )
    old = Arrived(1, answer, (), T0 - timedelta(hours=1))
    await box.intake.store(box.places["sent"], [old], cursor={}, is_new=False, now=T0)
    assert len({m.thread_id for m in await box.messages()}) == 1
    assert len(await box.waiting()) == 1


async def test_the_same_bytes_twice_in_one_batch_are_one_message_in_two_places(box: Box) -> None:
    batch = [Arrived(uid, mail(), (), T0) for uid in (1, 2)]
    assert await box.intake.store(box.places["inbox"], batch, cursor={}, is_new=True, now=T0) == 1
    assert await box.intake.store(box.places["inbox"], batch, cursor={}, is_new=True, now=T0) == 0
    async with box.db.read() as conn:
        assert (await conn.execute(sa.select(locations.c.uid).order_by(locations.c.uid))).scalars().all() == [1, 2]
    assert len(await box.messages()) == 1
