"""Recorded: pickup, forwarding, parking, hold, conference, voicemail, Local channels, calls with both legs outside."""

from __future__ import annotations

from tests.testbed.ami import CLAIM, HUNG_UP, IN_TALK, RINGS, Ami
from tests.testbed.asterisk import Asterisk
from tests.testbed.recorded.scenario import Scenario
from tests.testbed.recorded.transfers import OUTSIDE, STRANGER, TO_101, talking
from tests.testbed.sipp import caller, phone
from tests.testbed.within import hold, refer, speak

# Pickup: somebody else's phone rings, and I answer it from mine.


async def picked_up_by_the_group_code(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, STRANGER, did=TO_101) as stranger:
        await ami.count(RINGS, 1)
        async with caller(asterisk, "102", did="*8", line="102"):
            await ami.count(IN_TALK, 2)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 3)


async def picked_up_from_one_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, STRANGER, did=TO_101) as stranger:
        await ami.count(RINGS, 1)
        async with caller(asterisk, "103", did="**101", line="103"):
            await ami.count(IN_TALK, 2)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 3)


async def picked_up_out_of_a_ring_group(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "no_answer"),
        phone(asterisk, "103", "busy"),
        caller(asterisk, STRANGER, did="74950000200") as stranger,
    ):
        await ami.count(RINGS, 3)
        async with caller(asterisk, "103", did="*8", line="103"):
            await ami.count(IN_TALK, 2)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 5)


async def picked_up_out_of_a_queue(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, STRANGER, did="74950000213") as stranger,
    ):
        await ami.count(RINGS, 2)
        async with caller(asterisk, "103", did="**102", line="103"):
            await ami.count(IN_TALK, 2)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 4)


async def supervisor_listens(asterisk: Asterisk, ami: Ami) -> None:
    """ChanSpy: the supervisor hears both and speaks with nobody."""
    async with (
        talking(asterisk, ami) as (desk, stranger),
        caller(asterisk, "103", did="*5101", line="103"),
    ):
        await ami.count(b"Event: ChanSpyStart\r\n", 1)
        await speak(asterisk, desk, stranger, packets=10)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 3)


async def pickup_where_nothing_rings(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, "102", did="*8", line="102"):
        await ami.count(HUNG_UP, 1)


# Forwarding: by the phone itself (302), and by the dialplan.


async def forwarded_by_the_phone_to_another(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "forward", forward_to="102"),
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, STRANGER, did=TO_101),
    ):
        await ami.gone(await ami.born("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/102-"))


async def forwarded_by_the_phone_to_an_outside_number(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "forward", forward_to=OUTSIDE),
        phone(asterisk, "trunk", talk_ms=700),
        caller(asterisk, STRANGER, did=TO_101),
    ):
        await ami.gone(await ami.born("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/trunk-"))


async def forwarded_by_the_phone_and_nobody_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "forward", forward_to="102"),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, STRANGER, did=TO_101),
    ):
        await ami.gone(await ami.born("PJSIP/trunk-"))


async def not_answered_then_forwarded_to_a_mobile(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "trunk", talk_ms=700),
        caller(asterisk, STRANGER, did="74950000230"),
    ):
        await ami.count(HUNG_UP, 3)


async def forwarded_at_once_to_a_mobile_that_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", "busy"), caller(asterisk, STRANGER, did="74950000231"):
        await ami.count(HUNG_UP, 2)


# Parking.


async def _park_by_ami(ami: Ami) -> None:
    trunk, desk = ami.channel("PJSIP/trunk-"), ami.channel("PJSIP/101-")
    await ami.send("Park", Channel=trunk, TimeoutChannel=desk, AnnounceChannel=desk)
    await ami.count(b"Event: ParkedCall\r\n", 1)


