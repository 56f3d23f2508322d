"""Wait for a condition with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def wait_for(check: Callable[[], Awaitable[T]], *, what: str, deadline_s: float = 30) -> T:
    """Return the first true answer of `check`. Raises AssertionError that names `what` after the deadline."""
    until = time.monotonic() + deadline_s
    while True:
        if answer := await check():
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        await asyncio.sleep(0.01)


def wait_for_sync(check: Callable[[], T], *, what: str, deadline_s: float = 30) -> T:
    """The same for blocking checks."""
    until = time.monotonic() + deadline_s
    while True:
        if answer := check():
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.01)
