"""Messages on their way over a few lines at a time, from the first that is due to the last.

Decides who sends what when: each line carries one message at a time and takes the next that is picked up. One line
opens at a time, and where it cannot, no other tries: a wrong password is told to the server once, not three times.
Picking up leaves no trace; a line asks for the mark `sending` when its DATA comes next, and waits for the commit that
holds it. Invariants: a line's outcome is written before or with the mark of its next message, so that no more messages
are marked than there are lines; on being stopped, answers under way are waited for, and only what stays unanswered is
left as `sending`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from hub.errors import Unavailable
from hub.mail.sending import smtp
from hub.mail.sending.claims import Due
from hub.settings import MailServer

log = logging.getLogger(__name__)

OPEN_WITHIN = timedelta(minutes=2)
AHEAD = 10
"""Messages picked up for each line. They are in memory only: who dies forgets them, and they wait as before."""

GATHER_S = 0.05
"""How long an outcome waits for company: a commit for several costs little more than for one."""

ASK_GATHER_S = 0.01
"""How long a line that is ready for its data waits for the other lines."""

Done = tuple[Due, smtp.Outcome]


class Steps(Protocol):
    """What a burst asks of the outbox around it."""

    async def next_due(self, *, at_most: int, but_not: Collection[int]) -> list[Due]:
        """Return what may go now; raises Unavailable."""
        ...

    def gave_back(self, count: int) -> None:
        """So many of what was picked up did not begin."""
        ...

    async def write(self, done: Sequence[Done], asked: Sequence[Due]) -> set[int]:
        """Write outcomes, mark what is asked for as being sent; return the ids of those that may go."""
        ...

    async def send(self, due: Due, line: smtp.SmtpLine, before_data: smtp.BeforeData) -> smtp.Outcome | smtp.TakenBack:
        """Send one message over a line that is open."""
        ...

    async def heed(self, outcome: smtp.Outcome) -> bool:
        """Record how the line fares; False: no more for a while."""
        ...


@dataclass(slots=True)
class _Carried:
    """A message in the hands of a line. `may_go` is answered by the commit that marks it."""

    due: Due
    may_go: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Burst:
    """One run over what is due. Make a new one for each."""

    def __init__(
        self, steps: Steps, server: MailServer, *, lanes: int, drain_within_s: float, now: Callable[[], datetime]
    ) -> None:
        self._steps, self._server, self._now = steps, server, now
        self._most_lanes, self._drain_within_s = lanes, drain_within_s
        self._ready: deque[Due] = deque()
        self._carried: dict[int, _Carried] = {}
        self._asked: list[_Carried] = []
        self._done: list[Done] = []
        self._news, self._work = asyncio.Event(), asyncio.Event()
        self._door = asyncio.Lock()
        self._is_resting = self._is_over = self._may_be_more = False
        self._lanes: set[asyncio.Task[None]] = set()

    async def carry(self, *, at_most: int | None = None) -> int:
        """Send until nothing is due, or `at_most` that many; return how many were picked up. Raises Unavailable."""
        picked = 0
        self._may_be_more = True
        try:
            while True:
                self._raise_bugs()
                await self._write()
                if self._is_resting:
                    self._leave_ready()
                elif self._may_be_more and len(self._ready) < self._most_lanes:
                    picked += await self._pick_up(at_most - picked if at_most is not None else None)
                if not self._ready and not self._carried and not self._done:
                    return picked
                self._start_lanes()
                await self._gather()
        except asyncio.CancelledError:
            await self._drain()
            raise
        finally:
            await self._end_lanes()

    async def _write(self) -> None:
        """Write what has come and mark what is asked for; what a stop interrupts is written by the drain."""
        done, asked = self._done, [one for one in self._asked if not one.may_go.done()]
        if not done and not asked:
            return
        # A part of a second by chance makes it this attempt's own, also beside another sender's of the same moment.
        since = self._now() - timedelta(microseconds=secrets.randbelow(1_000_000))
        for one in asked:
            if one.due.since is None:
                one.due = replace(one.due, since=since)
        self._done, self._asked = [], []
        try:
            marked = await self._steps.write(done, [one.due for one in asked])
        except BaseException:
            self._done, self._asked = done + self._done, asked + self._asked
            raise
        self._may_be_more = self._may_be_more or bool(done)
        for one in asked:
            if not one.may_go.done():
                one.may_go.set_result(one.due.id in marked)

    async def _pick_up(self, at_most: int | None) -> int:
        want = self._most_lanes * AHEAD - len(self._ready)
        want = min(want, at_most) if at_most is not None else want
        held = {due.id for due in self._ready} | self._carried.keys() | {due.id for due, _ in self._done}
        try:
            dues = await self._steps.next_due(at_most=want, but_not=held)
        except Unavailable:
            if not self._carried and not self._ready:
                raise
            return 0
        self._may_be_more = len(dues) == want
        self._ready.extend(dues)
        return len(dues)

    async def _gather(self) -> None:
        """Wait for news, and then a moment for the other lines', until each that carries a message has asked."""
        await self._news.wait()
        first = asyncio.get_running_loop().time()
        while len(self._asked) < len(self._carried) and not self._rests():
            self._news.clear()
            try:
                async with asyncio.timeout_at(first + (ASK_GATHER_S if self._asked else GATHER_S)):
                    await self._news.wait()
            except TimeoutError:
                break
        self._news.clear()

    def _raise_bugs(self) -> None:
        for lane in [lane for lane in self._lanes if lane.done()]:
            self._lanes.discard(lane)
            lane.result()

    def _start_lanes(self) -> None:
        wanted = min(self._most_lanes, len(self._ready) + len(self._carried))
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
                await self._carry_one(self._ready.popleft(), line)
                self._news.set()
        finally:
            await line.close()

    async def _carry_one(self, due: Due, line: smtp.SmtpLine) -> None:
        carried = self._carried[due.id] = _Carried(due)
        failed = await self._open(due, line)
        if failed is None and self._rests():
            self._ready.appendleft(due)
            del self._carried[due.id]
            return
        outcome = failed or await self._steps.send(due, line, lambda: self._begin(carried))
        if isinstance(outcome, smtp.TakenBack):
            self._steps.gave_back(1)
        else:
            if not await self._steps.heed(outcome):
                self._is_resting = True
            self._done.append((carried.due, outcome))
        del self._carried[due.id]

    async def _begin(self, carried: _Carried) -> bool:
        """Ask for the mark `sending`; return once it is committed, or False where the message is not to go."""
        if self._is_over:
            return False
        self._asked.append(carried)
        self._news.set()
        return await carried.may_go

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

    def _leave_ready(self) -> None:
        self._steps.gave_back(len(self._ready))
        self._ready.clear()

    async def _drain(self) -> None:
        """Stopping: the servers may be about to answer, and their answers spare people decisions."""
        self._is_over = True
        self._leave_ready()
        try:
            async with asyncio.timeout(self._drain_within_s):
                while self._carried or self._done:
                    await self._write()
                    if self._carried and not self._done and not self._asked:
                        await self._news.wait()
                        self._news.clear()
        except (TimeoutError, Unavailable) as error:
            log.warning("stopped with %d messages under way: %s", len(self._carried), str(error) or "no answer")

    async def _end_lanes(self) -> None:
        """Close the lines. Whoever still sends is cut off; its message stays `sending`, which the next life settles."""
        self._is_over = True
        self._work.set()
        if self._carried:
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
