"""Missed calls become call-backs of the team, one per number, closed by the next answered call in either direction."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, people, queue
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.crm.models import blocked_callers, phones, queue_items
from hub.crm.models import leads as lead_table
from hub.store.changes import changes
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import call_legs, calls
from hub.telephony.tracking.calls import Call, CallChanged, CallEnded, CallOffered, Channel, Effect, Leg, Outcome
from tests.factories import leads_of
from tests.integration.test_call_intake import T0, WAITING

NUMBER = "+74951234567"
OUTSIDE = WAITING.legs[0]


def phone_leg(extension: str, *, answered: bool, uniqueid: str = "100.2") -> Leg:
    result = "answered" if answered else "no_answer"
    at = T0 + timedelta(seconds=5) if answered else None
    return Leg(Channel(f"PJSIP/{extension}-2"), uniqueid, extension, None, "callee", T0, at, T0, result)


def ended(
    outcome: Outcome, linked_id: str = "100.1", *, base: Call = WAITING, at_s: float = 9, **changes: object
) -> Call:
    over = T0 + timedelta(seconds=at_s)
    answered_at = over - timedelta(seconds=1) if outcome == "answered" else None
    values = {
        "state": "ended",
        "outcome": outcome,
        "answered_at": answered_at,
        "ended_at": over,
        "linked_id": linked_id,
    }
    return replace(base, **(values | changes))  # type: ignore[arg-type]


DIRECT = replace(WAITING, queue=None, queue_channel=None)
OUTBOUND = replace(
    DIRECT,
    direction="outbound",
    from_raw="101",
    from_name="",
    from_extension="101",
    to_raw="+74951234567",
    legs=(Leg(Channel("PJSIP/101-9"), "9.1", "101", None, "caller", T0, T0),),
)


class Company:
    """Two teams with a manager each, on two PBXs."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def open(self) -> Company:
        self.people: dict[str, Actor] = {}
        async with self.db.begin() as conn:
            for name, team, extension in (("anna", "sales", "101"), ("boris", "support", "102")):
                user_id = await people.add_user(
                    conn, email=f"{name}@hub.test", name=name, role="manager", password_hash="x",
                    team_names=[team], extension=extension, now=T0,
                )  # fmt: skip
                actor = await load_actor(conn, user_id)
                assert actor
                self.people[name] = actor
            self.teams = {name: team_id for team_id, name in (await people.team_names(conn)).items()}
        by_queue = {f"hub-{name}": team_id for name, team_id in self.teams.items()}
        self.intake = CallIntake(self.db, Linker("RU", own_phones=frozenset(("+74950000000",))), by_queue)
        return self

    async def see(self, *effects: Effect) -> None:
        await self.intake.store(effects, now=T0 + timedelta(seconds=30))

    async def miss(self, call: Call = WAITING, *, outcome: Outcome = "abandoned", linked_id: str = "100.1") -> None:
        if call.queue:
            await self.see(CallOffered(replace(call, linked_id=linked_id), again=False))
        await self.see(CallEnded(ended(outcome, linked_id, base=call)))

    async def client(self) -> None:
        async with self.db.begin() as conn:
            client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=T0)
            await clients.add_address(conn, None, client_id, kind="phone", raw="8 495 123-45-67", now=T0)

    async def callbacks(self) -> list[tuple[str, str, str]]:
        """Return (team, number, state) of each open call-back."""
        query = (
            sa.select(lead_table.c.team_id, lead_table.c.address, queue_items.c.state)
            .join(queue_items, sa.and_(queue_items.c.kind == "lead", queue_items.c.ref_id == lead_table.c.id))
            .where(lead_table.c.state == "open", lead_table.c.reason == "callback")
        )
        names = {team_id: name for name, team_id in self.teams.items()}
        async with self.db.read() as conn:
            return sorted((names[row.team_id], row.address, row.state) for row in await conn.execute(query))

    async def items(self, name: str, *, mine: bool = False) -> list[queue.Item]:
        async with self.db.read() as conn:
            state: queue.State = "claimed" if mine else "waiting"
            return await queue.listed(conn, self.people[name], state=state, mine=mine)


@pytest.fixture
async def company(db: Database) -> Company:
    return await Company(db).open()


SALES, SUPPORT = ("sales", NUMBER, "waiting"), ("support", NUMBER, "waiting")


