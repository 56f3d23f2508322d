"""The scripted PBX says of each recorded scenario what the real Asterisk said, header for header.

Asterisk's threads speak in their own order, so what is compared is the story of each channel by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from hub.demo.pbx import Phone, ScriptedPbx
from tests.testbed.ami import HUNG_UP, IN_TALK, JOINED, OTHER_CLAIM, RINGS, Ami
from tests.testbed.record import STREAMS
from tests.testbed.recorded import taken

Story = list[dict[str, str]]
NEVER_THE_SAME = {"Timestamp", "BridgeUniqueid", "HoldTime", "Duration"}
# What dialplan 3 says and its predecessor, which these were recorded with, did not: `test_pbx_contract` holds it to a
# live Asterisk.
HEADERS_SINCE, WORDS_SINCE = {"Ring"}, {"HubDialOver"}
SAID_BY_ANOTHER_THREAD = {"DialState", "OriginateResponse"}
NUMBER = "84951234567"


async def taken_and_manager_hangs_up(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].hangs_up_after_s = 1
    pbx.call_in(NUMBER, name="ROMASHKA")
    await ami.count(JOINED, 1)
    await ami.take()
    await ami.count(HUNG_UP, 2)


async def taken_and_caller_hangs_up(pbx: ScriptedPbx, ami: Ami) -> None:
    call = pbx.call_in(NUMBER, name=NUMBER)
    await ami.count(JOINED, 1)
    await ami.take()
    await ami.count(IN_TALK, 2)
    call.hang_up()
    await ami.count(HUNG_UP, 2)


async def _fails_then_succeeds(pbx: ScriptedPbx, ami: Ami, extension: str, hung_up: int) -> None:
    pbx.phones["102"].hangs_up_after_s = 1
    pbx.call_in(NUMBER, name=NUMBER)
    await ami.count(JOINED, 1)
    await ami.take(extension)
    await ami.count(JOINED, 2)
    await ami.take("102", OTHER_CLAIM)
    await ami.count(HUNG_UP, hung_up)


async def phone_busy_then_taken(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "busy"
    await _fails_then_succeeds(pbx, ami, "101", 3)


async def phone_rejects_then_taken(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "reject"
    await _fails_then_succeeds(pbx, ami, "101", 3)


async def phone_does_not_answer_then_taken(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "no_answer"
    await _fails_then_succeeds(pbx, ami, "101", 3)


async def phone_is_not_there_then_taken(pbx: ScriptedPbx, ami: Ami) -> None:
    await _fails_then_succeeds(pbx, ami, "199", 2)


async def back_in_front_of_a_caller_who_came_meanwhile(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "no_answer"
    first = pbx.call_in(NUMBER, name=NUMBER)
    await ami.count(JOINED, 1)
    await ami.take("101")
    await ami.count(RINGS, 1)
    second = pbx.call_in("89161234567", name="89161234567")
    await ami.count(JOINED, 3)
    first.hang_up()
    await first.over.wait()
    second.hang_up()
    await ami.count(HUNG_UP, 3)


async def abandoned_while_waiting(pbx: ScriptedPbx, ami: Ami) -> None:
    call = pbx.call_in(NUMBER, name=NUMBER)
    await ami.count(JOINED, 1)
    call.hang_up()
    await ami.count(HUNG_UP, 1)


async def abandoned_while_phone_rings(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "no_answer"
    call = pbx.call_in(NUMBER, name=NUMBER)
    await ami.count(JOINED, 1)
    await ami.take()
    await ami.count(RINGS, 1)
    call.hang_up()
    await ami.count(HUNG_UP, 2)


async def two_take_at_once(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].hangs_up_after_s = 1
    pbx.call_in(NUMBER, name=NUMBER)
    await ami.count(JOINED, 1)
    await ami.take("101")
    await ami.take("102", OTHER_CLAIM)
    await ami.count(HUNG_UP, 2)


async def nobody_takes_and_the_fallback_answers(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].hangs_up_after_s = 1
    pbx.phones["102"].behaviour = "no_answer"
    pbx.call_in(NUMBER, name=NUMBER)
    await ami.count(HUNG_UP, 3)


async def dialled_and_talked(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.outside = Phone(answers_after_s=1, hangs_up_after_s=1)
    await ami.dial("+74951234567")
    await ami.count(HUNG_UP, 2)


async def dialled_and_client_is_busy(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.outside = Phone("busy")
    await ami.dial("+74951234567")
    await ami.count(HUNG_UP, 2)


async def _dialled_in_vain(pbx: ScriptedPbx, ami: Ami) -> None:
    await ami.dial("+74951234567")
    await ami.count(HUNG_UP, 1)


async def dialled_and_manager_does_not_answer(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "no_answer"
    await _dialled_in_vain(pbx, ami)


async def dialled_and_manager_is_busy(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "busy"
    await _dialled_in_vain(pbx, ami)


async def dialled_and_manager_rejects(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "reject"
    await _dialled_in_vain(pbx, ami)


async def dialled_and_manager_is_not_there(pbx: ScriptedPbx, ami: Ami) -> None:
    await ami.dial("+74951234567", "199")
    await ami.count(b"Event: OriginateResponse", 1)


async def _cancelled(pbx: ScriptedPbx, ami: Ami, *, rings: int, hung_up: int) -> None:
    await ami.dial("+74951234567")
    await ami.count(RINGS, rings)
    await ami.send("Hangup", Channel=ami.header(b"Event: Newchannel", b"Channel"), Cause="16")
    await ami.count(HUNG_UP, hung_up)


async def dialled_and_cancelled_while_the_manager_rings(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "no_answer"
    await _cancelled(pbx, ami, rings=1, hung_up=1)


async def dialled_and_cancelled_while_the_client_rings(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.outside = Phone("no_answer")
    await _cancelled(pbx, ami, rings=2, hung_up=2)


async def from_outside_straight_to_a_phone(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].hangs_up_after_s = 1
    pbx.call_phone(NUMBER, "101", name=NUMBER)
    await ami.count(HUNG_UP, 2)


async def from_outside_to_a_phone_that_does_not_answer(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["101"].behaviour = "reject"
    pbx.call_phone(NUMBER, "101", name=NUMBER)
    await ami.count(HUNG_UP, 2)


async def from_one_phone_to_another(pbx: ScriptedPbx, ami: Ami) -> None:
    pbx.phones["102"].hangs_up_after_s = 1
    pbx.call_colleague("101", "102")
    await ami.count(HUNG_UP, 2)


PLAYS: dict[str, Callable[[ScriptedPbx, Ami], Awaitable[None]]] = {
    # What the demo needs: a caller in Hub's queue, a take, a dial, a call straight to a phone.
    one.name: globals()[one.name]
    for one in taken.SCENARIOS
}


def frames(stream: bytes) -> Iterator[dict[str, str]]:
    for packet in stream.decode().split("\r\n\r\n"):
        lines = (line.partition(": ") for line in packet.split("\r\n"))
        yield {name.rstrip(":"): value for name, _, value in lines if name}


def stories(stream: bytes) -> dict[str, Story]:
    """What was said of each channel, and what of none, with nothing in it that differs from one run to the next."""
    names: dict[str, str] = {}
    told: dict[str, Story] = {}
    for frame in frames(stream):
        for header in ("Channel", "DestChannel", "Uniqueid", "DestUniqueid", "Linkedid", "DestLinkedid"):
            value = frame.get(header, "")
            if "-0000" in value or value.startswith("1"):
                kind = header.removeprefix("Dest").replace("Linkedid", "Uniqueid")
                frame[header] = names.setdefault(value, f"{kind} {sum(n.startswith(kind) for n in names.values())}")
        # Of device states Asterisk tells in a thread of its own, and of a burst not each.
        if frame.get("UserEvent") in WORDS_SINCE:
            continue
        if "Event" in frame and frame["Event"] not in ("FullyBooted", "DeviceStateChange"):
            about = frame["Event"] if frame["Event"] in SAID_BY_ANOTHER_THREAD else frame.get("Channel")
            loose = (
                {"DestChannelState", "DestChannelStateDesc"} if frame["Event"] in ("DialBegin", "DialState") else set()
            )
            story = told.setdefault(about or frame.get("DestChannel", "no channel"), [])
            story.append(
                {name: value for name, value in frame.items() if name not in NEVER_THE_SAME | HEADERS_SINCE | loose}
            )
    told.get("DialState", []).sort(key=lambda frame: frame["DestChannel"])
    return told


def answers(stream: bytes) -> list[dict[str, str]]:
    return [frame for frame in frames(stream) if "Response" in frame and "Event" not in frame]


@pytest.mark.parametrize("name", PLAYS)
async def test_the_scripted_pbx_says_what_the_real_one_said(name: str) -> None:
    wait_s = 3 if name == "nobody_takes_and_the_fallback_answers" else 120
    async with ScriptedPbx(speed=10, ring_s=4, wait_s=wait_s) as pbx:
        ami = Ami(*await asyncio.open_connection("127.0.0.1", pbx.port))
        await ami.send("Login", Username="hub", Secret=pbx.SECRET)
        await ami.count(b"Authentication accepted", 1)
        await PLAYS[name](pbx, ami)
        # An answer to this says that all before it has been read.
        await ami.send("Ping")
        await ami.count(b"Pong", 1)
        ami.close()
    real = (STREAMS / f"{name}.txt").read_bytes()
    assert stories(real)
    assert stories(ami.stream) == stories(real)
    assert answers(ami.stream)[:-1] == answers(real)
