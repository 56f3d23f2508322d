"""The log: one line an event, as text or as JSON, each with the id of what it is about.

The id (`trace`) comes from the wire and goes as far as the page: a request's is in its answer's `X-Request-ID` and in
the error; a call's is `PBX/LINKEDID`, as AMI says it; a message's is the beginning of the SHA-256 of its bytes. Calls
and messages carry it in the feed's events too. Invariants: a line of JSON is one line whatever a stranger is called,
and tells of an exception its class and place, never its message: that may hold what somebody sent.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

_TRACE: ContextVar[str] = ContextVar("trace", default="")
FRAMES = 8


def new_trace() -> str:
    """Return an id for what comes without one."""
    return secrets.token_hex(8)


def current_trace() -> str:
    """Return the id of what this task works on, empty where it is nothing in particular."""
    return _TRACE.get()


@contextlib.contextmanager
def tracing(trace: str) -> Iterator[None]:
    """Have what is logged in the block bear this id."""
    token = _TRACE.set(trace)
    try:
        yield
    finally:
        _TRACE.reset(token)


def where_of(error: Any, *, frames: int = FRAMES) -> str:
    """Return an error's class and where it came from, without its message."""
    if not isinstance(error, BaseException):
        return "no exception"
    places = reversed(traceback.extract_tb(error.__traceback__)[-frames:])
    return " < ".join([type(error).__name__, *(f"{one.name} ({one.filename}:{one.lineno})" for one in places)])


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, and `trace` and `error` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if trace := _trace_of(record):
            line["trace"] = trace
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = where_of(record.exc_info[1])
        return json.dumps(line)


class TextLines(logging.Formatter):
    """The same for people: time, level, logger, the id in brackets, the message; our own tracebacks below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(trace_shown)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        trace = _trace_of(record)
        record.trace_shown = f"[{trace}] " if trace else ""
        return super().format(record)


def _trace_of(record: logging.LogRecord) -> str:
    return str(getattr(record, "trace", "") or _TRACE.get())


def configure(kind: Literal["text", "json"]) -> None:
    """Write the log to standard error, in this form from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("aiosqlite", "alembic", "mail.log"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
