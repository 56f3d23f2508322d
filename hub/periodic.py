"""Run every long-running loop: a step, a wait, the next step; and try again for as long as a peer is unavailable.

    await db.loops.run("leases", step, every=timedelta(seconds=1))
    await db.loops.run("pbx.office.intents", step, wait=lambda: hints.wait(at_most_s=1))

`run` ends only by cancellation. `wait` replaces the fixed pause, e.g. by waiting for a hint. A loop of another shape
keeps its own `while` and sends each piece of work through the same retries:

    with db.loops.loop("pbx.office.calls") as loop:
        stored = await loop.retry(step)        # returns what `step` returned, however long the database was away

A step that lasts, such as a connection, calls `loop.succeeded()` once it works.

A step that raises `Unavailable` or `OSError` (no file descriptors, disk full, a time-out) is run again after a pause
that doubles from `Backoff.first` to `Backoff.longest`, half of it jitter; a hint does not cut that pause short, only
cancellation does. So a step must be safe to repeat, also when its commit went through and only the answer was lost.
Anything else is a bug: it leaves the loop, and ends the process.

For `/readyz` and `/metrics`, `db.loops.states()` returns a `LoopState` for each loop running in this process: `name`
(stable; words divided by dots: `feed`, `pbx.NAME.intents`, `mailbox.ID.outbox`; no address of a person),
`last_success_at` (long ago where nothing had to be done), `failures` in a row (0: works), `failing_since`, `last_error`
in one line (kept after recovery), `last_error_at`. `db.loops.failing()` returns only those that fail now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from hub.clock import monotonic_s, utc_now
from hub.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
LOG_AGAIN_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between attempts."""

    first: timedelta = timedelta(seconds=0.25)
    longest: timedelta = timedelta(seconds=10)

    def pause_s(self, failures: int, chance: float) -> float:
        """Return the pause after so many failures in a row; `chance` in [0, 1) picks the jitter."""
        grown = self.first.total_seconds() * 2.0 ** min(failures - 1, 30)
        return min(grown, self.longest.total_seconds()) * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True)
class LoopState:
    """How a loop fares. `failures` counts those since the last success."""

    name: str
    last_success_at: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    last_error: str = ""
    last_error_at: datetime | None = None

    @property
    def is_failing(self) -> bool:
        return self.failures > 0


class Loop:
    """One running loop. Get it from `LoopRegistry.loop`."""

    def __init__(self, name: str, backoff: Backoff) -> None:
        self.state = LoopState(name)
        self._backoff = backoff
        self._logged_at = 0.0

    async def retry(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run `step` until it succeeds and return its result. Raises what is neither Unavailable nor OSError.

        Several tasks may share a loop: each has pauses of its own.
        """
        failures = 0
        while True:
            try:
                result = await step()
            except (Unavailable, OSError) as error:
                failures = failures + 1 if self.state.is_failing else 1
                self._failed(error)
            else:
                self.succeeded()
                return result
            await asyncio.sleep(self._backoff.pause_s(failures, random.random()))  # noqa: S311

    def _failed(self, error: Unavailable | OSError) -> None:
        now, told = utc_now(), _one_line(error)
        state = self.state
        is_news = state.failures == 0 or monotonic_s() - self._logged_at >= LOG_AGAIN_AFTER_S
        self.state = replace(
            state,
            failures=state.failures + 1,
            failing_since=state.failing_since or now,
            last_error=told,
            last_error_at=now,
        )
        if is_news:
            self._logged_at = monotonic_s()
            # The system's own errors are rare and their place matters; an Unavailable says all in its message.
            trace = None if isinstance(error, Unavailable) else error
            log.warning("%s: failed %d times, trying again: %s", state.name, self.state.failures, told, exc_info=trace)

    def succeeded(self) -> None:
        """Record a success; for a step that lasts, such as a connection, to call once it works."""
        state = self.state
        if state.failures:
            log.info("%s: works again after %d failures", state.name, state.failures)
        self.state = replace(state, last_success_at=utc_now(), failures=0, failing_since=None)


@dataclass(slots=True)
class LoopRegistry:
    """The loops that run in this process."""

    backoff: Backoff = field(default_factory=Backoff)
    _loops: list[Loop] = field(default_factory=list)

    async def run(
        self,
        name: str,
        step: Callable[[], Awaitable[object]],
        *,
        every: timedelta | None = None,
        wait: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Run `step` until cancelled, with a pause of `every` or a `wait()` after each success."""
        assert (every is None) != (wait is None), "one of the two"
        with self.loop(name) as loop:
            while True:
                await loop.retry(step)
                if wait is not None:
                    await wait()
                elif every is not None:
                    await asyncio.sleep(every.total_seconds())

    async def run_jobs(
        self, name: str, step: Callable[[], Awaitable[bool]], *, pause: timedelta, wait: Callable[[], Awaitable[object]]
    ) -> None:
        """Run `step` until cancelled: after a `pause` while it returns True (there is more), else after a `wait()`.

        The pause between two batches lets others write.
        """
        with self.loop(name) as loop:
            while True:
                if await loop.retry(step):
                    await asyncio.sleep(pause.total_seconds())
                else:
                    await wait()

    @contextlib.contextmanager
    def loop(self, name: str, *, backoff: Backoff | None = None) -> Iterator[Loop]:
        """Register a loop for as long as the block lasts. `backoff`: for work that is dear to repeat."""
        loop = Loop(name, backoff or self.backoff)
        self._loops.append(loop)
        try:
            yield loop
        finally:
            self._loops.remove(loop)

    def states(self) -> list[LoopState]:
        """Return the state of each running loop, by name."""
        return sorted((loop.state for loop in self._loops), key=lambda state: state.name)

    def failing(self) -> list[LoopState]:
        """Return the states of those whose last attempt failed."""
        return [state for state in self.states() if state.is_failing]


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
