"""Messages on their way over a few lines at a time, from the first that is due to the last.

Decides who sends what when: each line carries one message at a time and takes the next that is ready. One line opens
at a time, and where it cannot, no other tries: a wrong password is told to the server once, not three times.
Invariants: what was claimed is either sent and settled, or put back; on being stopped, answers under way are waited
for, and only what stays unanswered is left as `sending`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from hub.errors import Unavailable
from hub.mail.sending import smtp
from hub.mail.sending.claims import Due
from hub.settings import MailServer

log = logging.getLogger(__name__)

OPEN_WITHIN = timedelta(minutes=2)
AHEAD = 2
"""Messages claimed for each line: one on the wire, one ready. A process that dies leaves no more than these open."""

Done = tuple[Due, smtp.Outcome]


class Steps(Protocol):
    """What a burst asks of the outbox around it."""

    async def step(self, done: Sequence[Done], *, want: int) -> list[Due]:
        """Write outcomes, claim at most `want` that are due; raises Unavailable only where `done` is empty."""
        ...

    async def put_back(self, dues: Sequence[Due]) -> None:
        """Return what was claimed and not begun."""
        ...

    async def send(self, due: Due, line: smtp.SmtpLine) -> smtp.Outcome:
        """Send one message over a line that is open."""
        ...

    async def heed(self, outcome: smtp.Outcome) -> bool:
        """Hear how the line fares; False: no more for a while."""
        ...


class Burst:
    """One run over what is due. Make a new one for each."""

    def __init__(self, steps: Steps, server: MailServer, *, lanes: int, drain_within_s: float) -> None:
        self._steps, self._server = steps, server
        self._most_lanes, self._drain_within_s = lanes, drain_within_s
        self._ready: deque[Due] = deque()
        self._done: list[Done] = []
        self._sending: set[int] = set()
        self._news, self._work = asyncio.Event(), asyncio.Event()
        self._door = asyncio.Lock()
        self._is_resting = self._is_over = False
        self._lanes: set[asyncio.Task[None]] = set()

    async def carry(self, *, at_most: int | None = None) -> int:
        """Send until nothing is due, or `at_most` that many; return how many were claimed. Raises Unavailable."""
        claimed = 0
        try:
            while True:
                self._raise_bugs()
                want = self._most_lanes * AHEAD - len(self._ready) - len(self._sending)
                want = min(want, at_most - claimed) if at_most is not None else want
                done, self._done = self._done, []
                try:
                    dues = await self._steps.step(done, want=0 if self._is_resting else want)
                except Unavailable:
                    if not self._sending and not self._ready:
                        raise
                    dues = []
                claimed += len(dues)
                self._ready.extend(dues)
                if self._is_resting and self._ready:
                    await self._put_back()
                if not self._ready and not self._sending and not self._done:
                    return claimed
                self._start_lanes()
                await self._news.wait()
                self._news.clear()
        except asyncio.CancelledError:
            await self._drain()
            raise
        finally:
            await self._end_lanes()

    def _raise_bugs(self) -> None:
        for lane in [lane for lane in self._lanes if lane.done()]:
            self._lanes.discard(lane)
            lane.result()

    def _start_lanes(self) -> None:
        wanted = min(self._most_lanes, len(self._ready) + len(self._sending))
        while len(self._lanes) < wanted:
            lane = asyncio.ensure_future(self._carry_one_by_one())
            lane.add_done_callback(lambda _: self._news.set())
            self._lanes.add(lane)
        self._work.set()

    async def _carry_one_by_one(self) -> None:
        line = smtp.SmtpLine(self._server)
        try:
            while not self._is_over:
                if not self._ready or self._rests():
                    self._work.clear()
                    await self._work.wait()
                    continue
                due = self._ready.popleft()
                self._sending.add(due.id)
                outcome = await self._open(due, line)
                if outcome is None and self._rests():
                    self._ready.appendleft(due)
                    self._sending.discard(due.id)
                    self._news.set()
                    continue
                outcome = outcome or await self._steps.send(due, line)
                if not await self._steps.heed(outcome):
                    self._is_resting = True
                self._done.append((due, outcome))
                self._sending.discard(due.id)
                self._news.set()
        finally:
            await line.close()

    async def _open(self, due: Due, line: smtp.SmtpLine) -> smtp.Outcome | None:
        """Have the line open; the outcome where it cannot be, None also where another line could not."""
        if line.is_open:
            return None
        async with self._door:
            if self._is_resting:
                return None
            failed = await line.open(deadline=OPEN_WITHIN)
            if failed is None:
                return None
            self._is_resting = True
            return replace(failed, replies=same(due, "deferred"))

    def _rests(self) -> bool:
        return self._is_resting

    async def _put_back(self) -> None:
        dues = list(self._ready)
        self._ready.clear()
        await self._steps.put_back(dues)

    async def _drain(self) -> None:
        """Stopping: the servers may be about to answer, and their answers spare people decisions."""
        self._is_over = True
        try:
            async with asyncio.timeout(self._drain_within_s):
                await self._put_back()
                while self._sending or self._done:
                    done, self._done = self._done, []
                    await self._steps.step(done, want=0)
                    if self._sending and not self._done:
                        await self._news.wait()
                        self._news.clear()
        except (TimeoutError, Unavailable) as error:
            log.warning("stopped with %d messages under way: %s", len(self._sending), str(error) or "no answer")

    async def _end_lanes(self) -> None:
        """Close the lines. Whoever still sends is cut off; its message stays `sending`, which the next life settles."""
        self._is_over = True
        self._work.set()
        if self._sending:
            for lane in self._lanes:
                lane.cancel()
        results = await asyncio.gather(*self._lanes, return_exceptions=True)
        for bug in results:
            if isinstance(bug, Exception):
                raise bug


def same(due: Due, state: str) -> tuple[smtp.Reply, ...]:
    """The same fate for every recipient, of which the server said nothing."""
    assert state in ("deferred", "refused")
    return tuple(smtp.Reply(a, "deferred" if state == "deferred" else "refused", None, "") for a in due.recipients)
