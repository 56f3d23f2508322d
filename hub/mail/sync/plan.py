"""What to fetch next from a folder. Pure: what is stored and what the server has, to a batch and the cursor after it.

New mail goes before history; history goes from the newest backwards, asked for in windows so that no answer grows with
the mailbox. A changed UIDVALIDITY begins a new epoch in which everything is looked at again (the intake knows what it
has by its bytes). Invariant: a UID that the server has is taken once in its epoch or stands in `gaps`; the cursor
never passes one in silence.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

BATCH = 100
WINDOW = 1000
"""How many UIDs below the known ones are asked about first; an empty window is followed by a wider one."""


@dataclass(frozen=True, slots=True)
class FolderCursor:
    """What of a folder is stored: all UIDs in [`low_uid`, `high_uid`] of the epoch `uidvalidity`, but for `gaps`.

    `uidvalidity` None: never looked at. `low_uid` 1: all history is there. `gaps` are on the server, which did not
    give them; the first is tried next. `modseq`: what is stored shows all changes up to there; 0 where the server keeps
    no such count.
    """

    uidvalidity: int | None
    high_uid: int = 0
    low_uid: int = 1
    gaps: tuple[int, ...] = ()
    modseq: int = 0


def begin(cursor: FolderCursor, *, uidvalidity: int, uidnext: int, modseq: int = 0) -> FolderCursor:
    """Return the cursor to go on with: the stored one, or that of a new epoch, in which all there is is history."""
    if cursor.uidvalidity == uidvalidity:
        return cursor
    return FolderCursor(uidvalidity, high_uid=max(uidnext - 1, 0), low_uid=max(uidnext, 1), modseq=modseq)


def must_compare(cursor: FolderCursor, *, modseq: int) -> bool:
    """Tell whether changes cannot be asked for from where we are: the server counts anew, or for the first time."""
    return cursor.modseq == 0 < modseq or modseq < cursor.modseq


def ahead(cursor: FolderCursor, *, uidnext: int, width: int = WINDOW) -> tuple[int, int] | None:
    """Return the first and last UID of the new mail to ask for next, while more than a window of it may be there."""
    if uidnext - 1 <= cursor.high_uid + width:
        return None
    return cursor.high_uid + 1, cursor.high_uid + width


def newer(cursor: FolderCursor, uids: Sequence[int], *, at_most: int = BATCH) -> tuple[int, ...]:
    """Return the new mail to take next of `uids` (ascending, all above the cursor that the server has)."""
    return tuple(uids[bisect_right(uids, cursor.high_uid) :][:at_most])


def window(cursor: FolderCursor, *, oldest_uid: int, width: int = WINDOW) -> tuple[int, int] | None:
    """Return the first and last UID of the history to ask for next; None when all that is wanted is there."""
    oldest = max(oldest_uid, 1)
    if cursor.low_uid <= oldest:
        return None
    return max(oldest, cursor.low_uid - width), cursor.low_uid - 1


def older(cursor: FolderCursor, uids: Sequence[int], *, at_most: int = BATCH) -> tuple[int, ...]:
    """Return the history to take next of `uids` (ascending, all of the window that the server has): its newest."""
    known = bisect_left(uids, cursor.low_uid)
    return tuple(uids[max(0, known - at_most) : known])


def taken(
    cursor: FolderCursor, uids: Sequence[int], *, is_history: bool, missing: Collection[int] = ()
) -> FolderCursor:
    """Return the cursor once `uids` (ascending, the next of their kind) are stored but for `missing`.

    New mail is taken from its lowest UID up, history from its highest down.
    """
    after = replace(cursor, gaps=(*cursor.gaps, *(uid for uid in uids if uid in missing and uid not in cursor.gaps)))
    if is_history:
        # Nothing lies between these and what was stored: the next below begin right here.
        return replace(after, low_uid=min(uids[0], cursor.low_uid))
    return replace(after, high_uid=max(uids[-1], cursor.high_uid))


def looked_through(cursor: FolderCursor, first_uid: int) -> FolderCursor:
    """Return the cursor once a window down to `first_uid` was found empty."""
    return replace(cursor, low_uid=max(1, min(first_uid, cursor.low_uid)))


def reached(cursor: FolderCursor, uid: int) -> FolderCursor:
    """Return the cursor once it is known that no new mail lies at or below `uid`."""
    return replace(cursor, high_uid=max(uid, cursor.high_uid))


def found_missing(cursor: FolderCursor, uids: Sequence[int]) -> FolderCursor:
    """Return the cursor once `uids` turned out to be on the server and not stored: gaps, tried before they are old."""
    return replace(cursor, gaps=(*cursor.gaps, *(uid for uid in uids if uid not in cursor.gaps)))


def retried(cursor: FolderCursor, uid: int, *, is_filled: bool) -> FolderCursor:
    """Return the cursor once a gap was tried again: closed, or the last in line."""
    others = tuple(gap for gap in cursor.gaps if gap != uid)
    return replace(cursor, gaps=others if is_filled else (*others, uid))
