"""An answered call names who answered: whatever kind of event a PBX does not tell, and after a start in mid-call."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hub.telephony.tracking.calls import Call
from hub.telephony.tracking.tracker import CallTracker, PbxRules
from tests.unit.ami_script import BOOT, CHANNELS, RULES, START, Chan, Play, ended, read_stream, replay
from tests.unit.test_callers import RULES as UNSAID
from tests.unit.test_tracker_streams import STREAMS
from tests.unit.told import INTERNAL, QUEUES

RECORDED = [path for path in STREAMS if path.suffix == ".txt"]
KINDS = ["", "LocalBridge", "Newstate", "DialBegin", "DialEnd", "DialState", "NewCallerid", "Rename", "BridgeLeave"]


def has_outside_answerer(call: Call) -> bool:
    return any(leg.role == "callee" and leg.extension is None and leg.result == "answered" for leg in call.legs)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_nobody_answered_only_what_an_outside_line_answered(path: Path) -> None:
    frames = read_stream(path)
    rules = replace(RULES, internal_contexts=INTERNAL, hub_queues=QUEUES)
    for lost in KINDS:
        kept = [frame for frame in frames if frame.get("Event") != lost]
        for call in ended(replay(kept, tracker=CallTracker(rules, boot=BOOT))):
            phones = [leg for leg in call.legs if leg.role == "callee" and leg.extension and leg.result == "answered"]
            if call.outcome == "answered" and call.direction != "outbound" and not call.answered_extension:
                assert has_outside_answerer(call), (lost, call)
                assert not phones, (lost, call)
            if phones and call.direction == "inbound":
                assert call.outcome == "answered", (lost, call)


def talk_with(name: str, *, caller_id: str = "<unknown>", rules: PbxRules = UNSAID) -> Call:
    """A stranger who speaks with one phone in a context of phones."""
    play = Play(CallTracker(rules, boot=BOOT))
    caller = CHANNELS["caller"].headers()
    phone = Chan(name, "10.2", "10.1", "from-internal", "s", caller_id).headers()
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Ring", **caller})
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Down", **phone})
    dest = {f"Dest{key}": value for key, value in phone.items()}
    play.feed({"Event": "DialBegin", **caller, **dest, "DialString": "x"})
    for channel in (caller, phone):
        play.feed({"Event": "Newstate", "ChannelStateDesc": "Up", **channel})
        play.feed({"Event": "BridgeEnter", "BridgeUniqueid": "b1", **channel})
    return play.effects[-1].call


@pytest.mark.parametrize(
    ("name", "answerer"),
    [("PJSIP/anna-00000002", "anna"), ("SIP/reception-00000002", "reception"), ("DAHDI/12-1", "DAHDI/12")],
)
def test_a_phone_without_any_extension_answers_under_its_own_name(name: str, answerer: str) -> None:
    call = talk_with(name)
    assert call.answered_extension == answerer
    assert call.legs[1].extension is None


def test_an_extension_that_is_told_in_mid_talk_takes_the_names_place() -> None:
    play = Play(CallTracker(UNSAID, boot=BOOT))
    caller = CHANNELS["caller"].headers()
    phone = Chan("PJSIP/anna-00000002", "10.2", "10.1", "from-internal", "s").headers()
    for channel in (caller, phone):
        play.feed({"Event": "Newchannel", "ChannelStateDesc": "Up", **channel})
        play.feed({"Event": "BridgeEnter", "BridgeUniqueid": "b1", **channel})
    assert play.effects[-1].call.answered_extension == "anna"
    play.feed({"Event": "NewCallerid", **phone, "CallerIDNum": "101"})
    assert play.effects[-1].call.answered_extension == "101"
    assert play.effects[-1].call.legs[1].extension == "101"


# After a start in mid-call, from the lists alone


def listed(channel: Chan, **more: str) -> dict[str, str]:
    shown = {"Event": "CoreShowChannel", "ChannelStateDesc": "Up", "Duration": "00:00:30", "BridgeId": ""}
    return {**shown, **channel.headers(), **more}


def test_who_answered_behind_a_local_channel_is_known_from_the_list() -> None:
    """The list does not say which halves belong together: their names do."""
    rows = [
        listed(CHANNELS["caller"], BridgeId="b1", Application="Queue", ApplicationData="700"),
        listed(Chan("Local/101@from-queue-00000001;1", "10.2", "10.1", "from-queue"), BridgeId="b1"),
        listed(Chan("Local/101@from-queue-00000001;2", "10.3", "10.1", "from-queue"), BridgeId="b2"),
        listed(Chan("PJSIP/101-00000002", "10.4", "10.1", "from-internal"), BridgeId="b2", Application="AppDial"),
    ]
    (told,) = CallTracker(UNSAID).resync(rows, boot=BOOT, now=START)
    assert (told.call.state, told.call.answered_extension) == ("talking", "101")


def test_a_named_phone_that_was_dialled_is_known_by_the_lists_context() -> None:
    phone = Chan("PJSIP/acme-101-00000002", "10.2", "10.1", "from-internal")
    rows = [listed(CHANNELS["caller"], BridgeId="b1"), listed(phone, BridgeId="b1", Application="AppDial")]
    (told,) = CallTracker(UNSAID).resync(rows, boot=BOOT, now=START)
    assert (told.call.direction, told.call.answered_extension) == ("inbound", "101")


def test_a_phones_call_by_an_outside_line_goes_out_though_its_dialling_was_not_seen() -> None:
    desk = Chan("PJSIP/101-00000004", "20.1", "20.1", "macro-dialout-trunk", "s", "101")
    line = Chan("PJSIP/trunk-00000005", "20.2", "20.1", "from-trunk", "s", "84951234567")
    rows = [listed(desk, BridgeId="b1"), listed(line, BridgeId="b1", Application="AppDial")]
    for order in (rows, rows[::-1]):
        (told,) = CallTracker(UNSAID).resync(order, boot=BOOT, now=START + timedelta(minutes=1))
        assert (told.call.direction, told.call.to_raw, told.call.from_extension) == ("outbound", "84951234567", "101")
