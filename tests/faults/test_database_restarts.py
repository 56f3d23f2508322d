"""PostgreSQL restarted and crashed again and again under a whole office: Hub lives, and nothing is lost or doubled."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hub.store.engine import open_database
from hub.store.migrate import upgrade
from tests.faults.office_under_load import Office, running_office
from tests.testbed.postgres import running_postgres
from tests.testbed.waiting import wait_for

RESTARTS = 10


@pytest.mark.timeout(400)
async def test_postgresql_restarted_ten_times_under_load_ends_nothing_and_loses_nothing(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        url = await postgres.new_database()
        db = open_database(url)
        await upgrade(db)
        await db.close()
        async with postgres.operator() as operator:
            # A process that crashes loses nothing without it, and each of ten recoveries would wait for the disk.
            await operator.execute("ALTER SYSTEM SET fsync = off")
        await postgres.restart()
        async with running_office(tmp_path, database=url) as office:
            async with office.at_work():
                await office.goes_on()
                for number in range(RESTARTS):
                    await postgres.restart("immediate" if number % 2 else "fast")
                    await office.goes_on()
                await wait_for(lambda: load_is_real(office), what="a load that is worth its name", deadline_s=100)
            await office.accounted_for()
            assert office.statuses[503], "the outages were met by those who asked"
            await postgres.stop()

            async def is_not_ready() -> bool:
                return not await office.hub.is_ready()

            await wait_for(is_not_ready, what="/readyz says that the database is away")
            began = time.monotonic()
            await office.hub.stop()
            assert time.monotonic() - began < 6, "it stops at once while it waits for the database"
            assert office.hub.process is not None
            assert office.hub.process.returncode == 0


async def load_is_real(office: Office) -> bool:
    """Tell whether calls, letters, answers and claims went through, each as often as the database was restarted."""
    figures = (len(office.pbx.calls), len(office.delivered), len(office.accepted), office.claims_won)
    return all(figure >= RESTARTS for figure in figures)
