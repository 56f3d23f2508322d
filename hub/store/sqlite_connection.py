"""A connection of aiosqlite that runs short statements on the event loop's own thread.

aiosqlite sends each step of a statement (cursor, execute, fetch, close) to a thread and back: four turns of the event
loop for one statement. On a busy loop a transaction of a hundred statements waits for seconds, and everybody who
wants to write waits for it. Here a short statement takes no turn, any other takes one.

Decides what is short: all that has not shown otherwise within `REMEMBERED_S`, but never what waits for a disk or for
another process (BEGIN IMMEDIATE, COMMIT, changes of the schema). A SELECT that turns out long is interrupted and
starts again in the thread. Invariants: a connection never works in both threads at once; a task that runs statements
without a pause gives the loop a turn every `TURN_S`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial
from threading import Thread
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiosqlite

from hub.clock import monotonic_s, thread_cpu_s

SHORT_S = 0.005
"""Of processor time. A statement that took longer goes to the thread for the next `REMEMBERED_S`."""
REMEMBERED_S = 60.0
MOST_STEPS = 50_000
"""Instructions of SQLite's machine, a few ms, after which a SELECT is interrupted."""
MOST_ROWS = 200
"""Of rows that one executemany writes on the loop's thread."""
TURN_S = 0.005
BUSY_S = 4.0
"""The longest wait for a lock of another process, unless `patience_s` of the connection says otherwise."""
LONGEST_PAUSE_S = 0.1
"""Between two looks at a lock that another process has."""
MOST_LONG = 500
"""Statements that are remembered as long; a text that SQLAlchemy made is one statement, whatever its parameters."""

_SHORT_WORDS = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "SAVEPOINT", "RELEASE", "ROLLBACK"))


class LongStatements:
    """The statements of one database that were seen to be long, by text, with when that is forgotten."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __contains__(self, sql: str) -> bool:
        until = self._until.get(sql)
        return until is not None and monotonic_s() < until

    def add(self, sql: str) -> None:
        self._until.pop(sql, None)
        self._until[sql] = monotonic_s() + REMEMBERED_S
        if len(self._until) > MOST_LONG:
            del self._until[next(iter(self._until))]


class _Turns:
    """When the loop has last gone round, as far as statements on its thread are concerned."""

    def __init__(self) -> None:
        self._since: float | None = None

    async def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the loop a turn, where this turn has been a long one."""
        if self._since is None:
            self._since = monotonic_s()
            loop.call_soon(self._turned)
        elif monotonic_s() - self._since > TURN_S:
            await asyncio.sleep(0)

    def _turned(self) -> None:
        self._since = None


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


class LoopConnection(aiosqlite.Connection):
    """A connection whose short statements need no thread. A reader runs SELECTs only, and may wait for a lock."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], long: LongStatements, *, is_reader: bool) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True
        self._long = long
        self._is_reader = is_reader
        self.patience_s = BUSY_S
        """The longest wait of the next statement for a lock of another process, in seconds."""
        self._asked, self._answered = 0, 0
        """Jobs given to the thread and jobs done; each number is counted by one thread only."""

    def cursor(self) -> LoopCursor:  # type: ignore[override]
        """Return a cursor; making it needs no thread."""
        return LoopCursor(self, self._conn.cursor())

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run in the thread, behind all that it was asked before."""

        def counted() -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                self._answered += 1

        if not self._running or not self._connection:
            raise ValueError("Connection closed")
        self._asked += 1
        future = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, counted))
        return await future

    async def rollback(self) -> None:
        """Roll back; a reader has nothing to undo, and nothing to do where no transaction is open."""
        if self._is_reader and self.is_idle:
            self._conn.rollback()
        else:
            await self._execute(self._conn.rollback)

    @property
    def is_idle(self) -> bool:
        """Whether the thread has done all that it was asked."""
        return self._asked == self._answered

    async def run(self, sql: str, job: Callable[[], Any], *, rows: int = 1) -> Any:
        """Run a job that executes `sql` here or in the thread."""
        if not self._running or not self._connection:
            raise ValueError("Connection closed")
        loop = asyncio.get_running_loop()
        if (turns := _turns.get(loop)) is None:
            turns = _turns[loop] = _Turns()
        await turns.take(loop)
        word = sql.lstrip()[:12].split(None, 1)[0].upper() if sql else ""
        if rows > MOST_ROWS or not self.is_idle or not self._is_short(word, sql) or sql in self._long:
            return await self._execute(self._wait_for_lock, job)
        is_select = word == "SELECT" or self._is_reader
        began = thread_cpu_s()
        try:
            if is_select:
                self._conn.set_progress_handler(_interrupt, MOST_STEPS)
            return job()
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF
            if not is_select or code not in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
                raise
            if code == sqlite3.SQLITE_INTERRUPT:
                self._long.add(sql)
        finally:
            if is_select:
                self._conn.set_progress_handler(None, 0)
            if thread_cpu_s() - began > SHORT_S:
                self._long.add(sql)
        return await self._execute(self._wait_for_lock, job)

    def _is_short(self, word: str, sql: str) -> bool:
        if self._is_reader and (word == "WITH" or sql == "BEGIN"):
            return True
        return word in _SHORT_WORDS

    def _wait_for_lock(self, job: Callable[[], Any]) -> Any:
        """Run a job, waiting for whoever has the file to themselves.

        By the clock: SQLite's own busy timeout adds up its pauses as they should be, not as long as they are.
        """
        until = monotonic_s() + self.patience_s
        pause_s = 0.001
        while True:
            try:
                return job()
            except sqlite3.OperationalError as error:
                left_s = until - monotonic_s()
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or left_s <= 0:
                    raise
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class LoopCursor(aiosqlite.Cursor):
    """A cursor that fetches as it executes: the rows are there when `execute` is."""

    _conn: LoopConnection

    def __init__(self, conn: LoopConnection, cursor: sqlite3.Cursor) -> None:
        super().__init__(conn, cursor)
        self._rows: list[Any] = []

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> LoopCursor:
        def job() -> list[Any]:
            self._cursor.execute(sql, parameters or ())  # type: ignore[arg-type]
            return self._cursor.fetchall() if self._cursor.description else []

        self._rows = await self._conn.run(sql, job)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> LoopCursor:
        rows = list(parameters)
        await self._conn.run(sql, lambda: self._cursor.executemany(sql, rows), rows=len(rows))  # type: ignore[arg-type]
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        size = size or self.arraysize
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    async def close(self) -> None:
        if self._conn.is_idle:
            self._cursor.close()
        else:
            await self._conn._execute(self._cursor.close)


def _interrupt() -> int:
    return 1


async def connect(path: str, long: LongStatements, threads: WeakSet[Thread], *, is_reader: bool) -> LoopConnection:
    """Open a file, and add the thread of the connection to `threads`."""
    conn = LoopConnection(partial(sqlite3.connect, path, timeout=0, check_same_thread=False), long, is_reader=is_reader)
    threads.add(conn._thread)
    await conn
    return conn
