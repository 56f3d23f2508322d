"""Who holds a thing of which there is one: the database's clock decides, and a stale holder hears of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta

from hub.store import leases
from hub.store.engine import Database
from tests.testbed.waiting import wait_for

SHORT = timedelta(milliseconds=300)


async def take(db: Database, holder: str, *, lease: timedelta = leases.LEASE, name: str = "a@b.test") -> int | None:
    async with db.begin() as conn:
        return await leases.take(conn, "mailbox", name, holder, lease=lease)


async def test_of_many_who_take_at_once_one_holds(db: Database) -> None:
    fences = await asyncio.gather(*(take(db, f"p{n}") for n in range(20)))
    assert sorted(fence for fence in fences if fence is not None) == [1]


async def test_a_hold_that_is_renewed_is_never_taken_and_one_that_ran_out_is(db: Database) -> None:
    assert await take(db, "one", lease=SHORT) == 1
    for _ in range(5):
        await asyncio.sleep(0.1)
        async with db.begin() as conn:
            assert await leases.renew(conn, "mailbox", "a@b.test", "one", 1, lease=SHORT)
        assert await take(db, "two") is None
    fence = await wait_for(lambda: take(db, "two"), what="the lease of the first runs out", deadline_s=20)
    assert fence == 2
    async with db.begin() as conn:
        assert not await leases.renew(conn, "mailbox", "a@b.test", "one", 1)
        assert await leases.renew(conn, "mailbox", "a@b.test", "two", 2)


async def test_who_lets_go_is_followed_at_once_and_by_a_higher_fence(db: Database) -> None:
    assert await take(db, "one") == 1
    async with db.begin() as conn:
        await leases.release(conn, "mailbox", "a@b.test", "two", 1)  # not theirs to let go
    assert await take(db, "two") is None
    async with db.begin() as conn:
        await leases.release(conn, "mailbox", "a@b.test", "one", 1)
    assert await take(db, "two") == 2
    assert await take(db, "three", name="other@b.test") == 1


async def test_a_dead_process_of_this_machine_is_not_waited_for(db: Database) -> None:
    code = "import time; from hub.store.leases import holder_name; print(holder_name(), flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert await take(db, name) == 1
        assert not leases.is_dead(name) and await take(db, "two") is None
    finally:
        process.kill()
        process.wait()
    assert leases.is_dead(name)
    assert await take(db, "two") == 2
    assert not leases.is_dead("two") and not leases.is_dead(leases.holder_name())
