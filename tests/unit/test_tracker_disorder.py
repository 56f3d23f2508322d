"""Frames that come twice, not at all, or a little out of order; and calls that happen at the same time."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from hub.telephony.tracking.calls import Call, Effect
from hub.telephony.tracking.tracker import CallTracker
from tests.unit.ami_script import BOOT, RULES, START, ended, holds_for_every_call, merged, read_stream, replay
from tests.unit.test_tracker_streams import STREAMS

Frames = list[dict[str, str]]
RECORDED = [path for path in STREAMS if path.suffix == ".txt"]
# The same examples in every run: what CI says of a change must not depend on luck.
bounded = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@cache
def frames_of(name: str) -> Frames:
    return read_stream(next(path for path in RECORDED if path.stem == name))


names = st.sampled_from([path.stem for path in RECORDED])
mishaps = st.lists(
    st.tuples(
        st.sampled_from(("twice", "lost", "late", "again_later")), st.floats(0, 1, exclude_max=True), st.integers(1, 6)
    ),
    min_size=1,
    max_size=25,
)


def spoilt(frames: Frames, what: list[tuple[str, float, int]]) -> Frames:
    """Have single frames come twice, not at all, up to six places late, or a second time later."""
    out = list(frames)
    for kind, where, distance in what:
        if not out:
            break
        index = int(where * len(out))
        if kind == "twice":
            out.insert(index, out[index])
        elif kind == "lost":
            out.pop(index)
        elif kind == "late":
            out.insert(min(index + distance, len(out) - 1), out.pop(index))
        else:
            out.insert(min(index + distance, len(out)), out[index])
    return out


def last_time(frames: Frames) -> datetime:
    stamps = [float(frame["Timestamp"]) for frame in frames if frame.get("Timestamp")]
    return datetime.fromtimestamp(max(stamps), UTC) + timedelta(seconds=1) if stamps else START


def play(frames: Frames) -> list[Effect]:
    """Replay, take an empty channel list at the end, and check what must hold of whatever came before."""
    tracker = CallTracker(RULES, boot=BOOT)
    effects = replay(frames, tracker=tracker)
    effects += tracker.resync([], boot=BOOT, now=last_time(frames))
    holds_for_every_call(effects)
    told = {effect.call.linked_id for effect in effects}
    over = [call.linked_id for call in ended(effects)]
    assert len(over) == len(set(over)), "a call ended twice"
    assert set(over) | merged(effects) == told, "a call was told to begin and never to end"
    assert tracker.open_calls() == []
    return effects


@bounded
@given(name=names, what=mishaps)
def test_frames_twice_lost_or_late_never_raise_and_every_call_still_ends_once(
    name: str, what: list[tuple[str, float, int]]
) -> None:
    note(f"stream {name}: {what}")
    play(spoilt(frames_of(name), what))


@bounded
@given(name=names, begin=st.floats(0, 1, exclude_max=True), what=mishaps)
def test_the_same_holds_when_attached_in_mid_call(name: str, begin: float, what: list[tuple[str, float, int]]) -> None:
    note(f"stream {name} from {begin}: {what}")
    frames = frames_of(name)
    play(spoilt(frames[int(begin * len(frames)) :], what))


IDS = re.compile(r"(?<![\d.])(\d{10})\.(\d+)(?![\d.])")


def elsewhere(frames: Frames, *, later_s: float) -> Frames:
    """The same stream on other channels of the same PBX, so many seconds later."""

    def moved(text: str) -> str:
        text = IDS.sub(lambda found: f"{int(found[1])}.{int(found[2]) + 5000}", text)
        text = re.sub(r"((?:PJSIP|SIP)/[\w.]+|@[\w-]+)-000000([0-9a-f]{2})", r"\1-00001a\2", text)
        return text.replace("hub-0123456789abcdef", "hub-0123456789abcde0")

    moved_frames = [{key: moved(value) for key, value in frame.items()} for frame in frames]
    for frame in moved_frames:
        for key in [key for key in frame if key.endswith("BridgeUniqueid")]:
            frame[key] += "-b"
        if frame.get("Timestamp"):
            frame["Timestamp"] = f"{float(frame['Timestamp']) + later_s:.6f}"
    return moved_frames


def as_one_line(call: Call) -> tuple[object, ...]:
    legs = sorted(f"{leg.role} {leg.extension or leg.number} {leg.result}" for leg in call.legs)
    transfers = [(one.kind, one.by, one.to, one.completed) for one in call.transfers]
    return call.direction, call.outcome, call.from_raw, call.to_raw, call.answered_extension, *legs, *transfers


def mixed(one: Frames, two: Frames, order: Callable[[], bool]) -> Frames:
    """Shuffle two streams into each other; each keeps its own order."""
    left, right, out = list(reversed(one)), list(reversed(two)), []
    while left and right:
        out.append((left if order() else right).pop())
    return out + left[::-1] + right[::-1]


@settings(bounded, max_examples=120)
@given(first=names, second=names, random=st.randoms(use_true_random=False))
def test_two_calls_at_once_are_told_as_each_alone(first: str, second: str, random: object) -> None:
    one, two = frames_of(first), elsewhere(frames_of(second), later_s=0.0)
    for frame in two:
        frame.pop("Timestamp", None)
    one = [{key: value for key, value in frame.items() if key != "Timestamp"} for frame in one]
    alone = sorted(map(repr, map(as_one_line, [*ended(play(one)), *ended(play(two))])))
    together = play(mixed(one, two, lambda: random.random() < 0.5))  # type: ignore[attr-defined]
    note(f"{first} and {second}")
    assert sorted(map(repr, map(as_one_line, ended(together)))) == alone
