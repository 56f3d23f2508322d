"""Whether the disk takes what Hub must keep: a few bytes are written and flushed, and the room left is counted."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROBE = bytes(4096)


@dataclass(frozen=True, slots=True)
class Disk:
    """The fullest of the folders. `error` is what the system said when it took no bytes; empty where it did."""

    free_bytes: int
    error: str = ""


async def probe(folders: Sequence[Path]) -> Disk:
    """Try each folder; the first that takes nothing is told, else the one with the least room."""
    return await asyncio.to_thread(_probe, folders)


def _probe(folders: Sequence[Path]) -> Disk:
    free = []
    for folder in folders:
        try:
            room = os.statvfs(folder)
            free.append(room.f_bavail * room.f_frsize)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(PROBE)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            return Disk(free[-1] if free else 0, error.strerror or type(error).__name__)
    return Disk(min(free))
