"""What the tracker makes of a client put on hold by Hub, given back, and of a supervisor who listens in."""

from __future__ import annotations

from tests.unit.ami_script import Play
from tests.unit.test_tracker import CLAIM, TAKEN, WAITING

TALKING = f"""
>> Newstate @phone ChannelStateDesc=Up
<< CallChanged
>> DialEnd @caller >@phone DialStatus=ANSWER
>> BridgeEnter @phone BridgeUniqueid=b1
>> BridgeEnter @caller BridgeUniqueid=b1
<< CallChanged state=talking
<< ClaimConnected claim_id={CLAIM}
"""

HELD = """
++ 10
>> BridgeLeave @phone BridgeUniqueid=b1
<< CallChanged state=talking talk_s=10.0
>> BridgeLeave @caller BridgeUniqueid=b1
>> UserEvent @caller UserEvent=HubHeld
<< CallChanged state=held talk_s=10.0
"""


def test_a_client_on_hold_is_one_call_and_the_hold_is_no_talk() -> None:
    play = Play()
    play.script(WAITING + TAKEN + TALKING + HELD)
    play.script("""
        ++ 30
        >> UserEvent @phone UserEvent=HubResumed
        << CallChanged state=talking
        >> BridgeEnter @caller BridgeUniqueid=b2
        >> BridgeEnter @phone BridgeUniqueid=b2
        ++ 5
        >> Hangup @caller Cause=16
        << CallChanged state=talking talk_s=15.0
        >> Hangup @phone Cause=16
        << CallEnded outcome=answered talk_s=15.0 answered_extension=101
    """)


def test_a_client_whom_the_manager_left_on_hold_is_offered_again() -> None:
    play = Play()
    play.script(WAITING + TAKEN + TALKING + HELD)
    play.script("""
        >> Hangup @phone Cause=16
        << CallChanged state=held
        >> UserEvent @caller UserEvent=HubReturned Queue=hub-sales
        << CallChanged state=talking
        << Announced name=HubReturned
        >> QueueCallerJoin @caller Queue=hub-sales Position=1 Count=1
        << CallChanged state=waiting
        << CallOffered again=True queue=hub-sales
    """)


SPY = "Channel=PJSIP/103-00000009 Uniqueid=hubspy-0123456789abcdef Linkedid=hubspy-0123456789abcdef Context=internal"


def test_a_supervisors_phone_makes_no_call_and_no_leg() -> None:
    play = Play()
    play.script(WAITING + TAKEN + TALKING)
    dest = " ".join(f"Dest{word}" for word in SPY.split())
    play.script(f"""
        >> Newchannel {SPY} ChannelStateDesc=Down Exten=s
        >> DialBegin {dest} DialString=103
        >> Newstate {SPY} ChannelStateDesc=Ringing
        >> Newstate {SPY} ChannelStateDesc=Up
        >> DialEnd {dest} DialStatus=ANSWER
        >> OriginateResponse {SPY} Response=Success Exten=listen
        >> Hangup {SPY} Cause=16
    """)
    (call,) = play.tracker.open_calls()
    assert [leg.extension for leg in call.legs] == [None, "101"]
