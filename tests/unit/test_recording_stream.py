"""What counts as one sitting of a listener, and so as one row of the audit trail."""

from __future__ import annotations

from hub.web import recording_stream
from hub.web.recording_stream import LONGEST_S, SITTING_S, Listeners


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def rows(listeners: Listeners, clock: Clock, *, every_s: float, for_s: float) -> int:
    """How many rows somebody leaves who asks for a range so often, for so long."""
    written, until = 0, clock.now_s + for_s
    while clock.now_s < until:
        written += not listeners.is_listening(1, 7)
        listeners.note(1, 7)
        clock.now_s += every_s
    return written


def test_many_ranges_are_one_sitting_and_a_long_silence_ends_it() -> None:
    listeners = Listeners(clock := Clock())
    assert rows(listeners, clock, every_s=30, for_s=1200) == 1
    clock.now_s += SITTING_S
    assert rows(listeners, clock, every_s=30, for_s=60) == 1


def test_who_never_stops_leaves_a_row_an_hour() -> None:
    listeners = Listeners(clock := Clock())
    assert rows(listeners, clock, every_s=60, for_s=3 * LONGEST_S) == 3


def test_another_person_or_recording_is_another_sitting() -> None:
    listeners = Listeners(Clock())
    listeners.note(1, 7)
    assert listeners.is_listening(1, 7)
    assert not listeners.is_listening(2, 7)
    assert not listeners.is_listening(1, 8)


def test_the_memory_has_a_bound_and_forgets_who_was_silent_longest() -> None:
    listeners = Listeners(Clock())
    for user in range(recording_stream.MAX_REMEMBERED):
        listeners.note(user, 7)
    listeners.note(0, 7)
    listeners.note(-1, 7)
    assert (listeners.is_listening(0, 7), listeners.is_listening(1, 7)) == (True, False)
