"""Who answers a conversation now: seen on its page, the desk and over the API; gone by itself; never in the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import queue
from hub.crm.access import Actor
from hub.mail import answering
from hub.mail.models import mailboxes, messages, threads
from hub.store.changes import Position, read_after
from hub.store.engine import Database
from tests.factories import got
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def _thread(site: Site) -> int:
    message = await talk.message(site.db, site.blobs)
    async with site.db.begin() as conn:
        row = (await conn.execute(sa.select(messages).where(messages.c.id == message))).mappings().one()
        team = sa.select(mailboxes.c.team_id).where(mailboxes.c.id == row["mailbox_id"])
        data = {"subject": row["subject"], "snippet": "", "from_name": "Иван", "message_id": message}
        about: dict[str, Any] = {"title": "Иван", "address": "i@x", "client_id": None, "data": data, "now": utc_now()}
        team_id = (await conn.execute(team)).scalar_one()
        await queue.enqueue(conn, team_id=team_id, kind="message", ref_id=row["thread_id"], **about)
    return int(row["thread_id"])


async def _told(db: Database, thread: int) -> list[list[str]]:
    async with db.read() as conn:
        found = await read_after(conn, Position(0, 0))
    return [[one["name"] for one in c.data["answering"]] for c in found if (c.kind, c.object_id) == ("thread", thread)]


async def _desk(api: Any) -> list[str]:
    (item,) = (await got(api, "queue"))["items"]
    return [one["name"] for one in item["data"].get("answering", [])]


async def test_a_colleague_sees_who_answers_until_the_answer_is_sent_and_the_writer_is_told_nothing(
    site: Site,
) -> None:
    thread = await _thread(site)
    olga, boris, api = await site.browser("olga"), await site.browser("boris"), await site.api("boris")
    place = f"/threads/{thread}/answering"
    for _ in range(3):
        async with olga.post(place) as answer:
            assert answer.status == 204
    async with boris.get(place) as answer:
        assert "Olga is answering this" in await answer.text()
    async with olga.get(place) as answer:
        assert "answering this" not in await answer.text()
    shown = await got(api, f"threads/{thread}")
    assert [one["user"]["name"] for one in shown["answering"]] == ["Olga"]
    assert await _desk(api) == ["Olga"]
    async with boris.get("/desk") as answer:
        assert "Olga is answering" in await answer.text()
    # It keeps nobody from writing.
    async with boris.post(place) as answer:
        assert answer.status == 204
    assert await _desk(api) == ["Boris", "Olga"]
    async with olga.post(place, data={"done": "1"}) as answer:
        assert answer.status == 204
    assert await _desk(api) == ["Boris"]
    assert await _told(site.db, thread) == [["Olga"], ["Boris", "Olga"], ["Boris"]], "each change once"


async def test_a_sign_without_another_ping_goes_by_itself_and_that_is_told(site: Site) -> None:
    thread = await _thread(site)
    olga: Actor = await site.person("olga")
    now = utc_now()
    async with site.db.begin() as conn:
        await answering.touch(conn, olga, thread, now=now)
    before = now + answering.LASTS - timedelta(seconds=1)
    async with site.db.begin() as conn:
        assert await answering.sweep(conn, now=before) == 0
        await answering.touch(conn, olga, thread, now=before)
        assert await answering.sweep(conn, now=now + answering.LASTS) == 0, "the ping renewed it"
        assert (await answering.writers(conn, [thread], now=before + answering.LASTS)) == {}, "over before the sweep"
        assert await answering.sweep(conn, now=before + answering.LASTS) == 1
    assert await _told(site.db, thread) == [["Olga"], []]
    assert await _desk(await site.api("olga")) == []


async def test_a_stranger_to_the_conversation_can_neither_say_nor_see_it(site: Site) -> None:
    thread = await _thread(site)
    await site.person("stranger", team="support")
    stranger, api = await site.browser("stranger"), await site.api("stranger")
    async with stranger.post(f"/threads/{thread}/answering") as answer:
        assert answer.status == 404
    async with stranger.get(f"/threads/{thread}/answering") as answer:
        assert answer.status == 404
    assert (await got(api, f"threads/{thread}", 404))["error"]["code"] == "thread_missing"
    async with site.db.read() as conn:
        assert (await conn.execute(sa.select(sa.func.count()).select_from(threads))).scalar() == 1
        assert await answering.writers(conn, [thread], now=utc_now()) == {}
