"""How long to wait before the next connection to a mailbox. No clock and no IO.

Pauses grow while connections fail one after another, and grow from one again after one that lasted. A server that asks
to be left alone for a while is left alone so long, and longer where it refuses again. Invariant: a pause is never
shorter than the server suggests.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from hub.errors import HubError
from hub.mail.imap.refusals import Throttled

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 120.0
LONGEST_THROTTLED_S = 900.0
LONGEST_UNCLEAR_S = 3600.0
"""For sign-ins refused in unknown words: each may count towards a lock of the account."""
LASTED_S = 15.0
"""A connection that worked so long did not fail at once: what ended it has nothing to do with the pause before it."""


@dataclass(slots=True)
class Pauses:
    """The pauses of one mailbox's connection; `next_s` is the one to come, before the server's wish and chance."""

    next_s: float = 0.0

    def after(self, error: HubError, *, lasted_s: float) -> float:
        """Return how many seconds to wait after a connection that ended by `error`."""
        if lasted_s >= LASTED_S or not self.next_s:
            self.next_s = FIRST_PAUSE_S
        longest, wanted_s = LONGEST_PAUSE_S, 0.0
        if isinstance(error, Throttled):
            longest = LONGEST_UNCLEAR_S if error.code == "imap_unclear" else LONGEST_THROTTLED_S
            wanted_s = error.pause.total_seconds() if error.pause else 0.0
        if error.code == "imap_unclear":
            self.next_s = max(self.next_s, wanted_s)
        pause_s = min(self.next_s, longest)
        self.next_s = min(pause_s * 2, longest)
        chance = secrets.randbelow(1000) / 1000
        return max(pause_s * (0.5 + chance), wanted_s * (1 + chance / 10))
