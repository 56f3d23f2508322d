"""Counting tries: exact at the edges, all or nothing, the same in this process and in a real Valkey."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from hub.errors import Unavailable
from hub.store.attempts import Attempts, Limit, LocalAttempts, RedisAttempts, Try
from tests.testbed.valkey import Valkey, free_port, running_valkey
from tests.testbed.waiting import wait_for

THREE = Limit("three", 3, timedelta(seconds=60))
ONE = Limit("one", 1, timedelta(seconds=60))


@pytest.fixture(params=["local", "redis"])
async def attempts(request: pytest.FixtureRequest) -> AsyncIterator[Attempts]:
    counter: Attempts = LocalAttempts()
    if request.param == "redis":
        server: Valkey = request.getfixturevalue("valkey")
        counter = RedisAttempts(server.url)
    yield counter
    await counter.close()


def key() -> str:
    return secrets.token_hex(8)


async def test_a_key_has_its_tries_and_then_waits_for_the_first_to_leave_the_window(attempts: Attempts) -> None:
    mine, other = key(), key()
    for _ in range(3):
        assert await attempts.take(Try(((THREE, mine),))) == 0
    assert 50 < await attempts.take(Try(((THREE, mine),))) <= 60
    assert await attempts.take(Try(((THREE, other),))) == 0
    short = Limit("short", 1, timedelta(milliseconds=50))
    assert await attempts.take(Try(((short, mine),))) == 0

    async def is_free() -> bool:
        return await attempts.take(Try(((short, mine),))) == 0

    await wait_for(is_free, what="the window passes", deadline_s=5)


async def test_a_try_counts_for_all_of_its_limits_or_for_none(attempts: Attempts) -> None:
    wide, narrow = key(), key()
    assert await attempts.take(Try(((ONE, narrow),))) == 0
    for _ in range(10):
        assert await attempts.take(Try(((THREE, wide), (ONE, narrow)))) > 0
    for _ in range(3):
        assert await attempts.take(Try(((THREE, wide),))) == 0


async def test_tries_side_by_side_cannot_pass_together(attempts: Attempts) -> None:
    mine = key()
    waits = await asyncio.gather(*(attempts.take(Try(((THREE, mine),))) for _ in range(20)))
    assert sum(wait == 0 for wait in waits) == 3


async def test_a_try_is_given_back_alone_and_a_key_is_forgotten_whole(attempts: Attempts) -> None:
    mine = key()
    right = Try(((THREE, mine),))
    for one in (Try(((THREE, mine),)), Try(((THREE, mine),)), right):
        assert await attempts.take(one) == 0
    await attempts.give_back(right)
    await attempts.give_back(right)
    assert await attempts.take(Try(((THREE, mine),))) == 0
    assert await attempts.take(Try(((THREE, mine),))) > 0
    await attempts.forget(THREE, mine)
    assert await attempts.take(Try(((THREE, mine),))) == 0


async def test_two_processes_count_together(valkey: Valkey) -> None:
    one, other, mine = RedisAttempts(valkey.url), RedisAttempts(valkey.url), key()
    assert await one.take(Try(((ONE, mine),))) == 0
    assert await other.take(Try(((ONE, mine),))) > 0
    await one.close()
    await other.close()


async def test_without_redis_nothing_may_be_tried_and_afterwards_again() -> None:
    nowhere = RedisAttempts(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(Unavailable):
        await nowhere.take(Try(((ONE, key()),)))
    await nowhere.close()
    with running_valkey() as server:
        counter = RedisAttempts(server.url)
        assert await counter.take(Try(((ONE, key()),))) == 0
        server.stop()
        with pytest.raises(Unavailable):
            await counter.take(Try(((ONE, key()),)))
        server.start()
        assert await counter.take(Try(((ONE, key()),))) == 0
        await counter.close()


async def test_a_redis_that_hangs_is_given_up_within_seconds() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    counter = RedisAttempts(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    async with asyncio.timeout(8):
        with pytest.raises(Unavailable):
            await counter.take(Try(((ONE, key()),)))
    await counter.close()
    server.close()


async def test_endless_keys_do_not_fill_the_memory_nor_push_out_one_that_is_tried() -> None:
    counter = LocalAttempts(max_keys=100)
    assert await counter.take(Try(((ONE, "victim"),))) == 0
    for n in range(10_000):
        await counter.take(Try(((ONE, str(n)),)))
        if n % 50 == 0:
            assert await counter.take(Try(((ONE, "victim"),))) > 0
    assert await counter.take(Try(((ONE, "9999"),))) > 0
    assert await counter.take(Try(((ONE, "0"),))) == 0
