"""Many clients are edited as one operation, killed again and again, and the edit is undone.

`HUB_BULK_CLIENTS=10000` asks for the whole number that is promised, which takes minutes.
"""

from __future__ import annotations

import os

import pytest
import sqlalchemy as sa

from hub.crm.base import operations
from hub.crm.models import clients
from hub.store.changes import changes
from hub.store.engine import Database
from tests.faults import driver
from tests.faults.test_operation_faults import add_clients, begin, standing, undo

pytestmark = pytest.mark.timeout(1200)
CLIENTS = int(os.environ.get("HUB_BULK_CLIENTS", "1000"))
BATCHES = 50


async def test_many_clients_are_edited_at_once_killed_again_and_again_and_undone(db: Database, db_url: str) -> None:
    await add_clients(db, CLIENTS)
    before = await standing(db)
    edit, number = await begin(db)
    runs = [
        run
        async for run in driver.runs(
            "tests.faults.operation_runs", [db_url, str(CLIENTS // BATCHES)], only="operations.committed", within_s=600
        )
    ]
    assert len(runs) > 8
    assert edit.actor is not None
    assert await standing(db) == [(row[0], edit.actor.user_id, "весна", 2) for row in before]
    async with db.read() as conn:
        told = sa.select(sa.func.count()).select_from(changes).where(changes.c.kind == operations.CHANGE)
        assert (await conn.execute(told)).scalar_one() <= BATCHES + 3, "one change for each batch"
        of_clients = sa.select(sa.func.count()).where(changes.c.kind == "client")
        assert (await conn.execute(of_clients)).scalar_one() == BATCHES, "one change with the ids of each batch"
    async with db.begin() as conn:
        touched = sa.update(clients).where(clients.c.id.in_([1, 2, 3])).values(note="своё")
        await conn.execute(touched)
    await undo(db, number, edit)
    assert [
        run
        async for run in driver.runs(
            "tests.faults.operation_runs", [db_url, str(CLIENTS // 10)], only="operations.committed", within_s=600
        )
    ]
    async with db.read() as conn:
        assert await operations.counts(conn, number) == {"reversed": CLIENTS - 3, "kept": 3}
    after = await standing(db)
    assert [row[2] for row in after[:4]] == ["своё", "своё", "своё", ""]
    assert {row[1] for row in after} == {None}
