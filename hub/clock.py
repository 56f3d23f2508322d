"""Time at the rim: the one place that reads clocks.

Wall time (aware, UTC) is for what people read; durations and deadlines come from the monotonic clock.
Pure modules get `now` as an argument and import nothing from here.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def utc_now() -> datetime:
    """Return the wall time, aware, in UTC."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """Return seconds of the monotonic clock; only differences mean anything."""
    return time.monotonic()


def thread_cpu_s() -> float:
    """Return seconds of processor time that this thread has used; only differences mean anything."""
    return time.thread_time()


def machine_zone() -> str:
    """Return the name of this machine's time zone, UTC where it has none of a name."""
    linked = str(Path("/etc/localtime").resolve())
    for name in (os.environ.get("TZ", "").lstrip(":"), linked.partition("/zoneinfo/")[2]):
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return "UTC"


def rfc3339(at: datetime | None) -> str | None:
    """Write `at` as RFC 3339 in UTC with milliseconds and `Z`, or pass None on."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
