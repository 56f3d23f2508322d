"""The door to the database under what tasks do to each other."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.store.engine import Database, open_database


async def test_a_task_cancelled_within_a_transaction_leaves_no_lock(db: Database) -> None:
    """A mailbox's reader is stopped in the middle of its writing whenever its settings change."""

    async def write(began: asyncio.Event) -> None:
        async with db.begin() as conn:
            await conn.execute(
                sa.text("INSERT INTO teams (name, created_at) VALUES ('x', '2026-11-25T00:00:00+00:00')")
            )
            began.set()
            while True:
                await conn.execute(sa.text("SELECT count(*) FROM teams"))

    for turns in range(60):
        began = asyncio.Event()
        task = asyncio.create_task(write(began))
        await began.wait()
        for _ in range(turns % 12):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5), db.begin() as conn:
            assert (await conn.execute(sa.text("SELECT count(*) FROM teams"))).scalar_one() == 0


async def test_who_asks_to_write_later_does_so_later(tmp_path: Path) -> None:
    """With SQLite's one writer, a task that asks in the very turn in which it is free goes behind those who wait."""
    database = open_database(f"sqlite:///{tmp_path}/hub.db")
    asked: list[int] = []
    wrote: list[int] = []

    async def write(number: int) -> None:
        asked.append(number)
        async with database.begin():
            wrote.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(write(number))
            await asyncio.sleep(0)
    await database.close()
    assert wrote == asked


async def test_a_statement_that_fails_names_no_value_it_was_given(db: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError) as failed:
        async with db.begin() as conn:
            await conn.execute(sa.text("INSERT INTO no_such_table VALUES (:it)"), {"it": "a password"})
    assert "a password" not in str(failed.value)


async def test_closing_waits_for_what_a_cancelled_task_left_running(tmp_path: Path) -> None:
    """A thread that ends after its event loop is closed fails, and says so on the operator's terminal."""
    before = set(threading.enumerate())

    async def read(database: Database) -> None:
        async with database.read() as conn:
            await conn.execute(sa.text("SELECT 1"))

    was_running = False
    for turns in range(16):
        database = open_database(f"sqlite:///{tmp_path}/{turns}.db")
        task = asyncio.create_task(read(database))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ours = [one for one in threading.enumerate() if one not in before and "worker_thread" in one.name]
        was_running = was_running or bool(ours)
        await database.close()
        assert not [thread for thread in ours if thread.is_alive()], turns
    assert was_running
