"""Handing out bytes that a stranger made: always as a download, never as something a browser runs.

Invariant: no sender's word reaches a header unfiltered, and the type is ours, not the sender's.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from aiohttp import web

from hub import guard
from hub.store.blobs import BlobStore
from hub.web.security import FILE_POLICY


def disposition(name: str, *, fallback: str = "file") -> str:
    """Return a Content-Disposition that saves under `name` (RFC 6266, RFC 5987): no path, no control, at most 150."""
    clean = guard.shown(re.split(r"[/\\]", name)[-1], max_chars=150).strip(". ") or fallback
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", clean)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def download(
    blobs: BlobStore, sha256: str, *, name: str, content_type: str = "application/octet-stream"
) -> web.StreamResponse:
    """Answer with stored bytes as a download. Raises NotFound where they are not there."""
    return web.FileResponse(
        blobs.path(sha256),
        headers={
            "Content-Type": content_type,
            "Content-Disposition": disposition(name),
            "Content-Security-Policy": FILE_POLICY,
            "Cache-Control": "private, no-store",
        },
    )
