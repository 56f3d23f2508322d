"""Where recordings lie: a directory, or the PBX's own web server. The only module that touches their bytes.

A path reaches this module as `RecordingPath` only, and is resolved piece by piece below a root that was opened first,
following no symbolic link; over HTTP it is put behind the one configured base, and no redirect is followed.
Decides nothing about rights. Invariants: nothing but a regular file below the root is ever opened or deleted, and
every wait on the PBX has an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import hashlib
import os
import re
import ssl
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NewType, Protocol
from urllib.parse import quote

import aiohttp

from hub import sanitize
from hub.errors import NotFound, Refused, Unavailable
from hub.settings import Pbx
from hub.telephony.recordings import audio
from hub.telephony.recordings.audio import KINDS, Measured

RecordingPath = NewType("RecordingPath", str)
"""A path below a root: pieces of plain characters, none of which begins with a dot or a hyphen."""

MAX_PATH = 300
MAX_DEPTH = 10
MAX_BYTES = 1024**3
CHUNK_BYTES = 256 * 1024
CONNECT_WITHIN_S = 5
SILENT_AT_MOST_S = 15
_PIECE = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+.=-]*")


def recording_path(text: str) -> RecordingPath:
    """Return a dialplan's word as a path below the root. Raises Refused for everything that is not plainly one."""
    pieces = text.split("/")
    plain = all(_PIECE.fullmatch(piece) and ".." not in piece for piece in pieces)
    if not plain or len(text) > MAX_PATH or len(pieces) > MAX_DEPTH or suffix_of(text) not in KINDS:
        raise Refused("bad_path", f"{sanitize.shown(text)!r} is not the path of a recording", field="File")
    return RecordingPath(text)


def suffix_of(path: str) -> str:
    """Return the end of the file's name behind its last dot, "" where it has none."""
    stem, _, suffix = path.rpartition("/")[2].rpartition(".")
    return suffix if stem else ""


class OpenRecording(Protocol):
    """A recording that is there. `etag` is a strong validator, in its quotes."""

    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    def chunks(self, start: int, length: int) -> AsyncGenerator[bytes, None]: ...


class Source(Protocol):
    """The recordings of one PBX."""

    def opened(self, path: RecordingPath) -> contextlib.AbstractAsyncContextManager[OpenRecording]:
        """Open a recording. Raises NotFound where it is not there, Unavailable where that cannot be told."""
        ...

    async def delete(self, path: RecordingPath) -> bool:
        """Delete a recording; False where its file stays. One that is not there is deleted. Raises Unavailable."""
        ...


def source_of(pbx: Pbx) -> Source | None:
    """Return where the recordings of a PBX lie, None where the operator has not said. Raises Refused for a bad URL."""
    if pbx.recordings_dir:
        return DirectorySource(Path(pbx.recordings_dir))
    if pbx.recordings_url:
        base = sanitize.http_url(pbx.recordings_url, field="recordings_url").rstrip("/")
        secret = ""
        if pbx.recordings_username:
            secret = aiohttp.encode_basic_auth(pbx.recordings_username, pbx.recordings_password.reveal(), "utf-8")
        return HttpSource(base, pbx.recordings_ca_file, secret)
    return None


# A directory


@contextlib.contextmanager
def _parent_of(root: Path, path: RecordingPath) -> Iterator[tuple[int, str]]:
    """Walk to the folder of a file without following a link; give its descriptor and the file's name."""
    *folders, name = path.split("/")
    try:
        here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        # A disk that is not mounted is no recording that is gone.
        raise Unavailable("recordings_dir", f"recordings_dir {root}: {error.strerror}") from error
    try:
        for folder in folders:
            there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = there
        yield here, name
    finally:
        os.close(here)


def open_beneath(root: Path, path: RecordingPath) -> int:
    """Return a descriptor of the regular file at `path` below `root`. Raises OSError, NotFound for what is no file."""
    with _parent_of(root, path) as (folder, name):
        # Without O_NONBLOCK opening a FIFO would wait for ever.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotFound("recording_missing", "there is no such recording")
    return handle


