"""A database that stops, crashes, ends sessions, cancels, is full or out of reach: always Unavailable, and then well.

A real PostgreSQL of its own, which the tests may break; for descriptors a process of its own, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
import sqlalchemy as sa

from hub.errors import Unavailable
from hub.store.engine import Database, open_database
from tests.testbed.postgres import Postgres, running_postgres
from tests.testbed.waiting import wait_for


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
async def database(own_postgres: Postgres) -> AsyncIterator[Database]:
    url = await own_postgres.new_database()
    db = open_database(url)
    async with db.begin() as conn:
        await conn.execute(sa.text("CREATE TABLE rows (id bigint PRIMARY KEY, worker int)"))
    yield db
    await db.close()


class Load:
    """Workers that write rows and read them back for as long as it lasts; what is no Unavailable is kept as a bug."""

    def __init__(self, db: Database, workers: int = 30) -> None:
        self.db, self.workers = db, workers
        self.met: Counter[str] = Counter()
        self.bugs: list[BaseException] = []
        self.acknowledged: set[int] = set()
        self._next = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._work(number)) for number in range(self.workers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, worker: int) -> None:
        while True:
            self._next += 1
            row = self._next
            try:
                async with self.db.begin() as conn:
                    await conn.execute(sa.text(f"INSERT INTO rows VALUES ({row}, {worker})"))
                    await conn.execute(sa.text("SELECT pg_sleep(0.002)"))
                self.acknowledged.add(row)
                async with self.db.read() as conn:
                    await conn.execute(sa.text("SELECT count(*) FROM rows WHERE worker = :w"), {"w": worker})
            except Unavailable as error:
                self.met[error.message.removeprefix("the database does not answer: ")[:60]] += 1
                await asyncio.sleep(0.02)
            except Exception as error:
                self.bugs.append(error)
                return

    async def goes_on(self) -> None:
        """Wait until new rows are acknowledged."""
        before = len(self.acknowledged)

        async def more() -> bool:
            assert not self.bugs, [repr(bug) for bug in self.bugs]
            return len(self.acknowledged) > before + self.workers

        await wait_for(more, what=f"writing goes on; met {self.met}", deadline_s=20)

    async def stored(self) -> set[int]:
        async with self.db.read() as conn:
            return set((await conn.execute(sa.text("SELECT id FROM rows"))).scalars())


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_a_server_that_stops_or_crashes_is_unavailable_and_nothing_acknowledged_is_lost(
    own_postgres: Postgres, database: Database, how: Literal["fast", "immediate"]
) -> None:
    load = Load(database)
    async with load.running():
        for _ in range(3):
            await load.goes_on()
            await own_postgres.restart(how)
        await load.goes_on()
    assert load.met, "the outage was met"
    assert load.acknowledged <= await load.stored()


async def test_sessions_that_are_terminated_under_load_are_unavailable(
    own_postgres: Postgres, database: Database
) -> None:
    load = Load(database)
    async with load.running(), own_postgres.operator() as operator:
        for _ in range(15):
            await load.goes_on()
            await operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hub'"
            )
        await load.goes_on()
    assert load.met
    assert load.acknowledged <= await load.stored()


async def test_a_statement_over_the_servers_time_limit_is_unavailable(
    own_postgres: Postgres, database: Database
) -> None:
    async with own_postgres.operator() as operator:
        name = database.writer.url.database
        await operator.execute(f'ALTER DATABASE "{name}" SET statement_timeout = 50')
    await database.writer.dispose()
    for opened in (database.begin, database.read):
        with pytest.raises(Unavailable, match="statement timeout"):
            async with opened() as conn:
                await conn.execute(sa.text("SELECT pg_sleep(5)"))
    async with database.begin() as conn:
        assert (await conn.execute(sa.text("SELECT 1"))).scalar() == 1


async def test_too_many_clients_is_unavailable(own_postgres: Postgres, database: Database) -> None:
    async with own_postgres.operator() as operator:
        # A superuser passes every limit, so Hub signs in as what it is in production: nobody special.
        await operator.execute("DROP ROLE IF EXISTS hub")
        await operator.execute("CREATE ROLE hub LOGIN CONNECTION LIMIT 3")
    async with own_postgres.operator(str(database.writer.url)) as operator:
        await operator.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO hub")
    url = database.writer.url.set(drivername="postgresql", username="hub")
    crowded = open_database(url.render_as_string(hide_password=False))
    try:
        load = Load(crowded)
        async with load.running():
            await load.goes_on()
            await load.goes_on()
        assert any("too many connections" in met for met in load.met), load.met
    finally:
        await crowded.close()
    async with own_postgres.operator(str(database.writer.url)) as operator:
        await operator.execute("DROP OWNED BY hub")
        await operator.execute("DROP ROLE hub")


async def test_a_bug_in_a_statement_or_a_value_stays_a_bug(database: Database) -> None:
    for statement, values in (
        ("SELECT nothing FROM nowhere", {}),
        ("SELECT CAST(:n AS bigint)", {"n": 2**70}),
        ("SELECT 1/0", {}),
    ):
        with pytest.raises(sa.exc.DBAPIError):
            async with database.begin() as conn:
                await conn.execute(sa.text(statement), values)


async def test_errors_of_the_one_who_uses_the_transaction_pass_unchanged(database: Database) -> None:
    with pytest.raises(FileNotFoundError):
        async with database.begin():
            raise FileNotFoundError("a file of the caller's")
    with pytest.raises(TimeoutError):
        async with database.begin() as conn, asyncio.timeout(0.05):
            await conn.execute(sa.text("SELECT pg_sleep(5)"))


async def test_without_a_descriptor_left_the_database_is_unavailable(database: Database) -> None:
    await database.writer.dispose()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(Unavailable, match="Too many open files"):
            async with database.begin():
                pass
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with database.begin() as conn:
        assert (await conn.execute(sa.text("SELECT 1"))).scalar() == 1
