"""Scripts of what recorded streams do not show: two callers parked, voicemail by other words, events that echo."""

from __future__ import annotations

from dataclasses import replace

from hub.telephony.tracking.calls import Announced, CallMerged, CallOffered
from hub.telephony.tracking.tracker import CallTracker
from tests.unit.ami_script import (
    BOOT,
    CHANNELS,
    RULES,
    Chan,
    Play,
    ended,
    frame_of,
    holds_for_every_call,
    read_stream,
    replay,
)
from tests.unit.test_tracker import DIRECT
from tests.unit.told import FOLDER, INTERNAL, QUEUES

ANSWERED = (
    DIRECT
    + """
    >> BridgeEnter @phone BridgeUniqueid=b1 BridgeTechnology=simple_bridge
    << CallChanged state=ringing
    >> BridgeEnter @caller BridgeUniqueid=b1 BridgeTechnology=simple_bridge
    << CallChanged state=talking answered_extension=101
"""
)

PARKEE = "ParkeeChannel=PJSIP/trunk-00000001 ParkeeUniqueid=10.1 ParkeeLinkedid=10.1"
BY_PHONE = "TransfererChannel=PJSIP/101-00000002 TransfererUniqueid=10.2 TransfererLinkedid=10.1"


def play(script: str = ANSWERED) -> Play:
    started = Play()
    started.script(script)
    return started


def test_a_parked_caller_is_held_until_somebody_takes_him_out() -> None:
    call = play().script(f"""
        ++ 1
        >> BridgeLeave @caller BridgeUniqueid=b1
        << CallChanged state=talking
        >> ParkedCall {PARKEE} ParkerDialString=PJSIP/101 ParkingSpace=701
        << CallChanged state=held
        >> BridgeEnter @caller BridgeUniqueid=lot BridgeTechnology=holding_bridge BridgeCreator=Parking
        >> Hangup @phone Cause=16
        << CallChanged state=held
        >> Newchannel @desk-colleague Exten=701
        << CallChanged linked_id=30.1
        >> UnParkedCall {PARKEE} RetrieverChannel=PJSIP/101-00000006 RetrieverUniqueid=30.1 RetrieverLinkedid=30.1
        << CallChanged linked_id=10.1
        << CallMerged linked_id=10.1
    """)
    assert call.transfers == ()  # the parker himself took him out again


def test_two_callers_in_one_parking_lot_do_not_speak_with_each_other() -> None:
    playing = play()
    playing.script("""
        ++ 1
        >> BridgeLeave @caller BridgeUniqueid=b1
        << CallChanged state=talking
        >> BridgeEnter @caller BridgeUniqueid=lot BridgeTechnology=holding_bridge
    """)
    other = Chan("PJSIP/trunk-00000077", "70.1", "70.1", "from-trunk", "74950000100", "89160000000")
    playing.feed({"Event": "Newchannel", **other.headers()})
    playing.feed(
        {
            "Event": "BridgeEnter",
            "BridgeUniqueid": "lot",
            "BridgeTechnology": "holding_bridge",
            **other.headers(),
        }
    )
    (second,) = [call for call in playing.tracker.open_calls() if call.linked_id == "70.1"]
    assert second.answered_at is None
    assert second.state == "ringing"


def test_a_blind_transfer_is_complete_only_when_somebody_speaks_and_the_agents_time_ends_with_it() -> None:
    playing = play()
    call = playing.script(f"""
        >> BlindTransfer Result=Success {BY_PHONE} Extension=102 Context=internal
        << CallChanged state=talking
        ++ 5
        >> BridgeLeave @phone BridgeUniqueid=b1
        << CallChanged state=talking
        >> Hangup @phone Cause=16
        << CallChanged
        >> Newchannel @phone2
        << CallChanged
        >> DialBegin @caller >@phone2 DialString=102
        << CallChanged state=ringing
        ++ 5
        >> BridgeEnter @phone2 BridgeUniqueid=b2
        << CallChanged
        >> BridgeLeave @caller BridgeUniqueid=b1
        >> BridgeEnter @caller BridgeUniqueid=b2
        << CallChanged state=talking answered_extension=102
    """)
    assert [transfer.completed for transfer in call.transfers] == [True]
    agent = next(leg for leg in call.legs if leg.extension == "101")
    assert agent.left_at is not None
    assert call.talk_s == 5


def test_a_transfer_that_asterisk_refused_is_told_as_failed() -> None:
    call = play().script(f"""
        >> BlindTransfer Result=Fail {BY_PHONE} Extension=999 Context=internal
        << CallChanged state=talking
    """)
    assert [(one.to, one.completed) for one in call.transfers] == [("999", False)]


def test_a_transfer_told_twice_is_one() -> None:
    playing = play()
    frame = frame_of(f"BlindTransfer Result=Success {BY_PHONE} Extension=102")
    assert len(playing.feed(frame)) == 1
    assert playing.feed(frame) == []


