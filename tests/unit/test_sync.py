"""The plan: everything the server has is fetched once, new mail first, whatever comes and goes meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.mail.sync.plan import (
    BATCH,
    WINDOW,
    FolderCursor,
    begin,
    looked_through,
    newer,
    older,
    retried,
    taken,
    window,
)


def step(
    cursor: FolderCursor, uids: list[int], *, at_most: int = BATCH, oldest: int = 1, width: int = WINDOW
) -> tuple[tuple[int, ...], FolderCursor]:
    """Do what the session does next: new mail, else history out of windows that widen while they are empty."""
    if batch := newer(cursor, uids, at_most=at_most):
        return batch, taken(cursor, batch, is_history=False)
    while span := window(cursor, oldest_uid=oldest, width=width):
        if batch := older(cursor, [uid for uid in uids if span[0] <= uid <= span[1]], at_most=at_most):
            return batch, taken(cursor, batch, is_history=True)
        cursor = looked_through(cursor, span[0])
        width *= 8
    return (), cursor


def run(cursor: FolderCursor, uids: list[int], *, at_most: int = BATCH) -> tuple[list[tuple[int, ...]], FolderCursor]:
    batches = []
    while True:
        batch, cursor = step(cursor, uids, at_most=at_most)
        if not batch:
            return batches, cursor
        batches.append(batch)


def test_history_comes_from_the_newest_backwards_after_what_is_new() -> None:
    cursor = begin(FolderCursor(None), uidvalidity=1, uidnext=6)
    batches, after = run(cursor, [1, 2, 3, 4, 5, 6, 7], at_most=2)
    assert batches == [(6, 7), (4, 5), (2, 3), (1,)]
    assert (after.high_uid, after.low_uid) == (7, 1)


def test_a_new_epoch_looks_at_everything_again_and_has_no_gaps() -> None:
    old = FolderCursor(1, high_uid=900, low_uid=1, gaps=(5,))
    cursor = begin(old, uidvalidity=2, uidnext=4)
    assert cursor.gaps == ()
    assert run(cursor, [1, 2, 3])[0] == [(1, 2, 3)]


def test_the_same_epoch_goes_on_where_it_was() -> None:
    cursor = FolderCursor(1, high_uid=5, low_uid=3, gaps=(4,))
    assert begin(cursor, uidvalidity=1, uidnext=99) == cursor
    assert run(cursor, [1, 2, 3, 4, 5, 8])[0] == [(8,), (1, 2)]


def test_what_is_older_than_wanted_stays_on_the_server() -> None:
    cursor = begin(FolderCursor(None), uidvalidity=1, uidnext=11)
    batch, cursor = step(cursor, list(range(1, 11)), oldest=8)
    assert batch == (8, 9, 10)
    assert step(cursor, list(range(1, 11)), oldest=8)[0] == ()


def test_an_answer_never_grows_with_the_mailbox() -> None:
    cursor = begin(FolderCursor(None), uidvalidity=1, uidnext=500_001)
    span = window(cursor, oldest_uid=1)
    assert span is not None
    assert span[1] - span[0] < WINDOW


def test_uids_far_apart_are_found_in_few_windows() -> None:
    cursor, width, asked = begin(FolderCursor(None), uidvalidity=1, uidnext=2**32 - 1), WINDOW, 0
    while span := window(cursor, oldest_uid=1, width=width):
        cursor, width, asked = looked_through(cursor, span[0]), width * 8, asked + 1
    assert asked <= 10


def test_what_the_server_did_not_give_is_a_gap_until_it_does() -> None:
    cursor = taken(FolderCursor(1, 5, 1), (6, 7, 8), is_history=False, missing=(7,))
    assert (cursor.high_uid, cursor.gaps) == (8, (7,))
    cursor = taken(cursor, (9,), is_history=False, missing=(9,))
    assert retried(cursor, 7, is_filled=False).gaps == (9, 7), "the others have their turn"
    assert retried(cursor, 7, is_filled=True).gaps == (9,)


@given(
    there=st.sets(st.integers(1, 5000), max_size=120),
    arrivals=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), max_size=40),
    refused=st.sets(st.integers(1, 5000), max_size=500),
    at_most=st.integers(1, 17),
    width=st.integers(1, 300),
)
def test_every_uid_is_stored_exactly_once_or_is_a_gap_whatever_arrives_between(
    there: set[int], arrivals: list[tuple[int, int]], refused: set[int], at_most: int, width: int
) -> None:
    uids = sorted(there)
    cursor = begin(FolderCursor(None), uidvalidity=1, uidnext=(uids[-1] if uids else 0) + 1)
    stored: list[int] = []
    pending = list(arrivals)
    while True:
        is_history = not newer(cursor, uids)
        batch, after = step(cursor, uids, at_most=at_most, width=width)
        if not batch and not pending:
            break
        missing = refused & set(batch)
        stored.extend(uid for uid in batch if uid not in missing)
        # The next window begins where the empty ones before this batch ended.
        cursor = taken(after, batch, is_history=is_history, missing=missing) if batch else after
        if pending:
            gap, count = pending.pop()
            top = (uids[-1] if uids else 5000) + gap
            uids = uids + list(range(top, top + count))
    assert sorted([*stored, *cursor.gaps]) == uids
    assert not set(stored) & set(cursor.gaps)
