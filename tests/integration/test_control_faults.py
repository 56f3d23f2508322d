"""Handing on, holding, parking and hearing calls of a scripted PBX: each deed to its end, and lost answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.crm.access import Actor, load_actor
from hub.crm.models import audit
from hub.demo.pbx import Phone, ScriptedPbx
from hub.errors import Conflict
from hub.store.engine import Database
from hub.telephony.control import handing, intents, supervision
from hub.telephony.control.intents import Intent
from hub.telephony.control.numbers import DialRules
from hub.telephony.models import call_intents
from hub.telephony.reading import parked, register
from tests.integration.test_pbx_service import Office
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database

RULES = DialRules(region="RU")


class House(Office):
    """The office, and an administrator with a phone of her own."""

    admin: Actor


@pytest.fixture
async def office(db: Database) -> AsyncIterator[House]:
    async with ScriptedPbx(speed=20, ring_s=6) as pbx:
        pbx.outside = Phone(answers_after_s=1)
        one = House(db, pbx)
        await one.open()
        yield one
        await one.stop()


async def talk(office: House, number: str = "84951234567") -> int:
    office.pbx.call_in(number)
    taken = await office.take()
    await office.call(id=taken.ref_id, state="talking")
    return taken.ref_id


async def ask(office: House, deed: Callable[..., Awaitable[int]], *args: Any, **more: Any) -> Intent:
    """Ask, and wait until it is settled."""
    if deed is not handing.retrieve:
        more.setdefault("request_id", f"r{utc_now().timestamp()}")
    async with office.db.begin() as conn:
        intent_id = await deed(conn, more.pop("actor", office.actor), *args, now=utc_now(), **more)
    await office.intent_state(intent_id)
    return await intent(office, intent_id)


async def intent(office: House, intent_id: int) -> Intent:
    async with office.db.read() as conn:
        row = (await conn.execute(sa.select(*intents.COLUMNS).where(call_intents.c.id == intent_id))).mappings().one()
    return Intent(**row)


async def legs(office: House, call_id: int, extension: str, *, up: bool) -> None:
    """Wait until a phone is, or is no more, in the call."""

    async def seen() -> bool:
        async with office.db.read() as conn:
            call = await register.find(conn, office.admin, call_id)
        here = any(leg.extension == extension and leg.left_at is None and leg.answered_at for leg in call.legs)
        return here == up

    await wait_for(seen, what=f"{extension} is {'in' if up else 'out of'} the call", deadline_s=15)


@pytest.fixture(autouse=True)
async def admin(office: House) -> None:
    about = {"email": "o@hub.test", "name": "Ольга", "role": "admin", "password_hash": "x", "extension": "103"}
    async with office.db.begin() as conn:
        user_id = await people.add_user(conn, **about, now=utc_now())  # type: ignore[arg-type]
        found = await load_actor(conn, user_id)
    assert found
    office.admin = found


async def test_each_deed_is_done_once_and_the_call_goes_where_it_was_sent(office: House) -> None:
    call_id = await talk(office)
    # hold, and off again
    assert (await ask(office, handing.hold, call_id)).state == "sent"
    await office.call(id=call_id, state="held")
    assert (await ask(office, handing.unhold, call_id)).state == "sent"
    await office.call(id=call_id, state="talking")
    # asked first, given up, asked again, brought together
    for end in (handing.cancel, handing.complete):
        asked = await ask(office, handing.transfer, call_id, to="102", kind="attended", rules=RULES)
        assert (asked.state, asked.target) == ("sent", "102")
        await legs(office, call_id, "102", up=True)
        assert (await ask(office, end, call_id)).state == "sent"
        await legs(office, call_id, "102" if end is handing.cancel else "101", up=False)
    await legs(office, call_id, "102", up=True)
    sent = [one["action"] for one in office.pbx.journal if one["action"] not in ("CoreShowChannels",)]
    assert sent.count("Atxfer") == 2
    assert sent.count("PlayDTMF") == sent.count("CancelAtxfer") == 1


async def test_a_parked_client_is_taken_up_and_handed_on_to_a_number_outside(office: House) -> None:
    call_id = await talk(office)
    assert (await ask(office, handing.park, call_id)).state == "sent"
    await legs(office, call_id, "101", up=False)
    async with office.db.read() as conn:
        assert [one.id for one in await parked.parked_calls(conn, office.actor)] == [call_id]
    assert (await ask(office, handing.retrieve, call_id)).state == "sent"
    await legs(office, call_id, "101", up=True)
    async with office.db.read() as conn:
        assert await parked.parked_calls(conn, office.actor) == []
    asked = await ask(office, handing.transfer, call_id, to="8 495 123-00-00", kind="blind", rules=RULES)
    assert (asked.state, asked.number, asked.target) == ("sent", "+74951230000", None)
    await legs(office, call_id, "101", up=False)


async def test_a_supervisor_is_heard_of_in_the_audit_and_nowhere_else(office: House) -> None:
    call_id = await talk(office)
    heard = await ask(office, supervision.supervise, call_id, "listen", actor=office.admin)
    assert heard.state == "sent"
    rung = next(one for one in office.pbx.journal if one.get("context") == "hub-spy")
    assert (rung["exten"], rung["hub_spy"], rung["channel"]) == ("listen", heard.channel, "PJSIP/103")
    assert "application" not in rung
    row = await office.scalar(sa.select(audit.c.details).where(audit.c.action == "call.listened"))
    assert row["extension"] == "101"
    assert await office.scalar(sa.select(sa.func.count()).where(audit.c.user_id == office.admin.user_id)) == 1
    await legs(office, call_id, "101", up=True)
    await legs(office, call_id, "103", up=False)


@pytest.mark.parametrize("action", ["BlindTransfer", "Redirect", "Park"])
async def test_an_answer_that_was_lost_is_unknown_and_nothing_is_asked_twice(office: House, action: str) -> None:
    call_id = await talk(office)
    office.pbx.lose_response_to(action)
    deeds: dict[str, Callable[[], Awaitable[Intent]]] = {
        "BlindTransfer": lambda: ask(office, handing.transfer, call_id, to="102", kind="blind", rules=RULES),
        "Redirect": lambda: ask(office, handing.hold, call_id),
        "Park": lambda: ask(office, handing.park, call_id),
    }
    assert (await deeds[action]()).state == "unknown"
    await office.until_state("up")
    await office.stop()
    await office.start()
    assert sum(one["action"] == action for one in office.pbx.journal) == 1, "neither after the cut nor by a new process"


async def test_what_the_pbx_never_got_is_refused_and_not_done_later(office: House) -> None:
    call_id = await talk(office)
    office.pbx.lose_response_to("Setvar")
    refused = await ask(office, handing.hold, call_id)
    assert refused.state == "refused", "only a variable was asked for: nobody's call was touched"
    await office.until_state("up")
    await office.stop()
    async with office.db.begin() as conn:
        late = await handing.park(conn, office.actor, call_id, request_id="late", now=utc_now() - timedelta(minutes=1))
        begun = await handing.hold(conn, office.actor, call_id, request_id="begun", now=utc_now())
        assert await intents.start(conn, begun, now=utc_now())
    await office.start()
    assert await office.intent_state(late) == "refused"
    assert (await intent(office, late)).reason == "too_late"
    assert (await office.intent_state(begun), (await intent(office, begun)).reason) == ("unknown", "interrupted")
    assert {"Park", "Redirect"} & {one["action"] for one in office.pbx.journal} == set()


async def test_the_same_click_twice_is_one_intent_and_two_deeds_at_once_are_refused(office: House) -> None:
    call_id = await talk(office)
    async with office.db.begin() as conn:
        clicks = [
            await handing.transfer(
                conn, office.actor, call_id, to="102", kind="attended", request_id="one", rules=RULES, now=utc_now()
            )
            for _ in range(2)
        ]
    assert clicks[0] == clicks[1]
    for deed, code in ((handing.complete, None), (handing.unhold, "not_held")):
        async with office.db.begin() as conn:
            if code is None:
                await deed(conn, office.actor, call_id, request_id="two", now=utc_now())
            else:
                with pytest.raises(Conflict) as refused:
                    await deed(conn, office.actor, call_id, request_id="three", now=utc_now())
                assert refused.value.code == code
