"""Streams recorded from real Asterisk, whole, from every point on, twice over, and shuffled."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hub.telephony.tracking.calls import CallEnded, CallOffered, ClaimConnected, ClaimFailed
from hub.telephony.tracking.tracker import CallTracker
from tests.unit.ami_script import BOOT, RULES, START, ended, holds_for_every_call, merged, read_stream, replay

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


TAKEN = "offered connected ended"
TAKEN_SECOND = "offered failed:{} offered connected ended"

RECORDED = {
    # stream: what happened, direction, outcome, who answered, to, legs
    "abandoned_while_waiting": ("offered ended", "inbound abandoned -", "74950000100", "cancelled"),
    "abandoned_while_phone_rings": (
        "offered failed:caller_gone ended", "inbound abandoned -", "74950000100", "cancelled 101:cancelled"
    ),
    "taken_and_caller_hangs_up": (TAKEN, "inbound answered 101", "74950000100", "answered 101:answered"),
    "taken_and_manager_hangs_up": (TAKEN, "inbound answered 101", "74950000100", "answered 101:answered"),
    "two_take_at_once": (TAKEN, "inbound answered 101", "74950000100", "answered 101:answered"),
    "phone_busy_then_taken": (
        TAKEN_SECOND.format("BUSY"), "inbound answered 102", "74950000100", "answered 101:busy 102:answered"
    ),
    "phone_does_not_answer_then_taken": (
        TAKEN_SECOND.format("NOANSWER"), "inbound answered 102", "74950000100", "answered 101:no_answer 102:answered"
    ),
    "phone_rejects_then_taken": (
        TAKEN_SECOND.format("CHANUNAVAIL"), "inbound answered 102", "74950000100", "answered 101:rejected 102:answered"
    ),
    "nobody_takes_and_the_fallback_answers": (
        "offered ended", "inbound answered 101", "74950000100", "answered 101:answered 102:cancelled"
    ),
    "dialled_and_talked": ("ended", "outbound answered -", "+74951234567", "101:answered answered"),
    "dialled_and_client_is_busy": ("ended", "outbound busy -", "+74951234567", "101:answered busy"),
    "dialled_and_manager_is_busy": ("ended", "outbound failed -", "+74951234567", "101:busy"),
    "dialled_and_manager_does_not_answer": ("ended", "outbound failed -", "+74951234567", "101:no_answer"),
    "from_one_phone_to_another": ("ended", "internal answered 102", "102", "101:answered 102:answered"),
    "from_outside_straight_to_a_phone": ("ended", "inbound answered 101", "74950000101", "answered 101:answered"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_what_a_real_asterisk_did_is_told_right(name: str) -> None:
    story, verdict, to_raw, legs = RECORDED[name]
    effects = replay(read_stream(TWO_PARTY.with_name(f"{name}.txt")))
    words = {CallOffered: "offered", ClaimConnected: "connected", ClaimFailed: "failed", CallEnded: "ended"}
    told = [
        words[type(e)] + (f":{e.reason}" if isinstance(e, ClaimFailed) else "") for e in effects if type(e) in words
    ]
    assert " ".join(told) == story
    (call,) = ended(effects)
    assert f"{call.direction} {call.outcome} {call.answered_extension or '-'}" == verdict
    assert call.to_raw == to_raw
    assert " ".join(":".join(filter(None, (leg.extension, leg.result))) for leg in call.legs) == legs
    assert not call.estimated
    assert (call.talk_s > 0) == (call.outcome == "answered")
    assert 0 < call.wait_s < 10
    assert (call.dial_id is not None) == name.startswith("dialled")


@streams
def test_from_every_point_on_nothing_breaks_and_every_call_ends_once(path: Path) -> None:
    frames = read_stream(path)
    for begin in range(len(frames)):
        tracker = CallTracker(RULES, boot=BOOT)
        effects = replay(frames[begin:], tracker=tracker)
        effects += tracker.resync([], boot=BOOT, now=effects[-1].call.ended_at or START if effects else START)
        holds_for_every_call(effects)
        told = {effect.call.linked_id for effect in effects}
        assert {call.linked_id for call in ended(effects)} | merged(effects) == told
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
