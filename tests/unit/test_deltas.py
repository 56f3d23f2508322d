"""Differences between a stored window and the server's, and what a page shows of several places and wishes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.mail.sync.deltas import Delta, difference, fulfilled, plain, runs, shown
from hub.mail.sync.flags import Place, pause, plan

FLAGS = st.sets(st.sampled_from(["seen", "flagged", "answered", "$label1"])).map(lambda words: tuple(sorted(words)))
WINDOW = st.dictionaries(st.integers(1, 60), FLAGS, max_size=30)


def applied(stored: dict[int, tuple[str, ...]], delta: Delta) -> dict[int, tuple[str, ...]]:
    after = stored | delta.flags  # type: ignore[operator]
    return {uid: words for uid, words in after.items() if not any(a <= uid <= b for a, b in delta.vanished)}


@given(WINDOW, WINDOW)
def test_applying_a_difference_makes_the_window_the_servers_but_for_what_was_never_stored(
    stored: dict[int, tuple[str, ...]], there: dict[int, tuple[str, ...]]
) -> None:
    spelled = {uid: (*tuple(f"\\{word.title()}" for word in words), "\\Recent") for uid, words in there.items()}
    delta = difference(stored, spelled)
    expected = {uid: plain(spelled[uid]) for uid in stored if uid in there}
    assert applied(stored, delta) == expected
    assert set(delta.unknown) == set(there) - set(stored)
    assert difference(expected, {uid: spelled[uid] for uid in expected}).is_empty


def test_a_gap_is_no_surprise() -> None:
    assert difference({1: ()}, {1: (), 2: (), 3: ()}, known_gaps=(2,)).unknown == (3,)


def test_runs_are_written_as_first_and_last() -> None:
    assert runs([9, 1, 2, 3, 7]) == ((1, 3), (7, 7), (9, 9))


def test_a_message_shows_the_flags_of_any_place_and_the_wishes_over_them() -> None:
    assert shown([("seen",), ("flagged",)], {"answered": True, "flagged": False}) == ["answered", "seen"]


def test_a_wish_is_fulfilled_when_every_place_shows_it() -> None:
    wishes = {"seen": True, "flagged": False}
    assert fulfilled([("seen",), ("flagged", "seen")], wishes) == {"seen"}
    assert fulfilled([], wishes) == set()


def test_wishes_go_together_by_folder_flag_and_direction_and_what_is_so_already_is_not_asked_for() -> None:
    places = [
        Place(1, 7, 1, 30, "seen", wanted=True, has_it=False),
        Place(2, 7, 1, 10, "seen", wanted=True, has_it=False),
        Place(2, 8, 1, 11, "seen", wanted=True, has_it=True),
        Place(3, 7, 1, 12, "seen", wanted=False, has_it=True),
        Place(1, 7, 1, 30, "flagged", wanted=True, has_it=False),
    ]
    tasks = [(task.folder_id, task.flag, task.wanted, task.uids) for task in plan(places)]
    assert tasks == [(7, "flagged", True, (30,)), (7, "seen", False, (12,)), (7, "seen", True, (10, 30))]


def test_a_uid_goes_with_the_numbering_it_is_of() -> None:
    places = [Place(1, 7, epoch, 30, "seen", wanted=True, has_it=False) for epoch in (1, 2)]
    assert [(task.uidvalidity, task.uids) for task in plan(places)] == [(1, (30,)), (2, (30,))]


def test_a_thousand_wishes_are_several_commands_of_bounded_length() -> None:
    places = [Place(n, 7, 1, n, "seen", wanted=True, has_it=False) for n in range(1, 1201)]
    assert [len(task.uids) for task in plan(places)] == [500, 500, 200]


def test_a_wish_that_the_server_does_not_heed_rests_longer_each_time_and_never_more_than_hours() -> None:
    pauses = [pause(n).total_seconds() for n in range(12)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (10, 20480)
    assert pause(99).total_seconds() == 21600
