"""The full-text search of messages: SQLite by FTS5, PostgreSQL by tsvector, both over the stems of `reading.terms`.

Decides how the index is written and asked; who may see what is found is the register's. Invariant: a message's terms
are written in the transaction that stores it.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

_ADD = {
    "sqlite": sa.text("INSERT OR REPLACE INTO message_search (rowid, terms) VALUES (:id, :terms)"),
    "postgresql": sa.text(
        "INSERT INTO message_search (message_id, terms) VALUES (:id, to_tsvector('simple', :terms)) "
        "ON CONFLICT (message_id) DO UPDATE SET terms = excluded.terms"
    ),
}


async def add(conn: AsyncConnection, found: Mapping[int, str]) -> None:
    """Write or renew the terms (`reading.terms.terms`) of messages, by their ids."""
    if found:
        rows = [{"id": message_id, "terms": text} for message_id, text in found.items()]
        await conn.execute(_ADD[conn.dialect.name], rows)
