"""Recorded: a caller waits in a team's queue and is taken, a manager clicks to call, plain calls."""

from __future__ import annotations

from tests.testbed.ami import HUNG_UP, IN_TALK, JOINED, OTHER_CLAIM, RINGS, Ami
from tests.testbed.asterisk import Asterisk
from tests.testbed.recorded.scenario import Scenario
from tests.testbed.sipp import caller, phone


async def taken_and_manager_hangs_up(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=1000), caller(asterisk, "84951234567", name="ROMASHKA"):
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(HUNG_UP, 2)


async def taken_and_caller_hangs_up(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), caller(asterisk, "84951234567") as stranger:
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def _fails_then_succeeds(asterisk: Asterisk, ami: Ami, behaviour: str) -> None:
    async with caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        async with phone(asterisk, "101", behaviour):  # type: ignore[arg-type]
            await ami.take("101")
            await ami.count(JOINED, 2)
        async with phone(asterisk, "102", talk_ms=800):
            await ami.take("102", OTHER_CLAIM)
            await ami.count(HUNG_UP, 3)


async def phone_busy_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    await _fails_then_succeeds(asterisk, ami, "busy")


async def phone_rejects_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    await _fails_then_succeeds(asterisk, ami, "reject")


async def phone_does_not_answer_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    await _fails_then_succeeds(asterisk, ami, "no_answer")


async def phone_is_not_there_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        await ami.take("199")
        await ami.count(JOINED, 2)
        async with phone(asterisk, "102", talk_ms=800):
            await ami.take("102", OTHER_CLAIM)
            await ami.count(HUNG_UP, 2)


async def back_in_front_of_a_caller_who_came_meanwhile(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, "84951234567") as first:
        await ami.count(JOINED, 1)
        await ami.take("101")
        await ami.count(RINGS, 1)
        async with caller(asterisk, "89161234567") as second:
            await ami.count(JOINED, 3)
            await first.hang_up()
            await ami.count(HUNG_UP, 2)
            await second.hang_up()
            await ami.count(HUNG_UP, 3)


async def abandoned_while_waiting(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, "84951234567") as stranger:
        await ami.count(JOINED, 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 1)


async def abandoned_while_phone_rings(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, "84951234567") as stranger:
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(RINGS, 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def two_take_at_once(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=800), phone(asterisk, "102"), caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        await ami.take("101")
        await ami.take("102", OTHER_CLAIM)
        await ami.count(HUNG_UP, 2)


async def nobody_takes_and_the_fallback_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", talk_ms=800),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, "84951234567"),
    ):
        await ami.count(HUNG_UP, 3)


async def dialled_and_talked(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", talk_ms=1000):
        await ami.dial("+74951234567")
        await ami.count(HUNG_UP, 2)


async def dialled_and_client_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", "busy"):
        await ami.dial("+74951234567")
        await ami.count(HUNG_UP, 2)


async def dialled_and_manager_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"):
        await ami.dial("+74951234567")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_manager_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "busy"):
        await ami.dial("+74951234567")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_manager_rejects(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "reject"):
        await ami.dial("+74951234567")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_manager_is_not_there(asterisk: Asterisk, ami: Ami) -> None:
    await ami.dial("+74951234567", "199")
    await ami.count(b"Event: OriginateResponse", 1)


async def dialled_and_cancelled_while_the_manager_rings(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"):
        await ami.dial("+74951234567")
        await ami.count(RINGS, 1)
        await ami.send("Hangup", Channel=ami.header(b"Event: Newchannel", b"Channel"), Cause="16")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_cancelled_while_the_client_rings(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", "no_answer"):
        await ami.dial("+74951234567")
        await ami.count(RINGS, 2)
        await ami.send("Hangup", Channel=ami.header(b"Event: Newchannel", b"Channel"), Cause="16")
        await ami.count(HUNG_UP, 2)


async def from_outside_straight_to_a_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=800), caller(asterisk, "84951234567", did="74950000101"):
        await ami.count(HUNG_UP, 2)


async def from_outside_to_a_phone_that_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "reject"), caller(asterisk, "84951234567", did="74950000101"):
        await ami.count(HUNG_UP, 2)


async def from_one_phone_to_another(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "102", talk_ms=800), caller(asterisk, "101", did="102", line="101"):
        await ami.count(HUNG_UP, 2)


SCENARIOS = (
    Scenario(taken_and_manager_hangs_up),
    Scenario(taken_and_caller_hangs_up),
    Scenario(phone_busy_then_taken),
    Scenario(phone_rejects_then_taken),
    Scenario(phone_does_not_answer_then_taken),
    Scenario(phone_is_not_there_then_taken),
    Scenario(back_in_front_of_a_caller_who_came_meanwhile),
    Scenario(abandoned_while_waiting),
    Scenario(abandoned_while_phone_rings),
    Scenario(two_take_at_once),
    Scenario(nobody_takes_and_the_fallback_answers, wait_s=3),
    Scenario(dialled_and_talked),
    Scenario(dialled_and_client_is_busy),
    Scenario(dialled_and_manager_does_not_answer),
    Scenario(dialled_and_manager_is_busy),
    Scenario(dialled_and_manager_rejects),
    Scenario(dialled_and_manager_is_not_there),
    Scenario(dialled_and_cancelled_while_the_manager_rings),
    Scenario(dialled_and_cancelled_while_the_client_rings),
    Scenario(from_outside_straight_to_a_phone),
    Scenario(from_outside_to_a_phone_that_does_not_answer),
    Scenario(from_one_phone_to_another),
)
