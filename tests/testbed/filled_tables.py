"""Tables that the planner of PostgreSQL takes for tables of 100,000 rows, filled by one statement each.

The values follow from the columns: a foreign key leads to a row of its table, a CHECK of words gives one of those, a
value of a characteristic is of one of twenty fields, every tenth value of what may be empty is. Every fifth row is
really there: the statistics are then set to the whole number, with which a scan of the table looks cheaper than it
would be, never dearer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.schema import Moment

ROWS = 100_000
WRITTEN = ROWS // 5
FEW = {"users": 50, "teams": 50, "roles": 5, "mailboxes": 50}
"""So many people, teams, roles and mailboxes have records; of any other table each row is referred to."""
RARE = 1000
USUAL = {("outbox", "state"): "sent", ("outbox", "copy_state"): "done"}
"""The word that nearly every row has: each other one stands in one row of a thousand."""
T0 = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS = re.compile(r"^\(?(\w+) IN \(((?:'\w+'(?:, )?)+)\)")


async def fill(conn: AsyncConnection, tables: Iterable[sa.Table]) -> None:
    """Fill these tables of a PostgreSQL database, as its superuser. Foreign keys are not looked at."""
    await conn.exec_driver_sql("SET LOCAL session_replication_role = replica")
    for table in tables:
        first = 1
        if "id" in table.c:
            first += (await conn.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0)))).scalar_one()
        numbers = sa.func.generate_series(first, WRITTEN).table_valued(sa.column("n", sa.BigInteger), name="numbers")
        n = numbers.render_derived().c.n
        columns = [column for column in table.c if not _is_left_empty(column)]
        chosen = sa.select(*(_value(column, n).label(column.name) for column in columns))
        await conn.execute(sa.insert(table).from_select([column.name for column in columns], chosen))
        await conn.exec_driver_sql(f"ANALYZE {table.name}")
        await conn.exec_driver_sql(f"UPDATE pg_class SET reltuples = {ROWS} WHERE oid = '{table.name}'::regclass")


def _is_left_empty(column: sa.Column[Any]) -> bool:
    return bool(column.nullable) and (column.name in ("archived_at", "disabled_at") or isinstance(column.type, sa.JSON))


def _value(column: sa.Column[Any], n: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    value = _filled(column, n)
    if column.nullable and not column.unique:
        place = list(column.table.c).index(column)
        return sa.case(((n + place) % 10 == 0, sa.null()), else_=value)
    return value


def _filled(column: sa.Column[Any], n: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    if column.primary_key:
        return sa.literal(0) if column.name == "n" else 1 + n % 20 if column.name == "field_id" else n
    if column.foreign_keys:
        target = next(iter(column.foreign_keys)).column.table.name
        return 1 + (n * 7919) % FEW.get(target, WRITTEN)
    kind = column.type
    if words := _words_of(column):
        usual = USUAL.get((column.table.name, column.name))
        if usual is not None:
            rare = ((n % RARE == place, word) for place, word in enumerate(words) if word != usual)
            return sa.case(*rare, else_=usual)
        return sa.case(*((n % len(words) == place, word) for place, word in enumerate(words)))
    if isinstance(kind, Moment):
        return sa.literal(T0, sa.DateTime(timezone=True)) + (n * 7919) % ROWS * sa.text("interval '1 minute'")
    if isinstance(kind, sa.Date):
        return sa.literal(T0.date(), kind) + sa.cast((n * 7919) % 1000, sa.Integer)
    if isinstance(kind, sa.JSON):
        return sa.literal({}, kind)
    if isinstance(kind, sa.Boolean):
        return n % 50 == 0
    if isinstance(kind, sa.String):
        length = kind.length or 99
        word = sa.cast((n * 7919) % min(ROWS, 10**length), sa.String(20))
        return word if length < 10 else sa.literal("v", sa.String) + word
    return (n * 7919) % ROWS


def _words_of(column: sa.Column[Any]) -> list[str]:
    """Return the words that a CHECK allows this column."""
    for one in column.table.constraints:
        found = _WORDS.match(str(one.sqltext)) if isinstance(one, sa.CheckConstraint) else None
        if found is not None and found.group(1) == column.name:
            return re.findall(r"'(\w+)'", found.group(2))
    return []
