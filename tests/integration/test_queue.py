"""The claim race and what becomes of a queue item, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hub.clock import utc_now
from hub.crm import leads, people, queue
from hub.crm.access import Actor, load_actor
from hub.errors import Conflict, Forbidden, NotFound
from hub.store.changes import Position, read_after
from hub.store.engine import Database


async def actor(db: Database, name: str, *, team: str = "sales", role: people.Role = "manager") -> Actor:
    async with db.begin() as conn:
        user_id = await people.add_user(
            conn,
            email=f"{name}@hub.test",
            name=name.title(),
            role=role,
            password_hash="x",
            team_names=[team] if team else [],
            now=utc_now(),
        )
        found = await load_actor(conn, user_id)
    assert found is not None
    return found


async def waiting(db: Database, *, ref_id: int = 1, kind: queue.Kind = "call", team: str = "sales") -> int:
    async with db.begin() as conn:
        item = await queue.enqueue(
            conn,
            team_id=await people.ensure_team(conn, team, now=utc_now()),
            kind=kind,
            ref_id=ref_id,
            title="Ромашка",
            address="+74951234567",
            client_id=None,
            data={},
            now=utc_now(),
        )
        return item.id


async def test_of_200_claimers_at_once_exactly_one_wins_and_the_rest_learn_who(db: Database) -> None:
    people_there = [await actor(db, f"m{n}") for n in range(20)]
    item_id = await waiting(db)
    start = asyncio.Event()

    async def grab(who: Actor) -> queue.Item | Conflict:
        await start.wait()
        try:
            async with db.begin() as conn:
                return await queue.claim(conn, who, item_id, now=utc_now())
        except Conflict as lost:
            return lost

    async with asyncio.TaskGroup() as tasks:
        tries = [(who, tasks.create_task(grab(who))) for who in people_there * 10]
        start.set()
    outcomes = [(who, task.result()) for who, task in tries]
    winners = {who.user_id for who, outcome in outcomes if isinstance(outcome, queue.Item)}
    assert len(winners) == 1
    winner = winners.pop()
    for who, outcome in outcomes:
        if who.user_id == winner:
            assert isinstance(outcome, queue.Item), "a repeat by the winner answers yours"
        else:
            assert isinstance(outcome, Conflict)
            assert outcome.code == "already_claimed"
            assert outcome.details["owner"]["id"] == winner
            assert outcome.details["claimed_at"].endswith("Z")
    claim_ids = {outcome.claim_id for _, outcome in outcomes if isinstance(outcome, queue.Item)}
    assert len(claim_ids) == 1


async def test_a_manager_of_another_team_neither_sees_nor_claims(db: Database) -> None:
    stranger = await actor(db, "stranger", team="support")
    item_id = await waiting(db)
    async with db.begin() as conn:
        with pytest.raises(NotFound):
            await queue.claim(conn, stranger, item_id, now=utc_now())
        assert await queue.listed(conn, stranger, state="waiting") == []


async def test_an_admin_sees_every_team_and_may_claim(db: Database) -> None:
    admin = await actor(db, "admin", team="", role="admin")
    item_id = await waiting(db)
    async with db.begin() as conn:
        assert [i.id for i in await queue.listed(conn, admin, state="waiting")] == [item_id]
        assert (await queue.claim(conn, admin, item_id, now=utc_now())).owner_id == admin.user_id


async def test_a_failed_claim_brings_the_item_back_to_its_place(db: Database) -> None:
    manager = await actor(db, "manager")
    first = await waiting(db, ref_id=1)
    second = await waiting(db, ref_id=2)
    async with db.begin() as conn:
        taken = await queue.claim(conn, manager, first, now=utc_now())
        assert taken.claim_id
        assert await queue.take_back(conn, taken.claim_id, reason="busy", now=utc_now())
        assert not await queue.take_back(conn, taken.claim_id, reason="busy", now=utc_now())
        assert [i.id for i in await queue.listed(conn, manager, state="waiting")] == [first, second]


async def test_only_the_holder_gives_back_or_finishes(db: Database) -> None:
    one, other = await actor(db, "one"), await actor(db, "other")
    item_id = await waiting(db)
    async with db.begin() as conn:
        await queue.claim(conn, one, item_id, now=utc_now())
        for deed in (queue.release, queue.finish):
            with pytest.raises(Conflict):
                await deed(conn, other, item_id, now=utc_now())
        assert (await queue.release(conn, one, item_id, now=utc_now())).state == "waiting"
        await queue.claim(conn, other, item_id, now=utc_now())
        assert (await queue.finish(conn, other, item_id, now=utc_now())).state == "done"
        with pytest.raises(Conflict, match="no longer waiting"):
            await queue.claim(conn, one, item_id, now=utc_now())


async def test_every_step_of_an_item_is_told_to_its_team(db: Database) -> None:
    manager = await actor(db, "manager")
    item_id = await waiting(db)
    async with db.begin() as conn:
        await queue.claim(conn, manager, item_id, now=utc_now())
    async with db.read() as conn:
        told = [c for c in await read_after(conn, Position(0, 0)) if c.kind == "queue_item"]
    assert [c.data["state"] for c in told] == ["waiting", "claimed"]
    assert {c.team_id for c in told} == manager.team_ids


async def test_waiting_items_come_calls_first_then_the_longest_waiting_and_page_by_key(db: Database) -> None:
    manager = await actor(db, "manager")
    ids = [await waiting(db, ref_id=n, kind="message") for n in range(3)]
    call = await waiting(db, ref_id=9)
    async with db.read() as conn:
        first = await queue.listed(conn, manager, state="waiting", limit=2)
        rest = await queue.listed(conn, manager, state="waiting", limit=10, after=first[-1].id)
    assert [i.id for i in first + rest] == [call, *ids]


async def test_a_second_call_of_a_number_joins_the_open_lead_and_a_closed_one_is_left_alone(db: Database) -> None:
    manager = await actor(db, "manager")
    now = utc_now()

    async def come(reason: leads.LeadReason) -> int:
        async with db.begin() as conn:
            return await leads.join_or_open(
                conn,
                team_id=min(manager.team_ids),
                reason=reason,
                name="",
                address_kind="phone",
                address="+79161234567",
                now=now + timedelta(seconds=1),
            )

    lead_ids = await asyncio.gather(*(come("new") for _ in range(20)))
    assert len(set(lead_ids)) == 1
    assert await come("callback") == lead_ids[0]
    async with db.begin() as conn:
        lead = await leads.find(conn, lead_ids[0], actor=manager)
        assert (lead.times, lead.reason) == (21, "callback")
        await leads.close(conn, manager, lead.id, now=now)
    assert await come("new") != lead_ids[0]


async def test_a_lead_becomes_a_client_once(db: Database) -> None:
    manager = await actor(db, "manager")
    async with db.begin() as conn:
        lead_id = await leads.join_or_open(
            conn,
            team_id=min(manager.team_ids),
            reason="new",
            name="Пётр",
            address_kind="phone",
            address="+79161234567",
            now=utc_now(),
        )
        client_id = await leads.convert(conn, manager, lead_id, kind="person", name="Пётр", now=utc_now())
        with pytest.raises(Conflict):
            await leads.convert(conn, manager, lead_id, kind="person", name="Пётр", now=utc_now())
    assert client_id


async def test_another_teams_manager_may_not_take_even_what_they_can_name(db: Database) -> None:
    """An item handed to a person of another team stays visible to them; taking it again is still forbidden."""
    admin, stranger = await actor(db, "admin", team="", role="admin"), await actor(db, "stranger", team="support")
    item_id = await waiting(db)
    async with db.begin() as conn:
        await queue.assign(conn, "call", 1, stranger.user_id, now=utc_now())
        await queue.release(conn, stranger, item_id, now=utc_now())
        with pytest.raises((NotFound, Forbidden)):
            await queue.claim(conn, stranger, item_id, now=utc_now())
        assert (await queue.claim(conn, admin, item_id, now=utc_now())).owner_id == admin.user_id
