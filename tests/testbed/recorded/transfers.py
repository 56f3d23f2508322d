"""Recorded: calls that are handed on, by the phone (REFER), by feature code, and by AMI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.testbed.ami import HUNG_UP, IN_TALK, JOINED, OTHER_CLAIM, RINGS, Ami
from tests.testbed.asterisk import Asterisk
from tests.testbed.recorded.scenario import Scenario
from tests.testbed.sipp import SippCall, caller, phone
from tests.testbed.waiting import wait_for
from tests.testbed.within import dialog_of, hold, press, refer

STRANGER = "84951234567"
TO_101 = "74950000201"
OUTSIDE = "79161112233"


@asynccontextmanager
async def talking(asterisk: Asterisk, ami: Ami, *, did: str = TO_101) -> AsyncIterator[tuple[SippCall, SippCall]]:
    """A stranger and phone 101, who speak with each other."""
    async with phone(asterisk, "101") as desk, caller(asterisk, STRANGER, did=did) as stranger:
        await ami.count(IN_TALK, 2)
        yield desk, stranger


async def heard(call: SippCall, method: str) -> bool:
    return any(line.startswith(method) for line in call.first_lines("received"))


async def blind_transfer_by_the_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102", talk_ms=700):
        await refer(asterisk, desk, "102")
        await ami.count(HUNG_UP, 3)


async def blind_transfer_to_a_ring_group(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        talking(asterisk, ami) as (desk, _),
        phone(asterisk, "102", "no_answer"),
        phone(asterisk, "103", talk_ms=700),
    ):
        await refer(asterisk, desk, "600")
        await ami.count(HUNG_UP, 4)


async def blind_transfer_to_an_outside_number(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "trunk", talk_ms=700):
        await refer(asterisk, desk, OUTSIDE)
        await ami.count(HUNG_UP, 3)


async def blind_transfer_to_a_busy_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102", "busy"):
        await refer(asterisk, desk, "102")
        await ami.count(HUNG_UP, 3)


async def blind_transfer_to_a_phone_that_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger), phone(asterisk, "102", "no_answer"):
        await refer(asterisk, desk, "102")
        await ami.count(RINGS, 2)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 3)


async def blind_transfer_to_a_queue(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        talking(asterisk, ami) as (desk, _),
        phone(asterisk, "102", talk_ms=700),
        phone(asterisk, "103", "no_answer"),
    ):
        await refer(asterisk, desk, "610")
        await ami.count(HUNG_UP, 5)


async def blind_transfer_twice(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        talking(asterisk, ami) as (desk, _),
        phone(asterisk, "102") as second,
        phone(asterisk, "103", talk_ms=700),
    ):
        await refer(asterisk, desk, "102")
        await ami.count(IN_TALK, 4)
        await refer(asterisk, second, "103")
        await ami.count(HUNG_UP, 4)


async def blind_transfer_to_nowhere(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger):
        await refer(asterisk, desk, "199999")
        await wait_for(lambda: heard(desk, "NOTIFY"), what="the phone learns how it went")
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def blind_transfer_by_feature_code(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102", talk_ms=700):
        await press(asterisk, desk, "##")
        await press(asterisk, desk, "102")
        await ami.count(HUNG_UP, 3)


async def blind_transfer_by_ami(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami), phone(asterisk, "102", talk_ms=700):
        await ami.send("BlindTransfer", Channel=ami.channel("PJSIP/101-"), Context="internal", Exten="102")
        await ami.count(HUNG_UP, 3)


async def blind_transfer_of_an_outbound_call(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "trunk"),
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, "101", did=OUTSIDE, line="101") as desk,
    ):
        await ami.count(IN_TALK, 2)
        await refer(asterisk, desk, "102")
        await ami.count(HUNG_UP, 3)


async def redirected_by_ami(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami), phone(asterisk, "102", talk_ms=700):
        trunk = ami.channel("PJSIP/trunk-")
        await ami.send("Redirect", Channel=trunk, Context="internal", Exten="102", Priority="1")
        await ami.count(HUNG_UP, 3)


async def both_redirected_into_a_conference(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (_, stranger):
        to = {"Context": "internal", "Exten": "800", "Priority": "1"}
        to |= {f"Extra{name}": value for name, value in to.items()}
        await ami.send("Redirect", Channel=ami.channel("PJSIP/trunk-"), ExtraChannel=ami.channel("PJSIP/101-"), **to)
        await ami.count(b"Event: ConfbridgeJoin", 2)
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.send("Hangup", Channel=ami.channel("PJSIP/101-"))
        await ami.gone(ami.channel("PJSIP/101-"))


# Attended: first the colleague is asked.


async def attended_transfer_by_the_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102", talk_ms=2000):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="102", line="101") as consult:
            await ami.count(IN_TALK, 4)
            await refer(asterisk, desk, "102", replaces=await dialog_of(consult))
            await ami.count(HUNG_UP, 4)


async def attended_transfer_of_an_outbound_call(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "trunk"),
        phone(asterisk, "102", talk_ms=2000),
        caller(asterisk, "101", did=OUTSIDE, line="101") as desk,
    ):
        await ami.count(IN_TALK, 2)
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="102", line="101") as consult:
            await ami.count(IN_TALK, 4)
            await refer(asterisk, desk, "102", replaces=await dialog_of(consult))
            await ami.count(HUNG_UP, 4)


async def attended_transfer_to_an_outside_number(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "trunk", talk_ms=2000):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did=OUTSIDE, line="101") as consult:
            await ami.count(IN_TALK, 4)
            await refer(asterisk, desk, OUTSIDE, replaces=await dialog_of(consult))
            await ami.count(HUNG_UP, 4)


async def attended_transfer_by_the_phone_while_it_still_rings(asterisk: Asterisk, ami: Ami) -> None:
    """Blonde: the phone hands over a consultation that nobody has answered yet."""
    async with talking(asterisk, ami) as (desk, stranger), phone(asterisk, "102", "no_answer"):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="102", line="101") as consult:
            await ami.count(RINGS, 2)
            await refer(asterisk, desk, "102", replaces=await dialog_of(consult, early=True))
            await ami.count(b"Event: AttendedTransfer", 1)
            await stranger.hang_up()
            await ami.gone(ami.channel("PJSIP/102-"))
            await ami.gone(ami.channel("PJSIP/trunk-"))
            await ami.gone(ami.channel("PJSIP/101-"))


async def attended_transfer_by_the_phone_and_then_it_is_answered(asterisk: Asterisk, ami: Ami) -> None:
    """Blonde, and the target picks up after the phone has handed over."""
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102", "late", talk_ms=1500):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="102", line="101") as consult:
            await ami.count(RINGS, 2)
            await refer(asterisk, desk, "102", replaces=await dialog_of(consult, early=True))
            await ami.count(b"Event: AttendedTransfer", 1)
            await ami.gone(ami.channel("PJSIP/102-"))
            await ami.gone(ami.channel("PJSIP/trunk-"))
            await ami.gone(ami.channel("PJSIP/101-"))


async def caller_gives_up_during_the_consultation(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger), phone(asterisk, "102", talk_ms=1500):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="102", line="101"):
            await ami.count(IN_TALK, 4)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 4)


async def consultation_fails_and_the_phone_goes_back(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger), phone(asterisk, "102", "busy"):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="102", line="101"):
            await ami.count(HUNG_UP, 2)
        await hold(asterisk, desk, way="sendrecv")
        await ami.count(b"Event: Unhold", 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 4)


async def attended_transfer_by_feature_code(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102") as colleague:
        await press(asterisk, desk, "*2")
        await press(asterisk, desk, "102")
        await ami.in_talk("PJSIP/102-")
        await desk.hang_up()
        await ami.count(b"Event: AttendedTransfer", 1)
        await colleague.hang_up()
        await ami.gone(ami.channel("PJSIP/102-"))
        await ami.gone(ami.channel("PJSIP/trunk-"))


async def _atxfer(ami: Ami, exten: str) -> None:
    await ami.send("Atxfer", Channel=ami.channel("PJSIP/101-"), Context="internal", Exten=exten)


async def attended_transfer_by_ami(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102", talk_ms=2000):
        await _atxfer(ami, "102")
        await ami.in_talk("PJSIP/102-")
        await desk.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/102-"))


async def attended_transfer_by_ami_to_an_outside_number(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "trunk", talk_ms=2000):
        await _atxfer(ami, OUTSIDE)
        await ami.in_talk("PJSIP/trunk-00000002")
        await desk.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-", 0))
        await ami.gone(ami.channel("PJSIP/trunk-", 1))


async def attended_transfer_and_the_first_hangs_up_while_it_rings(asterisk: Asterisk, ami: Ami) -> None:
    """Blonde: Asterisk puts caller and target together when the target answers."""
    async with talking(asterisk, ami) as (desk, _), phone(asterisk, "102", "late", talk_ms=700):
        await _atxfer(ami, "102")
        await ami.count(RINGS, 2)
        await desk.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/102-"))


async def attended_transfer_and_the_target_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (_, stranger), phone(asterisk, "102", "busy"):
        await _atxfer(ami, "102")
        await ami.matches(rb"Event: Hangup\r\n(?:.+\r\n)*?Channel: PJSIP/102-")
        await ami.count(IN_TALK, 5)
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/101-"))


async def attended_transfer_and_the_target_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (_, stranger), phone(asterisk, "102", "no_answer"):
        await _atxfer(ami, "102")
        await ami.matches(rb"Event: Hangup\r\n(?:.+\r\n)*?Channel: PJSIP/102-")
        await ami.count(IN_TALK, 5)
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/101-"))


async def attended_transfer_is_cancelled(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (_, stranger), phone(asterisk, "102"):
        await _atxfer(ami, "102")
        await ami.in_talk("PJSIP/102-")
        await ami.send("CancelAtxfer", Channel=ami.channel("PJSIP/101-"))
        await ami.gone(ami.channel("PJSIP/102-"))
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/101-"))


async def taken_then_blind_transfer(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101") as desk,
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, STRANGER),
    ):
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await refer(asterisk, desk, "102")
        await ami.count(HUNG_UP, 3)


async def taken_then_attended_transfer(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101") as desk,
        phone(asterisk, "102", talk_ms=2000),
        caller(asterisk, STRANGER),
    ):
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="102", line="101") as consult:
            await ami.count(IN_TALK, 4)
            await refer(asterisk, desk, "102", replaces=await dialog_of(consult))
            await ami.count(HUNG_UP, 4)


async def taken_then_transferred_to_another_team_and_taken(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101") as desk,
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, STRANGER),
    ):
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await refer(asterisk, desk, "620")
        await ami.count(JOINED, 2)
        await ami.take("102", OTHER_CLAIM, queue="hub-support")
        await ami.count(HUNG_UP, 3)


async def taken_then_transferred_to_another_team_and_given_up(asterisk: Asterisk, ami: Ami) -> None:
    """The stranger has spoken with somebody: the call was answered, whatever came after."""
    async with phone(asterisk, "101") as desk, caller(asterisk, STRANGER) as stranger:
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await refer(asterisk, desk, "620")
        await ami.count(JOINED, 2)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def taken_then_parked_and_retrieved(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101") as desk, caller(asterisk, STRANGER) as stranger:
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await refer(asterisk, desk, "700")
        await ami.count(b"Event: ParkedCall\r\n", 1)
        await ami.gone(ami.channel("PJSIP/101-"))
        async with caller(asterisk, "102", did="701", line="102"):
            await ami.count(b"Event: UnParkedCall\r\n", 1)
            await ami.in_talk("PJSIP/102-")
            await stranger.hang_up()
            await ami.gone(ami.channel("PJSIP/102-"))
            await ami.gone(ami.channel("PJSIP/trunk-"))


async def clicked_then_transferred(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101") as desk,
        phone(asterisk, "trunk"),
        phone(asterisk, "102", talk_ms=700),
    ):
        await ami.dial("+74951234567")
        await ami.count(IN_TALK, 2)
        await refer(asterisk, desk, "102")
        await ami.count(HUNG_UP, 3)


SCENARIOS = tuple(
    Scenario(play)
    for play in (
        blind_transfer_by_the_phone,
        blind_transfer_to_a_ring_group,
        blind_transfer_to_an_outside_number,
        blind_transfer_to_a_busy_phone,
        blind_transfer_to_a_phone_that_does_not_answer,
        blind_transfer_to_a_queue,
        blind_transfer_twice,
        blind_transfer_to_nowhere,
        blind_transfer_by_feature_code,
        blind_transfer_by_ami,
        blind_transfer_of_an_outbound_call,
        redirected_by_ami,
        both_redirected_into_a_conference,
        attended_transfer_by_the_phone,
        attended_transfer_of_an_outbound_call,
        attended_transfer_to_an_outside_number,
        attended_transfer_by_the_phone_while_it_still_rings,
        attended_transfer_by_the_phone_and_then_it_is_answered,
        caller_gives_up_during_the_consultation,
        consultation_fails_and_the_phone_goes_back,
        attended_transfer_by_feature_code,
        attended_transfer_by_ami,
        attended_transfer_by_ami_to_an_outside_number,
        attended_transfer_and_the_first_hangs_up_while_it_rings,
        attended_transfer_and_the_target_is_busy,
        attended_transfer_and_the_target_does_not_answer,
        attended_transfer_is_cancelled,
        taken_then_blind_transfer,
        taken_then_attended_transfer,
        taken_then_transferred_to_another_team_and_taken,
        taken_then_transferred_to_another_team_and_given_up,
        taken_then_parked_and_retrieved,
        clicked_then_transferred,
    )
)
