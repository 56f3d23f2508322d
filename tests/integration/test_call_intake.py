"""From the tracker's effects to register, card, queue and leads, on both databases."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import claim_expiry, clients, leads, people, queue, timeline
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.errors import Conflict, Refused
from hub.store.engine import Database
from hub.telephony.control import control
from hub.telephony.control.numbers import DialRules
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import call_intents, calls
from hub.telephony.reading import register
from hub.telephony.reading.call_kind import CallRow
from hub.telephony.tracking.calls import (
    Announced,
    Call,
    CallChanged,
    CallEnded,
    CallOffered,
    Channel,
    ClaimConnected,
    ClaimFailed,
    Effect,
    Leg,
)
from tests.factories import calls_of, leads_of

T0 = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CALLER = Leg(Channel("PJSIP/trunk-1"), "100.1", None, "84951234567", "caller", rang_at=T0)
WAITING = Call(
    pbx="office",
    boot="b1",
    linked_id="100.1",
    direction="inbound",
    state="waiting",
    started_at=T0,
    from_raw="84951234567",
    from_name="ROMASHKA",
    to_raw="74950000000",
    did="74950000000",
    queue="hub-sales",
    queue_channel=Channel("PJSIP/trunk-1"),
    legs=(CALLER,),
)


class Room:
    """A team, its manager and the intake: what each scenario starts from."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def open(self) -> Room:
        async with self.db.begin() as conn:
            user_id = await people.add_user(
                conn,
                email="anna@hub.test",
                name="Анна",
                role="manager",
                password_hash="x",
                team_names=["sales"],
                extension="101",
                now=T0,
            )
            actor = await load_actor(conn, user_id)
        assert actor is not None
        self.actor: Actor = actor
        (self.team_id,) = actor.team_ids
        self.intake = CallIntake(self.db, Linker("RU"), {"hub-sales": self.team_id})
        return self

    async def see(self, *effects: Effect) -> None:
        await self.intake.store(effects, now=T0 + timedelta(seconds=1))

    async def client(self, name: str = "Ромашка", phone: str = "+7 495 123-45-67") -> int:
        async with self.db.begin() as conn:
            client_id = await clients.create(conn, None, kind="organisation", name=name, now=T0)
            await clients.add_address(conn, None, client_id, kind="phone", raw=phone, now=T0)
        return client_id

    async def waiting(self) -> list[queue.Item]:
        async with self.db.read() as conn:
            return await queue.listed(conn, self.actor, state="waiting")

    async def held(self) -> list[queue.Item]:
        async with self.db.read() as conn:
            return await queue.listed(conn, self.actor, state="claimed", mine=True)

    async def take(self) -> queue.Item:
        (item,) = await self.waiting()
        async with self.db.begin() as conn:
            taken = await queue.claim(conn, self.actor, item.id, now=utc_now())
            await control.take(conn, self.actor, taken, now=utc_now())
        return taken

    async def colleague(self, name: str, extension: str) -> Actor:
        async with self.db.begin() as conn:
            user_id = await people.add_user(
                conn,
                email=f"{extension}@hub.test",
                name=name,
                role="manager",
                password_hash="x",
                team_names=["sales"],
                extension=extension,
                now=T0,
            )
            actor = await load_actor(conn, user_id)
        assert actor is not None
        return actor

    async def only_call(self) -> CallRow:
        async with self.db.read() as conn:
            (call,) = await calls_of(conn, self.actor)
        return call


@pytest.fixture
async def room(db: Database) -> Room:
    return await Room(db).open()


def grown(call: Call, **changes: Any) -> Call:
    return dataclasses.replace(call, **changes)


async def test_a_waiting_caller_of_a_known_number_stands_in_the_queue_under_the_clients_name(room: Room) -> None:
    client_id = await room.client()
    await room.see(CallChanged(WAITING), CallOffered(WAITING, again=False))
    (item,) = await room.waiting()
    assert (item.title, item.client_id, item.address, item.data["lead_id"]) == (
        "Ромашка",
        client_id,
        "+74951234567",
        None,
    )
    async with room.db.read() as conn:
        (entry,) = await timeline.page(conn, None, client_id)
    assert (entry.kind, entry.data["state"]) == ("call", "waiting")


