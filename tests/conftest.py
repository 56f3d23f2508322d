"""Fixtures that every kind of test may ask for: a migrated database of either kind, Valkey, a blob store."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from hub.store.blobs import BlobStore
from hub.store.bus import Bus, LocalBus, RedisBus
from hub.store.engine import Database, open_database
from tests.testbed.compiled_statements import use_kept_statements
from tests.testbed.either_database import OPTION, leave_one_database
from tests.testbed.migrated import migrate, run_aside, sqlite_file
from tests.testbed.postgres import Postgres, running_postgres
from tests.testbed.reused_database import ReusedDatabase
from tests.testbed.valkey import Valkey, running_valkey

PEERS = ("asterisk", "dovecot", "browser")
LONGEST = ("test_accessibility", "test_guide_pictures", "test_bulk_edit", "test_openapi_contract", "test_add_a_kind")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="run on both databases what may run on either")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_one_database(config, items)
    _put_in_order(items)


def _put_in_order(items: list[pytest.Item]) -> None:
    """Have workers take a file that waits for peers, then a few that compute, and so on; the longest files first.

    Side by side such files would wait for each other's processor time, and alone they leave it idle.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    with_peers = {item.path for item in items if any(item.get_closest_marker(name) for name in PEERS)}

    def rank(path: Path) -> int:
        folder = path.relative_to(Path(__file__).parent).parts[0]
        if path.stem in LONGEST:
            return 0
        return {"e2e": 1, "faults": 2, "unit": 5}.get(folder, 3 if path in with_peers else 4)

    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = sorted((path for path in files if rank(path) <= 3), key=rank)
    others = sorted((path for path in files if rank(path) > 3), key=rank)
    order: list[Path] = []
    for number, path in enumerate(waiting):
        order.append(path)
        order += others[len(others) * number // len(waiting) : len(others) * (number + 1) // len(waiting)]
    items[:] = [item for path in order or others for item in files[path]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres(survives_crashes=False) as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "hub.db"
    path.write_bytes(sqlite_file())
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    async def make() -> str:
        url = await postgres.new_database()
        await migrate(url)
        return url.split("?")[0].rpartition("/")[2]

    return run_aside(make())


@pytest.fixture(scope="session")
def postgres_database(postgres: Postgres, postgres_template: str) -> ReusedDatabase:
    return ReusedDatabase(postgres, postgres_template)


@pytest.fixture(params=["sqlite", "postgresql"])
async def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty, migrated database; the test runs once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "hub.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    database: ReusedDatabase = request.getfixturevalue("postgres_database")
    yield await database.ready()
    await database.clean()


@pytest.fixture
async def bus(db_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """What a deployment of that kind has: hints within the process on SQLite, through Valkey on PostgreSQL."""
    if db_url.startswith("sqlite"):
        yield LocalBus()
        return
    server: Valkey = request.getfixturevalue("valkey")
    redis_bus = RedisBus(server.url)
    running = asyncio.ensure_future(redis_bus.run())
    try:
        async with asyncio.timeout(10):
            await redis_bus.connected.wait()
        yield redis_bus
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await redis_bus.close()


@pytest.fixture
async def db(db_url: str, bus: Bus) -> AsyncIterator[Database]:
    database = open_database(db_url, bus=bus)
    use_kept_statements(database)
    if database.dialect == "sqlite":
        for engine in (database.writer, database.reader):
            event.listen(engine.sync_engine, "connect", _leave_writes_to_the_system)
    yield database
    await database.close()


def _leave_writes_to_the_system(dbapi: Any, _record: Any) -> None:
    """What a power cut would lose, no test loses: a commit waits for no disk."""
    cursor = dbapi.cursor()
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.close()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")
