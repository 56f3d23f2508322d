"""Another process keeps SQLite's write lock: who writes is told to come again within 5 s, who reads notices nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from hub.crm.models import clients
from hub.store.blobs import BlobStore
from hub.store.engine import Database, open_database
from tests.faults.locking import write_lock_held
from tests.testbed.site import Site, running_site

HELD_S = 18.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got: after how long, and the header that says when to come again."""

    status: int
    took_s: float
    retry_after: str


@pytest.fixture
async def db_url(tmp_path: Path, sqlite_template: Path) -> str:
    path = tmp_path / "hub.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    database = open_database(db_url)
    yield database
    await database.close()


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


async def ask(client: aiohttp.ClientSession, method: str, path: str, **body: Any) -> Answer:
    began = time.monotonic()
    async with client.request(method, path, **body) as answer:
        await answer.read()
        return Answer(answer.status, time.monotonic() - began, answer.headers.get("Retry-After", ""))


async def test_requests_answer_503_within_5_s_while_another_process_has_the_lock_for_18_s(
    site: Site, db_url: str
) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    assert (await ask(browser, "GET", "/desk")).status == 200, "the first page of a process compiles its templates"
    writes: list[asyncio.Task[Answer]] = []
    async with write_lock_held(Path(db_url.removeprefix("sqlite:///"))):
        until = time.monotonic() + HELD_S
        while time.monotonic() < until:
            for _ in range(4):
                person = {"name": f"Rose {len(writes)}", "kind": "person"}
                writes.append(asyncio.create_task(ask(api, "POST", "clients", json=person)))
            writes.append(asyncio.create_task(ask(browser, "POST", "/presence", data={"state": "away"})))
            reading = await ask(browser, "GET", "/desk")
            assert (reading.status, reading.took_s < 5) == (200, True), reading
            await asyncio.sleep(0.5)
        refused = [task.result() for task in writes if task.done()]
    answers = await asyncio.gather(*writes)
    assert len(refused) > 20
    assert {answer.status for answer in refused} == {503}
    assert all(int(answer.retry_after) > 0 for answer in refused)
    assert max(answer.took_s for answer in answers) < 5
    made = sum(answer.status == 201 for answer in answers)
    assert made, "those who asked just before the lock was let go were not turned away"
    assert (await ask(browser, "POST", "/presence", data={"state": "away"})).status in (200, 303)
    async with site.db.read() as conn:
        count = (await conn.execute(sa.select(sa.func.count()).select_from(clients))).scalar()
    assert count == made, "what was answered with 503 was not made, and what with 201 was"
