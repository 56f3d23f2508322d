"""One statement within a transaction, through Hub's connection to SQLite and through aiosqlite's own, in one run.

    python -m bench.statements [OTHERS]

OTHERS tasks (8 unless told) each keep the event loop for 1 ms a turn, as pages and calls do on a busy day.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hub.store.engine import open_database

STATEMENTS = 300
TURN_S = 0.001


async def _keep_busy(over: asyncio.Event) -> None:
    while not over.is_set():
        until = time.perf_counter() + TURN_S
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def _measure(name: str, writer: AsyncEngine, reader: AsyncEngine, others: int) -> None:
    over = asyncio.Event()
    busy = [asyncio.create_task(_keep_busy(over)) for _ in range(others)]
    began = time.perf_counter()
    async with writer.begin() as conn:
        for number in range(STATEMENTS):
            await conn.execute(sa.text("INSERT INTO n VALUES (NULL, :text)"), {"text": str(number)})
    inserted = time.perf_counter()
    async with reader.connect() as conn:
        for number in range(STATEMENTS):
            (await conn.execute(sa.text("SELECT text FROM n WHERE id = :id"), {"id": number})).all()
    read = time.perf_counter()
    over.set()
    await asyncio.gather(*busy)
    insert_ms, select_ms = (inserted - began) / STATEMENTS * 1e3, (read - inserted) / STATEMENTS * 1e3
    print(f"{name:9} {others:2} others: INSERT {insert_ms:7.2f} ms, SELECT {select_ms:7.2f} ms")


async def _main(others: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for count in (0, others):
            db = open_database(f"sqlite:///{Path(folder) / f'hub{count}.db'}")
            plain = create_async_engine(f"sqlite+aiosqlite:///{Path(folder) / f'plain{count}.db'}")
            for engine in (db.writer, plain):
                async with engine.begin() as conn:
                    await conn.execute(sa.text("CREATE TABLE n (id INTEGER PRIMARY KEY, text TEXT)"))
            await _measure("hub", db.writer, db.reader, count)
            await _measure("aiosqlite", plain, plain, count)
            await db.close()
            await plain.dispose()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 8))
