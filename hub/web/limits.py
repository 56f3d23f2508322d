"""How often something may be tried: a sliding window per key, in this process, in bounded memory.

Pure but for the moments it is given. Invariant: never more than `max_keys` keys are held; the one that was quiet the
longest is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import timedelta


class SlidingLimit:
    """At most `tries` within `window` for each key. `now_s` is monotonic."""

    def __init__(self, tries: int, window: timedelta, *, max_keys: int = 10_000) -> None:
        self._tries = tries
        self._window_s = window.total_seconds()
        self._max_keys = max_keys
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, key: str, *, now_s: float) -> float:
        """Return how long this key must wait; 0 when it may try now."""
        tries = self._seen.get(key)
        if tries is None:
            return 0.0
        while tries and tries[0] <= now_s - self._window_s:
            tries.popleft()
        return tries[0] + self._window_s - now_s if len(tries) >= self._tries else 0.0

    def note(self, key: str, *, now_s: float) -> None:
        """Count one try."""
        tries = self._seen.setdefault(key, deque(maxlen=self._tries))
        tries.append(now_s)
        self._seen.move_to_end(key)
        while len(self._seen) > self._max_keys:
            self._seen.popitem(last=False)

    def forgive(self, key: str) -> None:
        """Forget a key's tries, for it was right at last."""
        self._seen.pop(key, None)
