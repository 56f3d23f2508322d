"""Handing out bytes that a stranger made: as a download, or under a type that their own first bytes prove.

Decides the headers; what may be shown at all is decided by `mail.attachments`. Invariant: no sender's word reaches a
header unfiltered, and the type is ours, not the sender's.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from hub.errors import NotFound
from hub.mail.files.attachments import HEAD_BYTES, names_in_zip, saved_as
from hub.store.blobs import BlobStore
from hub.web.security import FILE_POLICY

PDF_POLICY = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
)
"""A PDF opens in the browser's own viewer, which runs apart from pages by itself; a sandbox would keep some from it."""
CHUNK_BYTES = 256 * 1024


def disposition(name: str, *, fallback: str = "file", kind: str = "attachment") -> str:
    """Return a Content-Disposition that saves under `name` (RFC 6266, RFC 5987): one component, bounded."""
    clean = saved_as(name, fallback=fallback)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._()-") else "_" for c in clean)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def download(
    blobs: BlobStore, sha256: str, *, name: str, content_type: str = "application/octet-stream"
) -> web.StreamResponse:
    """Answer with stored bytes as a download. Raises NotFound where they are not there."""
    return _file(blobs, sha256, content_type, disposition(name), FILE_POLICY)


def shown(blobs: BlobStore, sha256: str, *, name: str, content_type: str) -> web.StreamResponse:
    """Answer with stored bytes that a browser draws by itself: a picture or a PDF. `content_type` is proven."""
    inert = PDF_POLICY if content_type == "application/pdf" else FILE_POLICY
    return _file(blobs, sha256, content_type, disposition(name, kind="inline"), inert)


def _file(
    blobs: BlobStore, sha256: str, content_type: str, content_disposition: str, policy: str
) -> web.StreamResponse:
    return web.FileResponse(
        blobs.path(sha256),
        headers={
            "Content-Type": content_type,
            "Content-Disposition": content_disposition,
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
        },
    )


async def heads(blobs: BlobStore, hashes: Iterable[str]) -> Mapping[str, bytes]:
    """Return the first bytes of stored files by hash; one that is not there has none."""

    def read(wanted: frozenset[str]) -> dict[str, bytes]:
        return {sha256: _head(blobs, sha256, HEAD_BYTES) for sha256 in wanted}

    return await asyncio.to_thread(read, frozenset(hashes))


async def beginning(blobs: BlobStore, sha256: str, *, at_most: int) -> bytes:
    """Return the first bytes of a stored file; none where it is not there."""
    return await asyncio.to_thread(_head, blobs, sha256, at_most)


def _head(blobs: BlobStore, sha256: str, at_most: int) -> bytes:
    try:
        with blobs.path(sha256).open("rb") as file:
            return file.read(at_most)
    except (NotFound, OSError):
        return b""


async def zipped(
    request: web.Request, files: Sequence[tuple[str, Path]], *, name: str, at: datetime
) -> web.StreamResponse:
    """Answer with an archive of files, written while it is sent: (name, path) each; memory is one chunk."""
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": disposition(name),
        "Content-Security-Policy": FILE_POLICY,
        "Cache-Control": "private, no-store",
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    async for chunk in _in_thread(_zip(files, at)):
        await response.write(chunk)
    await response.write_eof()
    return response


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


class _Sink(io.RawIOBase):
    """Where the archive writes; it cannot seek, so that nothing of what was written is wanted again."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: object) -> int:
        data = bytes(piece)  # type: ignore[call-overload]  # whatever has bytes
        self.pieces.append(data)
        return len(data)

    def take(self) -> bytes:
        taken, self.pieces = b"".join(self.pieces), []
        return taken


def _zip(files: Sequence[tuple[str, Path]], at: datetime) -> Iterator[bytes]:
    sink = _Sink()
    moment = (max(at.year, 1980), at.month, at.day, at.hour, at.minute, at.second)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, (_, path) in zip(names_in_zip(name for name, _ in files), files, strict=True):
            entry = zipfile.ZipInfo(name, moment)
            entry.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w") as place:
                while chunk := source.read(CHUNK_BYTES):
                    place.write(chunk)
                    yield sink.take()
    yield sink.take()
