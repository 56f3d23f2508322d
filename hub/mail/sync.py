"""What to fetch next from a folder. Pure: what is stored and what the server has, to a batch and the cursor after it.

New mail goes before history; history goes from the newest backwards. A changed UIDVALIDITY begins a new epoch in
which everything is looked at again (the intake knows what it has by its bytes). Invariant: a UID that the server has
is in exactly one batch of its epoch, and the cursor never passes one that was not in a batch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

BATCH = 100


@dataclass(frozen=True, slots=True)
class FolderCursor:
    """What of a folder is stored: all UIDs in [`low_uid`, `high_uid`] of the epoch `uidvalidity`.

    `uidvalidity` None: never looked at. `low_uid` 1: all history is there.
    """

    uidvalidity: int | None
    high_uid: int = 0
    low_uid: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """UIDs to fetch, and the cursor once they are stored."""

    uids: tuple[int, ...]
    is_history: bool
    after: FolderCursor


def begin(cursor: FolderCursor, *, uidvalidity: int, uidnext: int) -> FolderCursor:
    """Return the cursor to go on with: the stored one, or that of a new epoch, in which all there is is history."""
    if cursor.uidvalidity == uidvalidity:
        return cursor
    return FolderCursor(uidvalidity, high_uid=max(uidnext - 1, 0), low_uid=max(uidnext, 1))


def next_batch(cursor: FolderCursor, uids: Sequence[int], *, oldest_uid: int = 1, at_most: int = BATCH) -> Batch | None:
    """Return what to fetch next of `uids` (ascending, all that the server has); None when all is there.

    History below `oldest_uid` is left on the server.
    """
    new = uids[bisect_right(uids, cursor.high_uid) :][:at_most]
    if new:
        return Batch(tuple(new), False, FolderCursor(cursor.uidvalidity, new[-1], cursor.low_uid))
    known = bisect_left(uids, cursor.low_uid)
    history = [uid for uid in uids[max(0, known - at_most) : known] if uid >= oldest_uid]
    if not history:
        return None
    # Nothing lies between the batch and what was stored: the next one below begins right here.
    return Batch(tuple(history), True, FolderCursor(cursor.uidvalidity, cursor.high_uid, history[0]))
