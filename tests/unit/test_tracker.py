"""What the tracker makes of the events of one call, line by line."""

from __future__ import annotations

from tests.unit.ami_script import Play

CLAIM = "00112233445566aa"

WAITING = """
>> Newchannel @caller ChannelStateDesc=Ring
<< CallChanged state=ringing direction=inbound from_raw=84951234567 from_name=Иван did=74950000100
>> Newstate @caller ChannelStateDesc=Up
>> UserEvent @caller UserEvent=HubWaiting Queue=hub-sales Did=74950000100
<< CallChanged state=ringing queue=hub-sales queue_channel=PJSIP/trunk-00000001
++ 0.5
>> QueueCallerJoin @caller Queue=hub-sales Position=1 Count=1
<< CallChanged state=waiting answered_at=None
<< CallOffered again=False queue=hub-sales
"""

TAKEN = f"""
>> QueueCallerAbandon @caller Queue=hub-sales
>> QueueCallerLeave @caller Queue=hub-sales
<< CallChanged state=connecting claim_id=None
>> UserEvent @caller UserEvent=HubClaimStarted Claim={CLAIM} Extension=101 Queue=hub-sales
<< CallChanged state=connecting claim_id={CLAIM} claim_extension=101
>> Newchannel @phone ChannelStateDesc=Down
<< CallChanged state=connecting
>> DialBegin @caller >@phone DialString=101
<< CallChanged state=connecting manager_channel=PJSIP/101-00000002
>> Newstate @phone ChannelStateDesc=Ringing
<< CallChanged state=connecting
"""


def test_a_taken_call_is_answered_when_both_are_in_one_bridge() -> None:
    play = Play()
    play.script(WAITING + "++ 4.5" + TAKEN)
    call = play.script(f"""
        ++ 3
        >> Newstate @phone ChannelStateDesc=Up
        << CallChanged state=connecting answered_at=None
        >> DialEnd @caller >@phone DialStatus=ANSWER
        >> BridgeEnter @phone BridgeUniqueid=b1
        >> BridgeEnter @caller BridgeUniqueid=b1
        << CallChanged state=talking answered_extension=101
        << ClaimConnected claim_id={CLAIM} wait_s=8.0
        ++ 60
        >> BridgeLeave @caller BridgeUniqueid=b1
        << CallChanged state=talking talk_s=60.0
        >> BridgeLeave @phone BridgeUniqueid=b1
        >> Hangup @caller Cause=16
        << CallChanged state=talking
        >> Hangup @phone Cause=16
        << CallEnded state=ended outcome=answered talk_s=60.0 wait_s=8.0 answered_extension=101 estimated=False
    """)
    caller, phone = call.legs
    assert (caller.role, caller.extension, caller.number, caller.result) == ("caller", None, "84951234567", "answered")
    assert (phone.role, phone.extension, phone.result) == ("callee", "101", "answered")
    assert caller.answered_at == call.answered_at
    assert phone.rang_at is not None


def test_a_manager_who_does_not_answer_gives_the_caller_back_to_the_queue() -> None:
    play = Play()
    play.script(WAITING + TAKEN)
    call = play.script(f"""
        ++ 20
        >> DialEnd @caller >@phone DialStatus=NOANSWER
        << CallChanged state=connecting
        >> Hangup @phone Cause=19
        << CallChanged state=connecting
        >> UserEvent @caller UserEvent=HubClaimFailed Claim={CLAIM} Extension=101 Queue=hub-sales Reason=NOANSWER
        << CallChanged claim_id=None manager_channel=None
        << ClaimFailed claim_id={CLAIM} reason=NOANSWER
        >> QueueCallerJoin @caller Queue=hub-sales Position=1
        << CallChanged state=waiting
        << CallOffered again=True
        >> QueueCallerAbandon @caller Queue=hub-sales
        >> QueueCallerLeave @caller Queue=hub-sales
        << CallChanged
        >> HangupRequest @caller
        >> Hangup @caller Cause=16
        << CallEnded outcome=abandoned wait_s=20.5
    """)
    assert [leg.result for leg in call.legs] == ["cancelled", "no_answer"]


