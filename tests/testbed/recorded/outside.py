"""Recorded: calls whose number, caller or phone stands elsewhere than in the first channel's birth."""

from __future__ import annotations

from tests.testbed.ami import HUNG_UP, IN_TALK, JOINED, RINGS, Ami
from tests.testbed.asterisk import Asterisk
from tests.testbed.recorded.scenario import Scenario
from tests.testbed.recorded.transfers import OUTSIDE, STRANGER, talking
from tests.testbed.sipp import caller, phone
from tests.testbed.within import dialog_of, hold, refer

TO_TENANT, TO_DESK_AND_BROWSER, TO_PUT_RIGHT, TO_MOBILE_AS_COMPANY = (f"7495000028{last}" for last in "0123")


async def _originate(ami: Ami, channel: str, exten: str, number: str) -> None:
    """Have another program ring a channel first and send it to an extension, as CRM plug-ins do."""
    await ami.send(
        "Originate", Channel=channel, Context="internal", Exten=exten, Priority="1", CallerID=number,
        Timeout="4000", Async="true",
    )  # fmt: skip


async def originated_by_another_program(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", talk_ms=700):
        await _originate(ami, "PJSIP/101", OUTSIDE, OUTSIDE)
        await ami.count(HUNG_UP, 2)


async def originated_by_another_program_and_the_phone_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"):
        await _originate(ami, "PJSIP/101", OUTSIDE, OUTSIDE)
        await ami.count(HUNG_UP, 1)


async def originated_by_a_local_channel(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", talk_ms=700):
        await _originate(ami, "Local/101@internal", OUTSIDE, OUTSIDE)
        await ami.count(HUNG_UP, 4)


async def client_rung_first_then_the_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk"), phone(asterisk, "101", talk_ms=700):
        await _originate(ami, f"PJSIP/{OUTSIDE}@trunk", "101", "74950000100")
        await ami.count(HUNG_UP, 2)


async def client_rung_first_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", "busy"):
        await _originate(ami, f"PJSIP/{OUTSIDE}@trunk", "101", "74950000100")
        await ami.count(HUNG_UP, 1)


async def nine_for_an_outside_line(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", talk_ms=700), caller(asterisk, "101", did=f"9{OUTSIDE}", line="101"):
        await ami.count(HUNG_UP, 2)


async def number_put_right_and_named_by_the_dialplan(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=700), caller(asterisk, "4951234567", did=TO_PUT_RIGHT):
        await ami.count(HUNG_UP, 2)


async def led_to_a_mobile_under_the_companys_number(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "trunk", talk_ms=700), caller(asterisk, STRANGER, did=TO_MOBILE_AS_COMPANY):
        await ami.count(HUNG_UP, 2)


async def phone_with_a_tenants_name(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "acme-101", talk_ms=700), caller(asterisk, STRANGER, did=TO_TENANT):
        await ami.count(HUNG_UP, 2)


async def browser_phone_answers_beside_the_desk_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", "no_answer"),
        phone(asterisk, "99101", "late", talk_ms=700),
        caller(asterisk, STRANGER, did=TO_DESK_AND_BROWSER),
    ):
        await ami.count(HUNG_UP, 3)


async def blind_transfer_to_a_teams_queue_and_given_up(asterisk: Asterisk, ami: Ami) -> None:
    async with talking(asterisk, ami) as (desk, stranger):
        await refer(asterisk, desk, "620")
        await ami.count(JOINED, 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def attended_transfer_to_a_teams_queue_and_given_up(asterisk: Asterisk, ami: Ami) -> None:
    """The phone asks in the other team's queue and hands the caller over while it waits there."""
    async with talking(asterisk, ami) as (desk, stranger):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="620", line="101") as consult:
            await ami.count(JOINED, 1)
            await refer(asterisk, desk, "620", replaces=await dialog_of(consult))
            await ami.count(HUNG_UP, 2)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 3)


async def attended_transfer_to_a_ring_group(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        talking(asterisk, ami) as (desk, _),
        phone(asterisk, "102", "no_answer"),
        phone(asterisk, "103", talk_ms=2000),
    ):
        await hold(asterisk, desk)
        async with caller(asterisk, "101", did="600", line="101") as consult:
            await ami.count(RINGS, 2)
            await ami.count(IN_TALK, 4)
            await refer(asterisk, desk, "600", replaces=await dialog_of(consult))
            await ami.count(HUNG_UP, 5)


SCENARIOS = (
    *map(
        Scenario,
        (
            originated_by_another_program,
            originated_by_another_program_and_the_phone_does_not_answer,
            originated_by_a_local_channel,
            client_rung_first_then_the_phone,
            client_rung_first_is_busy,
            nine_for_an_outside_line,
            number_put_right_and_named_by_the_dialplan,
            led_to_a_mobile_under_the_companys_number,
            blind_transfer_to_a_teams_queue_and_given_up,
            attended_transfer_to_a_teams_queue_and_given_up,
            attended_transfer_to_a_ring_group,
        ),
    ),
    Scenario(phone_with_a_tenants_name, phones=("acme-101",)),
    Scenario(browser_phone_answers_beside_the_desk_phone, phones=("101", "99101")),
)
