"""The feed over the API: resumed without a gap, reset where it cannot, never wider than the asker's rights."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.models import users
from hub.store.changes import Position, head, publish
from hub.web import live, sse
from hub.web.authentication import LIVE
from tests.testbed import talk
from tests.testbed.events import listening
from tests.testbed.site import Site
from tests.testbed.waiting import wait_for


async def told(site: Site, *object_ids: int, team_id: int | None = None) -> None:
    for object_id in object_ids:
        async with site.db.begin() as conn:
            await publish(conn, "lead", object_id, at=utc_now(), team_id=team_id)


async def is_read(site: Site) -> bool:
    """Tell whether the site's reader has fanned out all that was told."""
    async with site.db.read() as conn:
        return (await head(conn)) == site.app[LIVE].head != Position(0, 0)


async def test_a_call_that_comes_in_is_told_as_it_comes(site: Site) -> None:
    api = await site.api("olga")
    async with listening(api, "events") as events:
        _, item_id, _ = await talk.waiting_call(site.db)
        event = await events.until("queue_item")
    assert event.data["id"] == item_id
    assert event.data["data"]["state"] == "waiting"
    assert event.data["team"] in site.actors["olga"].team_ids


async def test_a_reader_that_comes_back_gets_what_it_missed_in_order_and_once(site: Site) -> None:
    api = await site.api("olga")
    team_id = min(site.actors["olga"].team_ids)
    async with listening(api, "events") as events:
        await told(site, 1, team_id=team_id)
        assert (await events.next()).data["id"] == 1
    await told(site, 2, 3, team_id=team_id)
    async with listening(api, "events", last_id=events.last_id) as again:
        await told(site, 4, team_id=team_id)
        assert [(await again.next()).data["id"] for _ in range(3)] == [2, 3, 4]


async def test_changes_told_while_a_reader_joins_come_once_each(site: Site) -> None:
    """The seam between what is read back and what the fan-out brings has neither gap nor double."""
    api = await site.api("olga")
    team_id = min(site.actors["olga"].team_ids)
    async with listening(api, "events") as first:
        start = first.last_id
    ids = list(range(1, 61))

    async def tell_all() -> None:
        for n in ids:
            await told(site, n, team_id=team_id)

    async def read_all() -> list[int]:
        async with listening(api, "events", last_id=start) as events:
            return [(await events.next()).data["id"] for _ in ids]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tell_all())
        readers = [tasks.create_task(read_all()) for _ in range(5)]
    assert all(reader.result() == ids for reader in readers)


@pytest.mark.parametrize("last_id", ["0.999999", "nonsense", "9999999999999999999.1", "-1.-1"])
async def test_a_position_that_is_gone_is_answered_with_reset_and_goes_on_from_the_head(
    site: Site, last_id: str
) -> None:
    api = await site.api("olga")
    team_id = min(site.actors["olga"].team_ids)
    await told(site, 1, team_id=team_id)
    await wait_for(lambda: is_read(site), what="the feed has read the first change, so the head is behind it")
    async with listening(api, "events", last_id=last_id) as events:
        reset = await events.next()
        assert reset.name == "reset"
        await told(site, 2, team_id=team_id)
        assert (await events.next()).data["id"] == 2
    async with listening(api, "events", last_id=reset.id) as again:
        assert (await again.next()).data["id"] == 2


async def test_more_than_the_backlog_missed_is_a_reset_not_a_flood(site: Site) -> None:
    api = await site.api("olga")
    team_id = min(site.actors["olga"].team_ids)
    await told(site, 1, team_id=team_id)
    async with listening(api, "events") as events:
        start = events.last_id
    async with site.db.begin() as conn:
        for n in range(live.BACKLOG + 1):
            await publish(conn, "lead", n, at=utc_now(), team_id=team_id)
    async with listening(api, "events", last_id=start) as again:
        assert (await again.next()).name == "reset"


async def test_a_stranger_hears_nothing_of_another_team(site: Site) -> None:
    await site.person("stranger", team="support")
    foreign = await site.api("stranger")
    mine = await site.api("olga")
    async with listening(foreign, "events") as events, listening(mine, "events") as own:
        await told(site, 1, team_id=min(site.actors["olga"].team_ids))
        await told(site, 2, team_id=min(site.actors["stranger"].team_ids))
        assert (await own.next()).data["id"] == 1
        assert (await events.next()).data["id"] == 2


async def test_a_stream_ends_when_its_person_is_disabled(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "RECHECK_S", 0.0)
    api = await site.api("olga")
    async with listening(api, "events") as events:
        async with site.db.begin() as conn:
            await conn.execute(sa.update(users).values(disabled_at=utc_now()))
        await told(site, 1, team_id=min(site.actors["olga"].team_ids))
        with pytest.raises((EOFError, aiohttp.ClientError)):
            await events.next()
    async with api.get("events") as answer:
        assert answer.status == 401


async def test_a_slow_reader_is_reset_and_nobody_else_notices(site: Site) -> None:
    actor = await site.person("olga")
    feed = site.app[LIVE]
    slow, quick = await feed.join(actor, None), await feed.join(actor, None)
    seen = 0
    total = live.BACKLOG * 2
    for _ in range(4):
        async with site.db.begin() as conn:
            for n in range(total // 4):
                await publish(conn, "lead", n, at=utc_now(), team_id=min(actor.team_ids))
        until = seen + total // 4
        while seen < until:
            assert await quick.wait(at_most_s=5)
            seen += len(quick.take(head=feed.head) or [])
    assert seen == total
    assert slow.take(head=feed.head) is None
    assert slow.after == feed.head
    assert slow.take(head=feed.head) == []
    feed.leave(slow)
    feed.leave(quick)
    assert feed.stream_count == 0


async def test_streams_of_readers_that_are_gone_are_not_kept(site: Site) -> None:
    api = await site.api("olga")
    team_id = min(site.actors["olga"].team_ids)
    async with listening(api, "events"), listening(api, "events"):
        assert site.app[LIVE].stream_count == 2

    async def none_left() -> bool:
        await told(site, 1, team_id=team_id)
        return site.app[LIVE].stream_count == 0

    await wait_for(none_left, what="both streams are given up")


async def test_the_server_ends_its_streams_when_it_stops(site: Site) -> None:
    api = await site.api("olga")
    async with listening(api, "events") as events:
        site.app[LIVE].close()
        with pytest.raises(EOFError):
            await events.next()


async def test_one_person_cannot_hold_endless_streams(site: Site) -> None:
    actor = await site.person("olga")
    feed = site.app[LIVE]
    for _ in range(live.MAX_STREAMS_OF_ONE):
        await feed.join(actor, None)
    async with (await site.api("olga")).get("events") as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "too_many_streams"


async def test_the_reader_outlives_the_loss_of_its_database_connections(site: Site) -> None:
    if site.db.dialect == "sqlite":
        pytest.skip("SQLite has no connection that somebody else could cut")
    api = await site.api("olga")
    async with listening(api, "events") as events:
        async with site.db.begin() as conn:
            others = "pid <> pg_backend_pid() AND datname = current_database()"
            await conn.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        await told(site, 7, team_id=min(site.actors["olga"].team_ids))
        assert (await events.next(deadline_s=10)).data["id"] == 7
