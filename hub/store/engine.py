"""The door to the database: `Database.begin()` to change it, `Database.read()` to look.

On SQLite all writers share one connection that starts with BEGIN IMMEDIATE, so a read that is followed by a write in
one transaction can neither lose an update nor meet "database is locked" within this process (`sqlite`). On PostgreSQL
both come from one pool. Invariants: after a commit that told changes, the bus has been hinted, after a rollback it has
not; a database that is away, in whatever way, is `Unavailable` and nothing else (`outages`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hub.clock import monotonic_s
from hub.errors import ConfigError
from hub.periodic import LoopRegistry
from hub.store import outages, sqlite
from hub.store.bus import Bus, LocalBus

Dialect = Literal["sqlite", "postgresql"]
HINTS = "hub.hints"
LAST = "hub.last"
Write = Callable[[AsyncConnection, list[Any]], Awaitable[None]]


@dataclass(slots=True)
class Database:
    """One database, the bus its commits are hinted on, and the loops that work on it. Make it with `open_database`."""

    dialect: Dialect
    writer: AsyncEngine
    reader: AsyncEngine
    bus: Bus = field(default_factory=LocalBus)
    loops: LoopRegistry = field(default_factory=LoopRegistry)
    """Every long-running loop of this process; `/readyz` and `/metrics` read its states."""
    _queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The order of the writers of a SQLite file."""

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: committed at the end of the block, rolled back on any exception.

        Raises Unavailable (503) where the database does not answer. A lost answer to COMMIT is Unavailable too:
        every statement Hub writes is safe to repeat by its unique keys.
        """
        hints: set[str] = set()
        async with self._writing() as conn, conn.begin():
            conn.info[HINTS] = hints
            last: dict[str, tuple[list[Any], Write]] = {}
            conn.info[LAST] = last
            yield conn
            await write_gathered(conn)
        for topic in sorted(hints):
            await self.bus.hint(topic)

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """Check a connection out to write; on SQLite in one's turn."""
        if self.dialect == "postgresql":
            async with _connected(self.writer) as conn:
                yield conn
            return
        asked_at = monotonic_s()
        async with sqlite.turn(self._queue), _connected(self.writer) as conn:
            sqlite.tell_waited(conn, monotonic_s() - asked_at)
            yield conn

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction with one consistent view. Raises Unavailable where the database does not answer."""
        async with _connected(self.reader) as conn:
            yield conn

    async def close(self) -> None:
        await self.writer.dispose()
        if self.reader is not self.writer:
            await self.reader.dispose()
        if self.dialect == "sqlite":
            await sqlite.wait_for_threads(self.writer)
        await self.bus.close()


@contextlib.asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Check a connection out and put it back. Raises Unavailable where there is none in time."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            conn = await stack.enter_async_context(engine.connect())
        except outages.CONNECTING as error:
            raise outages.unavailable(error) from error
        yield conn


def hint_after_commit(conn: AsyncConnection, topic: str) -> None:
    """Have `topic` hinted on the bus once the transaction of `conn` has committed."""
    conn.info[HINTS].add(topic)


def write_before_commit(conn: AsyncConnection, name: str, row: Any, write: Write) -> None:
    """Gather rows of a kind and have `write` put them all down as the last thing before the commit.

    A row that a savepoint added stays when that savepoint is rolled back.
    """
    last: dict[str, tuple[list[Any], Write]] = conn.info[LAST]
    last.setdefault(name, ([], write))[0].append(row)


async def write_gathered(conn: AsyncConnection) -> None:
    """Put down what `write_before_commit` gathered so far. `begin` does it; nobody else needs to."""
    last: dict[str, tuple[list[Any], Write]] = conn.info[LAST]
    while last:
        rows, write = last.pop(next(iter(last)))
        await write(conn, rows)


def open_database(url: str, *, bus: Bus | None = None) -> Database:
    """Open `sqlite:///PATH` or `postgresql://…`. Connects lazily. Raises ConfigError on a URL no driver takes."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError("config_invalid", "hub.database: not a database address") from None
    dialect: Dialect = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql"
    writer, reader = sqlite.open_engines(parsed) if dialect == "sqlite" else _open_postgresql(parsed)
    for engine in {writer, reader}:
        outages.raise_unavailable(engine)
    return Database(dialect, writer, reader, bus or LocalBus())


def _open_postgresql(url: sa.URL) -> tuple[AsyncEngine, AsyncEngine]:
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=4,
        pool_pre_ping=True,
        connect_args={
            "timeout": 4,
            "command_timeout": 60,
            "server_settings": {"application_name": "hub", "lock_timeout": "10s", "jit": "off"},
        },
    )
    return engine, engine
