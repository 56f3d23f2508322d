"""Ids drawn before the rows are written, so that many rows that name each other go down in a few statements.

Invariant: an id is drawn once among all who write: on SQLite by the write transaction that everybody else waits for,
on PostgreSQL by the table's sequence.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def draw(conn: AsyncConnection, table: sa.Table, count: int) -> list[int]:
    """Return `count` ids for new rows of `table`, ascending; `conn` is in a write transaction."""
    if not count:
        return []
    if conn.dialect.name == "sqlite":
        highest = (await conn.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0)))).scalar_one()
        return list(range(highest + 1, highest + 1 + count))
    drawn = sa.text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
    return sorted((await conn.execute(drawn, {"name": table.name, "count": count})).scalars())
