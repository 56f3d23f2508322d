"""Disabling an account beside what its person does at the same moment, on both databases."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import accounts, queue
from hub.crm.access import Actor
from hub.crm.base.history import Edit
from hub.errors import NotSignedIn, Refused
from hub.store.engine import Database
from tests.integration.test_queue import actor, waiting
from tests.testbed.waiting import wait_for


async def disable(db: Database, who: Actor) -> int:
    async with db.begin() as conn:
        return await accounts.disable(conn, who.user_id, edit=Edit(None, "command", utc_now()))


async def claim(db: Database, who: Actor, item_id: int) -> queue.Item:
    async with db.begin() as conn:
        return await queue.claim(conn, who, item_id, now=utc_now())


async def until_blocked(db: Database) -> None:
    """Wait until a statement waits for a row; SQLite has the second transaction wait for its beginning."""
    if db.dialect != "postgresql":
        return

    async def is_blocked() -> bool:
        async with db.read() as conn:
            query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return bool((await conn.execute(query)).scalar())

    await wait_for(is_blocked, what="the second transaction waits for the first")


async def state_of(db: Database, who: Actor, item_id: int) -> tuple[str, int | None]:
    async with db.read() as conn:
        item = await queue.find(conn, item_id, actor=who)
    return item.state, item.owner_id


@pytest.mark.parametrize("kind", ["message", "call"])
async def test_what_is_claimed_while_its_person_is_disabled_goes_back_to_the_team(
    db: Database, kind: queue.Kind
) -> None:
    olga, pavel = await actor(db, "olga"), await actor(db, "pavel")
    item_id = await waiting(db, kind=kind)
    async with db.begin() as conn:
        await queue.claim(conn, olga, item_id, now=utc_now())
        disabling = asyncio.create_task(disable(db, olga))
        await until_blocked(db)
    assert await disabling == 1
    assert await state_of(db, pavel, item_id) == ("waiting", None)


async def test_a_claim_that_began_while_its_person_was_being_disabled_is_refused(db: Database) -> None:
    olga, pavel = await actor(db, "olga"), await actor(db, "pavel")
    item_id = await waiting(db, kind="message")
    async with db.begin() as conn:
        await accounts.disable(conn, olga.user_id, edit=Edit(None, "command", utc_now()))
        claiming = asyncio.create_task(claim(db, olga, item_id))
        await until_blocked(db)
    with pytest.raises(NotSignedIn):
        await claiming
    assert await state_of(db, pavel, item_id) == ("waiting", None)


async def test_nothing_is_assigned_to_an_account_that_is_being_disabled(db: Database) -> None:
    olga, pavel = await actor(db, "olga"), await actor(db, "pavel")
    item_id = await waiting(db, ref_id=7, kind="message")

    async def assign() -> None:
        async with db.begin() as conn:
            await queue.assign(conn, "message", 7, olga.user_id, now=utc_now())

    async with db.begin() as conn:
        await accounts.disable(conn, olga.user_id, edit=Edit(None, "command", utc_now()))
        assigning = asyncio.create_task(assign())
        await until_blocked(db)
    await assigning
    assert await state_of(db, pavel, item_id) == ("waiting", None)


async def test_of_two_administrators_disabled_at_once_one_stays(db: Database) -> None:
    first, second = await actor(db, "root", role="admin"), await actor(db, "chief", role="admin")
    async with db.begin() as conn:
        await accounts.disable(conn, first.user_id, edit=Edit(None, "command", utc_now()))
        disabling = asyncio.create_task(disable(db, second))
        await until_blocked(db)
    with pytest.raises(Refused) as refusal:
        await disabling
    assert refusal.value.code == "last_admin"