async def test_an_unknown_caller_becomes_one_lead_however_often_it_is_told(room: Room) -> None:
    for _ in range(3):
        await room.see(CallOffered(WAITING, again=False))
    (item,) = await room.waiting()
    async with room.db.read() as conn:
        (lead,) = await leads_of(conn, room.actor)
    assert item.data["lead_id"] == lead.id
    assert (lead.times, lead.reason, lead.address) == (1, "new", "+74951234567")


async def test_taken_and_talked_the_call_stands_on_the_card_with_length_legs_and_manager(room: Room) -> None:
    client_id = await room.client()
    await room.see(CallOffered(WAITING, again=False))
    taken = await room.take()
    answered = T0 + timedelta(seconds=8)
    manager = Leg(Channel("PJSIP/101-2"), "100.2", "101", None, "callee", T0, answered, None, "answered")
    talking = grown(
        WAITING,
        state="talking",
        answered_at=answered,
        wait_s=8.0,
        answered_extension="101",
        claim_id=taken.claim_id,
        claim_extension="101",
        manager_channel=Channel("PJSIP/101-2"),
        legs=(CALLER, manager),
    )
    assert taken.claim_id
    await room.see(CallChanged(talking), ClaimConnected(talking, taken.claim_id))
    async with room.db.read() as conn:
        live = await register.current(conn, room.actor)
    assert live is not None
    ended = grown(talking, state="ended", outcome="answered", ended_at=answered + timedelta(seconds=30), talk_s=30.0)
    await room.see(CallEnded(ended))
    call = await room.only_call()
    assert (call.outcome, call.talk_s, call.answered_user_name, call.client_id) == ("answered", 30.0, "Анна", client_id)
    assert [(leg.role, leg.extension, leg.user_name) for leg in call.legs] == [
        ("caller", None, None),
        ("callee", "101", "Анна"),
    ]
    async with room.db.read() as conn:
        (entry,) = await timeline.page(conn, None, client_id)
        assert await register.current(conn, room.actor) is None
    assert (entry.data["talk_s"], entry.data["manager"]) == (30.0, "Анна")
    assert await room.held() == []