@pytest.mark.parametrize("is_client", [True, False])
async def test_each_team_that_missed_a_number_has_one_call_back_and_an_answer_anywhere_closes_them_all(
    company: Company, is_client: bool
) -> None:
    if is_client:
        await company.client()
    await company.miss()
    await company.miss(linked_id="200.1")
    await company.miss(replace(WAITING, pbx="branch"), linked_id="100.1")
    assert await company.callbacks() == [SALES]
    await company.miss(replace(WAITING, queue="hub-support"), linked_id="300.1")
    assert await company.callbacks() == [SALES, SUPPORT]
    elsewhere = replace(DIRECT, pbx="branch", legs=(OUTSIDE, phone_leg("102", answered=True)))
    await company.see(CallEnded(ended("answered", "400.1", base=elsewhere, answered_extension="102")))
    assert await company.callbacks() == []


@pytest.mark.parametrize("outcome", ["missed", "busy", "failed"])
async def test_an_attempt_that_nobody_answers_leaves_the_call_back_open(company: Company, outcome: Outcome) -> None:
    await company.miss()
    await company.see(CallEnded(ended(outcome, "500.1", base=OUTBOUND)))
    assert await company.callbacks() == [SALES]


async def test_calling_back_closes_it_as_soon_as_the_other_side_speaks(company: Company) -> None:
    await company.client()
    await company.miss()
    talking = replace(OUTBOUND, linked_id="500.1", state="talking", answered_at=T0 + timedelta(seconds=40))
    await company.see(CallChanged(talking))
    assert await company.callbacks() == []


async def test_a_call_that_a_colleague_transfers_outside_closes_the_call_back_of_that_number(company: Company) -> None:
    await company.client()
    await company.miss()
    there = Leg(Channel("PJSIP/trunk-8"), "8.8", None, "84951234567", "callee", T0, T0, T0, "answered")
    transferred = replace(OUTBOUND, to_raw="102", to_extension="102", legs=(*OUTBOUND.legs, there))
    await company.see(CallEnded(ended("answered", "600.1", base=transferred)))
    assert await company.callbacks() == []


async def test_a_ring_all_call_that_one_answered_is_never_missed(company: Company) -> None:
    rung = (OUTSIDE, phone_leg("101", answered=False), phone_leg("102", answered=True, uniqueid="100.3"))
    for base in (replace(WAITING, legs=rung), replace(DIRECT, legs=rung, linked_id="101.1")):
        await company.see(CallEnded(ended("answered", base.linked_id, base=base, answered_extension="102")))
    assert await company.callbacks() == []


async def test_a_call_straight_to_a_phone_is_its_owners_teams_where_that_is_one(company: Company) -> None:
    await company.miss(replace(DIRECT, legs=(OUTSIDE, phone_leg("102", answered=False))), outcome="missed")
    assert await company.callbacks() == [SUPPORT]
    both = (OUTSIDE, phone_leg("101", answered=False), phone_leg("102", answered=False, uniqueid="100.3"))
    await company.miss(replace(DIRECT, from_raw="89161112233", legs=both), outcome="missed", linked_id="2.1")
    nobodys = (OUTSIDE, phone_leg("999", answered=False))
    await company.miss(replace(DIRECT, from_raw="89161112233", legs=nobodys), outcome="missed", linked_id="3.1")
    assert await company.callbacks() == [SUPPORT], "two teams rung, or none: nobody's"


async def test_an_extension_is_whose_it_is_on_that_pbx(company: Company) -> None:
    async with company.db.begin() as conn:
        anna = company.people["anna"].user_id
        await conn.execute(phones.insert().values(pbx="branch", extension="102", user_id=anna))
    call = replace(DIRECT, pbx="branch", legs=(OUTSIDE, phone_leg("102", answered=False)))
    await company.miss(call, outcome="missed")
    assert await company.callbacks() == [SALES]
    async with company.db.read() as conn:
        owners = (await conn.execute(sa.select(call_legs.c.user_id).where(call_legs.c.extension == "102"))).scalars()
        assert list(owners) == [anna]


