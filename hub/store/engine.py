"""The door to the database: `Database.begin()` to change it, `Database.read()` to look.

On SQLite all writers share one connection that starts with BEGIN IMMEDIATE, so a read that is followed by a
write in one transaction can neither lose an update nor meet "database is locked" within this process; readers
have their own connections and never wait for a writer (WAL). On PostgreSQL both come from one pool.
Invariant: after a commit that told changes, the bus has been hinted; after a rollback it has not.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from hub.errors import ConfigError, Unavailable
from hub.periodic import LoopRegistry
from hub.process import close_to_others, make_private_file, make_private_folder
from hub.store.bus import Bus, LocalBus

Dialect = Literal["sqlite", "postgresql"]
HINTS = "hub.hints"
LAST = "hub.last"


_TRY_AGAIN = frozenset(
    # Serialization failure, deadlock, lock timeout, query cancelled, and a server that stops or starts: none of
    # them is the statement's fault, and SQLAlchemy has no class of its own for what asyncpg calls them.
    ("40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "53300", "53200", "53100")
)
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

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: committed at the end of the block, rolled back on any exception.

        Raises Unavailable (503) where the database does not answer. A lost answer to COMMIT is Unavailable too:
        every statement Hub writes is safe to repeat by its unique keys.
        """
        hints: set[str] = set()
        async with _connected(self.writer.begin()) as conn:
            conn.info[HINTS] = hints
            last: dict[str, tuple[list[Any], Write]] = {}
            conn.info[LAST] = last
            yield conn
            await write_gathered(conn)
        for topic in sorted(hints):
            await self.bus.hint(topic)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction with one consistent view. Raises Unavailable where the database does not answer."""
        async with _connected(self.reader.connect()) as conn:
            yield conn

    async def close(self) -> None:
        await self.writer.dispose()
        if self.reader is not self.writer:
            await self.reader.dispose()
        await self.bus.close()


@contextlib.asynccontextmanager
async def _connected(
    opening: contextlib.AbstractAsyncContextManager[AsyncConnection],
) -> AsyncIterator[AsyncConnection]:
    """Open a connection and close it; say Unavailable where the server is gone, slow, or has no connection left."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                conn = await stack.enter_async_context(opening)
            except OSError as error:
                # asyncpg lets the socket's own error through, a refused or timed-out connection among them.
                raise _unavailable(error) from error
            yield conn
    except (OperationalError, InterfaceError) as error:
        raise _unavailable(error.orig or error) from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _TRY_AGAIN or error.connection_invalidated:
            raise _unavailable(error.orig or error) from error
        raise
    except sa.exc.TimeoutError as error:
        raise _unavailable(error) from error


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
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, bus or LocalBus())
    engine = create_async_engine(
        parsed.set(drivername="postgresql+asyncpg"),
        pool_size=10,
        max_overflow=10,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "timeout": 10,
            "command_timeout": 60,
            "server_settings": {"application_name": "hub", "lock_timeout": "10s", "jit": "off"},
        },
    )
    return Database("postgresql", engine, engine, bus or LocalBus())


def _open_sqlite(url: sa.URL, bus: Bus) -> Database:
    assert url.database
    try:
        make_private_folder(Path(url.database).parent)
        for end in ("-wal", "-shm"):
            close_to_others(Path(url.database + end))
        # SQLite gives the files beside it the rights of this one.
        make_private_file(Path(url.database))
    except OSError as error:
        raise ConfigError("config_invalid", f"hub.database: {url.database}: {error.strerror}") from error
    url = url.set(drivername="sqlite+aiosqlite")
    writer = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, pool_timeout=30)
    reader = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=4, max_overflow=4, pool_timeout=30)
    _tame_sqlite(writer, begin="BEGIN IMMEDIATE", read_only=False)
    _tame_sqlite(reader, begin="BEGIN", read_only=True)
    return Database("sqlite", writer, reader, bus)


def _tame_sqlite(engine: AsyncEngine, *, begin: str, read_only: bool) -> None:
    """Take transactions out of the driver's hands (it would begin late and in silence) and set the pragmas."""

    @event.listens_for(engine.sync_engine, "connect")
    def connect(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        pragmas = ["busy_timeout = 10000", "foreign_keys = ON", "synchronous = FULL", "temp_store = MEMORY"]
        pragmas.insert(1, "query_only = ON" if read_only else "journal_mode = WAL")
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def give_up(dbapi: Any, _record: Any, _error: Any) -> None:
        # A task that was cancelled within a transaction leaves its connection to be closed, and aiosqlite closes it
        # without a word to SQLite: the next writer would wait for a lock that nobody holds.
        dbapi.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def start(conn: sa.Connection) -> None:
        conn.exec_driver_sql(begin)


def _unavailable(error: BaseException) -> Unavailable:
    first = str(error).strip().splitlines() or ["no answer"]
    return Unavailable("database_unavailable", f"the database does not answer: {first[0][:200]}")
