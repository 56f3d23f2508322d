"""The migrations make the schema the models say, and Hub refuses one that does not fit."""

from __future__ import annotations

import importlib

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hub.errors import ConfigError
from hub.store.engine import Database
from hub.store.migrate import require_head, upgrade
from hub.store.migrations.make import MODELS
from hub.store.schema import metadata


async def test_migrated_schema_is_what_the_models_say(db: Database) -> None:
    for name in MODELS:
        importlib.import_module(name)

    def differences(connection: sa.Connection) -> list[object]:
        # The search's tables are of either database's own kind.
        own = {"include_name": lambda name, kind, _: not (kind == "table" and name.startswith("message_search"))}
        return list(compare_metadata(MigrationContext.configure(connection, opts=own), metadata))

    async with db.begin() as conn:
        assert await conn.run_sync(differences) == []


async def test_a_schema_from_the_future_is_refused_in_one_line(db: Database) -> None:
    async with db.begin() as conn:
        await conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (require_head, upgrade):
        with pytest.raises(ConfigError, match="newer than this Hub"):
            await attempt(db)


async def test_an_empty_database_names_the_command_that_mends_it(db: Database) -> None:
    async with db.begin() as conn:
        await conn.execute(sa.text("DELETE FROM alembic_version"))
    with pytest.raises(ConfigError, match="hub migrate"):
        await require_head(db)
