"""What is known of large providers: who files sent mail by itself, how fast one may send.

Decides by the SMTP host alone; what the configuration or the mailbox's page says goes before. Pure. Invariant: for
an unknown host nothing is assumed: Hub looks into Sent, files the copy itself, and sends as fast as it is taken.

Source: Google "SMTP errors and limits", Microsoft "Exchange Online limits" (30 messages a minute, three submissions
at a time), and what their servers do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from hub.settings import Mailbox

LANES = 3
"""Submissions at a time from one mailbox; Exchange refuses a fourth."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a provider treats what is submitted. `sends_per_min` 0 is "as fast as it is taken"."""

    files_copies: bool = False
    sends_per_min: int = 0


_KNOWN = {
    "gmail.com": Habits(files_copies=True),
    "googlemail.com": Habits(files_copies=True),
    "google.com": Habits(),
    "office365.com": Habits(files_copies=True, sends_per_min=30),
    "outlook.com": Habits(files_copies=True, sends_per_min=30),
    "hotmail.com": Habits(files_copies=True, sends_per_min=30),
    "office.com": Habits(files_copies=True, sends_per_min=30),
}
_LATE = timedelta(seconds=30)
"""How long a provider that files copies by itself is given, before Hub looks."""


def habits_of(host: str) -> Habits:
    """Return what is known of the provider of an SMTP host."""
    name = host.lower().rstrip(".")
    return next((known for end, known in _KNOWN.items() if name == end or name.endswith(f".{end}")), Habits())


def look_after(*, files_copies: bool) -> timedelta:
    """Return how long after the sending the Sent folder is looked into."""
    return _LATE if files_copies else timedelta(0)


def pace_of(boxes: Iterable[Mailbox]) -> Callable[[str], int]:
    """Return what the configuration, else the provider, allows a mailbox's address a minute; 0 is no limit."""
    paces = {box.address.lower(): box.sends_per_min or habits_of(box.smtp.host).sends_per_min for box in boxes}
    return lambda address: paces.get(address, 0)


def wait_for_turn(place: int, *, sends_per_min: int) -> timedelta:
    """Return how long what stands at `place` (from 0) of a mailbox's line waits at the least."""
    if sends_per_min <= 0:
        return timedelta(0)
    return timedelta(minutes=place // sends_per_min)
