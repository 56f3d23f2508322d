"""One PBX at work under faults: lost answers, cuts, restarts. A scripted PBX on a real socket, both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, people, queue
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.crm.models import queue_items
from hub.demo.pbx import Phone, ScriptedPbx
from hub.store.engine import Database
from hub.telephony.control import control
from hub.telephony.control.numbers import DialRules
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import call_intents, calls, pbx_states
from hub.telephony.service import PbxService
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database


class Office:
    """A team of one manager on a scripted PBX, with Hub's service running; `restart` is another process of Hub."""

    def __init__(self, db: Database, pbx: ScriptedPbx) -> None:
        self.db, self.pbx = db, pbx
        self._task: asyncio.Future[None] | None = None

    async def open(self) -> None:
        async with self.db.begin() as conn:
            user_id = await people.add_user(
                conn,
                email="anna@hub.test",
                name="Анна",
                role="manager",
                password_hash="x",
                team_names=["sales", "support"],
                extension="101",
                now=utc_now(),
            )
            actor = await load_actor(conn, user_id)
            teams = {f"hub-{name}": team_id for team_id, name in (await people.team_names(conn)).items()}
        assert actor
        self.actor: Actor = actor
        self.intake = CallIntake(self.db, Linker("RU"), teams)
        await self.start()

    async def start(self) -> None:
        self._task = asyncio.ensure_future(PbxService(self.db, self.pbx.settings(), self.intake).run())
        await self.until_state("up")

    async def stop(self) -> None:
        assert self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until_state(self, state: str) -> None:
        async def reached() -> bool:
            return (await self.scalar(sa.select(pbx_states.c.state))) == state

        await wait_for(reached, what=f"the PBX is {state}", deadline_s=20)

    async def scalar(self, query: Any) -> Any:
        async with self.db.read() as conn:
            return (await conn.execute(query)).scalar()

    async def call(self, **wanted: Any) -> Any:
        async def found() -> Any:
            async with self.db.read() as conn:
                rows = (await conn.execute(sa.select(calls))).mappings().all()
            return next((r for r in rows if wanted.items() <= dict(r).items()), None)

        return await wait_for(found, what=f"a call with {wanted}", deadline_s=20)

    async def waiting(self) -> queue.Item:
        async def found() -> list[queue.Item]:
            async with self.db.read() as conn:
                return await queue.listed(conn, self.actor, state="waiting")

        return (await wait_for(found, what="somebody waits", deadline_s=20))[0]

    async def take(self) -> queue.Item:
        item = await self.waiting()
        async with self.db.begin() as conn:
            taken = await queue.claim(conn, self.actor, item.id, now=utc_now())
            await control.take(conn, self.actor, taken, now=utc_now())
        return taken

    async def dial(self, *, request_id: str = "click") -> int:
        async with self.db.begin() as conn:
            return await control.dial(
                conn,
                self.actor,
                to="8 495 123-45-67",
                client_id=None,
                contact_id=None,
                request_id=request_id,
                pbx="office",
                rules=DialRules(region="RU"),
                now=utc_now(),
            )

    async def intent_state(self, intent_id: int) -> str:
        async def settled() -> str:
            state = await self.scalar(sa.select(call_intents.c.state).where(call_intents.c.id == intent_id))
            return "" if state in ("new", "sending") else str(state)

        return await wait_for(settled, what="the intent is settled", deadline_s=20)

    def dials(self) -> int:
        return sum(action["action"] == "Originate" for action in self.pbx.journal)


@pytest.fixture
async def office(db: Database) -> AsyncIterator[Office]:
    async with ScriptedPbx(speed=10) as pbx:
        one = Office(db, pbx)
        await one.open()
        yield one
        await one.stop()


