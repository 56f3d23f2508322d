"""Each bomb goes through the real intake, with the real workers: the loop goes on, the message is kept and shown.

Printed are the size, how long the parsing alone takes and the longest that the event loop stood still meanwhile
(`pytest -s`). Wanted is 100 ms; a machine whose idle loop stands still by itself is allowed that much more, and the
time that carrying the bytes to a worker takes by itself, which counts for the message of 100 MB only.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.mail import register
from hub.mail.models import messages
from hub.mail.reading.parsing import read
from hub.mail.reading.workers import ParserPool
from hub.store.blobs import BlobStore
from hub.store.engine import open_database
from tests.attacks.mail_bombs import BOMBS
from tests.factories import Box

WANTED_STALL_S = 0.1
TRIES = 3
"""What the machine does to us once, it does not do each time; what the bomb does, it does each time."""
PARSE_WITHIN_S = 6.0
"""On a machine that others use too; the worker itself is given 30."""
NOT_MEASURED_ALONE = {"100 MB"}


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool(1) as one:
        one.submit(len, b"").result()
        yield one


@pytest.fixture
async def box(sqlite_template: Path, tmp_path: Path, pool: ParserPool) -> AsyncIterator[Box]:
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    db = open_database(f"sqlite:///{tmp_path / 'hub.db'}")
    one = Box(db, BlobStore(tmp_path / "blobs"))
    await one.open()
    one.intake = replace(one.intake, parsers=pool)
    yield one
    await db.close()


class Stalls:
    """The longest time that the event loop did not come round, in seconds."""

    longest = 0.0

    async def watch(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.002)
            now = time.monotonic()
            self.longest = max(self.longest, now - last - 0.002)
            last = now


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Stalls]:
    stalls = Stalls()
    watching = asyncio.ensure_future(stalls.watch())
    await asyncio.sleep(0)
    try:
        yield stalls
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def idle_stall_s(pool: ParserPool) -> float:
    """How long the loop stands still for what else this machine does, a worker being busy."""
    async with watched() as stalls:
        await asyncio.get_running_loop().run_in_executor(pool, sum, range(8_000_000))
    return stalls.longest


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_kept_and_shown_and_the_loop_goes_on(
    box: Box, pool: ParserPool, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb = BOMBS[name]()
    for attempt in range(TRIES):
        raw = b"X-Attempt: %d\r\n" % attempt + bomb
        idle_s = await idle_stall_s(pool)
        async with asyncio.timeout(90):
            async with watched() as storing:
                assert await box.arrive(raw) == 1
            async with watched() as showing:
                row = (await box.messages())[0]
                async with box.db.read() as conn:
                    shown = await register.find(conn, box.actor, row.id)
        assert shown.parse_state == "parsed"
        async with box.db.read() as conn:
            query = sa.select(messages.c.raw_sha256, messages.c.size).where(messages.c.id == row.id)
            stored = (await conn.execute(query)).one()
        assert stored.size == len(raw)
        assert (await box.blobs.get(stored.raw_sha256)) == raw
        times = (storing.longest, showing.longest, idle_s)
        with capsys.disabled():
            figures = "stall {:.0f} ms, shown {:.0f} ms, idle {:.0f} ms".format(*(one * 1000 for one in times))
            print(f"\n{name}: {len(raw) / 1e6:.1f} MB, {figures}")
        if max(storing.longest, showing.longest) <= WANTED_STALL_S + 2 * idle_s:
            return
    pytest.fail(f"the loop stood still each of {TRIES} times")


@pytest.mark.parametrize("name", [name for name in BOMBS if name not in NOT_MEASURED_ALONE])
def test_a_bomb_is_read_in_bounded_time(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    raw = BOMBS[name]()
    began = time.process_time()
    read(raw, mark="mark")
    took_s = time.process_time() - began
    with capsys.disabled():
        print(f"\n{name}: read in {took_s * 1000:.0f} ms")
    assert took_s < PARSE_WITHIN_S


async def test_the_letter_behind_a_bomb_is_read(box: Box) -> None:
    await box.arrive(BOMBS["100,000 nested tags"]())
    assert await box.arrive(b"From: b@x.example\r\nSubject: after\r\n\r\nx") == 1
    assert {row.subject for row in await box.messages()} == {"bomb", "after"}
