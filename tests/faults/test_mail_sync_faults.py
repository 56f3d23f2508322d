"""A mailbox in which several programs work at once, and a Hub that is killed, or whose line is cut, wherever it can be.

After each: the messages in Hub are those on the server, each once, with their flags, and no lead is counted twice.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import msgspec
import pytest

from hub.errors import HubError
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.faults import mail_scenario as scenario
from tests.faults.driver import runs
from tests.testbed.dovecot import running_dovecot
from tests.testbed.proxy import running_command_cutter

pytestmark = pytest.mark.dovecot
USER = "sales@hub.test"


# On one database: what is tried is the order of things, and either test takes half a minute.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_killed_at_each_point_the_mailbox_is_whole_afterwards(
    db: Database, db_url: str, blobs: BlobStore, tmp_path: Path
) -> None:
    async with running_dovecot(USER) as dovecot:
        server = dovecot.server(USER)
        programs = scenario.OtherPrograms(server)
        await programs.prepare()
        await scenario.found_mailbox(db)
        words = [db_url, str(tmp_path / "blobs"), str(dovecot.port), USER]
        killed: set[str] = set()
        # How many points a life meets depends on who is first; those of history are met in any case.
        for only in ("mail.sync", "mail.sync.fetched"):
            steps = runs("tests.faults.mail_scenario", words, only=only)
            run = None
            while run is None or run.killed_at is not None:
                await programs.number_anew()
                await scenario.wish_something(db, serial=programs.serial)
                run, _ = await asyncio.gather(anext(steps), programs.work())
                await scenario.keep_in_step(db, blobs, server)
                await scenario.check(db, server, what=f"killed at {run.killed_at}, point {run.at}")
                killed.add(run.killed_at or "")
    assert killed >= {f"mail.sync.{name}" for name in ("opened", "fetched", "storing", "stored", "applied")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_cut_at_each_command_the_mailbox_is_whole_afterwards(db: Database, blobs: BlobStore) -> None:
    async with running_dovecot(USER) as dovecot:
        server = dovecot.server(USER)
        programs = scenario.OtherPrograms(server)
        await programs.prepare()
        await scenario.found_mailbox(db)
        for n in itertools.count(1):
            await programs.work()
            await scenario.wish_something(db, serial=programs.serial)
            async with running_command_cutter(dovecot.port, at=n) as cutter:
                through = msgspec.structs.replace(server, port=cutter.port)
                try:
                    async with asyncio.timeout(30):
                        await scenario.keep_in_step(db, blobs, through)
                except HubError:
                    assert cutter.was_cut
            if not cutter.was_cut:
                break
            await scenario.keep_in_step(db, blobs, server)
            await scenario.check(db, server, what=f"cut at command {n}")
        assert n > 20, "fewer commands than that would be another test"