def test_a_second_claim_after_a_failed_one_connects() -> None:
    play = Play()
    play.script(WAITING + TAKEN)
    second = "ffeeddccbbaa9988"
    play.script(f"""
        >> UserEvent @caller UserEvent=HubClaimFailed Claim={CLAIM} Extension=101 Reason=BUSY
        << CallChanged
        << ClaimFailed reason=BUSY
        >> Hangup @phone Cause=17
        << CallChanged
        >> QueueCallerJoin @caller Queue=hub-sales
        << CallChanged
        << CallOffered again=True
        >> QueueCallerLeave @caller Queue=hub-sales
        << CallChanged
        >> UserEvent @caller UserEvent=HubClaimStarted Claim={second} Extension=102
        << CallChanged claim_id={second}
        >> DialBegin @caller >@phone2
        << CallChanged manager_channel=PJSIP/102-00000003
        >> BridgeEnter @phone2 BridgeUniqueid=b1
        << CallChanged
        >> BridgeEnter @caller BridgeUniqueid=b1
        << CallChanged answered_extension=102
        << ClaimConnected claim_id={second}
    """)


def test_a_caller_who_hangs_up_while_waiting_has_abandoned() -> None:
    play = Play()
    play.script(WAITING)
    call = play.script("""
        ++ 30
        >> HangupRequest @caller Cause=16
        >> QueueCallerAbandon @caller Queue=hub-sales
        >> QueueCallerLeave @caller Queue=hub-sales
        << CallChanged
        >> Hangup @caller Cause=16
        << CallEnded outcome=abandoned answered_at=None wait_s=30.5 talk_s=0.0
    """)
    assert call.queue == "hub-sales"


def test_a_caller_who_hangs_up_while_the_managers_phone_rings_has_abandoned_and_the_claim_failed() -> None:
    play = Play()
    play.script(WAITING + TAKEN)
    play.script(f"""
        >> HangupRequest @caller Cause=16
        >> DialEnd @caller >@phone DialStatus=CANCEL
        << CallChanged
        >> Hangup @caller Cause=16
        << CallChanged claim_id=None
        << ClaimFailed claim_id={CLAIM} reason=caller_gone
        >> Hangup @phone Cause=16
        << CallEnded outcome=abandoned
    """)
    assert [leg.result for leg in play.effects[-1].call.legs] == ["cancelled", "cancelled"]


def test_the_same_event_twice_changes_nothing() -> None:
    play = Play()
    play.script(WAITING + TAKEN)
    play.script(f"""
        >> UserEvent @caller UserEvent=HubClaimStarted Claim={CLAIM} Extension=101 Queue=hub-sales
        >> Newchannel @caller ChannelStateDesc=Ring
        >> DialBegin @caller >@phone DialString=101
        >> BridgeEnter @caller BridgeUniqueid=b1
        >> BridgeEnter @phone BridgeUniqueid=b1
        << CallChanged
        << ClaimConnected
        >> BridgeEnter @phone BridgeUniqueid=b1
        >> UserEvent @caller UserEvent=HubClaimStarted Claim={CLAIM} Extension=101 Queue=hub-sales
        >> UserEvent @caller UserEvent=HubClaimFailed Claim={CLAIM} Extension=101 Reason=NOANSWER
        >> Hangup @caller Cause=16
        << CallChanged
        >> Hangup @caller Cause=16
        >> Hangup @phone Cause=16
        << CallEnded outcome=answered
        >> Hangup @phone Cause=16
        >> Newchannel @phone
        >> BridgeEnter @caller BridgeUniqueid=b1
        >> QueueCallerJoin @caller Queue=hub-sales
    """)


