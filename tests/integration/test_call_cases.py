"""Streams of kinds that were told wrong once, from the first frame to the row, the card and the call-back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hub.clock import utc_now
from hub.crm import clients, queue
from hub.crm.linking import Linker
from hub.store.engine import Database
from hub.telephony.intake.intake import LONGEST_UNHEARD, CallIntake
from hub.telephony.reading.call_kind import CallRow
from hub.telephony.tracking.calls import CallEnded, CallOffered, Effect
from hub.telephony.tracking.tracker import CallTracker
from tests.factories import calls_of
from tests.integration.test_call_intake import CALLER, T0, WAITING
from tests.integration.test_callbacks import Company, ended
from tests.unit.ami_script import BOOT, START, read_stream, replay
from tests.unit.test_callers import RULES, case
from tests.unit.told import INTERNAL

pytestmark = pytest.mark.either_database

AMI = Path(__file__).parents[1] / "data" / "ami"
NUMBER = "+74951234567"


@pytest.fixture
async def company(db: Database) -> Company:
    return await Company(db).open()


async def told(company: Company, name: str) -> CallRow:
    """Store a stream frame by frame, as it comes, and return its call."""
    tracker = CallTracker(replace(RULES, pbx="office"), boot=BOOT)
    for at, frame in enumerate(case(name)):
        effects: list[Effect] = tracker.handle(frame, now=START + timedelta(seconds=at))
        await company.intake.store(effects, now=START + timedelta(seconds=at))
    async with company.db.read() as conn:
        (call,) = await calls_of(conn, company.people["anna"])
    return call


async def client_of(company: Company) -> int:
    async with company.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=T0)
        await clients.add_address(conn, None, client_id, kind="phone", raw=NUMBER, now=T0)
    return client_id


@pytest.mark.parametrize("name", ["originate_of_the_phone", "analog_phone_dials", "nine_for_an_outside_line"])
async def test_an_outbound_call_is_on_its_clients_card_wherever_the_number_stands(company: Company, name: str) -> None:
    client_id = await client_of(company)
    call = await told(company, name)
    assert (call.direction, call.to_number, call.client_id) == ("outbound", NUMBER, client_id)


@pytest.mark.parametrize("name", ["iax_decimal_call_number", "freepbx_browser_phone"])
async def test_who_answered_is_the_manager_of_the_phone_that_was_rung(company: Company, name: str) -> None:
    call = await told(company, name)
    assert (call.answered_extension, call.answered_user_id) == ("101", company.people["anna"].user_id)


async def test_given_up_in_another_teams_queue_after_a_talk_is_that_teams_call_back(company: Company) -> None:
    client_id = await client_of(company)
    await told(company, "transferred_to_a_queue_and_given_up")
    async with company.db.read() as conn:
        items = await queue.listed(conn, company.people["boris"], state="waiting")
        others = await queue.listed(conn, company.people["anna"], state="waiting")
    (item,) = items
    assert (item.data["reason"], item.address, item.client_id) == ("callback", NUMBER, client_id)
    assert item.team_id == company.teams["support"]
    assert others == []


async def test_who_is_handed_over_into_a_teams_queue_is_offered_to_that_team_however_the_frames_are_stored(
    company: Company,
) -> None:
    """The phone that hands over is still in the bridge when the caller stands in the queue already."""
    rules = replace(RULES, pbx="office", internal_contexts=INTERNAL)
    tracker = CallTracker(rules, boot=BOOT)
    for at, frame in enumerate(read_stream(AMI / "attended_transfer_to_a_teams_queue_and_given_up.txt")):
        if frame.get("Event") == "QueueCallerLeave":
            break
        now = START + timedelta(milliseconds=at)
        await company.intake.store(tracker.handle(frame, now=now), now=now)
    async with company.db.read() as conn:
        (item,) = await queue.listed(conn, company.people["boris"], state="waiting")
    assert (item.kind, item.owner_id) == ("call", None)


async def test_the_talk_before_the_transfer_closes_no_call_back_of_the_transfer(company: Company) -> None:
    """All of the call in one batch, as after a slow database: the answer comes before the giving up."""
    tracker = CallTracker(replace(RULES, pbx="office"), boot=BOOT)
    effects = replay(case("transferred_to_a_queue_and_given_up"), tracker=tracker)
    await company.intake.store(effects, now=START)
    await company.intake.store(effects, now=START)
    async with company.db.read() as conn:
        (item,) = await queue.listed(conn, company.people["boris"], state="waiting")
    assert item.data["reason"] == "callback"


async def test_talked_transferred_and_talked_again_owes_nobody_a_call(company: Company) -> None:
    await company.see(CallOffered(WAITING, again=False), CallEnded(ended("answered")))
    async with company.db.read() as conn:
        assert await queue.listed(conn, company.people["anna"], state="waiting") == []


@pytest.mark.parametrize("unheard", [timedelta(minutes=2), timedelta(hours=9)])
async def test_who_gave_up_while_hub_was_dead_has_a_waiting_time_and_a_result(
    company: Company, unheard: timedelta
) -> None:
    await company.see(CallOffered(WAITING, again=False))
    heard = T0 + timedelta(seconds=30)
    await company.intake.end_vanished("office", set(), now=heard + unheard, heard_until=heard)
    async with company.db.read() as conn:
        (call,) = await calls_of(conn, company.people["anna"])
    assert call.outcome == "abandoned"
    waited = timedelta(seconds=30) + min(unheard, LONGEST_UNHEARD)
    assert call.wait_s == waited.total_seconds()
    (leg,) = call.legs
    assert (leg.result, leg.left_at) == ("cancelled", T0 + waited)


async def test_a_talk_that_ended_while_hub_was_dead_keeps_its_answer(db: Database, company: Company) -> None:
    answered_at = T0 + timedelta(seconds=10)
    talking = replace(
        WAITING, state="talking", answered_at=answered_at, wait_s=10.0, legs=(replace(CALLER, answered_at=answered_at),)
    )
    intake = CallIntake(db, Linker("RU"), {"hub-sales": company.teams["sales"]})
    await intake.store([CallOffered(talking, again=False)], now=T0)
    await intake.end_vanished("office", set(), now=utc_now(), heard_until=answered_at)
    async with db.read() as conn:
        (call,) = await calls_of(conn, company.people["anna"])
    assert (call.outcome, call.wait_s, call.talk_s) == ("answered", 10.0, LONGEST_UNHEARD.total_seconds())
    assert call.legs[0].result == "answered"
