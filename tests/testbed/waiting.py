"""Wait for a condition with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.2


def _pause_s(took_s: float) -> float:
    """Return how long to wait before the next look: a dear look must not keep busy those whom it waits for."""
    return min(max(SHORTEST_PAUSE_S, 3 * took_s), LONGEST_PAUSE_S)


async def wait_for(check: Callable[[], Awaitable[T]], *, what: str, deadline_s: float = 30) -> T:
    """Return the first true answer of `check`. Raises AssertionError that names `what` after the deadline."""
    until = time.monotonic() + deadline_s
    while True:
        began = time.monotonic()
        if answer := await check():
            return answer
        if (now := time.monotonic()) > until:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        await asyncio.sleep(_pause_s(now - began))


def wait_for_sync(check: Callable[[], T], *, what: str, deadline_s: float = 30) -> T:
    """The same for blocking checks."""
    until = time.monotonic() + deadline_s
    while True:
        began = time.monotonic()
        if answer := check():
            return answer
        if (now := time.monotonic()) > until:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(_pause_s(now - began))


async def wait_for_next_second() -> None:
    """Wait until another second has begun: mail servers date what came by whole seconds."""
    second = int(time.time())

    async def is_over() -> bool:
        return int(time.time()) > second

    await wait_for(is_over, what="the next second", deadline_s=3)
