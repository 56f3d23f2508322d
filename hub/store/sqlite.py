"""The two engines of a SQLite file: one connection that writes, a few that read.

All writers of the process share one connection, strictly in the order they asked (`turn`), and begin with BEGIN
IMMEDIATE; readers never wait for a writer (WAL). Decides how long a writer waits for a lock of another process:
`WITHIN_S` from when it asked, its time in the queue included. Invariant: while another process keeps the lock, every
writer, however many wait, has an answer within `WITHIN_S` and a little.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from hub.errors import ConfigError
from hub.process import close_to_others, make_private_file, make_private_folder
from hub.store import outages
from hub.store.sqlite_connection import LongStatements, LoopConnection, connect

WITHIN_S = 4.0
LEAST_S = 0.25
"""The least time for the lock of a writer that waited long in its queue: another process may have it for a moment."""
QUEUE_WITHIN_S = 30.0
ENDS_WITHIN_S = 5.0
PATIENCE = "hub.patience"
_threads: WeakKeyDictionary[sa.Engine, WeakSet[Thread]] = WeakKeyDictionary()
"""The threads of the connections of an engine and its twin."""


@dataclass(slots=True)
class _Lock:
    """The state of the file's lock, as its last asker met it."""

    is_stuck: bool = False

    def patience_s(self, waited_s: float) -> float:
        """Return how much longer a writer waits that waited so long for its turn."""
        return max(WITHIN_S - waited_s, 0.0 if self.is_stuck else LEAST_S)


def open_engines(url: sa.URL) -> tuple[AsyncEngine, AsyncEngine]:
    """Return the writer and the reader of a file. Raises ConfigError where its folder cannot be."""
    assert url.database
    try:
        make_private_folder(Path(url.database).parent)
        for end in ("-wal", "-shm"):
            close_to_others(Path(url.database + end))
        # SQLite gives the files beside it the rights of this one.
        make_private_file(Path(url.database))
    except OSError as error:
        raise ConfigError("config_invalid", f"hub.database: {url.database}: {error.strerror}") from error
    long = LongStatements()
    threads: WeakSet[Thread] = WeakSet()
    opened = partial(connect, url.database, long, threads)
    writer = _engine(url, partial(opened, is_reader=False), pool_size=1, max_overflow=0)
    reader = _engine(url, partial(opened, is_reader=True), pool_size=4, max_overflow=4)
    for engine in (writer, reader):
        _threads[engine.sync_engine] = threads
    _set_up(writer, "journal_mode = WAL")
    _set_up(reader, "query_only = ON")
    _begin_writing(writer)
    _begin_reading(reader)
    return writer, reader


def _engine(url: sa.URL, creator: Callable[[], Any], *, pool_size: int, max_overflow: int) -> AsyncEngine:
    return create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        hide_parameters=True,
        async_creator=creator,
        poolclass=AsyncAdaptedQueuePool,
        pool_timeout=QUEUE_WITHIN_S,
        pool_size=pool_size,
        max_overflow=max_overflow,
    )


async def wait_for_threads(engine: AsyncEngine) -> None:
    """Wait for the threads of a disposed engine, at most `ENDS_WITHIN_S` each.

    A cancelled task leaves its statement running; a thread that ends after the event loop is closed fails.
    """
    for thread in list(_threads[engine.sync_engine]):
        await asyncio.to_thread(thread.join, ENDS_WITHIN_S)


@contextlib.asynccontextmanager
async def turn(queue: asyncio.Lock) -> AsyncIterator[None]:
    """Wait for the writer's connection behind all who asked before. Raises Unavailable after `QUEUE_WITHIN_S`.

    The pool alone would give it to whoever asks in the moment it comes back: while another process keeps the lock,
    each newcomer would wait its whole time before those who are due.
    """
    try:
        async with asyncio.timeout(QUEUE_WITHIN_S):
            await queue.acquire()
    except TimeoutError as error:
        raise outages.unavailable(error) from error
    try:
        yield
    finally:
        queue.release()


def tell_waited(conn: AsyncConnection, waited_s: float) -> None:
    """Say how long the writer waited for its turn, before it begins."""
    conn.info[PATIENCE] = waited_s


def _set_up(engine: AsyncEngine, *pragmas: str) -> None:
    """Take transactions out of the driver's hands (it would begin late and in silence) and set the pragmas."""

    @event.listens_for(engine.sync_engine, "connect")
    def connect(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in (*pragmas, "foreign_keys = ON", "synchronous = FULL", "temp_store = MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def give_up(dbapi: Any, _record: Any, _error: Any) -> None:
        # A task that was cancelled within a transaction leaves its connection to be closed, and aiosqlite closes it
        # without a word to SQLite: the next writer would wait for a lock that nobody holds.
        dbapi.rollback()


def _begin_writing(engine: AsyncEngine) -> None:
    lock = _Lock()

    @event.listens_for(engine.sync_engine, "begin")
    def start(conn: sa.Connection) -> None:
        driver = conn.connection.driver_connection
        assert isinstance(driver, LoopConnection)
        driver.patience_s = lock.patience_s(conn.info.pop(PATIENCE, 0.0))
        lock.is_stuck = True
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        lock.is_stuck = False


def _begin_reading(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def start(conn: sa.Connection) -> None:
        conn.exec_driver_sql("BEGIN")
