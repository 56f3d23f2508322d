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


# Asterisk 1.4, whose manager interface 1.0 has other words again


def of_1_4(*lines: str) -> list[dict[str, str]]:
    """Frames from lines like `Newchannel Channel=SIP/101-1 Uniqueid=1.1`; `_` stands for a blank."""
    frames = []
    for line in lines:
        event, *pairs = line.split()
        frames.append(
            {"Event": event} | {k: v.replace("_", " ") for k, _, v in (pair.partition("=") for pair in pairs)}
        )
    return frames


CALLER = "Channel=SIP/provider-09f1 Uniqueid=1269866053.55"
ANNA, BORIS = "SIP/101-09f2", "SIP/102-09f3"
BORN = (
    f"Newchannel {CALLER} State=Ring CallerIDNum=84951234567 CallerIDName=ROMASHKA",
    f"Newstate {CALLER} State=Ring CallerID=84951234567 CallerIDName=ROMASHKA",
)
RINGS_ANNA = (
    f"Newchannel Channel={ANNA} Uniqueid=1269866053.56 State=Down CallerIDNum=<unknown> CallerIDName=<unknown>",
    f"Dial Source=SIP/provider-09f1 Destination={ANNA} CallerID=84951234567 CallerIDName=ROMASHKA "
    "SrcUniqueID=1269866053.55 DestUniqueID=1269866053.56",
    f"Newcallerid Channel={ANNA} CallerID=101 CallerIDName=<Unknown> Uniqueid=1269866053.56 CID-CallingPres=0",
    f"Newstate Channel={ANNA} State=Ringing CallerID=101 CallerIDName=<unknown> Uniqueid=1269866053.56",
)
LINKED = (
    f"Newstate Channel={ANNA} State=Up CallerID=101 CallerIDName=<unknown> Uniqueid=1269866053.56",
    f"Newstate {CALLER} State=Up CallerID=84951234567 CallerIDName=ROMASHKA",
    f"Link Channel1=SIP/provider-09f1 Channel2={ANNA} Uniqueid1=1269866053.55 Uniqueid2=1269866053.56 "
    "CallerID1=84951234567 CallerID2=101",
)
UNLINKED = (
    f"Unlink Channel1=SIP/provider-09f1 Channel2={ANNA} Uniqueid1=1269866053.55 Uniqueid2=1269866053.56 "
    "CallerID1=84951234567 CallerID2=101",
)
GONE_ANNA = (f"Hangup Channel={ANNA} Uniqueid=1269866053.56 Cause=16 Cause-txt=Normal_Clearing",)
GONE = (f"Hangup {CALLER} Cause=16 Cause-txt=Normal_Clearing",)
RINGS_BORIS = tuple(line.replace(ANNA, BORIS).replace("3.56", "3.57").replace("=101", "=102") for line in RINGS_ANNA)
GONE_BORIS = (f"Hangup Channel={BORIS} Uniqueid=1269866053.57 Cause=0 Cause-txt=Unknown",)


@pytest.mark.parametrize(
    ("lines", "outcome", "answered", "results", "talk_s"),
    [
        ((*BORN, *RINGS_ANNA, *LINKED, *UNLINKED, *GONE_ANNA, *GONE), "answered", "101", ["answered", "answered"], 1.0),
        ((*BORN, *RINGS_ANNA, *GONE_ANNA, *GONE), "missed", None, ["cancelled", "no_answer"], 0.0),
        (
            (*BORN, *RINGS_ANNA, *RINGS_BORIS, *LINKED, *GONE_BORIS, *UNLINKED, *GONE_ANNA, *GONE),
            "answered",
            "101",
            ["answered", "answered", "no_answer"],
            2.0,
        ),
        (
            (*BORN, *(line.replace("Cause=16", "Cause=17") for line in (*RINGS_ANNA, *GONE_ANNA)), *GONE),
            "busy",
            None,
            ["cancelled", "busy"],
            0.0,
        ),
        (
            (
                *BORN,
                f"Join {CALLER} CallerID=84951234567 CallerIDName=ROMASHKA Queue=hub-sales Position=1 Count=1",
                *GONE,
            ),
            "abandoned",
            None,
            ["cancelled"],
            0.0,
        ),
    ],
    ids=["answered", "not answered", "ring group", "busy", "queue"],
)
def test_an_asterisk_1_4_is_understood(
    lines: tuple[str, ...], outcome: str, answered: str | None, results: list[str], talk_s: float
) -> None:
    effects = play(of_1_4(*lines), CallTracker(RULES))
    holds_for_every_call(effects)
    (call,) = ended(effects)
    assert (call.direction, call.from_raw, call.from_name) == ("inbound", "84951234567", "ROMASHKA")
    assert (call.outcome, call.answered_extension, call.talk_s) == (outcome, answered, talk_s)
    assert [leg.result for leg in call.legs] == results


def test_hold_and_a_channel_that_is_renamed_are_understood_of_1_4() -> None:
    tracker = CallTracker(RULES)
    play(of_1_4(*BORN, *RINGS_ANNA, *LINKED, f"Hold Channel={ANNA} Uniqueid=1269866053.56"), tracker)
    assert [call.state for call in tracker.open_calls()] == ["held"]
    play(of_1_4(f"Unhold Channel={ANNA} Uniqueid=1269866053.56"), tracker)
    assert [call.state for call in tracker.open_calls()] == ["talking"]
    renamed = f"Rename Oldname={ANNA} Newname=SIP/101-09f9 Uniqueid=1269866053.56"
    play(of_1_4(renamed), tracker)
    (call,) = tracker.open_calls()
    assert "SIP/101-09f9" in [leg.channel for leg in call.legs]


def test_an_asterisk_1_4_may_be_listened_to_from_any_event_on() -> None:
    frames = of_1_4(*BORN, *RINGS_ANNA, *LINKED, *UNLINKED, *GONE_ANNA, *GONE)
    for start in range(len(frames)):
        holds_for_every_call(play(frames[start:], CallTracker(RULES)))