def test_a_queue_that_times_out_rings_the_fallback_and_may_be_answered_there() -> None:
    play = Play()
    play.script(WAITING)
    play.script("""
        ++ 300
        >> QueueCallerAbandon @caller Queue=hub-sales
        >> QueueCallerLeave @caller Queue=hub-sales
        << CallChanged state=connecting claim_id=None
        >> DialBegin @caller >@phone
        << CallChanged state=ringing
        >> BridgeEnter @phone BridgeUniqueid=b1
        << CallChanged state=ringing
        >> BridgeEnter @caller BridgeUniqueid=b1
        << CallChanged state=talking answered_extension=101
        >> Hangup @phone Cause=16
        << CallChanged
        >> Hangup @caller Cause=16
        << CallEnded outcome=answered
    """)


def test_a_fallback_that_nobody_answers_is_missed() -> None:
    play = Play()
    play.script(WAITING)
    play.script("""
        >> QueueCallerLeave @caller Queue=hub-sales
        << CallChanged
        >> DialBegin @caller >@phone
        << CallChanged
        >> DialEnd @caller >@phone DialStatus=NOANSWER
        << CallChanged
        >> Hangup @phone Cause=19
        << CallChanged
        >> Hangup @caller Cause=16
        << CallEnded outcome=missed
    """)


DIRECT = """
>> Newchannel @caller ChannelStateDesc=Ring
<< CallChanged
>> DialBegin @caller >@phone DialString=101
<< CallChanged to_extension=101 state=ringing
>> Newstate @phone ChannelStateDesc=Ringing
<< CallChanged
"""


def test_a_direct_call_to_an_extension_is_answered_by_it() -> None:
    play = Play()
    play.script(DIRECT)
    play.script("""
        ++ 5
        >> DialEnd @caller >@phone DialStatus=ANSWER
        << CallChanged
        >> BridgeEnter @phone BridgeUniqueid=b1
        >> BridgeEnter @caller BridgeUniqueid=b1
        << CallChanged state=talking wait_s=5.0 answered_extension=101
        >> Hold @phone
        << CallChanged state=held
        >> Unhold @phone
        << CallChanged state=talking
        >> Hangup @caller Cause=16
        << CallChanged
        >> Hangup @phone Cause=16
        << CallEnded outcome=answered direction=inbound queue=None
    """)


def test_a_ring_group_that_one_member_answered_is_one_answered_call() -> None:
    play = Play()
    play.script(DIRECT)
    call = play.script("""
        >> DialBegin @caller >@phone2 DialString=102
        << CallChanged
        >> DialEnd @caller >@phone2 DialStatus=ANSWER
        << CallChanged
        >> DialEnd @caller >@phone DialStatus=CANCEL
        << CallChanged
        >> Hangup @phone Cause=26
        << CallChanged
        >> BridgeEnter @phone2 BridgeUniqueid=b1
        >> BridgeEnter @caller BridgeUniqueid=b1
        << CallChanged state=talking answered_extension=102
        >> Hangup @phone2 Cause=16
        << CallChanged
        >> Hangup @caller Cause=16
        << CallEnded outcome=answered
    """)
    assert {leg.extension: leg.result for leg in call.legs} == {None: "answered", "101": "cancelled", "102": "answered"}


def test_busy_and_rejected_are_told_apart_by_what_the_phone_said() -> None:
    for status, cause, result in (("BUSY", 17, "busy"), ("NOANSWER", 21, "rejected"), ("CHANUNAVAIL", 20, "failed")):
        play = Play()
        play.script(DIRECT)
        call = play.script(f"""
            >> DialEnd @caller >@phone DialStatus={status}
            << CallChanged
            >> Hangup @phone Cause={cause}
            << CallChanged
            >> Hangup @caller Cause={cause}
            << CallEnded outcome={result}
        """)
        assert call.legs[1].result == result


