"""Device states under load: `python -m bench.presence [CALLS_PER_S] [SECONDS]`.

Plays what Asterisk tells of phones and lines for that many calls a second (five changes a call, measured on Asterisk
22.10: the line twice, the manager's phone three times) into the board and the store, on SQLite in a temporary folder.
Prints events, batches and rows written, the CPU spent, and how old a state is when it is stored.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import sqlalchemy as sa

from hub.clock import utc_now
from hub.store.changes import changes
from hub.store.engine import open_database
from hub.store.migrate import upgrade
from hub.telephony.presence import devicestore
from hub.telephony.presence.devicestore import DeviceStore

PHONES = 200


async def main(calls_per_s: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(f"sqlite:///{Path(folder)}/hub.db")
        await upgrade(db)
        ages: list[float] = []
        rows = 0
        plain_store = devicestore.store

        async def timed_store(conn, pbx, pending, *, now):  # type: ignore[no-untyped-def]
            nonlocal rows
            await plain_store(conn, pbx, pending, now=now)
            rows += len(pending.changed)
            ages.extend((utc_now() - one.since).total_seconds() for one in pending.changed)

        devicestore.store = timed_store
        store = DeviceStore(db, "office", now=utc_now)
        running = asyncio.ensure_future(store.run())
        cpu_s, began, events = time.process_time(), time.monotonic(), 0

        def tell(device: str, state: str) -> None:
            nonlocal events
            events += 1
            store.handle({"Event": "DeviceStateChange", "Device": device, "State": state}, now=utc_now())

        for n in range(calls_per_s * seconds):
            phone, line = f"PJSIP/{n % PHONES + 100}", f"PJSIP/trunk{n % 7}"
            for device, state in ((line, "INUSE"), (phone, "RINGING"), (phone, "INUSE")):
                tell(device, state)
            before = f"PJSIP/{(n - 50) % PHONES + 100}"
            tell(before, "NOT_INUSE")
            tell(line, "NOT_INUSE")
            await asyncio.sleep(max(0.0, began + (n + 1) / calls_per_s - time.monotonic()))
        await asyncio.sleep(0.5)
        cpu_s = time.process_time() - cpu_s
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        async with db.read() as conn:
            told = (await conn.execute(sa.select(sa.func.count()).select_from(changes))).scalar_one()
        await db.close()
    p50, p99 = quantiles(ages, n=100)[49], quantiles(ages, n=100)[98]
    sys.stdout.write(
        f"{calls_per_s} calls/s for {seconds} s: {events} events, {told} changes told, {rows} rows written, "
        f"{cpu_s / seconds * 100:.1f} % of a core, age when stored p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms\n"
    )


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in sys.argv[1:3])) if len(sys.argv) > 2 else main(100, 10))
