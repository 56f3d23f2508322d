"""Recorded: ring groups, queues with members of their own, and a menu before somebody answers."""

from __future__ import annotations

from tests.testbed.ami import HUNG_UP, IN_TALK, JOINED, RINGS, Ami
from tests.testbed.asterisk import Asterisk
from tests.testbed.recorded.scenario import Scenario
from tests.testbed.sipp import caller, phone
from tests.testbed.within import press

STRANGER = "84951234567"


async def ring_group_and_one_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", talk_ms=700),
        phone(asterisk, "103", "no_answer"),
        caller(asterisk, STRANGER, did="74950000200"),
    ):
        await ami.count(HUNG_UP, 4)


async def ring_group_and_nobody_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "no_answer"),
        phone(asterisk, "103", "no_answer"),
        caller(asterisk, STRANGER, did="74950000200"),
    ):
        await ami.count(HUNG_UP, 4)


async def ring_group_and_all_are_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "busy"),
        phone(asterisk, "102", "busy"),
        phone(asterisk, "103", "busy"),
        caller(asterisk, STRANGER, did="74950000200"),
    ):
        await ami.count(HUNG_UP, 4)


async def ring_group_and_the_caller_gives_up(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "busy"),
        phone(asterisk, "103", "no_answer"),
        caller(asterisk, STRANGER, did="74950000200", gives_up=True) as stranger,
    ):
        await ami.count(b"DialStatus: BUSY", 1)
        await stranger.give_up()
        await ami.count(HUNG_UP, 4)


async def queue_rings_all_and_one_answers_after_another_rejected(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "reject"),
        phone(asterisk, "102", talk_ms=700),
        phone(asterisk, "103", "no_answer"),
        caller(asterisk, STRANGER, did="74950000210"),
    ):
        await ami.count(HUNG_UP, 4)


async def queue_rings_twice_before_one_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "102", "no_answer", calls=2),
        phone(asterisk, "103", "busy", calls=2),
        caller(asterisk, STRANGER, did="74950000214") as stranger,
    ):
        async with phone(asterisk, "101", "no_answer") as first:
            await ami.count(b"Event: AgentRingNoAnswer", 3)
            await first.ended()
        async with phone(asterisk, "101"):
            await ami.count(IN_TALK, 2)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 7)


async def queue_and_the_caller_gives_up_while_members_ring(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "no_answer"),
        phone(asterisk, "103", "no_answer"),
        caller(asterisk, STRANGER, did="74950000210") as stranger,
    ):
        await ami.count(RINGS, 3)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 4)


async def queue_and_its_time_is_over(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer", calls=2),
        phone(asterisk, "102", "no_answer", calls=2),
        phone(asterisk, "103", "reject", calls=2),
        caller(asterisk, STRANGER, did="74950000210"),
    ):
        await ami.count(b"Event: QueueCallerLeave", 1)
        await ami.gone(ami.header(JOINED, b"Channel"))


async def queue_of_local_members_and_one_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, STRANGER, did="74950000211"),
    ):
        await ami.count(HUNG_UP, 7)


async def queue_of_local_members_and_the_caller_gives_up(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, STRANGER, did="74950000211") as stranger,
    ):
        await ami.count(RINGS, 2)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 7)


async def queue_of_a_local_member_that_is_optimised_away(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=700), caller(asterisk, STRANGER, did="74950000212"):
        await ami.count(HUNG_UP, 4)


async def menu_then_a_phone_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", talk_ms=700),
        caller(asterisk, STRANGER, did="74950000220") as stranger,
    ):
        await press(asterisk, stranger, "1")
        await ami.count(HUNG_UP, 2)


async def menu_then_a_queue_and_one_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", talk_ms=700),
        phone(asterisk, "103", "no_answer"),
        caller(asterisk, STRANGER, did="74950000220") as stranger,
    ):
        await press(asterisk, stranger, "2")
        await ami.count(HUNG_UP, 4)


async def menu_and_the_caller_hangs_up_in_it(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, STRANGER, did="74950000220") as stranger:
        await stranger.hang_up()
        await ami.count(HUNG_UP, 1)


async def menu_then_a_phone_that_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        caller(asterisk, STRANGER, did="74950000220") as stranger,
    ):
        await press(asterisk, stranger, "1")
        await ami.count(HUNG_UP, 2)


async def announcement_then_a_phone_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=700), caller(asterisk, STRANGER, did="74950000221"):
        await ami.count(HUNG_UP, 2)


SCENARIOS = (
    Scenario(ring_group_and_one_answers),
    Scenario(ring_group_and_nobody_answers, ring_s=2),
    Scenario(ring_group_and_all_are_busy),
    Scenario(ring_group_and_the_caller_gives_up),
    Scenario(queue_rings_all_and_one_answers_after_another_rejected),
    Scenario(queue_rings_twice_before_one_answers),
    Scenario(queue_and_the_caller_gives_up_while_members_ring),
    Scenario(queue_and_its_time_is_over),
    Scenario(queue_of_local_members_and_one_answers),
    Scenario(queue_of_local_members_and_the_caller_gives_up),
    Scenario(queue_of_a_local_member_that_is_optimised_away),
    Scenario(menu_then_a_phone_answers),
    Scenario(menu_then_a_queue_and_one_answers),
    Scenario(menu_and_the_caller_hangs_up_in_it),
    Scenario(menu_then_a_phone_that_does_not_answer, ring_s=2),
    Scenario(announcement_then_a_phone_answers),
)
