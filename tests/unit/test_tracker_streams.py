"""Streams recorded from real Asterisk, whole, from every point on, twice over, and shuffled."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hub.telephony.tracker import CallTracker
from tests.unit.ami_script import BOOT, RULES, START, ended, holds_for_every_call, read_stream, replay

STREAMS = sorted(path for path in (Path(__file__).parents[1] / "data" / "ami").iterdir() if ".txt" in path.name)
TWO_PARTY = Path(__file__).parents[1] / "data" / "ami" / "two-party-calls.txt.xz"

streams = pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name.split(".")[0])


def test_plain_calls_of_a_real_asterisk_are_told_right() -> None:
    calls = ended(replay(read_stream(TWO_PARTY)))
    assert len(calls) >= 5
    for call in calls:
        assert (call.direction, call.outcome, call.estimated) == ("inbound", "answered", False)
        assert (call.from_raw, call.did, call.to_extension) == ("sipp", "74951234567", "101")
        assert call.answered_extension == "101"
        assert [(leg.role, leg.extension, leg.result) for leg in call.legs] == [
            ("caller", None, "answered"),
            ("callee", "101", "answered"),
        ]
        assert call.talk_s > 0


@streams
def test_from_every_point_on_nothing_breaks_and_every_call_ends_once(path: Path) -> None:
    frames = read_stream(path)
    for begin in range(len(frames)):
        tracker = CallTracker(RULES, boot=BOOT)
        effects = replay(frames[begin:], tracker=tracker)
        effects += tracker.resync([], boot=BOOT, now=effects[-1].call.ended_at or START if effects else START)
        holds_for_every_call(effects)
        told = {effect.call.linked_id for effect in effects}
        assert {call.linked_id for call in ended(effects)} == told
        assert tracker.open_calls() == []


@streams
def test_every_event_twice_is_the_same_as_once(path: Path) -> None:
    frames = read_stream(path)
    once = [(c.linked_id, c.outcome, len(c.legs)) for c in ended(replay(frames))]
    twice = [(c.linked_id, c.outcome, len(c.legs)) for c in ended(replay([f for f in frames for _ in (1, 2)]))]
    assert twice == once


@streams
@pytest.mark.parametrize("seed", range(5))
def test_events_in_no_order_at_all_break_nothing(path: Path, seed: int) -> None:
    frames = [{k: v for k, v in frame.items() if k != "Timestamp"} for frame in read_stream(path)]
    random.Random(seed).shuffle(frames)
    tracker = CallTracker(RULES, boot=BOOT)
    effects = replay(frames, tracker=tracker) + tracker.resync([], boot=BOOT, now=START)
    holds_for_every_call(effects)
    assert tracker.open_calls() == []


@streams
def test_a_clock_that_runs_backwards_makes_no_negative_time(path: Path) -> None:
    frames = [dict(frame) for frame in read_stream(path)]
    for number, frame in enumerate(frames):
        frame["Timestamp"] = str(START.timestamp() - number)
    holds_for_every_call(replay(frames))
