"""One PostgreSQL database of a test run that every test finds as the migrations left it.

To copy a template costs the server 150 ms of processor time and two checkpoints; to empty the few tables that a test
wrote costs 10 ms. Decides what a test changed: rows by the size of each table, sequences by their value, the schema
by the transactions that wrote the catalog. A changed schema is not mended: the database is made anew.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import asyncpg

from tests.testbed.postgres import Postgres

_TERMINATE = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_WRITTEN = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
      AND pg_relation_size(oid) > 0
"""
_SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"
# ANALYZE and VACUUM write the catalog in place; whatever else changes a table leaves its transaction there.
_SCHEMA = """
    WITH ours AS (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    SELECT (SELECT sum(hashtext((oid, xmin)::text)) FROM pg_class WHERE oid IN (SELECT oid FROM ours)),
           (SELECT sum(hashtext((attrelid, attnum, xmin)::text)) FROM pg_attribute
            WHERE attrelid IN (SELECT oid FROM ours)),
           (SELECT sum(hashtext((oid, xmin)::text)) FROM pg_constraint WHERE conrelid IN (SELECT oid FROM ours)),
           (SELECT sum(hashtext((oid, xmin)::text)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
"""


@dataclass
class ReusedDatabase:
    """The database of a test run, copied from a template at the first use and whenever a test changed its schema."""

    server: Postgres
    template: str
    url: str = ""
    _schema: object = None
    _sequences: dict[str, int | None] = field(default_factory=dict)
    _rows: dict[str, bytes] = field(default_factory=dict)
    """What the migrations wrote, by table."""

    async def ready(self) -> str:
        """Return the address; the database is as the template is."""
        if not self.url:
            self.url = await self.server.new_database(template=self.template)
            async with self.server.operator(self.url) as conn:
                self._schema = await _schema(conn)
                self._sequences = dict(await conn.fetch(_SEQUENCES))
                self._rows = {name: await _copied(conn, name) for (name,) in await conn.fetch(_WRITTEN)}
        return self.url

    async def clean(self) -> None:
        """End whoever is still connected and take back what the test did."""
        async with self.server.operator(self.url) as conn:
            await conn.execute(_TERMINATE)
            is_ours = await _schema(conn) == self._schema
            if is_ours:
                await self._empty(conn)
        if not is_ours:
            url, self.url = self.url, ""
            await self.server.drop(url)

    async def _empty(self, conn: asyncpg.Connection) -> None:
        written = [f'"{name}"' for (name,) in await conn.fetch(_WRITTEN)]
        moved = [name for name, value in await conn.fetch(_SEQUENCES) if value != self._sequences[name]]
        # As a replica: without triggers, so in any order of the foreign keys.
        deletes = [f"DELETE FROM {name}" for name in written]
        resets = [
            f"SELECT setval('\"{name}\"', {self._sequences[name] or 1}, {self._sequences[name] is not None})"
            for name in moved
        ]
        await conn.execute(";".join(["SET session_replication_role = replica", *deletes, *resets]))
        if written:
            # The space is given back: rows lie in the order of their inserts again, as in a new table.
            await conn.execute(f"VACUUM {', '.join(written)}")
        for name, rows in self._rows.items():
            await conn.copy_to_table(name, source=io.BytesIO(rows), format="binary")


async def _schema(conn: asyncpg.Connection) -> object:
    return tuple(await conn.fetchrow(_SCHEMA))


async def _copied(conn: asyncpg.Connection, table: str) -> bytes:
    rows = io.BytesIO()
    await conn.copy_from_table(table, output=rows, format="binary")
    return rows.getvalue()
