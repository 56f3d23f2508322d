"""Hub reads a mailbox to its end, in a process of its own: `… bench.mail.hub DATABASE FOLDER PORT COUNT WORKERS`.

Prints one line of JSON: seconds from the first connection until each message is stored, what each process held at
most, how long the event loop stood still at worst.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvloop

from bench.mail.corpus import SENDERS, sender_address
from hub.clock import utc_now
from hub.crm import clients, people
from hub.crm.linking import Linker
from hub.crm.models import timeline_entries
from hub.mail.imap.connection import connected
from hub.mail.intake.intake import MailIntake
from hub.mail.models import attachments, mailboxes, messages, thread_ids, threads
from hub.mail.reading.workers import ParserPool
from hub.mail.sync.fetching import Trouble
from hub.mail.sync.session import MailSession
from hub.settings import MailServer, Secret
from hub.store.blobs import BlobStore
from hub.store.engine import Database, open_database
from hub.store.migrate import upgrade

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def seeded(db: Database) -> tuple[int, int]:
    """Make a team, its mailbox, and a client for every other sender; return the ids of mailbox and team."""
    async with db.begin() as conn:
        team_id = await people.ensure_team(conn, "sales", now=NOW)
        for n in range(0, SENDERS, 2):
            client_id = await clients.create(conn, None, kind="organisation", name=f"Client {n}", now=NOW)
            await clients.add_address(conn, None, client_id, kind="email", raw=sender_address(n), now=NOW)
        box = mailboxes.insert().values(address="sales@hub.example", team_id=team_id, created_at=NOW)
        mailbox_id = (await conn.execute(box.returning(mailboxes.c.id))).scalar_one()
    return mailbox_id, team_id


async def stall(worst: list[float]) -> None:
    """Watch how late the event loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        worst.append(loop.time() - due)


def children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


def cpu_of_workers() -> float:
    """The CPU seconds of this process's children so far."""
    ticks = 0
    for pid in children():
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def held_kb() -> dict[str, int]:
    """The most that this process and each of its children held at a time."""
    found = {}
    for pid in (os.getpid(), *children()):
        status = Path(f"/proc/{pid}/status").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"resource_tracker" not in command and (peak := re.search(r"VmHWM:\s+(\d+) kB", status)):
            found["main" if pid == os.getpid() else f"worker {len(found)}"] = int(peak[1])
    return found


async def run(url: str, folder: Path, server: MailServer, count: int, workers: int) -> dict[str, Any]:
    db = open_database(url)
    await upgrade(db)
    mailbox_id, team_id = await seeded(db)
    worst: list[float] = []
    with ParserPool(workers) as parsers:
        intake = MailIntake(
            db,
            BlobStore(folder / "blobs"),
            Linker("RU", frozenset(), frozenset({"sales@hub.example"})),
            mailbox_id,
            team_id,
            parsers,
        )
        watching = asyncio.ensure_future(stall(worst))
        began, cpu = time.monotonic(), time.process_time()
        async with connected(server) as imap:
            session = MailSession(db, imap, intake, Trouble(), utc_now(), 0)
            while await session.catch_up():
                pass
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        watching.cancel()
        held, workers_cpu = held_kb(), cpu_of_workers()
    async with db.read() as conn:
        counts = {
            table.name: (await conn.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            for table in (messages, threads, thread_ids, attachments, timeline_entries)
        }
        searchable = sa.text("SELECT count(*) FROM message_search")
        counts["searchable"] = (await conn.execute(searchable)).scalar_one()
    await db.close()
    assert counts["messages"] == counts["searchable"] == count, counts
    late = sorted(worst)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "workers_cpu": workers_cpu,
        "held_kb": held,
        "stall_ms": late[-1] * 1000,
        "stall_p99_ms": late[int(len(late) * 0.99)] * 1000,
        "counts": counts,
    }


def main() -> None:
    url, folder, port, count, workers = sys.argv[1:6]
    logging.basicConfig(level=logging.WARNING)
    password = Secret(sys.stdin.read())
    server = MailServer(host="127.0.0.1", port=int(port), tls="none", username="sales", password=password)
    profiled = os.environ.get("BENCH_PROFILE")
    if profiled:
        import cProfile

        profile = cProfile.Profile()
        profile.enable()
    found = uvloop.run(run(url, Path(folder), server, int(count), int(workers)))
    if profiled:
        profile.disable()
        profile.dump_stats(profiled)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
