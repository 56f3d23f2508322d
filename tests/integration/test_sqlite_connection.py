"""Short statements run on the loop's own thread, long ones beside it; a connection never works in both at once."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from weakref import WeakSet

import pytest
import sqlalchemy as sa

from hub.store.engine import Database, open_database
from hub.store.sqlite_connection import MOST_ROWS, LongStatements, LoopCursor, connect

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT i FROM n"
LONG = f"SELECT count(*) FROM ({NUMBERS})"


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "hub.db"
    with sqlite3.connect(path) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("CREATE TABLE n (i INTEGER)")
    conn.close()
    return path


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite:///{path}")
    yield database
    await database.close()


async def turns_during(work: asyncio.Task[None]) -> list[float]:
    """Return how long each turn of the loop took while a task was at work."""
    took = []
    while not work.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        took.append(time.perf_counter() - began)
    await work
    return took


async def test_a_short_statement_takes_no_turn_of_the_loop(db: Database) -> None:
    async with db.begin() as conn:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await conn.execute(sa.text("INSERT INTO n VALUES (1)"))
        assert (await conn.execute(sa.text("SELECT i FROM n"))).scalar_one() == 1
        assert turns <= 1
        counting.cancel()


@pytest.mark.parametrize("door", ["begin", "read"])
async def test_a_long_select_leaves_the_loop_free_and_gives_its_answer(db: Database, door: str) -> None:
    async with getattr(db, door)() as conn:

        async def ask() -> None:
            for _ in range(2):
                assert (await conn.execute(sa.text(LONG))).scalar_one() == 3_000_000

        began = time.perf_counter()
        took = await turns_during(asyncio.create_task(ask()))
        whole_s = time.perf_counter() - began
    assert len(took) > 20
    assert max(took) < whole_s / 4


async def test_a_statement_that_was_long_goes_to_the_thread_at_once(path: Path) -> None:
    long = LongStatements()
    conn = await connect(str(path), long, WeakSet(), is_reader=True)
    cursor = conn.cursor()
    await cursor.execute(LONG)
    assert LONG in long
    assert await cursor.fetchall() == [(3_000_000,)]
    await cursor.close()
    await conn.close()


async def test_a_task_of_many_statements_gives_others_their_turns(db: Database) -> None:
    async def write() -> None:
        async with db.begin() as conn:
            for number in range(2_000):
                await conn.execute(sa.text("INSERT INTO n VALUES (:i)"), {"i": number})

    began = time.perf_counter()
    took = await turns_during(asyncio.create_task(write()))
    assert len(took) > (time.perf_counter() - began) / 0.05
    async with db.read() as conn:
        assert (await conn.execute(sa.text("SELECT count(*) FROM n"))).scalar_one() == 2_000


async def test_many_rows_are_written_beside_the_loop(path: Path) -> None:
    conn = await connect(str(path), LongStatements(), WeakSet(), is_reader=False)
    asked = conn._asked
    cursor = conn.cursor()
    await cursor.executemany("INSERT INTO n VALUES (?)", [(number,) for number in range(MOST_ROWS)])
    assert conn._asked == asked
    await cursor.executemany("INSERT INTO n VALUES (?)", [(number,) for number in range(MOST_ROWS + 1)])
    assert conn._asked == asked + 1
    await cursor.close()
    await conn.close()


async def test_while_the_thread_works_nothing_runs_beside_it(path: Path) -> None:
    conn = await connect(str(path), LongStatements(), WeakSet(), is_reader=True)
    slow, quick = conn.cursor(), conn.cursor()
    order = []

    async def ask(cursor: LoopCursor, sql: str, name: str) -> None:
        await cursor.execute(sql)
        order.append(name)

    first = asyncio.create_task(ask(slow, f"WITH long AS ({LONG}) SELECT * FROM long", "slow"))
    while conn.is_idle:
        await asyncio.sleep(0)
    await ask(quick, "SELECT 1", "quick")
    await first
    assert order == ["slow", "quick"]
    await conn.close()


async def test_a_reader_waits_beside_the_loop_for_a_process_that_keeps_the_file_to_itself(path: Path) -> None:
    conn = await connect(str(path), LongStatements(), WeakSet(), is_reader=True)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    cursor = conn.cursor()

    async def let_go() -> None:
        await asyncio.sleep(0.2)
        holder.close()

    letting_go = asyncio.create_task(let_go())
    await cursor.execute("SELECT count(*) FROM n")
    assert await cursor.fetchall() == [(0,)]
    await letting_go
    await conn.close()


async def test_what_is_asked_of_a_closed_connection_is_an_error(path: Path) -> None:
    conn = await connect(str(path), LongStatements(), WeakSet(), is_reader=True)
    cursor = conn.cursor()
    await conn.close()
    with pytest.raises(ValueError, match="closed"):
        await cursor.execute("SELECT 1")
