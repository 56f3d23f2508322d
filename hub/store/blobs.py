"""Bytes by content: raw mail and attachments as files named by their SHA-256.

Knows nothing of what the bytes mean or who may read them. Invariant: a file under its name is whole, since it is
written aside, flushed to disk and then renamed; the row that points at it is written after.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from hub.errors import NotFound, Unavailable


class BlobStore:
    """Content-addressed files under one directory. Its methods never block the event loop."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, content: bytes) -> str:
        """Keep `content` and return its SHA-256 in hex. Raises Unavailable when the disk does not take it."""
        return await asyncio.to_thread(self._put, content)

    async def put_stream(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Keep what `chunks` give, never whole in memory; return SHA-256 and size. `chunks` run in a worker thread.

        Raises Unavailable when the disk does not take it, and whatever `chunks` raise; then nothing is kept.
        """
        return await asyncio.to_thread(self._put_stream, chunks)

    def pieces(self, sha256: str, *, size: int = 256 * 1024) -> Iterator[bytes]:
        """Give the bytes of a hash in pieces; blocks, so for worker threads only. Raises NotFound."""
        with self.path(sha256).open("rb") as file:
            while piece := file.read(size):
                yield piece

    async def get(self, sha256: str) -> bytes:
        """Return the bytes. Raises NotFound."""
        return await asyncio.to_thread(self.path(sha256).read_bytes)

    def path(self, sha256: str) -> Path:
        """Return the file of a hash that exists. Raises NotFound."""
        path = self._place(sha256)
        if not path.is_file():
            raise NotFound("blob_missing", "the stored bytes are not there", sha256=sha256)
        return path

    def _place(self, sha256: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise NotFound("blob_missing", "not a content hash")
        return self._root / sha256[:2] / sha256[2:4] / sha256

    def _put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        place = self._place(sha256)
        if place.is_file():
            return sha256
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=place.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(aside, place)
            except BaseException:
                os.unlink(aside)
                raise
            _flush_directory(place.parent)
        except OSError as error:
            raise Unavailable("disk", f"cannot store bytes: {error.strerror}") from error
        return sha256

    def _put_stream(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self._root, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    for chunk in chunks:
                        digest.update(chunk)
                        size += len(chunk)
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                place = self._place(digest.hexdigest())
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(aside, place)
            except BaseException:
                os.unlink(aside)
                raise
            _flush_directory(place.parent)
        except OSError as error:
            raise Unavailable("disk", f"cannot store bytes: {error.strerror}") from error
        return digest.hexdigest(), size


def _flush_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