async def test_one_click_is_one_dial_also_when_the_answer_is_lost(office: Office) -> None:
    office.pbx.outside = Phone(answers_after_s=1, hangs_up_after_s=None)
    office.pbx.lose_response_to("Originate")
    intent = await office.dial()
    assert await office.intent_state(intent) == "unknown"
    call = await office.call(state="talking", direction="outbound")
    await office.until_state("up")
    assert await office.dial() == intent, "the page's second try is the same click"
    assert office.dials() == 1
    await office.stop()
    await office.start()
    assert office.dials() == 1, "nor does a new process dial again"
    assert (await office.call(state="talking"))["id"] == call["id"]


async def test_a_take_whose_answer_is_lost_still_ends_in_a_talk(office: Office) -> None:
    office.pbx.call_in("84951234567")
    office.pbx.lose_response_to("QueueWithdrawCaller")
    taken = await office.take()
    call = await office.call(state="talking")
    assert (call["answered_user_id"], call["id"]) == (office.actor.user_id, taken.ref_id)
    assert sum(a["action"] == "QueueWithdrawCaller" for a in office.pbx.journal) == 1


async def test_a_call_that_lives_through_a_cut_keeps_identity_claim_and_note(office: Office) -> None:
    scripted = office.pbx.call_in("84951234567")
    taken = await office.take()
    before = await office.call(state="talking")
    async with office.db.begin() as conn:
        await conn.execute(sa.update(calls).values(note="договорились"))
    office.pbx.cut()
    await office.until_state("down")
    await office.until_state("up")
    scripted.hang_up()
    after = await office.call(state="ended")
    assert (after["id"], after["note"], after["outcome"]) == (before["id"], "договорились", "answered")
    assert (after["answered_user_id"], after["id"]) == (office.actor.user_id, taken.ref_id)


@pytest.mark.parametrize("is_answered_unseen", [False, True])
async def test_a_call_that_is_taken_while_hub_restarts_is_held_once_it_is_talked(
    office: Office, is_answered_unseen: bool
) -> None:
    office.pbx.phones["101"] = Phone(answers_after_s=12)
    office.pbx.call_in("84951234567")
    taken = await office.take()
    await office.call(id=taken.ref_id, state="connecting")
    await office.stop()
    if is_answered_unseen:
        await wait_for(lambda: _talks(office), what="they speak", deadline_s=20)
    await office.start()
    call = await office.call(id=taken.ref_id, state="talking")

    async def held() -> bool:
        row = sa.select(queue_items.c.id).where(queue_items.c.id == taken.id, queue_items.c.lease_until.is_(None))
        return await office.scalar(row.where(queue_items.c.claim_id == taken.claim_id)) is not None

    await wait_for(held, what="the lease is a hold: nobody gives the call back to the team", deadline_s=5)
    assert call["answered_user_id"] == office.actor.user_id
    await office.stop()
    await office.start()
    assert await held(), "nor does another restart"


async def _talks(office: Office) -> bool:
    return any(channel.bridge for channel in office.pbx._switch.channels)


async def test_a_take_that_was_given_back_before_it_went_out_moves_nobody(office: Office) -> None:
    office.pbx.call_in("84951234567")
    item = await office.waiting()
    async with office.db.begin() as conn:
        taken = await queue.claim(conn, office.actor, item.id, now=utc_now())
        intent = await control.take(conn, office.actor, taken, now=utc_now())
        await queue.release(conn, office.actor, item.id, now=utc_now())
    assert await office.intent_state(intent) == "refused"
    assert not any(action["action"] == "QueueWithdrawCaller" for action in office.pbx.journal)
    assert (await office.waiting()).id == item.id


async def test_a_call_that_ended_unseen_ends_as_estimated_and_its_caller_is_called_back(office: Office) -> None:
    scripted = office.pbx.call_in("84951234567")
    await office.waiting()
    await office.stop()
    scripted.hang_up()
    await scripted.over.wait()
    await office.start()
    call = await office.call(state="ended")
    assert (call["estimated"], call["outcome"]) == (True, "abandoned")
    item = await office.waiting()
    assert (item.kind, item.data["reason"]) == ("lead", "callback")


