"""Compression of pages, lists and exports, as gzip.

Built files are packed once by the build and chosen by aiohttp (`render.static`). A stream of events and what strangers
sent are never packed: the one must leave at once, the other is packed already. Invariant: no page shows a secret that
stays the same from one answer to the next, since the length of a packed page tells of repeated text (BREACH): the token
of its forms is masked anew each time (`security.masked`), and the session's cookie is in no page.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.web_response import ContentCoding

LEAST_BYTES = 1000
"""Below it a packed answer saves no packet."""
TYPES = frozenset(("text/html", "application/json", "text/csv", "text/plain"))


def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Have a whole answer packed where its reader takes gzip."""
    if not isinstance(response, web.Response) or response.content_type not in TYPES:
        return
    if not isinstance(response.body, bytes) or len(response.body) < LEAST_BYTES or request.method == "HEAD":
        return
    response.headers.add("Vary", "Accept-Encoding")
    accepted = request.headers.get("Accept-Encoding", "").replace(" ", "").lower().split(",")
    if any(one in ("gzip", "*") or (one.startswith("gzip;q=") and one != "gzip;q=0") for one in accepted):
        response.enable_compression(ContentCoding.gzip)