async def test_a_stranger_who_was_answered_stays_with_the_manager_as_a_lead(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    taken = await room.take()
    ended = grown(
        WAITING,
        state="ended",
        outcome="answered",
        answered_at=T0,
        ended_at=T0 + timedelta(seconds=5),
        answered_extension="101",
        claim_id=taken.claim_id,
    )
    await room.see(CallEnded(ended))
    (held,) = await room.held()
    assert (held.kind, held.data["reason"]) == ("lead", "new")
    async with room.db.read() as conn:
        assert (await leads.find(conn, held.ref_id, actor=room.actor)).owner_name == "Анна"


async def test_when_the_managers_phone_does_not_answer_the_caller_is_first_in_line_again(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    later = grown(WAITING, linked_id="200.1", started_at=T0 + timedelta(seconds=1))
    taken = await room.take()
    await room.see(CallOffered(later, again=False))
    assert taken.claim_id
    await room.see(ClaimFailed(WAITING, taken.claim_id, "NOANSWER"), CallOffered(WAITING, again=True))
    assert (await room.waiting())[0].id == taken.id
    assert await room.held() == []


async def test_a_caller_told_late_to_wait_is_not_taken_from_who_has_just_taken_them(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    taken = await room.take()
    await room.see(CallOffered(WAITING, again=True))  # what a restarted Hub found before the click
    assert [item.claim_id for item in await room.held()] == [taken.claim_id]
    # Talked, and back in the queue by a transfer, all of it told at once.
    talking = grown(WAITING, state="talking", answered_at=T0, answered_extension="101", claim_id=taken.claim_id)
    assert taken.claim_id
    await room.see(ClaimConnected(talking, taken.claim_id), CallOffered(grown(WAITING, answered_at=T0), again=True))
    assert (await room.waiting())[0].id == taken.id
    assert await room.held() == []


async def test_a_caller_who_hangs_up_is_a_missed_call_and_a_call_back_lead_of_the_team(room: Room) -> None:
    client_id = await room.client()
    await room.see(CallOffered(WAITING, again=False))
    await room.see(CallEnded(grown(WAITING, state="ended", outcome="abandoned", ended_at=T0, wait_s=9.0)))
    (item,) = await room.waiting()
    assert (item.kind, item.data["reason"], item.client_id, item.title) == ("lead", "callback", client_id, "Ромашка")
    again = grown(WAITING, linked_id="300.1")
    await room.see(CallOffered(again, again=False))
    await room.see(CallEnded(grown(again, state="ended", outcome="abandoned", ended_at=T0)))
    assert [i.id for i in await room.waiting()] == [item.id], "one call-back per number"
    talked = grown(WAITING, linked_id="400.1", state="ended", outcome="answered", ended_at=T0, answered_extension="101")
    await room.see(CallEnded(talked))
    assert await room.waiting() == [], "closed by the next answered call"


async def test_a_link_made_by_a_person_is_never_overwritten(room: Room) -> None:
    chosen = await room.client("Лютик", "+7 495 765-43-21")
    await room.see(CallOffered(WAITING, again=False))
    async with room.db.begin() as conn:
        await conn.execute(sa.update(calls).values(client_id=chosen, link_manual=True))
    await room.client("Ромашка")
    await room.see(CallEnded(grown(WAITING, state="ended", outcome="missed", ended_at=T0)))
    assert (await room.only_call()).client_id == chosen


async def test_one_click_is_one_dial_and_the_call_is_on_the_card_it_came_from(room: Room) -> None:
    chosen = await room.client("Лютик")
    await room.client("Ромашка")
    ids = set()
    for _ in range(3):
        async with room.db.begin() as conn:
            ids.add(
                await control.dial(
                    conn,
                    room.actor,
                    to="8 495 123-45-67",
                    client_id=chosen,
                    contact_id=None,
                    request_id="page-1",
                    pbx="office",
                    rules=DialRules(region="RU"),
                    now=T0,
                )
            )
    assert len(ids) == 1
    async with room.db.read() as conn:
        dial_id = (await conn.execute(sa.select(call_intents.c.channel_id))).scalar_one()
    outbound = grown(
        WAITING,
        direction="outbound",
        state="ringing",
        from_raw="101",
        from_extension="101",
        to_raw="+74951234567",
        dial_id=dial_id,
        queue=None,
    )
    await room.see(CallChanged(outbound))
    call = await room.only_call()
    assert (call.client_id, call.to_number, call.from_number) == (chosen, "+74951234567", None)
    assert await room.waiting() == []


@pytest.mark.parametrize("to", ["112", "03", "101", "PJSIP/1&PJSIP/2", "", "+7495\r\nAction: Originate", "*8"])
async def test_what_is_no_ordinary_number_is_never_dialled(room: Room, to: str) -> None:
    async with room.db.begin() as conn:
        with pytest.raises(Refused):
            await control.dial(
                conn,
                room.actor,
                to=to,
                client_id=None,
                contact_id=None,
                request_id="r",
                pbx="office",
                rules=DialRules(region="RU"),
                now=T0,
            )


async def test_a_call_nobody_took_in_time_is_given_back_when_its_lease_runs_out(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    taken = await room.take()
    await claim_expiry.expire(room.db, now=utc_now())
    assert [i.id for i in await room.held()] == [taken.id]
    await claim_expiry.expire(room.db, now=utc_now() + queue.CALL_LEASE + timedelta(seconds=1))
    assert [i.id for i in await room.waiting()] == [taken.id]


def started(claim_id: str, **fields: str) -> Announced:
    words = {"Event": "UserEvent", "UserEvent": "HubClaimStarted", "Claim": claim_id, "Extension": "101", **fields}
    return Announced(grown(WAITING, state="connecting"), "HubClaimStarted", words)


@pytest.mark.parametrize(
    ("ring", "lasts_s"),
    [("90", 115), ("20", 45), ("5", 30), ("100000000", 45), ("86400", 205), ("-1", 45), ("", 45), ("²", 45)],
)
async def test_a_claim_lasts_as_long_as_the_dialplan_says_that_the_phone_rings(
    room: Room, ring: str, lasts_s: int
) -> None:
    await room.see(CallOffered(WAITING, again=False))
    taken = await room.take()
    assert taken.claim_id
    await room.intake.store([started(taken.claim_id, Ring=ring)], now=taken.claimed_at)
    await claim_expiry.expire(room.db, now=taken.claimed_at + timedelta(seconds=lasts_s - 1))
    assert [i.id for i in await room.held()] == [taken.id]
    await claim_expiry.expire(room.db, now=taken.claimed_at + timedelta(seconds=lasts_s + 1))
    assert [i.id for i in await room.waiting()] == [taken.id]


async def test_a_claim_that_ran_out_while_the_phone_rang_is_made_good_when_they_talk(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    first = await room.take()
    assert first.claim_id
    await claim_expiry.expire(room.db, now=utc_now() + queue.CALL_LEASE + timedelta(seconds=1))
    boris = await room.colleague("Борис", "102")
    (item,) = await room.waiting()
    async with room.db.begin() as conn:
        await queue.claim(conn, boris, item.id, now=utc_now())
    talking = grown(WAITING, state="talking", answered_at=T0, answered_extension="101", claim_id=first.claim_id)
    await room.see(ClaimConnected(talking, first.claim_id))
    (held,) = await room.held()
    assert (held.id, held.claim_id, held.lease_until, held.owner_id) == (
        first.id,
        first.claim_id,
        None,
        room.actor.user_id,
    )
    await claim_expiry.expire(room.db, now=utc_now() + timedelta(hours=1))
    assert [i.id for i in await room.held()] == [first.id]


async def test_a_lease_that_became_a_hold_while_it_was_looked_at_does_not_run_out(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    taken = await room.take()
    assert taken.claim_id
    late = utc_now() + timedelta(hours=1)
    async with room.db.read() as conn:
        assert await queue.expired(conn, now=late) == [taken.claim_id]
    await room.see(ClaimConnected(grown(WAITING, state="talking", answered_at=T0), taken.claim_id))
    async with room.db.begin() as conn:
        assert not await queue.take_back(conn, taken.claim_id, reason="no_connection", now=late, only_expired=True)
    assert [i.id for i in await room.held()] == [taken.id]


@pytest.mark.parametrize(("extension", "is_anna"), [("101", True), ("109", False)])
async def test_a_caller_with_whom_a_phone_speaks_waits_for_nobody(room: Room, extension: str, is_anna: bool) -> None:
    """As when the dialplan's fallback rang, or somebody picked the caller up."""
    await room.see(CallOffered(WAITING, again=False))
    leg = Leg(Channel("PJSIP/x-1"), "100.2", extension, None, "callee", rang_at=T0, answered_at=T0)
    talking = grown(WAITING, state="talking", answered_at=T0, answered_extension=extension, legs=(CALLER, leg))
    await room.see(CallChanged(talking))
    assert await room.waiting() == []
    assert len(await room.held()) == is_anna
    await room.see(CallOffered(WAITING, again=True))
    assert len(await room.waiting()) == 1, "back in the queue they wait again"


async def test_taking_a_call_whose_caller_has_gone_is_a_conflict_and_holds_nothing(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    async with room.db.begin() as conn:
        await conn.execute(sa.update(calls).values(state="ended"))
    with pytest.raises(Conflict):
        await room.take()
    assert await room.held() == []


async def test_calls_that_vanished_while_nobody_looked_end_as_estimated(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    assert await room.intake.end_vanished("office", {("b1", "100.1")}, now=utc_now()) == 0
    assert await room.intake.end_vanished("office", set(), now=utc_now()) == 1
    call = await room.only_call()
    assert (call.state, call.outcome, call.estimated) == ("ended", "abandoned", True)
    (item,) = await room.waiting()
    assert item.data["reason"] == "callback"
