"""A bulk edit that is killed at each batch ends as one that was not, and so does its undo."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.base import bulk_edit, operations
from hub.crm.base.bulk_selection import Selection
from hub.crm.base.conditions import tree
from hub.crm.base.fields import fold
from hub.crm.base.history import Edit, history
from hub.crm.clients.search import fold_words
from hub.crm.clients.table import CLIENTS
from hub.crm.models import clients
from hub.crm.operation_kinds import WORKS
from hub.store.engine import Database
from tests.faults import driver
from tests.integration.test_queue import actor

pytestmark = pytest.mark.timeout(300)


async def add_clients(db: Database, count: int) -> None:
    now = utc_now()
    rows = [
        {"kind": "organisation", "name": name, "name_sort": fold(name), "name_folded": fold_words(name), "note": ""}
        | {"version": 1, "created_at": now, "changed_at": now}
        for name in (f"ООО «Ромашка {number}»" for number in range(count))
    ]
    async with db.begin() as conn:
        await conn.execute(clients.insert(), rows)


async def standing(db: Database) -> list[tuple[Any, ...]]:
    async with db.read() as conn:
        query = sa.select(clients.c.id, clients.c.owner_id, clients.c.note, clients.c.version).order_by(clients.c.id)
        return [tuple(row) for row in await conn.execute(query)]


async def begin(db: Database) -> tuple[Edit, int]:
    boss = await actor(db, "boss", role="admin")
    edit = Edit(boss, "api", utc_now())
    asked = tree.parse({"field": "name", "op": "contains", "value": "ромашка"})
    async with db.begin() as conn:
        values = {"manager": boss.user_id, "note": "весна"}
        number = await bulk_edit.begin(conn, CLIENTS, values, Selection(where=asked), edit=edit)
    return edit, number


async def operation(db: Database, number: int) -> operations.Operation:
    async with db.read() as conn:
        return await operations.get(conn, None, number)


async def undo(db: Database, number: int, edit: Edit) -> None:
    async with db.begin() as conn:
        await operations.undo(conn, await operations.get(conn, None, number), WORKS[bulk_edit.KIND], edit=edit)


async def test_killed_at_each_point_of_a_bulk_edit_and_its_undo_it_ends_the_same(db: Database, db_url: str) -> None:
    await add_clients(db, 60)
    before = await standing(db)
    edit, number = await begin(db)
    points = {
        run.killed_at async for run in driver.runs("tests.faults.operation_runs", [db_url, "10"], only="operations.")
    }
    assert points == {"operations.before_commit", "operations.committed", None}
    done = await operation(db, number)
    assert (done.state, done.done, done.failed, done.total) == ("done", 60, 0, 60)
    assert edit.actor is not None
    assert await standing(db) == [(row[0], edit.actor.user_id, "весна", 2) for row in before]
    async with db.read() as conn:
        assert (await conn.execute(sa.select(sa.func.count()).select_from(history))).scalar() == 60
        assert await operations.counts(conn, number) == {"updated": 60}

    await undo(db, number, edit)
    assert [run async for run in driver.runs("tests.faults.operation_runs", [db_url, "10"], only="operations.")]
    assert (await operation(db, number)).state == "undone"
    assert await standing(db) == [(*row[:3], 3) for row in before]
