"""What one test left in the database that all share is never seen by the next."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.testbed.postgres import Postgres
from tests.testbed.reused_database import ReusedDatabase

ADD_TEAM = "INSERT INTO teams (name, created_at) VALUES ($1, now()) RETURNING id"
SCHEMA = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"


@pytest.fixture
async def database(postgres: Postgres, postgres_template: str) -> AsyncIterator[ReusedDatabase]:
    one = ReusedDatabase(postgres, postgres_template)
    await one.ready()
    yield one
    await postgres.drop(await one.ready())


async def test_rows_and_counters_begin_anew_in_the_order_of_the_inserts(
    database: ReusedDatabase, postgres: Postgres
) -> None:
    for _ in range(3):
        async with postgres.operator(await database.ready()) as conn:
            ids = [await conn.fetchval(ADD_TEAM, name) for name in ("c", "a", "b")]
            assert ids == [1, 2, 3]
            await conn.execute("DELETE FROM teams WHERE name = 'a'")
            assert await conn.fetchval("SELECT array_agg(name) FROM (SELECT name FROM teams) AS t") == ["c", "b"]
        await database.clean()


async def test_what_the_migrations_wrote_is_there_again(postgres: Postgres, postgres_template: str) -> None:
    seeded = await postgres.new_database(template=postgres_template)
    async with postgres.operator(seeded) as conn:
        await conn.execute(ADD_TEAM.replace("$1", "'first'"))
    database = ReusedDatabase(postgres, seeded.split("?")[0].rpartition("/")[2])
    for _ in range(2):
        async with postgres.operator(await database.ready()) as conn:
            assert [tuple(row) for row in await conn.fetch("SELECT id, name FROM teams")] == [(1, "first")]
            await conn.execute("UPDATE teams SET name = 'other'")
            assert await conn.fetchval(ADD_TEAM, "second") == 2
        await database.clean()
    await postgres.drop(await database.ready())
    await postgres.drop(seeded)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (id int)",
        "DROP TABLE sessions CASCADE",
        "ALTER TABLE teams ADD COLUMN more text",
        "ALTER TABLE teams ALTER COLUMN name TYPE varchar(9)",
        "CREATE INDEX more ON teams (name)",
        "ALTER TABLE teams ADD CONSTRAINT more CHECK (name <> '')",
        "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
async def test_a_changed_schema_is_made_anew(database: ReusedDatabase, postgres: Postgres, change: str) -> None:
    before = await database.ready()
    async with postgres.operator(before) as conn:
        columns = sorted(await conn.fetch(SCHEMA))
        await conn.execute(change)
    await database.clean()
    assert await database.ready() != before
    async with postgres.operator(await database.ready()) as conn:
        assert sorted(await conn.fetch(SCHEMA)) == columns


async def test_who_is_still_connected_is_sent_away(database: ReusedDatabase, postgres: Postgres) -> None:
    async with postgres.operator(await database.ready()) as left:
        await left.execute("BEGIN; INSERT INTO teams (name, created_at) VALUES ('held', now())")
        await database.clean()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await left.execute("COMMIT")
    async with postgres.operator(await database.ready()) as conn:
        assert await conn.fetchval("SELECT count(*) FROM teams") == 0