def test_a_caller_answered_by_music_only_is_not_answered() -> None:
    play = Play()
    play.script("""
        >> Newchannel @caller ChannelStateDesc=Ring
        << CallChanged
        >> Newstate @caller ChannelStateDesc=Up
        ++ 40
        >> Hangup @caller Cause=16
        << CallEnded outcome=missed answered_at=None talk_s=0.0
    """)


def test_an_outbound_call_by_phone() -> None:
    call = Play().script("""
        >> Newchannel @desk ChannelStateDesc=Ring
        << CallChanged direction=outbound from_extension=101 from_raw=101 to_raw=89161234567 did=None
        >> DialBegin @desk >@client DialString=89161234567@trunk
        << CallChanged direction=outbound state=ringing
        ++ 7
        >> DialEnd @desk >@client DialStatus=ANSWER
        << CallChanged
        >> BridgeEnter @client BridgeUniqueid=b1
        >> BridgeEnter @desk BridgeUniqueid=b1
        << CallChanged state=talking wait_s=7.0
        ++ 10
        >> Hangup @client Cause=16
        << CallChanged
        >> Hangup @desk Cause=16
        << CallEnded outcome=answered direction=outbound talk_s=10.0 answered_extension=None
    """)
    assert [(leg.extension, leg.number, leg.role) for leg in call.legs] == [
        ("101", None, "caller"),
        (None, "89161234567", "callee"),
    ]


def test_a_short_number_that_a_trunk_carries_is_outbound_after_all() -> None:
    play = Play()
    play.script("""
        >> Newchannel @desk Exten=112 ChannelStateDesc=Ring
        << CallChanged direction=internal
        >> DialBegin @desk >@client DialString=112@trunk
        << CallChanged direction=outbound
    """)


def test_an_internal_call() -> None:
    Play().script("""
        >> Newchannel @desk-colleague ChannelStateDesc=Ring
        << CallChanged direction=internal from_raw=101 to_raw=102
        >> DialBegin @desk-colleague >@colleague DialString=102
        << CallChanged direction=internal to_extension=102
        >> DialEnd @desk-colleague >@colleague DialStatus=NOANSWER
        << CallChanged
        >> Hangup @colleague Cause=19
        << CallChanged
        >> Hangup @desk-colleague Cause=16
        << CallEnded outcome=missed direction=internal
    """)


DIALLED = """
>> Newchannel @dial ChannelStateDesc=Down
<< CallChanged direction=outbound dial_id=hub-0123456789abcdef from_raw=101 from_extension=101 to_raw= state=ringing
>> DialBegin >@dial DialString=101
>> Newstate @dial ChannelStateDesc=Ringing
<< CallChanged
"""


def test_a_click_to_call_rings_the_manager_then_the_client_and_is_outbound() -> None:
    play = Play()
    play.script(DIALLED)
    call = play.script("""
        ++ 2
        >> Newstate @dial ChannelStateDesc=Up
        << CallChanged state=connecting answered_at=None
        >> DialEnd >@dial DialStatus=ANSWER
        >> UserEvent @dial UserEvent=HubDial Dial=hub-0123456789abcdef To=+74951234567
        << CallChanged to_raw=+74951234567
        >> DialBegin @dial >@dialled DialString=74951234567@trunk
        << CallChanged direction=outbound state=connecting
        ++ 6
        >> DialEnd @dial >@dialled DialStatus=ANSWER
        << CallChanged
        >> BridgeEnter @dialled BridgeUniqueid=b1
        >> BridgeEnter @dial BridgeUniqueid=b1
        << CallChanged state=talking wait_s=8.0
        ++ 30
        >> Hangup @dialled Cause=16
        << CallChanged
        >> Hangup @dial Cause=16
        << CallEnded outcome=answered direction=outbound talk_s=30.0 from_extension=101 to_raw=+74951234567
    """)
    assert [(leg.extension, leg.number, leg.role, leg.result) for leg in call.legs] == [
        ("101", None, "caller", "answered"),
        (None, "74951234567", "callee", "answered"),
    ]


