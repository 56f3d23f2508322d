"""What a PBX says, on its way from the socket to the one who works it off: ordered, bounded, never waited for.

Decides what is kept back until the line is up, and that a full stream ends the connection instead of stopping the
reader or dropping from the middle. Invariant: between an `Up` and the next `Down` no event is missing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hub.telephony.line.wire import BadPeer, Frame


@dataclass(frozen=True, slots=True)
class Up:
    """Signed in, and the PBX has booted. Take the state: nothing that happened before this was told in full."""

    boot: str
    """Names one run of the PBX: the same after a cut, another after a restart."""
    system: str
    version: str
    was_restart: bool


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """One event. `at` is wall time at sign-in plus the monotonic time since: a clock that is set does not show."""

    frame: Frame
    at: datetime
    position: int
    """Which event of its connection it is, counted from 1."""


@dataclass(frozen=True, slots=True)
class Down:
    """The line is not up: it was lost, or an attempt failed."""

    reason: str
    auth_refused: bool


Incoming = Up | FrameReceived | Down


class Stream:
    """The one way from the socket to the consumer: ordered, bounded, never awaited by the writer."""

    def __init__(self, max_frames: int) -> None:
        self._items: deque[Incoming] = deque()
        self._max = max_frames
        self._some = asyncio.Event()
        self._half_empty = asyncio.Event()
        self._taken = 0
        self._readers: list[tuple[int, asyncio.Event]] = []
        """Who waits until so many items have been taken."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Incoming) -> bool:
        """Append unless full."""
        if len(self._items) >= self._max:
            return False
        self.put_always(item)
        return True

    def put_always(self, item: Incoming) -> None:
        """Append an `Up` or `Down`, whatever the length: `until_half_empty` bounds how many there can be."""
        self._items.append(item)
        self._some.set()

    async def take(self) -> Incoming:
        while not self._items:
            self._some.clear()
            await self._some.wait()
        item = self._items.popleft()
        self._taken += 1
        if self._readers:
            for target, read in self._readers:
                if self._taken >= target:
                    read.set()
        if len(self._items) * 2 <= self._max:
            self._half_empty.set()
        return item

    async def until_read(self) -> None:
        """Wait until everything that is here now has been taken, and worked off as far as that needs no waiting."""
        mark = (self._taken + len(self._items), asyncio.Event())
        if not self._items:
            return
        self._readers.append(mark)
        try:
            await mark[1].wait()
        finally:
            self._readers.remove(mark)

    async def until_half_empty(self) -> None:
        """Wait as long as the consumer needs. No deadline: it is our own task, and the supervisor watches it."""
        while len(self._items) * 2 > self._max:
            self._half_empty.clear()
            await self._half_empty.wait()


class Receiver:
    """What one connection's frames go through: kept back until `Up` is in the stream, then appended to it."""

    def __init__(self, stream: Stream, now: Callable[[], datetime]) -> None:
        self.booted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.uptime_s: int | None = None
        self.position = 0
        """Of the last event."""
        self.now = now
        self._stream = stream
        self._early: deque[FrameReceived] | None = deque()

    def receive(self, frame: Frame, at: datetime) -> None:
        """Take one event. Raises BadPeer when the stream is full: what follows would be lost anyway."""
        if frame["Event"] == "FullyBooted" and not self.booted.done():
            uptime = frame.get("Uptime", "")
            self.uptime_s = int(uptime) if uptime.isascii() and uptime.isdigit() else None
            self.booted.set_result(None)
        self.position += 1
        item = FrameReceived(frame, at, self.position)
        if self._early is None:
            if not self._stream.put(item):
                raise BadPeer("events come faster than they are worked off; the state will be taken anew")
        elif len(self._early) < 10_000:
            self._early.append(item)
        else:
            raise BadPeer("events flood in before the sign-in is done")

    def open(self, up: Up) -> None:
        self._stream.put_always(up)
        early, self._early = self._early or deque(), None
        for item in early:
            self._stream.put_always(item)
