"""Recorded: the contexts, subroutines and queue members of FreePBX, which most users run."""

from __future__ import annotations

from functools import partial

from tests.testbed.ami import HUNG_UP, IN_TALK, RINGS, Ami
from tests.testbed.asterisk import Asterisk
from tests.testbed.recorded.scenario import Scenario
from tests.testbed.recorded.transfers import OUTSIDE, STRANGER
from tests.testbed.sipp import caller, phone
from tests.testbed.within import dialog_of, hold, press, refer

TO_101, TO_GROUP, TO_QUEUE, TO_MENU, TO_GROUP_WITH_MOBILE = (f"7495000030{last}" for last in "12345")


async def freepbx_from_outside_to_an_extension(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=700), caller(asterisk, STRANGER, did=TO_101):
        await ami.count(HUNG_UP, 2)


async def freepbx_from_outside_to_an_extension_that_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "busy"), caller(asterisk, STRANGER, did=TO_101):
        await ami.count(HUNG_UP, 2)


async def freepbx_from_outside_to_an_extension_that_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, STRANGER, did=TO_101):
        await ami.count(HUNG_UP, 2)


async def freepbx_from_outside_to_a_ring_group(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "busy"),
        phone(asterisk, "103", talk_ms=700),
        caller(asterisk, STRANGER, did=TO_GROUP),
    ):
        await ami.count(HUNG_UP, 4)


async def freepbx_ring_group_and_the_mobile_in_it_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "trunk", talk_ms=700),
        caller(asterisk, STRANGER, did=TO_GROUP_WITH_MOBILE),
    ):
        await ami.count(HUNG_UP, 5)


async def freepbx_from_outside_to_a_queue(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, STRANGER, did=TO_QUEUE),
    ):
        await ami.count(HUNG_UP, 7)


async def freepbx_queue_and_the_caller_gives_up(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, STRANGER, did=TO_QUEUE) as stranger,
    ):
        await ami.count(RINGS, 4)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 7)


async def freepbx_queue_then_attended_transfer(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101") as desk,
        phone(asterisk, "102", "no_answer"),
        phone(asterisk, "103", talk_ms=2000),
        caller(asterisk, STRANGER, did=TO_QUEUE),
    ):
        await ami.count(IN_TALK, 4)
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="103", line="101") as consult:
            await ami.count(IN_TALK, 6)
            await refer(asterisk, desk, "103", replaces=await dialog_of(consult))
            await ami.gone(ami.channel("PJSIP/103-"))
            await ami.gone(ami.channel("PJSIP/trunk-"))


async def freepbx_menu_to_a_queue(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", talk_ms=700),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, STRANGER, did=TO_MENU) as stranger,
    ):
        await press(asterisk, stranger, "1")
        await ami.count(HUNG_UP, 7)


async def freepbx_from_a_phone_to_outside(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", talk_ms=700), caller(asterisk, "101", did=OUTSIDE, line="101"):
        await ami.count(HUNG_UP, 2)


async def freepbx_from_a_phone_to_outside_and_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", "busy"), caller(asterisk, "101", did=OUTSIDE, line="101"):
        await ami.count(HUNG_UP, 2)


async def freepbx_from_one_phone_to_another(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "102", talk_ms=700), caller(asterisk, "101", did="102", line="101"):
        await ami.count(HUNG_UP, 2)


async def freepbx_blind_transfer(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101") as desk,
        phone(asterisk, "102", talk_ms=700),
        caller(asterisk, STRANGER, did=TO_101),
    ):
        await ami.count(IN_TALK, 2)
        await refer(asterisk, desk, "102")
        await ami.count(HUNG_UP, 3)


SCENARIOS = tuple(
    map(
        partial(Scenario, is_freepbx=True),
        (
            freepbx_from_outside_to_an_extension,
            freepbx_from_outside_to_an_extension_that_is_busy,
            freepbx_from_outside_to_an_extension_that_does_not_answer,
            freepbx_from_outside_to_a_ring_group,
            freepbx_ring_group_and_the_mobile_in_it_answers,
            freepbx_from_outside_to_a_queue,
            freepbx_queue_and_the_caller_gives_up,
            freepbx_queue_then_attended_transfer,
            freepbx_menu_to_a_queue,
            freepbx_from_a_phone_to_outside,
            freepbx_from_a_phone_to_outside_and_busy,
            freepbx_from_one_phone_to_another,
            freepbx_blind_transfer,
        ),
    )
)
