"""Bytes by content: raw mail and attachments as files named by their SHA-256.

Knows nothing of what the bytes mean or who may read them. Invariant: a file under its name is whole, since it is
written aside, flushed to disk and then renamed; the row that points at it is written after. Many files at once share
their flushes: two of the whole file system cost as much as those of a dozen files (measured, ext4: 1,600 files a
second by fsync of each, 5,200 by syncfs of 100).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import itertools
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hub import crash_points
from hub.errors import NotFound, Unavailable
from hub.process import make_private_folder

MANY = 8
"""From so many new files on, the file system is flushed instead of each file."""
_serial = itertools.count()


class BlobStore:
    """Content-addressed files under one directory. Its methods never block the event loop, but for `put_now`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        """The directory, for a process of its own that opens the same store."""
        return self._root

    async def put(self, content: bytes) -> str:
        """Keep `content` and return its SHA-256 in hex. Raises Unavailable when the disk does not take it."""
        return (await asyncio.to_thread(self.put_now, [content]))[0]

    def put_now(self, contents: Sequence[bytes]) -> list[str]:
        """Keep all of `contents`, or raise Unavailable; return their hashes. Blocks until they are on the disk."""
        hashes = [hashlib.sha256(content).hexdigest() for content in contents]
        try:
            self._put_all(dict(zip(hashes, contents, strict=True)))
        except OSError as error:
            raise Unavailable("disk", f"cannot store bytes: {error.strerror}") from error
        return hashes

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

    def _put_all(self, wanted: dict[str, bytes]) -> None:
        """Write the files aside, flush them, give them their names, flush the names."""
        root = os.fspath(self._root)
        new: list[tuple[str, str, int]] = []
        folders: set[str] = set()
        try:
            for sha256, content in wanted.items():
                folder = f"{root}/{sha256[:2]}/{sha256[2:4]}"
                # One that is there already may have been named just now by another process: its name is flushed too.
                folders.add(folder)
                if os.path.isfile(f"{folder}/{sha256}"):
                    continue
                aside = f"{folder}/.new-{os.getpid()}-{next(_serial)}"
                new.append((aside, f"{folder}/{sha256}", _create(aside, folders)))
                _write(new[-1][2], content)
            flush = _flush_each if len(wanted) < MANY or _syncfs is None else _flush_file_system
            if new:
                flush((handle for _, _, handle in new), root)
            crash_points.point("store.blobs.flushed")
            for aside, place, _ in new:
                os.replace(aside, place)
            crash_points.point("store.blobs.named")
            if flush is _flush_file_system:
                flush((), root)
            else:
                _flush_folders(folders)
        except BaseException:
            for aside, _, _ in new:
                with contextlib.suppress(OSError):
                    os.unlink(aside)
            raise
        finally:
            for _, _, handle in new:
                os.close(handle)

    def _put_stream(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        try:
            make_private_folder(self._root)
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
                make_private_folder(place.parent)
                os.replace(aside, place)
            except BaseException:
                os.unlink(aside)
                raise
            _flush_folders([os.fspath(place.parent.parent), os.fspath(place.parent)])
        except OSError as error:
            raise Unavailable("disk", f"cannot store bytes: {error.strerror}") from error
        return digest.hexdigest(), size


def _create(path: str, folders: set[str]) -> int:
    """Create a file and the folders above it; those in which a name is new join `folders`."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        folder = os.path.dirname(path)
        folders.update((os.path.dirname(folder), os.path.dirname(os.path.dirname(folder))))
        make_private_folder(Path(folder))
        return os.open(path, flags, 0o600)


def _write(handle: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _flush_each(handles: Iterable[int], _root: str) -> None:
    for handle in handles:
        os.fsync(handle)


def _flush_folders(paths: Iterable[str]) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _flush_file_system(_handles: Iterable[int], root: str) -> None:
    assert _syncfs is not None
    handle = os.open(root, os.O_RDONLY)
    try:
        if _syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(handle)


def _find_syncfs() -> Callable[[int], int] | None:
    """Return syncfs(2) where it tells of failed writes, which Linux does since 5.8; None elsewhere."""
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    if platform.system() != "Linux" or release is None or (int(release[1]), int(release[2])) < (5, 8):
        return None
    syncfs: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return syncfs


_syncfs = _find_syncfs()
