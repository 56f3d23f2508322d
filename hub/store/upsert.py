"""INSERT … ON CONFLICT for whichever database the connection speaks to. Nothing decided."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def insert(conn: AsyncConnection, table: sa.Table) -> Any:
    """Return the dialect's insert of `table`, which has `on_conflict_do_update` and `on_conflict_do_nothing`.

    Both dialects give it the same methods, but SQLAlchemy has no common type for them.
    """
    return insert_for(conn.dialect.name, table)


def insert_for(dialect: str, table: sa.Table) -> Any:
    """The same by the dialect's name, for a hot statement that is built once and kept."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