async def test_a_waiting_caller_is_offered_once_however_often_hub_restarts(office: Office) -> None:
    office.pbx.call_in("84951234567", name="ROMASHKA")
    item = await office.waiting()
    for _ in range(2):
        await office.stop()
        await office.start()
    again = await office.waiting()
    assert (again.id, again.queued_at, again.title) == (item.id, item.queued_at, item.title)
    assert (await office.call())["did"] == "74950000100"
    await office.take()
    await office.call(state="talking")


async def test_a_restarted_pbx_ends_all_its_calls_once(office: Office) -> None:
    office.pbx.call_in("84951234567")
    await office.waiting()
    await office.pbx.restart()
    call = await office.call(state="ended")
    assert call["estimated"]
    office.pbx.call_in("84957654321")
    await office.call(state="waiting", from_number="+74957654321")


async def test_a_click_while_the_pbx_is_away_is_refused_and_dials_nothing_later(office: Office) -> None:
    office.pbx.freeze()
    office.pbx.cut()
    await office.until_state("down")
    intent = await office.dial()
    assert await office.intent_state(intent) == "refused"
    office.pbx.freeze(False)
    await office.until_state("up")
    assert office.dials() == 0


async def test_taking_while_the_pbx_is_away_gives_the_caller_back_to_the_team(office: Office) -> None:
    office.pbx.call_in("84951234567")
    await office.waiting()
    office.pbx.freeze()
    office.pbx.cut()
    await office.until_state("down")
    taken = await office.take()
    back = await office.waiting()
    assert (back.id, back.queued_at) == (taken.id, taken.queued_at)


async def test_a_known_clients_name_stands_in_the_queue_and_the_call_on_the_card(office: Office) -> None:
    async with office.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
        await clients.add_address(conn, None, client_id, kind="phone", raw="8 (495) 123-45-67", now=utc_now())
    office.pbx.call_in("+74951234567")
    item = await office.waiting()
    assert (item.title, item.client_id) == ("Ромашка", client_id)


async def test_hanging_up_from_the_page_ends_the_call(office: Office) -> None:
    office.pbx.call_in("84951234567")
    await office.take()
    call = await office.call(state="talking")
    async with office.db.begin() as conn:
        await control.hang_up(conn, office.actor, call["id"], now=utc_now())
    assert (await office.call(state="ended"))["outcome"] == "answered"


async def test_an_answer_that_does_not_come_delays_nobody_elses_take(office: Office) -> None:
    office.pbx.outside = Phone(answers_after_s=1, hangs_up_after_s=None)
    office.pbx.never_answer("Originate", times=3)
    dials = [await office.dial(request_id=f"click-{n}") for n in range(3)]
    office.pbx.call_in("84951234567")
    taken = await office.take()
    answered = await office.call(id=taken.ref_id, state="talking")
    # Each lost answer is waited for 5 s, and a take is too late after as long.
    states = [await office.intent_state(intent_id) for intent_id in dials]
    settled_at = await office.scalar(
        sa.select(sa.func.min(call_intents.c.settled_at)).where(call_intents.c.kind == "dial")
    )
    assert states == ["unknown"] * 3
    assert answered["answered_at"] < settled_at
    assert office.dials() == 3


async def test_what_is_asked_of_one_call_is_sent_in_order(office: Office) -> None:
    office.pbx.call_in("84951234567")
    taken = await office.take()
    await office.call(id=taken.ref_id, state="talking")
    office.pbx.never_answer("Hangup")
    async with office.db.begin() as conn:
        first = await control.hang_up(conn, office.actor, taken.ref_id, now=utc_now())
        second = await control.hang_up(conn, office.actor, taken.ref_id, now=utc_now())
    assert [await office.intent_state(one) for one in (first, second)] == ["unknown", "refused"]
    sent = [action["action"] for action in office.pbx.journal if action["action"] == "Hangup"]
    assert len(sent) == 1, "the second waited for the first one's answer, and was too late"