def test_a_click_to_call_whose_manager_does_not_answer_never_called_anybody() -> None:
    play = Play()
    play.script(DIALLED)
    call = play.script("""
        ++ 30
        >> DialEnd >@dial DialStatus=NOANSWER
        << CallChanged
        >> Hangup @dial Cause=19
        << CallEnded outcome=failed
    """)
    assert call.legs[0].result == "no_answer"


def test_a_click_to_call_whose_client_is_busy_says_so() -> None:
    play = Play()
    play.script(DIALLED)
    play.script("""
        >> Newstate @dial ChannelStateDesc=Up
        << CallChanged
        >> DialBegin @dial >@dialled DialString=74951234567@trunk
        << CallChanged
        >> DialEnd @dial >@dialled DialStatus=BUSY
        << CallChanged
        >> Hangup @dialled Cause=17
        << CallChanged
        >> Hangup @dial Cause=16
        << CallEnded outcome=busy answered_at=None
    """)


def test_frames_that_are_unknown_or_broken_do_nothing() -> None:
    play = Play()
    play.script("""
        >> NoSuchEvent @caller
        >> Newchannel
        >> Newchannel Uniqueid=1.1
        >> Newchannel Uniqueid=1.1 Linkedid=1.1
        >> Hangup
        >> BridgeEnter BridgeUniqueid=b1
        >> UserEvent UserEvent=HubClaimFailed Claim=00112233445566aa
        >> DialEnd
        >> LocalBridge
    """)
    assert play.feed({"Response": "Success"}) == []
    assert play.feed({}) == []


def test_a_claim_that_is_no_claim_is_not_believed() -> None:
    play = Play()
    play.script(WAITING)
    play.script("""
        >> UserEvent @caller UserEvent=HubClaimStarted Claim=DROP Extension=101
        >> UserEvent @caller UserEvent=HubClaimStarted Claim=00112233445566aa Extension=x
        >> UserEvent @caller UserEvent=SomebodyElses Claim=00112233445566aa Extension=101
    """)


def test_wiring_alone_is_no_call() -> None:
    Play().script("""
        >> Newchannel Channel=Message/ast_msg_queue Uniqueid=9.1 Linkedid=9.1 Context=default
        >> Hangup Channel=Message/ast_msg_queue Uniqueid=9.1 Linkedid=9.1
    """)


def test_two_calls_whose_linkedids_merge_are_one_call_and_the_older_one_stays() -> None:
    play = Play()
    play.script(DIRECT)
    play.script("""
        >> Newchannel @desk-colleague
        << CallChanged linked_id=30.1
        >> BridgeEnter @desk-colleague Linkedid=10.1 BridgeUniqueid=b9
        << CallChanged linked_id=10.1
        << CallMerged linked_id=10.1 gone="('2026-11-24T09:00:00', '30.1')"
    """)


def test_sound_that_goes_through_local_channels_is_talk_too() -> None:
    play = Play()
    play.script(DIRECT)
    half = "Channel=Local/101@x-00000001;{0} Uniqueid=11.{0} Linkedid=10.1 Context=x"
    one, two = half.format(1), half.format(2)
    both = "LocalOneChannel=L;1 LocalOneUniqueid=11.1 LocalOneLinkedid=10.1 "
    both += "LocalTwoChannel=L;2 LocalTwoUniqueid=11.2 LocalTwoLinkedid=10.1"
    call = play.script(f"""
        >> Newchannel {one}
        >> Newchannel {two}
        >> LocalBridge {both}
        >> BridgeEnter {two} BridgeUniqueid=b2
        >> BridgeEnter @phone BridgeUniqueid=b2
        << CallChanged answered_at=None
        >> BridgeEnter {one} BridgeUniqueid=b1
        >> BridgeEnter @caller BridgeUniqueid=b1
        << CallChanged state=talking answered_extension=101
    """)
    assert len(call.legs) == 2
