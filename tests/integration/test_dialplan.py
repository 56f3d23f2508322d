"""The dialplan, queues and AMI user that Hub ships, on a real Asterisk: what a wrong or hostile word cannot do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.record import CLAIM, HUNG_UP, JOINED, OTHER_CLAIM, RINGS, Ami
from tests.testbed.sipp import caller, phone

pytestmark = pytest.mark.asterisk
FAILED = b"UserEvent: HubClaimFailed"
WAITING = b"UserEvent: HubWaiting"


@pytest.fixture
async def pbx() -> AsyncIterator[tuple[Asterisk, Ami]]:
    async with running_asterisk(ring_s=2) as asterisk:
        yield asterisk, await Ami.open(asterisk)


async def withdraw(ami: Ami, info: str) -> None:
    channel = ami.header(JOINED, b"Channel")
    await ami.send("QueueWithdrawCaller", Queue="hub-sales", Caller=channel, WithdrawInfo=info)


async def test_a_withdrawal_that_names_no_phone_never_loses_the_caller(pbx: tuple[Asterisk, Ami]) -> None:
    asterisk, ami = pbx
    wrong = ["", "-", CLAIM, f"{CLAIM}-", f"{CLAIM}-199", f"{CLAIM}-101&PJSIP/102", f"{CLAIM}-101/n,1,gG(h^1^1)"]
    async with phone(asterisk, "102"), caller(asterisk, "84951234567") as stranger:
        for times, info in enumerate(wrong, 1):
            await ami.count(JOINED, times)
            await withdraw(ami, info)
            await ami.count(FAILED, times)
        await ami.count(JOINED, len(wrong) + 1)
        assert stranger.is_alive
        assert not any(line.startswith("BYE") for line in stranger.first_lines("received"))
        assert RINGS not in ami.stream, "nobody was rung by any of these"
        await ami.take("102", OTHER_CLAIM)
        await ami.count(b"Event: BridgeEnter", 2)


@pytest.mark.parametrize(
    "number", ["+74951234567&PJSIP/102", "+74951234567/102", "7495,1234567", "7495${CALLERID(num)}1"]
)
async def test_a_number_dialled_is_digits_whatever_was_sent(pbx: tuple[Asterisk, Ami], number: str) -> None:
    asterisk, ami = pbx
    async with phone(asterisk, "101"), phone(asterisk, "102") as other, phone(asterisk, "trunk", talk_ms=100) as client:
        await ami.dial(number)
        await ami.count(HUNG_UP, 2)
        digits = "".join(c for c in number if c in "0123456789+")
        assert ami.header(b"UserEvent: HubDial", b"To") == digits
        (invite,) = [line for line in client.first_lines("received") if line.startswith("INVITE")]
        assert invite.startswith(f"INVITE sip:{digits.replace('+', '')}@")
        assert other.first_lines("received") == []


async def test_a_team_may_have_a_hyphen_in_its_name(pbx: tuple[Asterisk, Ami]) -> None:
    asterisk, ami = pbx
    async with caller(asterisk, "84951234567", did="74950000102"):
        await ami.count(JOINED, 1)
        assert ami.header(WAITING, b"Queue") == ami.header(JOINED, b"Queue") == "hub-north-west"


async def test_a_caller_for_a_team_without_a_queue_goes_to_the_fallback(pbx: tuple[Asterisk, Ami]) -> None:
    asterisk, ami = pbx
    async with (
        phone(asterisk, "101", talk_ms=200),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, "84951234567", did="74950000103"),
    ):
        await ami.count(HUNG_UP, 3)
    assert JOINED not in ami.stream


async def test_a_caller_who_hangs_up_is_not_taken_for_one_more(pbx: tuple[Asterisk, Ami]) -> None:
    asterisk, ami = pbx
    async with caller(asterisk, "84951234567") as stranger:
        await ami.count(JOINED, 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 1)
    told = asterisk.log.read_text("utf-8", "replace")
    after_hang_up = [line for line in told.splitlines() if "[h@hub-in:" in line]
    assert len(after_hang_up) == 1, "of the extension h one line is run, and it ends there"
    assert "Hangup" in after_hang_up[0]


async def test_a_caller_put_back_stands_before_one_who_came_meanwhile(pbx: tuple[Asterisk, Ami]) -> None:
    asterisk, ami = pbx
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        await ami.take("101")
        await ami.count(RINGS, 1)
        async with caller(asterisk, "89161234567"):
            await ami.count(JOINED, 3)
            await ami.send("QueueStatus", Queue="hub-sales")
            await ami.count(b"Event: QueueStatusComplete", 1)
            entries = [frame for frame in ami.stream.split(b"\r\n\r\n") if b"Event: QueueEntry" in frame]
            places = [(b"CallerIDNum: 84951234567" in entry, b"Position: 1\r\n" in entry) for entry in entries]
            assert places == [(True, True), (False, False)]


async def test_hubs_ami_user_may_do_what_hub_does_and_no_more(pbx: tuple[Asterisk, Ami]) -> None:
    _, ami = pbx
    shell = {"Channel": "Local/sales@hub-in", "Async": "true"}
    denied: list[tuple[str, dict[str, str]]] = [
        ("Command", {"Command": "core show version"}),
        ("UpdateConfig", {"SrcFilename": "manager.conf", "DstFilename": "manager.conf"}),
        ("GetConfig", {"Filename": "manager.conf"}),
        ("ModuleLoad", {"LoadType": "unload", "Module": "app_queue.so"}),
        ("DBPut", {"Family": "x", "Key": "y", "Val": "z"}),
        ("Originate", {**shell, "Application": "System", "Data": "true"}),
        ("AGI", {"Channel": "PJSIP/101-0", "Command": "EXEC System true"}),
    ]
    for name, fields in denied:
        await ami.send(name, **fields)
    await ami.count(b"Response: Error", len(denied))
    for times, name in enumerate(("Ping", "CoreStatus", "CoreSettings", "CoreShowChannels", "QueueStatus"), 2):
        await ami.send(name)
        await ami.count(b"Response: Success", times)


async def test_no_word_makes_a_supervisor_hear_or_a_manager_take_up_another_call(pbx: tuple[Asterisk, Ami]) -> None:
    asterisk, ami = pbx
    async with phone(asterisk, "101"), caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        await ami.take("101")
        await ami.count(b"Event: BridgeEnter", 2)
        talked = ami.header(b"Event: BridgeEnter", b"Channel")
        wrong = ["", "PJSIP", "PJSIP/", talked[:-2], f"{talked[:-1]}&{talked}", "PJSIP/nobody-00000000", "${GLOBAL(X)}"]
        for context, exten, variable in (("hub-spy", "listen", "HUB_SPY"), ("hub-retrieve", "s", "HUB_PEER")):
            # Whoever speaks already is not taken up, though their channel is named right.
            for word in [*wrong, *([talked] if context == "hub-retrieve" else [])]:
                gone = ami.stream.count(HUNG_UP)
                async with phone(asterisk, "103"):
                    place = {"Channel": "PJSIP/103", "Context": context, "Exten": exten, "Priority": "1"}
                    await ami.send("Originate", **place, Async="true", Variable=f"{variable}={word}")
                    await ami.count(HUNG_UP, gone + 1)
        assert b"Event: ChanSpyStart" not in ami.stream
        assert ami.stream.count(b"Event: BridgeEnter") == 2, "the two who speak were left alone"
        assert ami.stream.count(b"Event: BridgeLeave") == 0


async def test_a_call_brings_no_events_about_variables(pbx: tuple[Asterisk, Ami]) -> None:
    asterisk, ami = pbx
    async with phone(asterisk, "101", talk_ms=200), caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        await ami.take("101")
        await ami.count(HUNG_UP, 2)
    for name in (b"VarSet", b"Newexten", b"RTCPSent", b"RTCPReceived"):
        assert b"Event: " + name not in ami.stream
