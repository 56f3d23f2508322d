"""Calls that have nothing to do with each other are told as if the others were not there."""

from __future__ import annotations

from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.telephony.calls import Call
from tests.unit.ami_script import ended, read_stream, replay
from tests.unit.test_tracker_streams import STREAMS

Frames = list[dict[str, str]]

PLAIN = [path for path in STREAMS if path.suffix == ".txt"]
_read: dict[Path, Frames] = {}


def frames_of(path: Path) -> Frames:
    if path not in _read:
        _read[path] = [{k: v for k, v in frame.items() if k != "Timestamp"} for frame in read_stream(path)]
    return _read[path]


def story(call: Call) -> tuple[object, ...]:
    """What does not depend on when it was."""
    legs = [(leg.channel, leg.role, leg.result, leg.answered_at is not None) for leg in call.legs]
    transfers = [(one.kind, one.by, one.to, one.completed) for one in call.transfers]
    return call.direction, call.outcome, call.from_raw, call.to_raw, call.answered_extension, legs, transfers


def renamed(frames: Frames, mark: str) -> Frames:
    """The same calls on another day: other uniqueids, linkedids and bridges."""
    ids = ("Uniqueid", "Linkedid", "UniqueID")
    return [
        {k: mark + v if v and (k.endswith(ids) or k in ("Uniqueid1", "Uniqueid2")) else v for k, v in frame.items()}
        for frame in frames
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PLAIN), st.sampled_from(PLAIN), st.randoms(use_true_random=False))
def test_two_calls_at_once_are_told_as_each_alone(one: Path, two: Path, chance: Random) -> None:
    first, second = frames_of(one), renamed(frames_of(two), "z-")
    alone = [story(call) for frames in (first, second) for call in ended(replay(frames))]
    mixed: Frames = []
    queues = [list(reversed(first)), list(reversed(second))]
    while any(queues):
        mixed.append(chance.choice([queue for queue in queues if queue]).pop())
    together = [story(call) for call in ended(replay(mixed))]
    assert sorted(together, key=repr) == sorted(alone, key=repr)
