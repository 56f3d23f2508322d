"""Streams as Asterisk 11 with chan_sip tells them: no Linkedid, a system's name before each uniqueid, other words.

The scripts in tests/data/ami_older are written by hand after its manager interface 1.3, one event a line; each is
replayed whole and from every event on.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from hub.telephony.tracking.calls import Call, Effect
from hub.telephony.tracking.directions import PbxRules
from hub.telephony.tracking.tracker import CallTracker
from tests.unit.ami_script import BOOT, START, ended, frame_of, holds_for_every_call, merged

RULES = PbxRules(pbx="old", hub_queues=frozenset({"hub-sales"}))

FOLDER = Path(__file__).parents[1] / "data" / "ami_older"

# What each is told as: direction, outcome, who answered, legs, transfers.
TOLD = {
    "answered": ("inbound answered 101", "caller -:answered 101:answered", ""),
    "busy": ("inbound busy -", "caller -:* 101:busy", ""),
    "ring_group": ("inbound answered 101", "caller -:answered 101:answered 102:cancelled", ""),
    "abandoned": ("inbound abandoned -", "caller -:cancelled", ""),
    "blind": ("inbound answered 102", "caller -:answered 101:answered 102:answered", "blind 101 102 True"),
    "attended": (
        "inbound answered 102",
        "caller -:answered 101:answered 101:answered 102:answered",
        "attended 101 102 True",
    ),
    "picked_up": ("inbound answered 102", "caller -:answered 101:cancelled 102:answered", ""),
    "local": ("inbound answered 101", "caller -:answered 101:answered", ""),
    "retrieved": (
        "inbound answered 102",
        "caller -:answered 101:answered 102:answered",
        "blind 101 102 True",
    ),
}

STILL_OPEN = {"held": "held", "parked": "held", "queue": "waiting"}


def frames_of(name: str) -> list[dict[str, str]]:
    return [frame_of(line) for line in (FOLDER / f"{name}.script").read_text().splitlines()]


def play(frames: list[dict[str, str]], tracker: CallTracker) -> list[Effect]:
    effects: list[Effect] = []
    for number, frame in enumerate(frames):
        effects += tracker.handle(frame, now=START + timedelta(seconds=number))
    return effects


def told_legs(call: Call) -> str:
    return " ".join(
        f"{'caller ' if leg.role == 'caller' else ''}{leg.extension or '-'}:{leg.result}" for leg in call.legs
    )


@pytest.mark.parametrize("name", sorted(TOLD))
def test_an_old_asterisk_is_understood(name: str) -> None:
    verdict, legs, transfers = TOLD[name]
    tracker = CallTracker(RULES, boot=BOOT)
    effects = play(frames_of(name), tracker)
    holds_for_every_call(effects)
    assert tracker.open_calls() == []
    (call,) = ended(effects)
    assert f"{call.direction} {call.outcome} {call.answered_extension or '-'}" == verdict
    assert (call.linked_id, call.from_raw, call.to_raw) == ("pbx1-1529941338.1", "84951234567", "74950000100")
    assert sorted(_with_wildcards(told_legs(call), legs)) == sorted(legs.split())
    assert " ".join(f"{t.kind} {t.by} {t.to} {t.completed}" for t in call.transfers) == transfers
    assert not call.estimated
    assert (call.talk_s > 0) == (call.outcome == "answered")


def _with_wildcards(told: str, wanted: str) -> list[str]:
    open_ones = {word.partition(":")[0] for word in wanted.split() if word.endswith(":*")}
    return [word.partition(":")[0] + ":*" if word.partition(":")[0] in open_ones else word for word in told.split()]


@pytest.mark.parametrize("name", sorted(TOLD | STILL_OPEN))
def test_an_old_asterisk_may_be_listened_to_from_any_event_on(name: str) -> None:
    frames = frames_of(name)
    for begin in range(len(frames)):
        tracker = CallTracker(RULES, boot=BOOT)
        effects = play(frames[begin:], tracker)
        effects += tracker.resync([], boot=BOOT, now=START + timedelta(minutes=10))
        holds_for_every_call(effects)
        assert {effect.call.linked_id for effect in effects} == {c.linked_id for c in ended(effects)} | merged(effects)
        assert tracker.open_calls() == []


@pytest.mark.parametrize("name", sorted(STILL_OPEN))
def test_where_a_call_stands_is_known_on_an_old_asterisk_too(name: str) -> None:
    tracker = CallTracker(RULES, boot=BOOT)
    play(frames_of(name), tracker)
    (call,) = tracker.open_calls()
    assert call.state == STILL_OPEN[name]


def test_a_phone_that_is_about_to_be_rung_is_no_call_of_its_own() -> None:
    tracker = CallTracker(RULES, boot=BOOT)
    effects = play(frames_of("answered")[:6], tracker)
    assert {effect.call.linked_id for effect in effects} == {"pbx1-1529941338.1"}


def test_the_channels_of_an_old_asterisk_are_taken_from_its_list() -> None:
    row = "CoreShowChannel ChannelState=6 ChannelStateDesc=Up Duration=00:00:30"
    rows = [
        frame_of(
            f"{row} Channel=SIP/provider-00000001 UniqueID=pbx1-1529941338.1 Context=from-trunk Extension=74950000100"
            " CallerIDnum=84951234567 BridgedChannel=SIP/101-00000002 BridgedUniqueID=pbx1-1529941338.2"
        ),
        frame_of(
            f"{row} Channel=SIP/101-00000002 UniqueID=pbx1-1529941338.2 Context=from-internal CallerIDnum=101"
            " BridgedChannel=SIP/provider-00000001 BridgedUniqueID=pbx1-1529941338.1"
        ),
    ]
    tracker = CallTracker(RULES, boot=BOOT)
    tracker.resync(rows, boot=BOOT, now=START)
    (call,) = tracker.open_calls()
    assert (call.direction, call.state, call.answered_extension) == ("inbound", "talking", "101")
    effects = play(frames_of("answered")[-4:], tracker)
    (end,) = ended(effects)
    assert end.outcome == "answered"