async def parked_by_ami_and_retrieved(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (_, stranger):
        await _park_by_ami(ami)
        async with caller(asterisk, "102", did="701", line="102"):
            await ami.count(b"Event: UnParkedCall\r\n", 1)
            await ami.in_talk("PJSIP/102-")
            await stranger.hang_up()
            await ami.gone(ami.channel("PJSIP/102-"))
            await ami.gone(ami.channel("PJSIP/trunk-"))
            await ami.gone(ami.channel("PJSIP/101-"))


async def parked_by_the_phone_and_retrieved(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger):
        await refer(asterisk, desk, "700")
        await ami.count(b"Event: ParkedCall\r\n", 1)
        await ami.gone(ami.channel("PJSIP/101-"))
        async with caller(asterisk, "102", did="701", line="102"):
            await ami.count(b"Event: UnParkedCall\r\n", 1)
            await ami.in_talk("PJSIP/102-")
            await stranger.hang_up()
            await ami.gone(ami.channel("PJSIP/102-"))
            await ami.gone(ami.channel("PJSIP/trunk-"))


async def parked_and_back_to_the_parker(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, _):
        async with phone(asterisk, "102"):
            await refer(asterisk, desk, "700")
            await ami.count(b"Event: ParkedCall\r\n", 1)
            await ami.gone(ami.channel("PJSIP/101-"))
        await desk.stop()
        async with phone(asterisk, "101", talk_ms=700):
            await ami.count(b"Event: ParkedCallTimeOut\r\n", 1)
            await ami.gone(ami.channel("PJSIP/trunk-"))
            await ami.gone(ami.channel("PJSIP/101-"))


async def parked_and_the_caller_gives_up(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger):
        await refer(asterisk, desk, "700")
        await ami.count(b"Event: ParkedCall\r\n", 1)
        await ami.gone(ami.channel("PJSIP/101-"))
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))


# Hold, conference, voicemail.

IS_UP = rb"Event: Newstate\r\n(?:.+\r\n)*?Channel: PJSIP/trunk-.*\r\n.*\r\nChannelStateDesc: Up"


async def held_and_taken_back(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger):
        await hold(asterisk, desk)
        await ami.count(b"Event: Hold\r\n", 1)
        await hold(asterisk, desk, way="sendrecv")
        await ami.count(b"Event: Unhold\r\n", 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def held_and_the_caller_gives_up(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger):
        await hold(asterisk, desk)
        await ami.count(b"Event: Hold\r\n", 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def three_in_a_conference(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, STRANGER, did="74950000250") as stranger:
        await ami.count(b"Event: ConfbridgeJoin\r\n", 1)
        async with caller(asterisk, "101", did="800", line="101") as desk:
            await ami.count(b"Event: ConfbridgeJoin\r\n", 2)
            async with caller(asterisk, "102", did="800", line="102") as colleague:
                await ami.count(b"Event: ConfbridgeJoin\r\n", 3)
                await colleague.hang_up()
                await ami.count(HUNG_UP, 1)
                await stranger.hang_up()
                await ami.gone(ami.channel("PJSIP/trunk-"))
                await desk.hang_up()
                await ami.gone(ami.channel("PJSIP/101-"))


async def not_answered_then_voicemail(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, STRANGER, did="74950000240") as stranger:
        await ami.matches(IS_UP)
        await speak(asterisk, stranger, packets=75)
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))


async def not_answered_then_voicemail_and_no_word(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, STRANGER, did="74950000241") as stranger:
        await ami.matches(IS_UP)
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))


# Local channels.


async def local_channel_that_is_optimised_away(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101") as desk, caller(asterisk, STRANGER, did="74950000260") as stranger:
        await ami.count(IN_TALK, 4)
        await ami.until(
            b"Event: LocalOptimizationEnd\r\n",
            lambda: speak(asterisk, desk, stranger, packets=5),
        )
        await ami.gone(ami.channel("Local/", 0))
        await ami.gone(ami.channel("Local/", 1))
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/101-"))


async def local_channel_that_stays(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=700), caller(asterisk, STRANGER, did="74950000261"):
        await ami.count(HUNG_UP, 4)


async def two_local_channels_ring_and_one_is_answered(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, STRANGER, did="74950000262"),
    ):
        await ami.count(HUNG_UP, 7)


