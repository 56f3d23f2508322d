"""The scripted PBX is held to the real one: the same steps, the same events in the same order with the same headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import pytest

from hub.demo.pbx import Phone, ScriptedPbx
from hub.errors import Refused
from hub.telephony.line.link import FrameReceived, PbxLink, Up
from tests.testbed import sipp
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.waiting import wait_for

CLAIM, OTHER = "0123456789abcdef", "fedcba9876543210"
SOON = timedelta(seconds=5)
Frame = Mapping[str, str]
Behaviour = Literal["answer", "busy", "reject", "no_answer"]

# What both must say, in this order; what lies between is each one's own.
TOLD = {
    "Newchannel", "UserEvent", "QueueCallerJoin", "QueueCallerLeave", "QueueCallerAbandon", "DialBegin", "DialEnd",
    "BridgeEnter", "BridgeLeave", "Hangup", "OriginateResponse",
}  # fmt: skip


class Peer:
    """A PBX under test with a link to it; `frames` is all it said."""

    def __init__(self, link: PbxLink) -> None:
        self.link = link
        self.frames: list[Frame] = []
        self.up = asyncio.Event()

    async def read(self) -> None:
        async for incoming in self.link.incoming():
            match incoming:
                case FrameReceived(frame=frame):
                    self.frames.append(frame)
                case Up():
                    self.up.set()

    async def until(self, event: str, times: int = 1, **headers: str) -> Frame:
        def found() -> list[Frame]:
            return [f for f in self.frames if f["Event"] == event and headers.items() <= f.items()]

        async def enough() -> list[Frame]:
            return found() if len(found()) >= times else []

        return (await wait_for(enough, what=f"{times} × {event} {headers}", deadline_s=20))[times - 1]

    def told(self) -> list[str]:
        """The essential events in order, user events by their own name."""
        return [f.get("UserEvent", f["Event"]) for f in self.frames if f["Event"] in TOLD]

    async def take(self, channel: str, extension: str, claim: str = CLAIM) -> None:
        fields = {"Queue": "hub-sales", "Caller": channel, "WithdrawInfo": f"{claim}-{extension}"}
        await self.link.action("QueueWithdrawCaller", fields, deadline=SOON)

    async def dial(self, number: str, *, context: str = "hub-out") -> None:
        fields: dict[str, Any] = {"Channel": "PJSIP/101", "Context": context, "Exten": number, "Priority": "1"}
        fields |= {"ChannelId": f"hub-{CLAIM}", "Async": "true", "Timeout": "3000", "CallerID": number}
        fields |= {"Variable": [f"HUB_DIAL=hub-{CLAIM}", "HUB_EXTENSION=101"]}
        await self.link.action("Originate", fields, deadline=SOON)

    def caller(self, *, hold_s: float = 60) -> Any:
        raise NotImplementedError

    def phone(self, who: str, behaviour: Behaviour, *, talk_s: float = 60) -> Any:
        raise NotImplementedError


class ScriptedPeer(Peer):
    def __init__(self, pbx: ScriptedPbx) -> None:
        super().__init__(PbxLink(pbx.settings()))
        self.pbx = pbx

    @asynccontextmanager
    async def caller(self, *, hold_s: float = 60) -> AsyncIterator[None]:
        call = self.pbx.call_in("84951234567", name="ROMASHKA")
        handle = asyncio.get_running_loop().call_later(hold_s, call.hang_up)
        yield
        handle.cancel()

    @asynccontextmanager
    async def phone(self, who: str, behaviour: Behaviour, *, talk_s: float = 60) -> AsyncIterator[None]:
        phone = Phone(behaviour, answers_after_s=0.3, hangs_up_after_s=talk_s)
        if who == "trunk":
            self.pbx.outside = phone
        else:
            self.pbx.phones[who] = phone
        yield


class AsteriskPeer(Peer):
    def __init__(self, asterisk: Asterisk) -> None:
        super().__init__(PbxLink(asterisk.pbx_settings()))
        self.asterisk = asterisk

    def caller(self, *, hold_s: float = 60) -> Any:
        return sipp.caller(self.asterisk, "84951234567", name="ROMASHKA", hold_ms=int(hold_s * 1000))

    def phone(self, who: str, behaviour: Behaviour, *, talk_s: float = 60) -> Any:
        return sipp.phone(self.asterisk, who, behaviour, talk_ms=int(talk_s * 1000))


@pytest.fixture(params=["scripted", pytest.param("asterisk", marks=pytest.mark.asterisk)])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Peer]:
        if request.param == "scripted":
            async with ScriptedPbx(ring_s=3) as pbx:
                yield ScriptedPeer(pbx)
        else:
            async with running_asterisk(ring_s=3) as asterisk:
                yield AsteriskPeer(asterisk)

    async with opened() as one:
        tasks = [asyncio.ensure_future(one.link.run()), asyncio.ensure_future(one.read())]
        try:
            async with asyncio.timeout(10):
                await one.up.wait()
            yield one
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_taken_talked_and_hung_up_by_the_manager(peer: Peer) -> None:
    async with peer.phone("101", "answer", talk_s=0.5), peer.caller():
        joined = await peer.until("QueueCallerJoin")
        await peer.take(joined["Channel"], "101")
        await peer.until("Hangup", times=2)
    told = peer.told()
    assert told[:11] == [
        "Newchannel",
        "HubWaiting",
        "QueueCallerJoin",
        "QueueCallerAbandon",
        "QueueCallerLeave",
        "HubClaimStarted",
        "Newchannel",
        "DialBegin",
        "DialEnd",
        "BridgeEnter",
        "BridgeEnter",
    ]
    # Each channel leaves and hangs up on a thread of its own.
    assert sorted(told[11:]) == ["BridgeLeave", "BridgeLeave", "Hangup", "Hangup"]
    waiting = await peer.until("UserEvent", UserEvent="HubWaiting")
    assert (waiting["Queue"], waiting["Did"], waiting["CallerIDNum"]) == ("hub-sales", "74950000100", "84951234567")
    assert waiting["Uniqueid"] == waiting["Linkedid"] == joined["Uniqueid"]
    started = await peer.until("UserEvent", UserEvent="HubClaimStarted")
    assert (started["Claim"], started["Extension"], started["Queue"]) == (CLAIM, "101", "hub-sales")
    dial = await peer.until("DialBegin")
    assert dial["Linkedid"] == dial["DestLinkedid"] == joined["Uniqueid"]
    assert dial["DestChannel"].startswith("PJSIP/101-")
    entered = await peer.until("BridgeEnter", times=2)
    assert entered["BridgeUniqueid"]


async def test_states_of_phone_and_line_follow_a_call_and_stand_in_the_list(peer: Peer) -> None:
    def of(device: str) -> list[str]:
        return [f["State"] for f in peer.frames if f["Event"] == "DeviceStateChange" and f["Device"] == device]

    async with peer.phone("101", "answer", talk_s=0.5), peer.caller():
        joined = await peer.until("QueueCallerJoin")
        await peer.take(joined["Channel"], "101")
        await peer.until("DeviceStateChange", Device="PJSIP/101", State="INUSE")
        rows = await peer.link.list_action("DeviceStateList", {}, deadline=SOON)
        await peer.until("DeviceStateChange", Device="PJSIP/101", State="NOT_INUSE")
        await peer.until("DeviceStateChange", Device="PJSIP/trunk", State="NOT_INUSE")
    assert of("PJSIP/101") == ["RINGING", "INUSE", "NOT_INUSE"]
    assert of("PJSIP/trunk") == ["INUSE", "NOT_INUSE"]
    told = {f["Device"] for f in peer.frames if f["Event"] == "DeviceStateChange"}
    assert told == {"PJSIP/101", "PJSIP/trunk"}, "the queue's own states are kept out of the socket"
    listed = {row["Device"]: row["State"] for row in rows if row["Device"].startswith("PJSIP/")}
    phones = {"PJSIP/101": "INUSE", "PJSIP/102": "NOT_INUSE", "PJSIP/103": "NOT_INUSE", "PJSIP/trunk": "INUSE"}
    assert listed == phones


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("busy", "BUSY"), ("reject", "CHANUNAVAIL"), ("no_answer", "NOANSWER")]
)
async def test_a_phone_that_does_not_take_it_puts_the_caller_back_first(
    peer: Peer, behaviour: Behaviour, reason: str
) -> None:
    async with peer.caller():
        joined = await peer.until("QueueCallerJoin")
        async with peer.phone("101", behaviour):
            await peer.take(joined["Channel"], "101")
            failed = await peer.until("UserEvent", UserEvent="HubClaimFailed")
            again = await peer.until("QueueCallerJoin", times=2)
        assert (failed["Claim"], failed["Reason"]) == (CLAIM, reason)
        assert (again["Channel"], again["Position"]) == (joined["Channel"], "1")
        assert [n for n in peer.told() if n.startswith("Hub")] == ["HubWaiting", "HubClaimStarted", "HubClaimFailed"]
        async with peer.phone("102", "answer", talk_s=0.3):
            await peer.take(joined["Channel"], "102", OTHER)
            await peer.until("Hangup", Channel=joined["Channel"])


async def test_the_second_to_take_is_told_that_it_was_taken_and_a_stranger_that_nobody_waits(peer: Peer) -> None:
    async with peer.phone("101", "answer", talk_s=0.3), peer.caller():
        joined = await peer.until("QueueCallerJoin")
        await peer.take(joined["Channel"], "101")
        with pytest.raises(Refused, match="Already requested"):
            await peer.take(joined["Channel"], "102", OTHER)
        with pytest.raises(Refused, match="No such caller"):
            await peer.take("PJSIP/nobody-00000000", "102", OTHER)
        await peer.until("Hangup", times=2)


async def test_a_caller_who_hangs_up_while_waiting_leaves_by_abandon_and_hangup(peer: Peer) -> None:
    async with peer.caller(hold_s=1):
        await peer.until("Hangup")
    assert peer.told()[-3:] == ["QueueCallerAbandon", "QueueCallerLeave", "Hangup"]


async def test_a_caller_who_hangs_up_while_the_phone_rings_never_comes_back(peer: Peer) -> None:
    async with peer.phone("101", "no_answer"), peer.caller(hold_s=2.2):
        joined = await peer.until("QueueCallerJoin")
        await peer.take(joined["Channel"], "101")
        await peer.until("Hangup", times=2)
    assert "HubClaimFailed" not in peer.told()
    assert peer.told().count("QueueCallerJoin") == 1


async def test_click_to_call_rings_the_manager_then_the_client_under_the_channel_id_given(peer: Peer) -> None:
    async with peer.phone("101", "answer"), peer.phone("trunk", "answer", talk_s=0.5):
        await peer.dial("+74951234567")
        await peer.until("Hangup", times=2)
    first = await peer.until("Newchannel")
    assert (first["Uniqueid"], first["Linkedid"]) == (f"hub-{CLAIM}", f"hub-{CLAIM}")
    dialled = await peer.until("UserEvent", UserEvent="HubDial")
    assert (dialled["Dial"], dialled["To"], dialled["Uniqueid"]) == (f"hub-{CLAIM}", "+74951234567", f"hub-{CLAIM}")
    assert (await peer.until("OriginateResponse"))["Response"] == "Success"
    # A thread of its own says OriginateResponse: also before DialEnd, on a busy machine.
    told = peer.told()
    assert told.index("OriginateResponse") > told.index("DialBegin")
    assert [n for n in told if n not in ("BridgeLeave", "OriginateResponse")] == [
        "Newchannel",
        "DialBegin",
        "DialEnd",
        "HubDial",
        "Newchannel",
        "DialBegin",
        "DialEnd",
        "BridgeEnter",
        "BridgeEnter",
        "Hangup",
        "Hangup",
    ]


async def test_a_dial_that_reached_nobody_says_what_became_of_it(peer: Peer) -> None:
    async with peer.phone("101", "answer"), peer.phone("trunk", "busy"):
        await peer.dial("+74951234567")
        over = await peer.until("UserEvent", UserEvent="HubDialOver")
        await peer.until("Hangup", times=2)
    assert (over["Dial"], over["To"], over["Reason"], over["Cause"]) == (f"hub-{CLAIM}", "+74951234567", "BUSY", "17")
    assert over["Uniqueid"] == f"hub-{CLAIM}"
    told = peer.told()
    assert told.index("DialEnd") < told.index("HubDialOver") < len(told) - 1


async def test_a_colleague_is_dialled_by_the_manager_s_extension(peer: Peer) -> None:
    async with peer.phone("101", "answer"), peer.phone("102", "answer", talk_s=0.5):
        await peer.dial("102", context="hub-colleague")
        await peer.until("Hangup", times=2)
    dialled = await peer.until("UserEvent", UserEvent="HubDial")
    assert (dialled["Dial"], dialled["To"]) == (f"hub-{CLAIM}", "102")
    rung = await peer.until("DialBegin", times=2)
    assert (rung["DestChannel"][:10], rung["CallerIDNum"]) == ("PJSIP/102-", "101")
    assert [n for n in peer.told() if n not in ("BridgeLeave", "OriginateResponse")] == [
        "Newchannel",
        "DialBegin",
        "DialEnd",
        "HubDial",
        "Newchannel",
        "DialBegin",
        "DialEnd",
        "BridgeEnter",
        "BridgeEnter",
        "Hangup",
        "Hangup",
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PJSIP_DIAL_CONTACTS(101)", "PJSIP/101/sip:101@127.0.0.1"),
        ("PJSIP_DIAL_CONTACTS(199)", ""),
        ("HUB_SECOND_PREFIX", ""),
        ("DIALPLAN_EXISTS(hub-ring,101,1)", "1"),
        ("DIALPLAN_EXISTS(hub-colleague,1,1)", "1"),
        ("DIALPLAN_EXISTS(hub-nothing,101,1)", "0"),
    ],
)
async def test_what_hub_asks_before_it_rings_a_phone_is_answered(peer: Peer, variable: str, value: str) -> None:
    answer = await peer.link.action("Getvar", {"Variable": variable}, deadline=SOON)
    assert answer["Value"].partition(":")[0] == value.partition(":")[0]
    assert answer["Value"].startswith(value)


async def test_a_call_handed_on_blindly_leaves_one_phone_and_rings_the_other(peer: Peer) -> None:
    async with peer.phone("101", "answer"), peer.phone("102", "answer"), peer.caller(hold_s=4):
        joined = await peer.until("QueueCallerJoin")
        await peer.take(joined["Channel"], "101")
        entered = await peer.until("BridgeEnter", times=2)
        manager = next(f for f in peer.frames if f["Event"] == "BridgeEnter" and "/101-" in f["Channel"])["Channel"]
        before = len(peer.told())
        fields = {"Channel": manager, "Context": "hub-transfer", "Exten": "102"}
        await peer.link.action("BlindTransfer", fields, deadline=SOON)
        moved = await peer.until("BlindTransfer")
        await peer.until("BridgeEnter", times=4)
        with pytest.raises(Refused):
            await peer.link.action("BlindTransfer", fields, deadline=SOON)
        await peer.until("Hangup", times=3)
    for header, value in (
        ("Result", "Success"),
        ("TransfererChannel", manager),
        ("TransfereeChannel", joined["Channel"]),
        ("BridgeUniqueid", entered["BridgeUniqueid"]),
        ("Extension", "102"),
        ("Context", "hub-transfer"),
        ("IsExternal", "Yes"),
    ):
        assert moved[header] == value, header
    rung = await peer.until("DialBegin", times=2)
    assert (rung["Channel"], rung["DestChannel"][:10]) == (joined["Channel"], "PJSIP/102-")
    assert rung["Linkedid"] == rung["DestLinkedid"] == joined["Uniqueid"], "it is one call still"
    told = peer.told()[before:]
    assert sorted(told[:3]) == ["BridgeLeave", "BridgeLeave", "Hangup"]
    assert told[3:8] == ["Newchannel", "DialBegin", "DialEnd", "BridgeEnter", "BridgeEnter"]


async def test_a_second_originate_under_a_live_channel_id_dials_nothing(peer: Peer) -> None:
    async with peer.phone("101", "no_answer"):
        await peer.dial("+74951234567")
        await peer.until("Newchannel")
        await peer.dial("+74951234567")
        second = await peer.until("OriginateResponse")
        assert second["Response"] == "Failure"
        await peer.until("Hangup")
        assert peer.told().count("Newchannel") == 1


@pytest.mark.parametrize("behaviour", ["busy", "no_answer"])
async def test_click_to_call_that_the_manager_does_not_take_fails_without_dialling_out(
    peer: Peer, behaviour: Behaviour
) -> None:
    async with peer.phone("101", behaviour):
        await peer.dial("+74951234567")
        assert (await peer.until("OriginateResponse"))["Response"] == "Failure"
        await peer.until("Hangup")
    assert "HubDial" not in peer.told()


async def test_a_waiting_caller_stands_in_the_lists_of_channels(peer: Peer) -> None:
    async with peer.caller():
        joined = await peer.until("QueueCallerJoin")
        (row,) = await peer.link.list_action("CoreShowChannels", {}, deadline=SOON)
        for header in ("Channel", "Uniqueid", "Linkedid", "CallerIDNum", "Context", "Exten"):
            assert row[header] == joined[header], header
        assert (row["Application"], row["ApplicationData"].split(",")[0]) == ("Queue", "hub-sales")
        (entry,) = [
            row
            for row in await peer.link.list_action("QueueStatus", {"Queue": "hub-sales"}, deadline=SOON)
            if row["Event"] == "QueueEntry"
        ]
        assert entry["Channel"] == joined["Channel"]
