"""Which errors of a database driver mean that the database is unavailable, for now, and which are a bug.

Decides by class and code, never by wording. An outage is nobody's statement: the server stops, starts, ends the
connection, cancels by its time limit, has no connection, disk or memory left; or this process has no descriptor left.
Sources: PostgreSQL "Appendix A. Error Codes"; sqlite.org/rescode.html.
"""

from __future__ import annotations

import sqlite3

import asyncpg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.errors import Unavailable

CODE = "database_unavailable"
_CLASSES = ("08", "53", "57", "58")
"""Connection exception, insufficient resources, operator intervention (query_canceled among them), system error."""
_STATES = frozenset(("40001", "40P01", "40003", "55P03", "25006", "25P03", "25P04"))
"""Serialization failure, deadlock, completion unknown, lock not available, a server that only reads, and the server's
limits for an idle and for a long transaction."""
_CUT = ("08", "57P")
"""After these the connection is gone."""
_SQLITE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    )
)

CONNECTING = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
    sa.exc.TimeoutError,
)
"""Whatever of these is met while a connection is opened or waited for is an outage."""


def unavailable(error: BaseException) -> Unavailable:
    """Return what to raise for an outage."""
    first = str(error).strip().splitlines() or [type(error).__name__]
    return Unavailable(CODE, f"the database does not answer: {first[0][:200]}")


def is_outage(error: BaseException) -> bool:
    """Tell whether this error of a driver, raised for a statement, is an outage."""
    if isinstance(error, OSError):  # the socket's own; TimeoutError is one
        return True
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        # Without a code it is aiosqlite's own: the connection is closed.
        return isinstance(error, sqlite3.OperationalError) if code is None else code & 0xFF in _SQLITE
    if state := getattr(error, "sqlstate", None):
        return state.startswith(_CLASSES) or state in _STATES
    return _is_lost_session(error)


def _is_lost_session(error: BaseException) -> bool:
    """Tell whether asyncpg finds its connection closed, or in a state that only a cut in mid-answer leaves.

    A value that it cannot encode is an InterfaceError, too, but a ValueError as well.
    """
    cause = error.__cause__ or error
    return isinstance(cause, asyncpg.InterfaceError | asyncpg.InternalClientError) and not isinstance(cause, ValueError)


def raise_unavailable(engine: AsyncEngine) -> None:
    """Have every outage that a statement, commit or connection attempt of `engine` meets raised as Unavailable."""

    @event.listens_for(engine.sync_engine, "handle_error")
    def judge(context: ExceptionContext) -> None:
        error = context.original_exception
        is_connecting = context.connection is None
        if not isinstance(error, Exception) or not (is_connecting or is_outage(error)):
            return
        is_cut = (getattr(error, "sqlstate", None) or "").startswith(_CUT)
        if is_cut or isinstance(error, OSError) or _is_lost_session(error):
            context.is_disconnect = True
        if context.is_pre_ping:
            return  # the pool opens another connection instead
        raise unavailable(error)