async def queue_member_by_a_local_channel_that_is_optimised_away(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101") as desk, caller(asterisk, STRANGER, did="74950000212") as stranger:
        await ami.count(IN_TALK, 4)
        await ami.until(
            b"Event: LocalOptimizationEnd\r\n",
            lambda: speak(asterisk, desk, stranger, packets=5),
        )
        await ami.gone(ami.channel("Local/", 0))
        await stranger.hang_up()
        await ami.gone(ami.channel("PJSIP/trunk-"))
        await ami.gone(ami.channel("PJSIP/101-"))


# Both legs outside.

MOBILE = "79160001111"


async def dialled_from_a_mobile(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", talk_ms=1500, calls=2):
        await ami.dial("+74951234567", channel=f"PJSIP/{MOBILE}@trunk")
        await ami.count(HUNG_UP, 2)


async def dialled_from_a_mobile_that_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", "no_answer"):
        await ami.dial("+74951234567", channel=f"PJSIP/{MOBILE}@trunk")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_from_a_mobile_by_a_local_channel(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", talk_ms=1500, calls=2):
        await ami.send(
            "Originate",
            Channel=f"Local/{MOBILE}@hub-trunk/n",
            Context="hub-out",
            Exten="+74951234567",
            Priority="1",
            ChannelId=f"hub-{CLAIM}",
            OtherChannelId=f"hub-{CLAIM}-2",
            CallerID="+74951234567",
            Timeout="4000",
            Async="true",
            Variable=f"HUB_DIAL=hub-{CLAIM}",
        )
        await ami.count(HUNG_UP, 4)


async def dialled_to_a_local_phone_then_outside(asterisk: Asterisk, ami: Ami) -> None:
    """The manager's phone by a Local channel: hot desking, or follow-me."""
    async with phone(asterisk, "101"), phone(asterisk, "trunk", talk_ms=1000):
        await ami.dial("+74951234567", channel="Local/101@testbed-agents/n")
        await ami.count(HUNG_UP, 4)


# Plain calls out, as most calls are.


async def from_a_phone_to_outside(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", talk_ms=700), caller(asterisk, "101", did=OUTSIDE, line="101"):
        await ami.count(HUNG_UP, 2)


async def from_a_phone_to_outside_and_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", "busy"), caller(asterisk, "101", did=OUTSIDE, line="101"):
        await ami.count(HUNG_UP, 2)


async def from_a_phone_to_outside_and_given_up(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "trunk", "no_answer"),
        caller(asterisk, "101", did=OUTSIDE, line="101", gives_up=True) as desk,
    ):
        await desk.give_up()
        await ami.count(HUNG_UP, 2)


async def from_a_phone_to_outside_at_the_second_try(asterisk: Asterisk, ami: Ami) -> None:
    """The first trunk refuses, the dialplan takes the next."""
    async with caller(asterisk, "101", did=f"99{OUTSIDE}", line="101"):
        async with phone(asterisk, "trunk", "reject"):
            await ami.count(HUNG_UP, 1)
        async with phone(asterisk, "trunk", talk_ms=700):
            await ami.count(HUNG_UP, 3)


async def from_one_phone_to_another_that_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, "101", did="102", line="101", gives_up=True) as desk,
    ):
        await desk.give_up()
        await ami.count(HUNG_UP, 2)


async def from_outside_and_told_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, STRANGER, did="74950000270"):
        await ami.count(HUNG_UP, 1)


SCENARIOS = (
    *map(
        Scenario,
        (
            picked_up_by_the_group_code,
            picked_up_from_one_phone,
            picked_up_out_of_a_ring_group,
            picked_up_out_of_a_queue,
            supervisor_listens,
            from_a_phone_to_outside_at_the_second_try,
            pickup_where_nothing_rings,
            forwarded_by_the_phone_to_another,
            forwarded_by_the_phone_to_an_outside_number,
            not_answered_then_forwarded_to_a_mobile,
            forwarded_at_once_to_a_mobile_that_is_busy,
            parked_by_ami_and_retrieved,
            parked_by_the_phone_and_retrieved,
            parked_and_the_caller_gives_up,
            held_and_taken_back,
            held_and_the_caller_gives_up,
            three_in_a_conference,
            not_answered_then_voicemail,
            not_answered_then_voicemail_and_no_word,
            local_channel_that_is_optimised_away,
            local_channel_that_stays,
            two_local_channels_ring_and_one_is_answered,
            queue_member_by_a_local_channel_that_is_optimised_away,
            dialled_from_a_mobile,
            dialled_from_a_mobile_that_does_not_answer,
            dialled_from_a_mobile_by_a_local_channel,
            dialled_to_a_local_phone_then_outside,
            from_a_phone_to_outside,
            from_a_phone_to_outside_and_busy,
            from_a_phone_to_outside_and_given_up,
            from_one_phone_to_another_that_does_not_answer,
            from_outside_and_told_busy,
        ),
    ),
    Scenario(forwarded_by_the_phone_and_nobody_answers, ring_s=2),
    Scenario(parked_and_back_to_the_parker, parking_s=2),
)
