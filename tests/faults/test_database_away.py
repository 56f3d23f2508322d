"""A PBX at work while the database is away for longer than what waits may grow, and while descriptors are used up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from hub.crm.linking import Linker
from hub.demo.pbx import Phone, ScriptedPbx
from hub.store.engine import Database, open_database
from hub.store.migrate import upgrade
from hub.telephony import service
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import calls, pbx_states
from hub.telephony.service import PbxService
from tests.testbed.postgres import Postgres, running_postgres
from tests.testbed.waiting import wait_for


@pytest.fixture
async def own_postgres() -> AsyncIterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
async def database(own_postgres: Postgres) -> AsyncIterator[Database]:
    db = open_database(await own_postgres.new_database())
    await upgrade(db)
    yield db
    await db.close()


@contextlib.asynccontextmanager
async def at_work(db: Database, pbx: ScriptedPbx) -> AsyncIterator[asyncio.Task[None]]:
    """The service of a PBX; what it raises is raised at the end."""
    task = asyncio.ensure_future(PbxService(db, pbx.settings(), CallIntake(db, Linker("RU"), {})).run())
    try:
        await until_up(db)
        yield task
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        began = time.monotonic()
        await asyncio.gather(task, return_exceptions=True)
        assert time.monotonic() - began < 3, "it ends at once, in a pause as well"


async def until_up(db: Database) -> None:
    async def is_up() -> bool:
        async with db.read() as conn:
            return (await conn.execute(sa.select(pbx_states.c.state))).scalar() == "up"

    await wait_for(is_up, what="the PBX is up", deadline_s=40)


async def ended(db: Database, count: int) -> list[sa.RowMapping]:
    async def all_ended() -> list[sa.RowMapping]:
        async with db.read() as conn:
            rows = list((await conn.execute(sa.select(calls))).mappings())
        return rows if len(rows) == count and all(row["state"] == "ended" for row in rows) else []

    return await wait_for(all_ended, what=f"{count} calls are stored and ended", deadline_s=40)


async def talked(pbx: ScriptedPbx, count: int, *, first: int = 0) -> None:
    """Play calls from begin to end."""
    played = [pbx.call_phone(f"7916{first + n:07d}", "101") for n in range(count)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(call.over.wait() for call in played))


async def test_calls_that_are_played_while_the_database_is_away_are_stored_as_they_were(
    own_postgres: Postgres, database: Database
) -> None:
    async with ScriptedPbx(speed=10) as pbx:
        pbx.phones["101"] = Phone(answers_after_s=1, hangs_up_after_s=3)
        async with at_work(database, pbx):
            await own_postgres.stop()
            await talked(pbx, 10)

            async def fail() -> bool:
                failing = {state.name for state in database.loops.failing()}
                return failing >= {"pbx.office.calls", "pbx.office.intents"}

            await wait_for(fail, what="the loops of the PBX say that the database is away")
            await own_postgres.start()
            rows = await ended(database, 10)
            assert {(row["outcome"], row["estimated"]) for row in rows} == {("answered", False)}

            async def all_well() -> bool:
                return not database.loops.failing()

            await wait_for(all_well, what="every loop works again", deadline_s=30)


async def test_more_than_is_kept_is_dropped_and_the_state_taken_anew(
    own_postgres: Postgres, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_BUFFERED", 20)
    async with ScriptedPbx(speed=10) as pbx:
        pbx.phones["101"] = Phone(answers_after_s=1, hangs_up_after_s=3)
        pbx.phones["102"] = Phone(answers_after_s=1, hangs_up_after_s=None)
        async with at_work(database, pbx):
            await own_postgres.stop()
            await talked(pbx, 30)
            lasting = pbx.call_phone("79160009999", "102")
            await asyncio.wait_for(lasting.talking.wait(), 10)
            await own_postgres.start()

            async def talks() -> bool:
                async with database.read() as conn:
                    found = await conn.execute(sa.select(calls.c.from_number).where(calls.c.state == "talking"))
                    return list(found.scalars()) == ["+79160009999"]

            await wait_for(talks, what="the call that lives on is taken from the PBX's state", deadline_s=40)
            lasting.hang_up()

            async def none_open() -> bool:
                async with database.read() as conn:
                    query = sa.select(sa.func.count()).select_from(calls).where(calls.c.state != "ended")
                    return (await conn.execute(query)).scalar() == 0

            await wait_for(none_open, what="no call stays open", deadline_s=20)


async def test_used_up_descriptors_end_nothing_and_lose_no_call(own_postgres: Postgres, database: Database) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    async with ScriptedPbx(speed=10) as pbx:
        pbx.phones["101"] = Phone(answers_after_s=1, hangs_up_after_s=3)
        async with at_work(database, pbx), own_postgres.operator() as operator:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            try:
                await operator.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hub'"
                )

                async def fails() -> bool:
                    # Without the pools' old connections, each statement needs a descriptor of its own.
                    await asyncio.gather(database.writer.dispose(), database.reader.dispose())
                    with contextlib.suppress(OSError):
                        while True:
                            taken.append(os.open("/dev/null", os.O_RDONLY))
                    return any("Too many open files" in state.last_error for state in database.loops.failing())

                await fails()
                await talked(pbx, 5)
                await wait_for(fails, what="the loops say what is missing", deadline_s=30)
            finally:
                for descriptor in taken:
                    os.close(descriptor)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await ended(database, 5)
