"""Streams of older Asterisks, which Debian has none of: `python -m tests.testbed.older`.

`chan_sip_*` (Asterisk 13 to 16) are the recorded streams with the names of chan_sip and of a PBX with a system name:
the events are the same since Asterisk 12. `asterisk_11_*` are written from the events' documentation and from real
traces of Asterisk 11, not recorded: it has no Linkedid, tells dials, bridges and queues by other events, and its
transfers swap channels by Masquerade, after which a uniqueid is at another phone. Both are the same at every run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.testbed.asterisk11 import Asterisk11, Channel

STREAMS = Path(__file__).parents[1] / "data" / "ami"

REWRITTEN = {
    "chan_sip_from_outside_straight_to_a_phone": "from_outside_straight_to_a_phone",
    "chan_sip_queue_rings_all_and_one_answers_after_another_rejected": (
        "queue_rings_all_and_one_answers_after_another_rejected"
    ),
    "chan_sip_attended_transfer_by_the_phone": "attended_transfer_by_the_phone",
    "chan_sip_blind_transfer_by_the_phone": "blind_transfer_by_the_phone",
    "chan_sip_freepbx_from_outside_to_a_queue": "freepbx_from_outside_to_a_queue",
    "chan_sip_from_a_phone_to_outside": "from_a_phone_to_outside",
}
NEWER = (b"DialState", b"NewConnectedLine", b"NewAccountCode")
"""Events that Asterisk 13 does not have."""


def as_chan_sip(stream: bytes) -> bytes:
    """Rename PJSIP channels to SIP, number them from 0x2a, and put the system name before every uniqueid."""

    def renamed(found: re.Match[bytes]) -> bytes:
        return b"SIP/%s-%08x" % (found[1], int(found[2], 16) + 0x2A)

    packets = stream.replace(b"Asterisk Call Manager/11.0.0", b"Asterisk Call Manager/2.10.4").split(b"\r\n\r\n")
    kept = [
        packet for packet in packets if not re.search(rb"^Event: (?:%s)\r$" % b"|".join(NEWER), packet, re.MULTILINE)
    ]
    text = b"\r\n\r\n".join(kept)
    text = re.sub(rb"PJSIP/([\w.]+)-([0-9a-f]{8})", renamed, text)
    text = text.replace(b"PJSIP/", b"SIP/")
    text = re.sub(rb"(DialString: )(\d+)@trunk", rb"\1trunk/\2", text)
    return re.sub(rb"((?:Uniqueid|Linkedid): )(\d+\.\d+)", rb"\1pbx1-\2", text)


STRANGER = "84951234567"


def _comes_in(pbx: Asterisk11, did: str) -> Channel:
    trunk = pbx.born("trunk", context="from-trunk", exten=did, number=STRANGER, name="ROMASHKA")
    pbx.state(trunk, "4")
    return trunk


def _talk(pbx: Asterisk11, caller: Channel, callee: Channel) -> None:
    pbx.state(callee, "6")
    if caller.name.startswith("SIP/trunk"):
        pbx.state(caller, "6")
    pbx.bridge(caller, callee)


def _answered_by_101(pbx: Asterisk11) -> tuple[Channel, Channel]:
    trunk = _comes_in(pbx, "74950000201")
    desk = pbx.born("101", context="internal")
    pbx.dial(trunk, desk)
    pbx.wait(3)
    _talk(pbx, trunk, desk)
    return trunk, desk


def _over(pbx: Asterisk11, caller: Channel, callee: Channel) -> None:
    pbx.wait(20)
    pbx.say("HangupRequest", Channel=callee.name, Uniqueid=callee.uniqueid)
    pbx.bridge(caller, callee, "Unlink")
    pbx.hang_up(callee)
    pbx.dial_ends(caller, "ANSWER")
    pbx.say("SoftHangupRequest", Channel=caller.name, Uniqueid=caller.uniqueid, Cause="16")
    pbx.hang_up(caller)


def asterisk_11_from_outside_to_a_phone(pbx: Asterisk11) -> None:
    trunk, desk = _answered_by_101(pbx)
    _over(pbx, trunk, desk)


def asterisk_11_from_outside_to_a_busy_phone(pbx: Asterisk11) -> None:
    trunk = _comes_in(pbx, "74950000201")
    desk = pbx.born("101", context="internal")
    pbx.dial(trunk, desk)
    pbx.wait(0.2)
    pbx.hang_up(desk, "17")
    pbx.dial_ends(trunk, "BUSY")
    pbx.hang_up(trunk, "17")


def asterisk_11_from_one_phone_to_another(pbx: Asterisk11) -> None:
    caller = pbx.born("101", context="internal", exten="102", number="101", name="Anna")
    pbx.state(caller, "4")
    callee = pbx.born("102", context="internal")
    pbx.dial(caller, callee)
    pbx.wait(2)
    pbx.state(callee, "6")
    pbx.state(caller, "6")
    pbx.bridge(caller, callee)
    _over(pbx, caller, callee)


def asterisk_11_from_a_phone_to_outside(pbx: Asterisk11) -> None:
    caller = pbx.born("101", context="internal", exten="79161112233", number="101", name="Anna")
    pbx.state(caller, "4")
    trunk = pbx.born("trunk", context="from-trunk")
    trunk.number = "79161112233"
    pbx.dial(caller, trunk)
    pbx.wait(2)
    pbx.state(trunk, "6")
    pbx.state(caller, "6")
    pbx.bridge(caller, trunk)
    _over(pbx, caller, trunk)


def asterisk_11_ring_group_and_one_answers(pbx: Asterisk11) -> None:
    trunk = _comes_in(pbx, "74950000200")
    phones = [pbx.born(extension, context="internal") for extension in ("101", "102", "103")]
    pbx.dial(trunk, *phones)
    pbx.wait(4)
    pbx.state(phones[1], "6")
    pbx.hang_up(phones[0], "26")
    pbx.hang_up(phones[2], "26")
    pbx.state(trunk, "6")
    pbx.bridge(trunk, phones[1])
    _over(pbx, trunk, phones[1])


def asterisk_11_ring_group_and_nobody_answers(pbx: Asterisk11) -> None:
    trunk = _comes_in(pbx, "74950000200")
    phones = [pbx.born(extension, context="internal") for extension in ("101", "102", "103")]
    pbx.dial(trunk, *phones)
    pbx.wait(20)
    for phone in phones:
        pbx.hang_up(phone)
    pbx.dial_ends(trunk, "NOANSWER")
    pbx.hang_up(trunk)


def _joins(pbx: Asterisk11, trunk: Channel) -> None:
    pbx.state(trunk, "6")
    ids = pbx.ids_of(trunk)
    uniqueid = ids.pop("Uniqueid")
    pbx.say("Join", Channel=trunk.name, **ids, Queue="support-ring", Position="1", Count="1", Uniqueid=uniqueid)


def _called(pbx: Asterisk11, trunk: Channel, extension: str) -> Channel:
    one = pbx.born(extension, context="internal")
    one.connected, one.number = trunk.number, trunk.exten
    pbx.say(
        "AgentCalled",
        privilege="agent",
        Queue="support-ring",
        AgentCalled=f"SIP/{extension}",
        AgentName=f"SIP/{extension}",
        ChannelCalling=trunk.name,
        DestinationChannel=one.name,
        CallerIDNum=trunk.number,
        CallerIDName=trunk.caller_name,
        ConnectedLineNum="<unknown>",
        ConnectedLineName="<unknown>",
        Context=trunk.context,
        Extension=trunk.exten,
        Priority="2",
        Uniqueid=trunk.uniqueid,
    )
    pbx.state(one, "5")
    return one


def _leaves(pbx: Asterisk11, trunk: Channel) -> None:
    pbx.say("Leave", Channel=trunk.name, Queue="support-ring", Count="0", Position="1", Uniqueid=trunk.uniqueid)


def asterisk_11_queue_and_one_answers_after_another_rejected(pbx: Asterisk11) -> None:
    trunk = _comes_in(pbx, "74950000210")
    _joins(pbx, trunk)
    first, second, third = (_called(pbx, trunk, extension) for extension in ("101", "102", "103"))
    pbx.wait(1)
    member = {"Queue": "support-ring", "Uniqueid": trunk.uniqueid, "Channel": trunk.name}
    who = {"Member": "SIP/101", "MemberName": "SIP/101"}
    pbx.say("AgentRingNoAnswer", privilege="agent", **member, **who, RingTime="1000")
    pbx.hang_up(first, "21")
    pbx.wait(3)
    pbx.state(second, "6")
    pbx.hang_up(third, "26")
    _leaves(pbx, trunk)
    who = {"Member": "SIP/102", "MemberName": "SIP/102"}
    linked = {"Holdtime": "4", "BridgedChannel": second.uniqueid, "Ringtime": "4"}
    pbx.say("AgentConnect", privilege="agent", **member, **who, **linked)
    pbx.bridge(trunk, second)
    pbx.wait(15)
    pbx.say("HangupRequest", Channel=second.name, Uniqueid=second.uniqueid)
    pbx.bridge(trunk, second, "Unlink")
    pbx.say("AgentComplete", privilege="agent", **member, **who, HoldTime="4", TalkTime="15", Reason="agent")
    pbx.hang_up(second)
    pbx.hang_up(trunk)


def asterisk_11_queue_and_the_caller_gives_up(pbx: Asterisk11) -> None:
    trunk = _comes_in(pbx, "74950000210")
    _joins(pbx, trunk)
    phones = [_called(pbx, trunk, extension) for extension in ("101", "102")]
    pbx.wait(5)
    pbx.say("HangupRequest", Channel=trunk.name, Uniqueid=trunk.uniqueid)
    for phone in phones:
        pbx.hang_up(phone)
    gone = {"Position": "1", "OriginalPosition": "1", "HoldTime": "5"}
    pbx.say("QueueCallerAbandon", privilege="agent", Queue="support-ring", Uniqueid=trunk.uniqueid, **gone)
    _leaves(pbx, trunk)
    pbx.hang_up(trunk)


def asterisk_11_blind_transfer_by_the_phone(pbx: Asterisk11) -> None:
    trunk, desk = _answered_by_101(pbx)
    pbx.wait(5)
    pbx.say(
        "Transfer",
        TransferMethod="SIP",
        TransferType="Blind",
        Channel=desk.name,
        Uniqueid=desk.uniqueid,
        SIP_Callid="1a2b3c@127.0.0.1:5060",
        TargetChannel=trunk.name,
        TargetUniqueid=trunk.uniqueid,
        TransferExten="102",
        TransferContext="internal",
    )
    pbx.bridge(trunk, desk, "Unlink")
    pbx.hang_up(desk, itself=True)
    pbx.dial_ends(trunk, "ANSWER")
    second = pbx.born("102", context="internal")
    pbx.dial(trunk, second)
    pbx.wait(2)
    pbx.state(second, "6")
    pbx.bridge(trunk, second)
    _over(pbx, trunk, second)


def asterisk_11_attended_transfer_by_the_phone(pbx: Asterisk11) -> None:
    """The stranger's channel takes the place of the one by which 101 asked 102."""
    trunk, desk = _answered_by_101(pbx)
    pbx.wait(5)
    pbx.say("MusicOnHold", State="Start", Channel=trunk.name, UniqueID=trunk.uniqueid)
    consult = pbx.born("101", context="internal", exten="102", number="101", name="Anna")
    pbx.state(consult, "4")
    colleague = pbx.born("102", context="internal")
    pbx.dial(consult, colleague)
    pbx.wait(2)
    pbx.state(colleague, "6")
    pbx.state(consult, "6")
    pbx.bridge(consult, colleague)
    pbx.wait(4)
    pbx.say(
        "Transfer",
        TransferMethod="SIP",
        TransferType="Attended",
        Channel=desk.name,
        Uniqueid=desk.uniqueid,
        SIP_Callid="1a2b3c@127.0.0.1:5060",
        TargetChannel=consult.name,
        TargetUniqueid=consult.uniqueid,
    )
    pbx.say("MusicOnHold", State="Stop", Channel=trunk.name, UniqueID=trunk.uniqueid)
    pbx.masquerade(consult, trunk)
    pbx.bridge(trunk, desk, "Unlink")
    pbx.hang_up(desk, itself=True)
    pbx.dial_ends(trunk, "ANSWER")
    pbx.say("SoftHangupRequest", Channel=trunk.name, Uniqueid=trunk.uniqueid, Cause="16")
    pbx.hang_up(trunk)
    _over(pbx, consult, colleague)


