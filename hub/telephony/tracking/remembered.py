"""What a tracker keeps of what is over: identities that must not come back, and calls of a former process. Pure.

Decides which of the stored facts outlive a restart of Hub. Invariant: both are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable

from hub.telephony.tracking.calls import Call
from hub.telephony.tracking.livecall import LiveCall


class Remembered:
    """The last `limit` keys that were added."""

    def __init__(self, limit: int) -> None:
        self._keys: dict[str, None] = {}
        self._limit = limit

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> None:
        if key:
            self._keys[key] = None
            if len(self._keys) > self._limit:
                del self._keys[next(iter(self._keys))]

    def clear(self) -> None:
        self._keys.clear()


class Shelf:
    """Open calls as a former process stored them."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._calls = {(call.boot, call.linked_id): call for call in calls}

    def restore(self, call: LiveCall, *, boot: str) -> None:
        """Give a call that was found alive what cannot be seen from its channels any more."""
        was = self._calls.pop((boot, call.linked_id), None)
        if was is None:
            return
        for name in (
            "started_at", "direction", "from_raw", "from_name", "from_extension", "to_raw", "to_extension", "did",
            "answered_at", "answered_extension", "queue", "claim_id", "claim_extension", "talk_s", "estimated",
        ):  # fmt: skip
            setattr(call, name, getattr(was, name))
        call.is_left_waiting = was.state == "waiting" and was.answered_at is not None
        call.transfers = list(was.transfers)
        call.times_offered = 1 if was.queue is not None else 0
        call.is_claim_open = was.claim_extension is not None
        call.told = was
