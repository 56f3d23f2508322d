"""After a gap: what vanished ends as estimated, what lives on keeps its identity, its claim and its place."""

from __future__ import annotations

from datetime import timedelta

from hub.telephony.tracking.calls import CallChanged, CallEnded, CallOffered, ClaimConnected, ClaimFailed
from hub.telephony.tracking.tracker import CallTracker
from tests.unit.ami_script import BOOT, CHANNELS, RULES, START, Play
from tests.unit.test_tracker import CLAIM, DIRECT, TAKEN, WAITING

AFTER = "2026-11-24T10:30:00"


def row(name: str, **more: str) -> dict[str, str]:
    shown = {"Event": "CoreShowChannel", "ChannelStateDesc": "Up", "Duration": "00:00:30", "BridgeId": ""}
    return {**shown, **CHANNELS[name].headers(), **more}


IN_QUEUE = {"Application": "Queue", "ApplicationData": "hub-sales,,,,300"}


def kinds(effects: list[object]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def test_a_call_that_vanished_ends_as_estimated() -> None:
    play = Play()
    play.script(WAITING)
    (end,) = play.tracker.resync([], boot=BOOT, now=play.now + timedelta(seconds=10))
    assert isinstance(end, CallEnded)
    assert (end.call.outcome, end.call.estimated) == ("abandoned", True)


def test_a_caller_who_still_waits_is_not_offered_twice() -> None:
    play = Play()
    before = play.script(WAITING)
    assert play.tracker.resync([row("caller", **IN_QUEUE)], boot=BOOT, now=play.now) == []
    assert play.tracker.open_calls() == [before]


def test_a_claim_that_was_connected_in_the_gap_is_told() -> None:
    play = Play()
    play.script(WAITING + TAKEN)
    rows = [row("caller", BridgeId="b1"), row("phone", BridgeId="b1")]
    changed, connected = play.tracker.resync(rows, boot=BOOT, now=play.now)
    assert isinstance(changed, CallChanged)
    assert changed.call.state == "talking"
    assert isinstance(connected, ClaimConnected)
    assert connected.claim_id == CLAIM


def test_a_claim_that_failed_in_the_gap_is_told_and_the_caller_offered_again() -> None:
    play = Play()
    play.script(WAITING + TAKEN)
    effects = play.tracker.resync([row("caller", **IN_QUEUE)], boot=BOOT, now=play.now)
    failed, offered = effects[-2:]
    assert isinstance(failed, ClaimFailed)
    assert isinstance(offered, CallOffered)
    assert offered.again
    assert offered.call.state == "waiting"


def test_calls_that_hub_never_saw_begin_are_taken_up_with_the_age_that_asterisk_tells() -> None:
    tracker = CallTracker(RULES)
    rows = [row("caller", **IN_QUEUE, Context="hub-in", Exten="sales"), row("desk", Duration="00:01:00")]
    effects = tracker.resync(rows, boot=BOOT, now=START)
    assert kinds(list(effects)) == ["CallChanged", "CallChanged", "CallOffered"]
    waiting, desk = effects[0].call, effects[1].call
    assert (waiting.direction, waiting.state, waiting.queue) == ("inbound", "waiting", "hub-sales")
    assert waiting.started_at == START - timedelta(seconds=30)
    assert waiting.estimated
    assert (desk.direction, desk.from_extension) == ("outbound", "101")


def test_a_restart_of_the_pbx_ends_all_its_calls_even_if_uniqueids_come_again() -> None:
    play = Play()
    play.script(WAITING)
    effects = play.tracker.resync([row("caller", **IN_QUEUE)], boot=AFTER, now=play.now)
    assert isinstance(effects[0], CallEnded)
    assert effects[0].call.boot == BOOT
    assert effects[0].call.estimated
    assert {effect.call.boot for effect in effects[1:]} == {AFTER}
    assert kinds(list(effects[1:])) == ["CallChanged", "CallOffered"]


def test_events_older_than_the_snapshot_do_not_wind_it_back() -> None:
    play = Play()
    play.script(WAITING + TAKEN)
    rows = [row("caller", BridgeId="b1"), row("phone", BridgeId="b1")]
    play.tracker.resync(rows, boot=BOOT, now=play.now + timedelta(seconds=1))
    play.now += timedelta(seconds=2)
    play.is_overtaken = True
    play.script("""
        >> QueueCallerJoin @caller Queue=hub-sales
        >> BridgeLeave @caller BridgeUniqueid=b1
    """)
    play.is_overtaken = False
    play.script("""
        >> BridgeLeave @caller BridgeUniqueid=b1
        << CallChanged talk_s=1.0
    """)


def test_an_event_behind_the_list_counts_however_close_it_comes() -> None:
    play = Play()
    play.tracker.resync([row("caller", Exten="sales")], boot=BOOT, now=play.now + timedelta(seconds=1))
    play.script("""
        >> QueueCallerJoin @caller Queue=hub-sales
        << CallChanged state=waiting
        << CallOffered again=False
    """)


def test_a_call_that_began_and_ended_before_the_snapshot_is_told_all_the_same() -> None:
    play = Play(is_overtaken=True)
    play.tracker.resync([], boot=BOOT, now=play.now + timedelta(seconds=1))
    play.script("""
        >> Newchannel @caller
        << CallChanged
        >> Hangup @caller
        << CallEnded outcome=missed
    """)


def test_a_birth_that_the_snapshot_outran_is_taken_from_the_event() -> None:
    play = Play(is_overtaken=True)
    play.tracker.resync([row("caller", Exten="sales")], boot=BOOT, now=play.now + timedelta(seconds=1))
    play.script("""
        >> Newchannel @caller
        << CallChanged estimated=False did=74950000100
    """)


def test_a_call_that_a_former_process_stored_is_taken_up_where_it_stood() -> None:
    play = Play()
    stored = play.script(WAITING + TAKEN)
    tracker = CallTracker(RULES, known_calls=[stored])
    rows = [row("caller", Exten="sales", BridgeId="b1"), row("phone", BridgeId="b1")]
    effects = tracker.resync(rows, boot=BOOT, now=play.now + timedelta(seconds=5))
    assert kinds(list(effects)) == ["CallChanged", "ClaimConnected"]
    call = effects[-1].call
    assert (call.linked_id, call.did, call.started_at) == (stored.linked_id, "74950000100", stored.started_at)
    assert (call.queue, call.claim_id) == ("hub-sales", CLAIM)


def test_a_stored_caller_who_waits_again_after_a_claim_is_offered_again() -> None:
    play = Play()
    stored = play.script(WAITING + TAKEN)
    tracker = CallTracker(RULES, known_calls=[stored])
    effects = tracker.resync([row("caller", **IN_QUEUE)], boot=BOOT, now=play.now)
    assert kinds(list(effects)) == ["CallChanged", "ClaimFailed", "CallOffered"]


def test_a_trunk_named_by_its_number_is_no_phone_when_its_birth_was_not_seen() -> None:
    tracker = CallTracker(RULES)
    (told,) = tracker.resync([row("caller", Channel="PJSIP/74950000100-0000000a")], boot=BOOT, now=START)
    assert told.call.direction == "inbound"


LOT = {"BridgeUniqueid": "lot", "BridgeTechnology": "holding_bridge", "BridgeType": "parking"}
PARKEE = {
    "Event": "ParkedCall",
    "ParkeeChannel": CHANNELS["caller"].name,
    "ParkeeUniqueid": CHANNELS["caller"].uniqueid,
    "ParkeeLinkedid": CHANNELS["caller"].linked_id,
    "ParkerDialString": "PJSIP/101",
}


def test_a_caller_who_is_parked_when_hub_attaches_is_told_as_held() -> None:
    tracker = CallTracker(RULES, boot=BOOT)
    rows = [row("caller", BridgeId="lot")]
    tracker.resync(rows, boot=BOOT, now=START, bridges=[LOT], parked=[PARKEE])
    (call,) = tracker.open_calls()
    assert (call.state, call.answered_at) == ("held", None)


def test_two_callers_parked_in_one_lot_are_in_no_talk_when_hub_attaches() -> None:
    tracker = CallTracker(RULES, boot=BOOT)
    rows = [row("caller", BridgeId="lot"), row("desk", BridgeId="lot")]
    tracker.resync(rows, boot=BOOT, now=START, bridges=[LOT])
    assert [call.answered_at for call in tracker.open_calls()] == [None, None]


def test_a_caller_who_was_taken_out_of_the_lot_unseen_is_not_held_any_more() -> None:
    tracker = CallTracker(RULES, boot=BOOT)
    tracker.resync([row("caller", BridgeId="lot")], boot=BOOT, now=START, bridges=[LOT], parked=[PARKEE])
    rows = [row("caller", BridgeId="b1"), row("phone", BridgeId="b1")]
    tracker.resync(rows, boot=BOOT, now=START + timedelta(seconds=20))
    (call,) = tracker.open_calls()
    assert (call.state, call.answered_extension) == ("talking", "101")


def test_a_caller_on_hold_when_hub_attaches_is_told_as_held() -> None:
    tracker = CallTracker(RULES, boot=BOOT)
    rows = [row("caller", BridgeId="b1"), row("phone", BridgeId="b1")]
    devices = [{"Event": "DeviceStateChange", "Device": "PJSIP/trunk", "State": "ONHOLD"}]
    tracker.resync(rows, boot=BOOT, now=START, devices=devices)
    assert [call.state for call in tracker.open_calls()] == ["held"]
    tracker.handle({"Event": "Unhold", **CHANNELS["phone"].headers()}, now=START + timedelta(seconds=9))
    assert [call.state for call in tracker.open_calls()] == ["talking"]


def test_a_queue_that_the_list_of_channels_cut_short_is_named_by_the_queue_itself() -> None:
    tracker = CallTracker(RULES, boot=BOOT)
    entry = {"Event": "QueueEntry", "Queue": "hub-sales", "Uniqueid": CHANNELS["caller"].uniqueid, "Wait": "12"}
    effects = tracker.resync([row("caller")], boot=BOOT, now=START, queues=[{"Event": "QueueParams"}, entry])
    assert kinds(effects) == ["CallChanged", "CallOffered"]
    assert [call.state for call in tracker.open_calls()] == ["waiting"]


def test_calls_that_were_joined_in_the_gap_are_one_call_after_it() -> None:
    play = Play()
    play.script(DIRECT)
    play.feed({"Event": "Newchannel", **CHANNELS["desk-colleague"].headers()})
    joined = row("desk-colleague", BridgeId="b1") | {"Linkedid": CHANNELS["caller"].linked_id}
    effects = play.tracker.resync([row("caller", BridgeId="b1"), joined], boot=BOOT, now=play.now)
    assert "CallMerged" in kinds(effects)
    assert [call.linked_id for call in play.tracker.open_calls()] == ["10.1"]
