"""The feed misses nothing: the property, and the counter-example that a plain id cursor is."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.store.changes import Position, can_resume, changes, head, newest_of, publish, read_after, trim
from hub.store.engine import Database, write_gathered

START = Position(0, 0)


async def _tell(db: Database, object_id: int) -> None:
    async with db.begin() as conn:
        await publish(conn, "call", object_id, at=utc_now())


async def _tell_and_fail(db: Database) -> None:
    async with db.begin() as conn:
        await publish(conn, "call", 1, at=utc_now())
        await conn.execute(changes.insert().values(tx=0, kind=None))


async def test_a_reader_gets_each_change_once_and_in_order(db: Database) -> None:
    for n in range(5):
        await _tell(db, n)
    async with db.read() as conn:
        first = await read_after(conn, START, limit=3)
        rest = await read_after(conn, newest_of(first, START))
        assert [c.object_id for c in first + rest] == [0, 1, 2, 3, 4]
        assert await head(conn) == rest[-1].position


async def test_a_rolled_back_change_is_never_seen_and_gives_no_hint(db: Database) -> None:
    with db.bus.subscribe("changes") as hints:
        with pytest.raises(sa.exc.IntegrityError):
            await _tell_and_fail(db)
        assert not await hints.wait(at_most_s=0.05)
        await _tell(db, 2)
        assert await hints.wait(at_most_s=5)
    async with db.read() as conn:
        assert [c.object_id for c in await read_after(conn, START)] == [2]


@pytest.mark.parametrize("db_url", ["postgresql"], indirect=True)
async def test_a_plain_id_cursor_misses_what_commits_late_and_the_feed_does_not(db: Database) -> None:
    async with db.begin() as slow:
        await publish(slow, "call", 1, at=utc_now())
        await write_gathered(slow)
        await _tell(db, 2)
        async with db.read() as conn:
            visible = list((await conn.execute(sa.select(changes.c.id, changes.c.object_id))).all())
            assert [row.object_id for row in visible] == [2], "the later id is visible first"
            id_cursor = visible[-1].id
            assert await read_after(conn, START) == [], "the feed waits for the slow writer"
    async with db.read() as conn:
        query = sa.select(changes.c.object_id).where(changes.c.id > id_cursor)
        assert (await conn.execute(query)).all() == [], "the id cursor has lost change 1 for ever"
        assert [c.object_id for c in await read_after(conn, START)] == [1, 2]


async def test_many_writers_at_once_lose_nothing_to_a_greedy_reader(db: Database) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    delays = [dice.random() * 0.01 for _ in range(120)]

    async def write(n: int) -> None:
        async with db.begin() as conn:
            await publish(conn, "call", n, at=utc_now())
            await write_gathered(conn)
            await asyncio.sleep(delays[n])

    seen: list[int] = []

    async def follow() -> None:
        position = START
        while len(seen) < len(delays):
            async with db.read() as conn:
                found = await read_after(conn, position, limit=7)
            position = newest_of(found, position)
            seen.extend(c.object_id for c in found)
            await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        for n in range(len(delays)):
            tasks.create_task(write(n))
    assert sorted(seen) == list(range(len(delays)))


async def test_a_trimmed_or_foreign_position_cannot_resume(db: Database) -> None:
    for n in range(3):
        await _tell(db, n)
    async with db.read() as conn:
        first, _, third = await read_after(conn, START)
        assert await can_resume(conn, first.position)
        assert await can_resume(conn, START)
        assert not await can_resume(conn, Position(third.position.tx + 1000, third.position.id + 1000))
    assert await trim(db, now=utc_now() + timedelta(days=2)) == 2
    async with db.read() as conn:
        assert not await can_resume(conn, first.position)
        assert not await can_resume(conn, START)
        assert await can_resume(conn, third.position)
