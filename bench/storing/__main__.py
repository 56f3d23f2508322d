"""Calls a second into a real database, and the lag: `python -m bench.storing [sqlite|postgresql] [CALLS_PER_S]`.

A PBX of its own process (bench/storing/feed) speaks through a real socket; here are link, tracker, intake and the
database, as `hub serve` joins them: SQLite with `synchronous = FULL`, PostgreSQL with `fsync`. The lag of an effect
is its commit minus the arrival of its event. Without a rate, rates go up until p99 passes 200 ms.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import uvloop

from bench.ami.__main__ import ROOT
from bench.storing.feed import CLIENTS, client_number
from hub.clock import utc_now
from hub.crm import clients, people
from hub.crm.linking import Linker
from hub.settings import Pbx, PbxTeam, Secret
from hub.store.changes import changes
from hub.store.engine import Database, open_database
from hub.store.migrate import upgrade
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import calls
from hub.telephony.service import PbxService
from tests.testbed.postgres import running_postgres

LIMIT_MS = 200.0
SECONDS = 8.0
RATES = (25, 50, 100, 150, 200, 300, 400, 600, 800)


@dataclass(frozen=True, slots=True)
class Lag:
    """What a run at one rate showed; times in ms."""

    rate: float
    stored: int
    effects: int
    p50: float
    p99: float
    worst: float
    cpu: float
    """Share of one core that this process used."""

    @property
    def is_sustained(self) -> bool:
        return self.p99 <= LIMIT_MS


async def seeded(db: Database) -> CallIntake:
    """Make the people, the team and the clients whose calls come."""
    now = utc_now()
    async with db.begin() as conn:
        for extension in ("101", "102"):
            await people.add_user(
                conn, email=f"{extension}@hub.test", name=extension, role="manager", password_hash="x",
                team_names=["sales"], extension=extension, now=now,
            )  # fmt: skip
        for n in range(CLIENTS):
            client_id = await clients.create(conn, None, kind="organisation", name=f"Client {n}", now=now)
            await clients.add_address(conn, None, client_id, kind="phone", raw=client_number(n), now=now)
        team_id = await people.ensure_team(conn, "sales", now=now)
    return CallIntake(db, Linker("RU"), {"hub-sales": team_id})


async def run_at(db: Database, intake: CallIntake, rate: float) -> Lag:
    """Store calls at one rate for `SECONDS` and wait until the last one has ended."""
    async with db.begin() as conn:
        for name in ("call_legs", "timeline_entries", "queue_items", "leads", "calls"):
            await conn.execute(sa.text(f"DELETE FROM {name}"))
        await conn.execute(changes.delete())
    feed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.storing.feed", str(rate), str(SECONDS),
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert feed.stdin and feed.stdout
    lags: list[float] = []
    pbx = Pbx(
        name="office", port=int(await feed.stdout.readline()), username="hub", secret=Secret("x"),
        team=(PbxTeam(queue="hub-sales", team="sales"),),
    )  # fmt: skip
    service = asyncio.ensure_future(PbxService(db, pbx, intake, lag_seen=lags.append).run())
    began, cpu = time.monotonic(), time.process_time()
    try:
        await asyncio.wait_for(feed.stdout.readline(), SECONDS * 8)
        used = (time.process_time() - cpu) / (time.monotonic() - began)
        async with asyncio.timeout(120):
            while await _open_calls(db):
                await asyncio.sleep(0.2)
    finally:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        feed.stdin.close()
        await feed.wait()
    async with db.read() as conn:
        stored = (await conn.execute(sa.select(sa.func.count()).select_from(calls))).scalar_one()
    ordered = sorted(lag * 1000 for lag in lags)
    p50, p99 = (ordered[int((len(ordered) - 1) * share)] for share in (0.5, 0.99))
    return Lag(rate, stored, len(ordered), p50, p99, ordered[-1], used)


async def _open_calls(db: Database) -> int:
    async with db.read() as conn:
        query = sa.select(sa.func.count()).select_from(calls).where(calls.c.state != "ended")
        return int((await conn.execute(query)).scalar_one())


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    db = open_database(url)
    try:
        await upgrade(db)
        yield db
    finally:
        await db.close()


async def measure(kind: str, url: str, rates: tuple[float, ...]) -> None:
    async with _opened(url) as db:
        intake = await seeded(db)
        best: Lag | None = None
        for rate in rates:
            lag = await run_at(db, intake, rate)
            print(
                f"{kind:10} {rate:4.0f} calls/s: {lag.stored} calls, {lag.effects} effects, lag p50 {lag.p50:.0f} ms, "
                f"p99 {lag.p99:.0f} ms, max {lag.worst:.0f} ms, {lag.cpu:.0%} of a core",
                flush=True,
            )
            if not lag.is_sustained:
                break
            best = lag
        said = f"{best.rate:.0f} calls/s" if best else "none"
        print(f"{kind:10} highest rate with p99 <= {LIMIT_MS:.0f} ms: {said} (load {os.getloadavg()[0]:.1f})")


def main() -> None:
    arguments = sys.argv[1:]
    named = [word for word in arguments if word in ("sqlite", "postgresql")] or ["sqlite", "postgresql"]
    rates = tuple(float(word) for word in arguments if word.isdigit()) or RATES
    if "sqlite" in named:
        # In the checkout, not in a temporary folder that may be memory: the flush to disk is part of what is measured.
        (ROOT / "build").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
            uvloop.run(measure("sqlite", f"sqlite:///{Path(folder) / 'hub.db'}", rates))
    if "postgresql" in named:
        with running_postgres() as server:
            url = asyncio.run(server.new_database())
            uvloop.run(measure("postgresql", url, rates))


if __name__ == "__main__":
    main()
