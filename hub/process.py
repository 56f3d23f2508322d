"""What Hub asks of the operating system for its own process: open files, and whom its files are open to.

Decides no path. Invariant: what Hub creates is readable by the user it runs as and nobody else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import stat
from pathlib import Path

log = logging.getLogger(__name__)

WANTED_OPEN_FILES = 65_536
KEPT_FROM_CONNECTIONS = 256
"""Descriptors for the database, mailboxes, PBXs, worker processes and files, which no stranger may use up."""


def keep_files_private() -> None:
    """Have files created as 0600 and folders as 0700, whatever the caller's umask was."""
    os.umask(0o077)


def raise_open_files() -> int:
    """Raise the soft limit of open files as far as wanted and allowed; return what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError) as error:
            log.warning("the limit of open files stays at %d: %s", soft, error)
    return open_files()


def open_files() -> int:
    """Return the soft limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED_OPEN_FILES if soft == resource.RLIM_INFINITY else soft


def connections_at_most(wanted: int) -> int:
    """Return how many connections may be open at once, leaving descriptors for everything else."""
    return max(16, min(wanted, open_files() - KEPT_FROM_CONNECTIONS))


def make_private_folder(folder: Path) -> None:
    """Make a folder and those above it, for this user alone; what is there already keeps its rights."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file that only this user may read, or take the others' rights from one that is there."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    close_to_others(path)


def close_to_others(path: Path) -> None:
    """Take group's and others' rights from a file or folder of this user; no-op for another user's."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        found = path.stat()
        if found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.chmod(stat.S_IMODE(found.st_mode) & 0o700)