def measure_beneath(root: Path, path: RecordingPath) -> Measured:
    """Measure a file: seconds of CPU for an hour of sound, so for a worker process. Raises OSError, NotAudio.

    Only what can be pickled is raised here: another exception would break the pool and not reach who asked.
    """
    try:
        handle = open_beneath(root, path)
    except NotFound as error:
        raise FileNotFoundError(errno.ENOENT, error.message) from None
    except Unavailable as error:
        raise OSError(errno.EIO, error.message) from None
    with open(handle, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return audio.measure(file, size_bytes=size, suffix=suffix_of(path))


@dataclass(frozen=True, slots=True)
class _OpenFile:
    handle: int
    size: int
    etag: str

    async def chunks(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        end = start + length
        while start < end:
            chunk = await asyncio.to_thread(os.pread, self.handle, min(CHUNK_BYTES, end - start), start)
            if not chunk:
                raise Unavailable("recording_changed", "the recording became shorter while it was read")
            start += len(chunk)
            yield chunk


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """Recordings below a directory that this machine sees. Reading never blocks the event loop."""

    root: Path

    @contextlib.asynccontextmanager
    async def opened(self, path: RecordingPath) -> AsyncIterator[OpenRecording]:
        try:
            handle = await asyncio.to_thread(open_beneath, self.root, path)
        except OSError as error:
            raise _not_opened(error) from error
        try:
            told = os.fstat(handle)
            yield _OpenFile(handle, told.st_size, f'"{told.st_size:x}-{told.st_mtime_ns:x}"')
        finally:
            os.close(handle)

    async def delete(self, path: RecordingPath) -> bool:
        try:
            await asyncio.to_thread(self._delete, path)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise Unavailable("recording_kept", f"{path}: cannot be deleted: {error.strerror}") from error
        return True

    def _delete(self, path: RecordingPath) -> None:
        with _parent_of(self.root, path) as (folder, name):
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise OSError(0, "it is not a regular file")
            os.unlink(name, dir_fd=folder)


_NOT_NOW = {errno.EIO, errno.ENFILE, errno.EMFILE, errno.ESTALE}


def _not_opened(error: OSError) -> NotFound | Unavailable:
    """A file that is not there, or no file at all, is missing; one that may not be read is the operator's business."""
    if isinstance(error, PermissionError) or error.errno in _NOT_NOW:
        return Unavailable("recording_unreadable", f"the recording cannot be read: {error.strerror}")
    return NotFound("recording_missing", "there is no such recording")


# The PBX's web server


@functools.cache
def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


@dataclass(frozen=True, slots=True)
class _Remote:
    source: HttpSource
    session: aiohttp.ClientSession
    url: str
    size: int
    etag: str
    validator: str

    async def chunks(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        if length == 0:
            return
        wanted = {"Range": f"bytes={start}-{start + length - 1}"}
        async with self.source.asked(self.session, self.url, wanted) as answer:
            skip = 0 if answer.status == 206 else start
            same = _validator(answer) == self.validator and _whole_size(answer) == self.size
            if not same or (answer.status == 206 and _first_byte(answer) != start):
                raise Unavailable("recording_changed", "the recording changed while it was read")
            left = length
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                piece = chunk[skip : skip + left]
                skip = max(0, skip - len(chunk))
                left -= len(piece)
                if piece:
                    yield piece
                if left == 0:
                    return
            raise Unavailable("recording_changed", "the recording ended before its length")


@dataclass(frozen=True, slots=True)
class HttpSource:
    """Recordings behind one fixed address. A server that knows no ranges is read from the beginning."""

    base: str
    ca_file: str
    authorization: str = field(default="", repr=False)

    @contextlib.asynccontextmanager
    async def opened(self, path: RecordingPath) -> AsyncIterator[OpenRecording]:
        url = f"{self.base}/{quote(path)}"
        async with self._session() as session:
            async with self.asked(session, url, {"Range": "bytes=0-0"}) as answer:
                size = 0 if answer.status == 416 else _whole_size(answer)
                validator = _validator(answer)
            if size is None:
                raise Unavailable("recording_unreadable", "the PBX does not say how long the recording is")
            if size > MAX_BYTES:
                raise Unavailable("recording_too_large", f"the recording is larger than {MAX_BYTES} bytes")
            etag = f'"{size:x}-{_digest(validator)}"'
            yield _Remote(self, session, url, size, etag, validator)

    async def delete(self, path: RecordingPath) -> bool:
        return False

    def _session(self) -> aiohttp.ClientSession:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN_S, sock_read=SILENT_AT_MOST_S)
        # Identity: a compressed answer would have another length, and could be a bomb.
        headers = {"Accept-Encoding": "identity", "User-Agent": "Hub"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        return aiohttp.ClientSession(timeout=limits, headers=headers, auto_decompress=False)

    @contextlib.asynccontextmanager
    async def asked(
        self, session: aiohttp.ClientSession, url: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET; only an answer that is a recording, whole or in part, comes back."""
        try:
            context = await asyncio.to_thread(_tls, self.ca_file) if url.startswith("https:") else True
            async with session.get(url, headers=headers, allow_redirects=False, ssl=context) as answer:
                if answer.status in (404, 410):
                    raise NotFound("recording_missing", "there is no such recording")
                if answer.status not in (200, 206, 416) or "Content-Encoding" in answer.headers:
                    what = "a redirect" if 300 <= answer.status < 400 else f"status {answer.status}"
                    raise Unavailable("recording_unreadable", f"the PBX answers {what} for a recording")
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable("recording_unreadable", f"the PBX's recordings cannot be reached: {reason}") from error

    async def fetch(self, path: RecordingPath, into: Path) -> None:
        """Write the whole recording into a file."""
        async with self.opened(path) as recording:
            with into.open("wb") as file:
                async for chunk in recording.chunks(0, recording.size):
                    await asyncio.to_thread(file.write, chunk)


def _whole_size(answer: aiohttp.ClientResponse) -> int | None:
    """The size of the whole: behind the slash of Content-Range (RFC 9110, 14.4), else Content-Length."""
    if answer.status == 206:
        found = re.fullmatch(r"bytes [0-9]{1,15}-[0-9]{1,15}/([0-9]{1,15})", answer.headers.get("Content-Range", ""))
        return int(found[1]) if found else None
    return answer.content_length


def _first_byte(answer: aiohttp.ClientResponse) -> int | None:
    found = re.match(r"bytes ([0-9]{1,15})-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _validator(answer: aiohttp.ClientResponse) -> str:
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