def test_a_message_left_is_voicemail_and_no_missed_call() -> None:
    playing = play(DIRECT)
    playing.script("""
        >> Hangup @phone Cause=19
        << CallChanged
        >> MessageWaiting @caller Mailbox=101@default Waiting=1 New=1 Old=0
        >> Hangup @caller Cause=16
        << CallEnded outcome=voicemail
    """)


def test_a_colleague_who_listens_to_his_mailbox_left_no_message() -> None:
    playing = Play()
    playing.script("""
        >> Newchannel @desk-colleague Exten=*97
        << CallChanged direction=internal
        >> MessageWaiting @desk-colleague Mailbox=101@default Waiting=1 New=2 Old=0
        >> Hangup @desk-colleague Cause=16
        << CallEnded outcome=failed
    """)


def test_what_the_dialplan_announces_is_passed_on_with_its_call() -> None:
    playing = play(DIRECT)
    (said,) = playing.feed(frame_of("UserEvent @caller UserEvent=HubVoicemail File=a.wav"))
    assert isinstance(said, Announced)
    assert (said.name, said.fields["File"], said.call.linked_id) == ("HubVoicemail", "a.wav", "10.1")
    playing.feed(frame_of("Hangup @phone Cause=19"))
    playing.feed(frame_of("Hangup @caller Cause=16"))
    assert ended(playing.effects)[0].outcome == "voicemail"


def confer(playing: Play, *channels: Chan) -> None:
    for channel in channels:
        playing.feed({"Event": "Newchannel", **channel.headers()})
        playing.feed(
            {"Event": "BridgeEnter", "BridgeUniqueid": "room", "BridgeCreator": "ConfBridge", **channel.headers()}
        )


def test_two_clients_in_one_conference_keep_their_own_calls() -> None:
    other = Chan("PJSIP/trunk-00000077", "70.1", "70.1", "from-trunk", "74950000100", "89160000000")
    playing = Play()
    confer(playing, CHANNELS["caller"], other, CHANNELS["desk-colleague"])
    for channel in (CHANNELS["desk-colleague"], other, CHANNELS["caller"]):
        playing.feed({"Event": "Hangup", "Cause": "16", **channel.headers()})
    holds_for_every_call(playing.effects)
    first, second = sorted(ended(playing.effects), key=lambda call: call.linked_id)
    assert (first.from_raw, second.from_raw) == ("84951234567", "89160000000")
    assert {first.answered_extension, second.answered_extension} == {"101"}


def test_a_colleague_who_waits_in_the_conference_is_in_the_clients_call() -> None:
    playing = Play()
    confer(playing, CHANNELS["desk-colleague"], CHANNELS["caller"])
    (call,) = playing.tracker.open_calls()
    assert (call.linked_id, call.direction, call.from_raw) == ("10.1", "inbound", "84951234567")
    assert [e.gone[1] for e in playing.effects if isinstance(e, CallMerged)] == ["30.1"]


def test_a_masquerade_moves_who_speaks_not_his_name() -> None:
    """The caller is moved into the place of another channel: his leg, his number and the talk go with him."""
    playing = play()
    place = Chan("AsyncGoto/PJSIP/trunk-00000001", "10.9", "10.9", "from-trunk")
    playing.feed({"Event": "Newchannel", **place.headers()})
    for uniqueid, old, new in (
        ("10.1", "PJSIP/trunk-00000001", "PJSIP/trunk-00000001<MASQ>"),
        ("10.9", "AsyncGoto/PJSIP/trunk-00000001", "PJSIP/trunk-00000001"),
        ("10.1", "PJSIP/trunk-00000001<MASQ>", "AsyncGoto/PJSIP/trunk-00000001<ZOMBIE>"),
    ):
        playing.feed({"Event": "Rename", "Channel": old, "Newname": new, "Uniqueid": uniqueid, "Linkedid": "10.1"})
    playing.feed({"Event": "Hangup", "Channel": "z", "Uniqueid": "10.1", "Linkedid": "10.1", "Cause": "16"})
    (call,) = playing.tracker.open_calls()
    assert [(leg.channel, leg.left_at) for leg in call.legs] == [
        ("PJSIP/trunk-00000001", None),
        ("PJSIP/101-00000002", None),
    ]
    playing.feed({"Event": "Hangup", "Uniqueid": "10.9", "Linkedid": "10.9", "Channel": "z", "Cause": "16"})
    playing.feed(frame_of("Hangup @phone Cause=16"))
    assert len(ended(playing.effects)) == 1


def test_a_consultation_shows_the_caller_as_held_and_fails_when_the_phone_comes_back() -> None:
    half = "Channel=Local/102@internal-00000009;1 Uniqueid=11.1 Linkedid=10.1 Context=internal"
    call = play().script(f"""
        >> Newchannel {half}
        >> BridgeEnter {half} BridgeUniqueid=b2
        ++ 1
        >> BridgeLeave @phone BridgeUniqueid=b1
        << CallChanged state=talking
        >> BridgeEnter @phone BridgeUniqueid=b2
        << CallChanged state=held
        >> BridgeLeave @phone BridgeUniqueid=b2
        >> BridgeEnter @phone BridgeUniqueid=b1
        << CallChanged state=talking
    """)
    assert [(one.kind, one.by, one.to, one.completed) for one in call.transfers] == [("attended", "101", "102", False)]


