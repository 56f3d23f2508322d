"""Hints between processes, and what is left of them when Redis is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.store.bus import RedisBus
from tests.testbed.valkey import Valkey


@asynccontextmanager
async def running(url: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus(url)
    task = asyncio.ensure_future(bus.run())
    try:
        async with asyncio.timeout(10):
            await bus.connected.wait()
        yield bus
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()


async def test_a_hint_reaches_another_process(valkey: Valkey) -> None:
    async with running(valkey.url) as one, running(valkey.url) as other:
        with other.subscribe("changes") as hints:
            await one.hint("changes")
            assert await hints.wait(at_most_s=5)


async def test_with_redis_gone_hints_stay_at_home_and_all_are_woken_when_it_is_back(valkey: Valkey) -> None:
    async with running(valkey.url) as one, running(valkey.url) as other:
        valkey.stop()
        try:
            with one.subscribe("changes") as at_home, other.subscribe("changes") as elsewhere:
                await one.hint("changes")
                assert await at_home.wait(at_most_s=1)
                valkey.start()
                assert await elsewhere.wait(at_most_s=15), "woken after the outage, since hints were missed"
        finally:
            if valkey._process is None:
                valkey.start()
