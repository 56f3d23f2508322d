"""The runner of long-running loops: what it retries, how long it waits, what it tells, and what it lets through."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from hub.errors import Unavailable
from hub.periodic import Backoff, LoopRegistry
from tests.testbed.waiting import wait_for

FAST = Backoff(first=timedelta(milliseconds=1), longest=timedelta(milliseconds=4))


def failing_first(errors: list[Exception]) -> Callable[[], Awaitable[str]]:
    """A step that raises each of `errors` in turn and then works."""

    async def step() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return step


async def test_work_is_tried_again_until_the_peer_answers_and_its_result_comes_back() -> None:
    registry = LoopRegistry(FAST)
    errors: list[Exception] = [
        Unavailable("database_unavailable", "the database does not answer: gone"),
        OSError(errno.EMFILE, "Too many open files"),
        TimeoutError(),
    ]
    with registry.loop("calls") as loop:
        assert await loop.retry(failing_first(errors)) == "done"
        assert (loop.state.failures, loop.state.failing_since, loop.state.is_failing) == (0, None, False)
        assert loop.state.last_success_at is not None
        assert loop.state.last_error == "TimeoutError", "the last error stays readable after recovery"


async def test_the_state_of_a_failing_loop_names_it_and_its_last_error_in_one_line() -> None:
    registry = LoopRegistry(Backoff(first=timedelta(hours=1), longest=timedelta(hours=1)))
    errors: list[Exception] = [Unavailable("x", "no answer\nand more of it")] * 2

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(registry.run("leases", failing_first(errors), every=timedelta(seconds=1)))
        tasks.create_task(registry.run("feed", failing_first([]), every=timedelta(hours=1)))

        async def seen() -> bool:
            return bool(registry.failing())

        await wait_for(seen, what="the loop fails")
        (state,) = registry.failing()
        assert (state.name, state.failures, state.last_error) == ("leases", 1, "no answer")
        assert state.failing_since is not None
        assert [one.name for one in registry.states()] == ["feed", "leases"]
        running.cancel()
        await asyncio.wait([running], timeout=1)
        assert running.done(), "a loop in its pause ends at once"
        assert [one.name for one in registry.states()] == ["feed"], "who has ended is not listed"
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


async def test_jobs_are_done_one_after_another_and_waited_for_when_there_are_none() -> None:
    left, seen = [1, 2, 3], []
    idle = asyncio.Event()

    async def step() -> bool:
        if left:
            seen.append(left.pop(0))
            return True
        return False

    async def wait() -> None:
        idle.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(LoopRegistry(FAST).run_jobs("jobs", step, pause=timedelta(0), wait=wait))
        await idle.wait()
        running.cancel()
    assert seen == [1, 2, 3]


async def test_a_bug_leaves_the_loop() -> None:
    with pytest.raises(ZeroDivisionError):
        await LoopRegistry(FAST).run("leases", failing_first([ZeroDivisionError()]), every=timedelta(seconds=1))


async def test_a_hint_does_not_cut_the_pause_after_a_failure_short() -> None:
    """While the database is away a burst of hints must not become a burst of attempts."""
    registry, waits, rounds = LoopRegistry(FAST), 0, 0

    async def step() -> None:
        nonlocal rounds
        rounds += 1
        if 1 < rounds < 4:
            raise Unavailable("x", "away")

    async def wait() -> None:
        nonlocal waits
        waits += 1
        if rounds >= 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await registry.run("outbox", step, wait=wait)
    assert (rounds, waits) == (4, 2), "waited for hints after successes alone"


def test_pauses_double_up_to_a_bound_and_half_of_each_is_jitter() -> None:
    backoff = Backoff()
    longest = [backoff.pause_s(n, 1.0) for n in range(1, 9)]
    assert longest == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert [backoff.pause_s(n, 0.0) for n in range(1, 9)] == [p / 2 for p in longest]
    assert backoff.pause_s(10_000, 1.0) == 10


async def test_an_outage_is_logged_when_it_begins_and_ends_not_at_each_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    errors: list[Exception] = [Unavailable("x", "away") for _ in range(20)]
    with LoopRegistry(FAST).loop("feed") as loop:
        await loop.retry(failing_first(errors))
    told = [record.getMessage() for record in caplog.records]
    assert told == ["feed: failed 1 times, trying again: away", "feed: works again after 20 failures"]