@pytest.mark.parametrize("raw", ["", "anonymous", "4321", "84950000000"])
async def test_a_hidden_or_own_number_is_nobody_to_call_back(company: Company, raw: str) -> None:
    await company.miss(replace(WAITING, from_raw=raw))
    assert await company.callbacks() == []
    async with company.db.read() as conn:
        assert (await conn.execute(sa.select(calls.c.outcome))).scalars().all() == ["abandoned"], "the list shows it"


async def test_a_blocked_caller_whom_a_dialplan_let_in_is_nobody_to_call_back(company: Company) -> None:
    async with company.db.begin() as conn:
        row = {"kind": "number", "pattern": NUMBER, "note": "", "created_at": T0}
        await conn.execute(blocked_callers.insert().values(**row))
    await company.miss()
    await company.miss(replace(WAITING, queue=None), outcome="missed", linked_id="100.2")
    assert await company.callbacks() == []


async def test_who_works_on_a_call_back_keeps_it_when_the_number_calls_again(company: Company) -> None:
    await company.client()
    await company.miss()
    (item,) = await company.items("anna")
    async with company.db.begin() as conn:
        await queue.claim(conn, company.people["anna"], item.id, now=utc_now())
    await company.miss(linked_id="200.1")
    assert [held.id for held in await company.items("anna", mine=True)] == [item.id]
    assert await company.items("anna") == []


async def test_a_stranger_who_was_called_back_stays_a_lead_of_whom_they_spoke_with(company: Company) -> None:
    await company.miss()
    await company.see(CallEnded(ended("answered", "500.1", base=OUTBOUND)))
    (held,) = await company.items("anna", mine=True)
    assert (held.kind, held.data["reason"]) == ("lead", "new")
    assert await company.callbacks() == []


async def test_a_voicemail_is_a_call_back_that_says_so(company: Company) -> None:
    await company.miss(outcome="voicemail")
    (item,) = await company.items("anna")
    assert (item.data["reason"], item.data["wish"]) == ("callback", "voicemail")


async def test_the_same_effects_twice_change_nothing(company: Company) -> None:
    effects = [CallChanged(WAITING), CallOffered(WAITING, again=False), CallEnded(ended("abandoned"))]
    await company.see(*effects)

    async def everything() -> list[object]:
        async with company.db.read() as conn:
            tables = (calls, call_legs, lead_table, queue_items, changes)
            return [[tuple(r) for r in await conn.execute(sa.select(t).order_by(t.c.id))] for t in tables]

    before = await everything()
    await company.see(*effects)
    assert await everything() == before
    async with company.db.read() as conn:
        (lead,) = await leads_of(conn, company.people["anna"])
    assert lead.times == 1, "one call counts once, though it came as a caller and as a missed one"


async def test_a_miss_and_its_answer_in_one_batch_count_in_the_order_they_happened(company: Company) -> None:
    await company.client()
    answered = CallEnded(ended("answered", "900.1", at_s=20))
    missed = CallEnded(ended("abandoned", "901.1", at_s=5))
    await company.see(answered, missed)
    assert await company.callbacks() == [], "the answer came after the miss, whatever was told first"
    await company.see(CallEnded(ended("abandoned", "903.1", at_s=50)), CallEnded(ended("answered", "902.1", at_s=40)))
    assert await company.callbacks() == [SALES], "the miss came after the answer"


async def test_what_a_pbx_makes_too_long_or_impossible_to_store_is_cut_and_holds_up_nothing(company: Company) -> None:
    long = "9" * 5000
    leg = replace(OUTSIDE, channel=Channel(long), uniqueid=long, number=long)
    await company.see(
        CallEnded(ended("missed", long, base=replace(WAITING, did=long, queue_channel=Channel(long), legs=(leg,))))
    )
    await company.see(CallEnded(ended("missed", "2.2")))
    async with company.db.read() as conn:
        assert len((await conn.execute(sa.select(calls.c.id))).all()) == 2


async def test_records_of_a_talk_that_was_sent_to_a_queue_and_given_up_there_owe_a_call_back(company: Company) -> None:
    talked = ended("answered", "100.9", queue="hub-support", is_left_waiting=True)
    async with company.db.begin() as conn:
        await company.intake.store_late(conn, [talked], [], now=utc_now())
    async with company.db.read() as conn:
        (item,) = await queue.listed(conn, company.people["boris"], state="waiting")
    assert (item.kind, item.data["reason"]) == ("lead", "callback")