def asterisk_11_local_channel_that_is_optimised_away(pbx: Asterisk11) -> None:
    """The phone's channel takes the place of the Local channel's half that the trunk speaks with."""
    trunk = _comes_in(pbx, "74950000260")
    near = pbx.born("Local/101@agents-0000000a;1", context="agents", exten="101")
    far = pbx.born("Local/101@agents-0000000a;2", context="agents", exten="101", state="4")
    pbx.say(
        "LocalBridge",
        Channel1=near.name,
        Channel2=far.name,
        Uniqueid1=near.uniqueid,
        Uniqueid2=far.uniqueid,
        Context="agents",
        Exten="101",
        LocalOptimization="Yes",
    )
    pbx.dial(trunk, near)
    far.number = STRANGER
    desk = pbx.born("101", context="internal")
    pbx.dial(far, desk)
    pbx.wait(3)
    pbx.state(desk, "6")
    pbx.state(near, "6")
    pbx.state(far, "6")
    pbx.bridge(far, desk)
    pbx.state(trunk, "6")
    pbx.bridge(trunk, near)
    pbx.masquerade(near, desk)
    pbx.bridge(far, desk, "Unlink")
    pbx.hang_up(desk)
    pbx.dial_ends(far, "ANSWER")
    pbx.hang_up(far)
    _over(pbx, trunk, near)


