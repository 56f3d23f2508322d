"""A migrated empty SQLite file: the migrations run once in a process, and each test gets a copy."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from hub.store.engine import open_database
from hub.store.migrate import upgrade
from tests.testbed.compiled_statements import keep_statements

T = TypeVar("T")


def run_aside(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop of its own, also when this thread already has one running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def migrate(url: str) -> None:
    db = open_database(url)
    try:
        await upgrade(db)
        keep_statements(db)
    finally:
        await db.close()


@functools.cache
def sqlite_file() -> bytes:
    """Return the content of a SQLite file at head."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hub.db"
        run_aside(migrate(f"sqlite:///{path}"))
        return path.read_bytes()
