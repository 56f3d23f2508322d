"""What changed between what is stored of a folder and what the server says of it. Pure.

The server either tells changes (`ImapConnection.changed_since`) or shows its flags, to be compared here in windows.
Decides, too, what a page shows of a message that lies in several folders and of which a person wants something else.
Invariant: applying the difference of a window makes the stored window equal to the server's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

Flags = tuple[str, ...]
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """What to write: flags by UID, ranges of UIDs that are gone, and UIDs that are there but not stored."""

    flags: Mapping[int, Flags]
    vanished: Ranges = ()
    unknown: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.flags and not self.vanished and not self.unknown


def plain(flags: Iterable[str]) -> Flags:
    r"""Flags as Hub keeps them: lower case, sorted, without the backslash; \Recent says nothing that lasts."""
    return tuple(sorted({flag.lstrip("\\").lower() for flag in flags} - {"recent"}))


def difference(stored: Mapping[int, Flags], there: Mapping[int, Flags], *, known_gaps: Collection[int] = ()) -> Delta:
    """Compare a window of UIDs: what is `stored` of it with all that is `there`."""
    now = {uid: plain(flags) for uid, flags in there.items()}
    flags = {uid: now[uid] for uid, before in stored.items() if uid in now and now[uid] != before}
    gone = runs(uid for uid in stored if uid not in now)
    unknown = tuple(sorted(uid for uid in now if uid not in stored and uid not in known_gaps))
    return Delta(flags, gone, unknown)


def runs(uids: Iterable[int]) -> Ranges:
    """Write UIDs as (first, last) runs."""
    found: list[list[int]] = []
    for uid in sorted(uids):
        if found and uid == found[-1][1] + 1:
            found[-1][1] = uid
        else:
            found.append([uid, uid])
    return tuple((a, b) for a, b in found)


def shown(places: Sequence[Iterable[str]], wishes: Mapping[str, bool]) -> list[str]:
    """The flags a page shows of a message: those of any of its places, and over them what a person wants."""
    flags = {flag for place in places for flag in place}
    flags |= {flag for flag, wanted in wishes.items() if wanted}
    return sorted(flags - {flag for flag, wanted in wishes.items() if not wanted})


def fulfilled(places: Sequence[Collection[str]], wishes: Mapping[str, bool]) -> set[str]:
    """The wishes that every place of the message shows."""
    return {flag for flag, wanted in wishes.items() if places and all((flag in place) is wanted for place in places)}