def test_a_queue_whose_time_is_over_is_missed_and_not_abandoned_by_its_caller() -> None:
    playing = Play()
    playing.script("""
        >> Newchannel @caller
        << CallChanged
        >> QueueCallerJoin @caller Queue=support
        << CallChanged state=waiting
        >> QueueCallerLeave @caller Queue=support
        << CallChanged state=connecting
        >> SoftHangupRequest @caller Cause=16
        >> Hangup @caller Cause=16
        << CallEnded outcome=missed
    """)


def test_a_caller_whom_the_dialplan_turned_away_was_rejected_and_not_missed() -> None:
    playing = Play()
    playing.script("""
        >> Newchannel @caller
        << CallChanged
        >> UserEvent @caller UserEvent=HubBlocked
        << Announced name=HubBlocked
        >> Hangup @caller Cause=21
        << CallEnded outcome=rejected
    """)


TAKEN = """
    >> Newchannel @caller
    << CallChanged state=ringing
    >> QueueCallerJoin @caller Queue=hub-sales
    << CallChanged state=waiting
    << CallOffered again=False
    >> QueueCallerLeave @caller Queue=hub-sales
    << CallChanged state=connecting
    >> UserEvent @caller UserEvent=HubClaimStarted Claim=0123456789abcdef Extension=101
    << CallChanged claim_id=0123456789abcdef
    >> Newchannel @phone
    << CallChanged
    >> DialBegin @caller >@phone DialString=101
    << CallChanged
    >> BridgeEnter @phone BridgeUniqueid=b1
    << CallChanged
    >> BridgeEnter @caller BridgeUniqueid=b1
    << CallChanged state=talking
    << ClaimConnected claim_id=0123456789abcdef
"""
TWO_TEAMS = replace(RULES, hub_queues=frozenset({"hub-sales", "hub-support"}))


def test_a_taken_caller_who_is_handed_to_another_team_is_nobodys_and_offered_to_it() -> None:
    playing = Play(CallTracker(TWO_TEAMS, boot=BOOT))
    playing.script(TAKEN)
    playing.script(f"""
        >> BlindTransfer Result=Success {BY_PHONE} Extension=support Context=internal
        << CallChanged state=talking
        ++ 1
        >> BridgeLeave @phone BridgeUniqueid=b1
        << CallChanged
        >> Hangup @phone Cause=16
        << CallChanged
        >> QueueCallerJoin @caller Queue=hub-support
        << CallChanged state=waiting queue=hub-support claim_id=None
        << CallOffered again=True queue=hub-support claim_id=None
    """)


def test_a_caller_whom_a_manager_leaves_in_another_teams_queue_after_asking_there_is_offered_to_it() -> None:
    playing = Play(CallTracker(TWO_TEAMS, boot=BOOT))
    playing.script(TAKEN)
    playing.script("""
        ++ 5
        >> Newchannel @desk
        << CallChanged linked_id=20.1
        >> QueueCallerJoin @desk Queue=hub-support
        << CallChanged linked_id=20.1 state=waiting
        << CallOffered linked_id=20.1
    """)
    told = playing.feed(
        {
            "Event": "AttendedTransfer",
            "Result": "Success",
            "DestType": "App",
            "DestApp": "Queue",
            **_prefixed("OrigTransferer", CHANNELS["phone"]),
            **_prefixed("SecondTransferer", CHANNELS["desk"]),
            **_prefixed("Transferee", CHANNELS["caller"]),
        }
    )
    (offered,) = [effect for effect in told if isinstance(effect, CallOffered)]
    call = offered.call
    assert (call.linked_id, call.queue, call.claim_id, offered.again) == ("10.1", "hub-support", None, True)
    assert CallMerged in [type(effect) for effect in told]


def _prefixed(prefix: str, chan: Chan) -> dict[str, str]:
    return {f"{prefix}{key}": value for key, value in chan.headers().items()}


def test_who_is_handed_over_from_within_a_queue_waits_there_in_the_phones_place() -> None:
    frames = read_stream(FOLDER / "attended_transfer_to_a_teams_queue_and_given_up.txt")
    tracker = CallTracker(replace(RULES, internal_contexts=INTERNAL, hub_queues=QUEUES), boot=BOOT)
    effects = replay(frames, tracker=tracker)
    waiting = [effect.call for effect in effects if effect.call.state == "waiting" and effect.call.transfers]
    assert {call.queue for call in waiting} == {"hub-support"}
    assert waiting[-1].queue_channel == "PJSIP/trunk-00000000"
    (end,) = ended(effects)
    assert (end.outcome, end.is_left_waiting) == ("answered", True)
