"""Which messages a server fails to give, and until when each is left alone. No IO.

A message that fails is set aside and asked for again after pauses that grow to hours and never end, so that it holds
up nothing and is never given up. A message is blamed only for what happened while it was asked for alone: a line that
ended over a group makes its messages suspects, and suspects go alone; a line that ended once may have been the network.
Invariant: nothing here outlives a success.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from hub.clock import monotonic_s

FIRST_REST_S, LONGEST_REST_S = 5.0, 6 * 3600.0
REST_FOR_NOW_S = 30.0
"""After a refusal that speaks of the server; the pause does not grow."""
FORGET_AFTER_S = 24 * 3600.0
NOTHING_AT_MOST = 3
"""So often in a row a folder may give nothing at all before its messages are set aside one by one."""

Place = tuple[int, int]
"""A folder and its epoch."""


@dataclass(slots=True)
class _Strikes:
    count: int = 0
    last_at: float = 0.0
    rests_until: float = 0.0


@dataclass(slots=True)
class Trouble:
    """What is known of a mailbox's failing messages. Lives as long as its reader, beyond each connection."""

    suspects: set[tuple[Place, int]] = field(default_factory=set)
    too_large: set[tuple[Place, int]] = field(default_factory=set)
    _strikes: dict[tuple[Place, int], _Strikes] = field(default_factory=dict)
    _nothing_given: dict[Place, int] = field(default_factory=dict)

    def line_ended(self, place: Place, uids: Collection[int]) -> None:
        """Note that the line ended while `uids` were asked for: each goes alone from now on."""
        self.suspects.update((place, uid) for uid in uids)
        if len(uids) == 1:
            (uid,) = uids
            self._strike(place, uid, rests_after=2)

    def not_given(self, place: Place, uids: Iterable[int], *, is_for_now: bool = False) -> None:
        """Note that the server answered and did not give `uids`; `is_for_now`: it spoke of itself, not of them."""
        for uid in uids:
            if is_for_now:
                strikes = self._strikes.setdefault((place, uid), _Strikes())
                strikes.rests_until = max(strikes.rests_until, monotonic_s() + REST_FOR_NOW_S)
            else:
                self._strike(place, uid, rests_after=1)

    def _strike(self, place: Place, uid: int, *, rests_after: int) -> None:
        now = monotonic_s()
        strikes = self._strikes.setdefault((place, uid), _Strikes())
        if now - strikes.last_at > FORGET_AFTER_S:
            strikes.count = 0
        strikes.count, strikes.last_at = strikes.count + 1, now
        if strikes.count >= rests_after:
            doublings = min(strikes.count - rests_after, 30)
            strikes.rests_until = now + min(FIRST_REST_S * 2**doublings, LONGEST_REST_S)

    def cleared(self, place: Place, uids: Iterable[int]) -> None:
        """Note that these were given, or are there no more."""
        for uid in uids:
            self.suspects.discard((place, uid))
            self._strikes.pop((place, uid), None)

    def gives_nothing(self, place: Place) -> bool:
        """Note that a folder gave none of many; tell whether to take that as the whole server's trouble."""
        self._nothing_given[place] = self._nothing_given.get(place, 0) + 1
        if self._nothing_given[place] >= NOTHING_AT_MOST:
            del self._nothing_given[place]
            return False
        return True

    def gives_something(self, place: Place) -> None:
        self._nothing_given.pop(place, None)

    def is_suspect(self, place: Place, uid: int) -> bool:
        return (place, uid) in self.suspects

    def is_resting(self, place: Place, uid: int) -> bool:
        """Whether a message is not to be asked for now."""
        strikes = self._strikes.get((place, uid))
        return (place, uid) in self.too_large or (strikes is not None and monotonic_s() < strikes.rests_until)

    def next_try_s(self, place: Place, uids: Iterable[int]) -> float | None:
        """Return in how many seconds the first of `uids` is to be asked for again; None where none ever is."""
        now = monotonic_s()
        waits = []
        for uid in uids:
            strikes = self._strikes.get((place, uid), _Strikes())
            if (place, uid) not in self.too_large:
                waits.append(max(strikes.rests_until - now, 0.0))
        return min(waits, default=None)
