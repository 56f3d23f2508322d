"""The schema and its version: bring a database to head, or say that it does not fit.

SQLite is migrated at start, after a backup copy; PostgreSQL only by `hub migrate`, under an advisory lock.
Invariant: Hub never runs on a schema that is not at the head this code knows.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hub.errors import ConfigError
from hub.process import make_private_file
from hub.store.engine import Database

_LOCK = 0x48756221


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "hub.store:migrations")
    config.attributes["connection"] = connection
    return config


def _head() -> str:
    config = Config()
    config.set_main_option("script_location", "hub.store:migrations")
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None
    return head


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def revision(db: Database) -> str | None:
    """Return the schema's revision, None for an empty database. Raises Unavailable."""
    async with db.read() as conn:
        return await conn.run_sync(_revision)


async def upgrade(db: Database) -> None:
    """Bring the schema to head; safe to run from several hosts at once. Raises ConfigError on a newer schema."""
    if db.dialect == "sqlite" and await revision(db) not in (None, _head()):
        await asyncio.to_thread(_back_up, Path(str(db.writer.url.database)))
    async with db.begin() as conn:
        if db.dialect == "postgresql":
            await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        _refuse_newer(await conn.run_sync(_revision))
        await conn.run_sync(lambda connection: command.upgrade(_config(connection), "head"))


async def require_head(db: Database) -> None:
    """Raise ConfigError unless the schema is the one this code knows."""
    found = await revision(db)
    _refuse_newer(found)
    if found != _head():
        raise ConfigError(
            "schema_old", f"the database schema is at {found or 'nothing'}, not {_head()}: run `hub migrate`"
        )


def _refuse_newer(found: str | None) -> None:
    config = Config()
    config.set_main_option("script_location", "hub.store:migrations")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigError("schema_new", f"the database schema {found} is newer than this Hub: upgrade Hub")


def _back_up(path: Path) -> None:
    """Copy a live SQLite file, consistently, beside itself."""
    aside = path.with_name(path.name + ".before-migration")
    make_private_file(aside)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(aside)) as target:
        source.backup(target)
