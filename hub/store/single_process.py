"""One serving process per SQLite file.

Decides nothing on PostgreSQL, where any number of processes serve. Commands such as `hub user add` need no lock:
SQLite's own serves them. Invariant: the lock ends with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hub.errors import ConfigError
from hub.process import make_private_folder


@contextlib.contextmanager
def sole_process(database: Path, *, named: str) -> Iterator[None]:
    """Hold the lock beside a SQLite file. Raises ConfigError that names the process which holds it."""
    place = database.with_name(database.name + ".lock")
    try:
        make_private_folder(place.parent)
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError("config_invalid", f"{named}: {place}: {error.strerror}") from error
    try:
        try:
            # A POSIX lock: workers that are forked do not hold it, so none outlives a killed process with it.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError("already_running", _in_use(named, database, handle)) from None
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _in_use(named: str, database: Path, handle: int) -> str:
    holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
    who = f"process {holder}" if holder.isdigit() else "another process"
    return f"{named}: {database} is served by {who} already: stop it first, or use another folder or PostgreSQL"