WRITTEN: tuple[Callable[[Asterisk11], None], ...] = (
    asterisk_11_from_outside_to_a_phone,
    asterisk_11_from_outside_to_a_busy_phone,
    asterisk_11_from_one_phone_to_another,
    asterisk_11_from_a_phone_to_outside,
    asterisk_11_ring_group_and_one_answers,
    asterisk_11_ring_group_and_nobody_answers,
    asterisk_11_queue_and_one_answers_after_another_rejected,
    asterisk_11_queue_and_the_caller_gives_up,
    asterisk_11_blind_transfer_by_the_phone,
    asterisk_11_attended_transfer_by_the_phone,
    asterisk_11_local_channel_that_is_optimised_away,
)


def streams() -> dict[str, bytes]:
    """Return every older stream by its name."""
    made = {name: as_chan_sip((STREAMS / f"{source}.txt").read_bytes()) for name, source in REWRITTEN.items()}
    for write in WRITTEN:
        pbx = Asterisk11()
        write(pbx)
        made[write.__name__] = ("\r\n\r\n".join(pbx.packets) + "\r\n\r\n").encode()
    return made


if __name__ == "__main__":
    for name, stream in streams().items():
        (STREAMS / f"{name}.txt").write_bytes(stream)
        print(f"{name}: {len(stream)} bytes")
