"""How fast a mailbox may send, and when it must stop trying: what is remembered between two messages.

Decides how many messages may begin now, and how long a mailbox rests after its server refused the line. Pure: the
caller says what time it is. Invariants: no minute sees more beginnings than allowed; a refused password is tried once
per rest, and the rests grow.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)
LINE_RESTS = tuple(timedelta(seconds=s) for s in (15, 30, 60, 120, 300))
SIGN_IN_RESTS = tuple(timedelta(minutes=m) for m in (5, 15, 60))


class Pace:
    """The pace of one mailbox. `sends_per_min` 0 is no limit."""

    def __init__(self) -> None:
        self.sends_per_min = 0
        self._begun: deque[datetime] = deque()
        self._rest_until: datetime | None = None
        self._failures = 0

    def room(self, now: datetime) -> int | None:
        """Return how many messages may begin now, None for any number."""
        if self._rest_until is not None and now < self._rest_until:
            return 0
        while self._begun and self._begun[0] <= now - MINUTE:
            self._begun.popleft()
        return max(0, self.sends_per_min - len(self._begun)) if self.sends_per_min > 0 else None

    def began(self, count: int, now: datetime) -> None:
        if self.sends_per_min > 0:
            self._begun.extend([now] * count)

    def gave_back(self, count: int) -> None:
        """Messages that were counted did not begin after all."""
        for _ in range(min(count, len(self._begun))):
            self._begun.pop()

    def line_failed(self, now: datetime, *, is_sign_in: bool) -> datetime:
        """The server did not let us in: rest, longer each time. Return until when."""
        rests = SIGN_IN_RESTS if is_sign_in else LINE_RESTS
        self._rest_until = now + rests[min(self._failures, len(rests) - 1)]
        self._failures += 1
        return self._rest_until

    def line_works(self) -> None:
        self._rest_until, self._failures = None, 0

    def opens_at(self, now: datetime) -> datetime | None:
        """Return when the next message may begin, None where that is now."""
        if self._rest_until is not None and now < self._rest_until:
            return self._rest_until
        if self.room(now) == 0 and self._begun:
            return self._begun[0] + MINUTE
        return None
