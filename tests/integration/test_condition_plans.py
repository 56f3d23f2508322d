"""A condition reads indexes: no table is scanned and no sub-select is run for each record (SQLite says so)."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from hub.clock import utc_now
from hub.crm.base.characteristics import characteristics
from hub.crm.base.conditions import query, tree
from hub.crm.clients.table import CLIENTS
from hub.store.engine import Database

NUMBER = {"field": "c.size", "op": "is", "value": ["5"]}
TEXT = {"field": "c.words", "op": "starts_with", "value": "ab"}
NAME = {"field": "name", "op": "starts_with", "value": "ab"}
PHONE = {"field": "phones", "op": "starts_with", "value": "+7495"}


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "data",
    [
        NUMBER,
        TEXT,
        NAME,
        PHONE,
        {"all": [NUMBER, TEXT, NAME]},
        {"any": [NUMBER, NAME, PHONE]},
        {"all": [NUMBER, {"not": TEXT}]},
        {"any": [{"all": [NUMBER, TEXT]}, {"all": [PHONE, {"not": NAME}]}]},
    ],
)
async def test_a_condition_reads_indexes_alone(db: Database, data: dict[str, Any]) -> None:
    now = utc_now()
    async with db.begin() as conn:
        for key, type_ in (("size", "number"), ("words", "text")):
            row = {"kind": "client", "key": key, "type": type_, "label": {"en": key}, "position": 0}
            await conn.execute(characteristics.insert().values(**row, created_at=now, changed_at=now))
    async with db.read() as conn:
        where = await query.where(conn, None, CLIENTS, tree.parse(data), now=now)
        assert where is not None
        asked = sa.select(CLIENTS.id).where(where)
        text = str(asked.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert plan
    tables = ("SCAN clients", "SCAN clients_values", "SCAN addresses")
    assert [line for line in plan if line.startswith(tables) or "CORRELATED" in line] == []
