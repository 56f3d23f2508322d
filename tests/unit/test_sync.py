"""The plan: everything the server has is fetched once, new mail first, whatever comes and goes meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.mail.sync import BATCH, FolderCursor, begin, next_batch


def run(cursor: FolderCursor, uids: list[int], *, at_most: int = BATCH) -> tuple[list[tuple[int, ...]], FolderCursor]:
    batches = []
    while (batch := next_batch(cursor, uids, at_most=at_most)) is not None:
        batches.append(batch.uids)
        cursor = batch.after
    return batches, cursor


def test_history_comes_from_the_newest_backwards_after_what_is_new() -> None:
    cursor = begin(FolderCursor(None), uidvalidity=1, uidnext=6)
    batches, after = run(cursor, [1, 2, 3, 4, 5, 6, 7], at_most=2)
    assert batches == [(6, 7), (4, 5), (2, 3), (1,)]
    assert (after.high_uid, after.low_uid) == (7, 1)


def test_a_new_epoch_looks_at_everything_again() -> None:
    old = FolderCursor(1, high_uid=900, low_uid=1)
    cursor = begin(old, uidvalidity=2, uidnext=4)
    assert run(cursor, [1, 2, 3])[0] == [(1, 2, 3)]


def test_the_same_epoch_goes_on_where_it_was() -> None:
    cursor = FolderCursor(1, high_uid=5, low_uid=3)
    assert begin(cursor, uidvalidity=1, uidnext=99) == cursor
    assert run(cursor, [1, 2, 3, 4, 5, 8])[0] == [(8,), (1, 2)]


def test_what_is_older_than_wanted_stays_on_the_server() -> None:
    cursor = begin(FolderCursor(None), uidvalidity=1, uidnext=11)
    batch = next_batch(cursor, list(range(1, 11)), oldest_uid=8)
    assert batch is not None
    assert batch.uids == (8, 9, 10)
    assert next_batch(batch.after, list(range(1, 11)), oldest_uid=8) is None


@given(
    there=st.sets(st.integers(1, 400), max_size=120),
    arrivals=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), max_size=40),
    at_most=st.integers(1, 17),
)
def test_every_uid_is_fetched_exactly_once_whatever_arrives_between(
    there: set[int], arrivals: list[tuple[int, int]], at_most: int
) -> None:
    uids = sorted(there)
    cursor = begin(FolderCursor(None), uidvalidity=1, uidnext=(uids[-1] if uids else 0) + 1)
    fetched: list[int] = []
    pending = list(arrivals)
    while True:
        batch = next_batch(cursor, uids, at_most=at_most)
        if batch is None and not pending:
            break
        if batch is not None:
            fetched.extend(batch.uids)
            cursor = batch.after
        if pending:
            gap, count = pending.pop()
            top = (uids[-1] if uids else 400) + gap
            uids = uids + list(range(top, top + count))
    assert sorted(fetched) == uids
    assert len(fetched) == len(set(fetched))
