"""What a browser is told not to do, and the signs by which a request of another site is known.

Two protections against a forged request, each enough alone: where it came from (Origin, Sec-Fetch-Site), and a token
that only our own pages know. Invariant: every response carries the headers of `harden`, whatever made it.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from aiohttp import web

from hub.errors import Forbidden

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "frame-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
    )
)
# A file that a stranger sent: should a browser show it after all, it can do nothing.
FILE_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"

_ALWAYS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
}


async def harden(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Put the headers on a response that has not set them itself."""
    put_headers(response)


def put_headers(response: web.StreamResponse) -> None:
    """The same for a response that no application prepares."""
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)


def refuse_foreign(request: web.Request, *, public_url: str) -> None:
    """Raise Forbidden for a request that a browser says another site made.

    A client that is no browser says neither; the token must be right for it all the same.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        raise Forbidden("foreign_origin", "this request comes from another site")
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(origin, request.host, public_url):
        raise Forbidden("foreign_origin", "this request comes from another site")


def _is_own(origin: str, host: str, public_url: str) -> bool:
    try:
        parts, public = urlsplit(origin), urlsplit(public_url)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.path or parts.username is not None:
        return False
    if public.scheme == "https" and parts.scheme != "https":
        return False
    return parts.netloc == host or (bool(public.netloc) and parts.netloc == public.netloc)


def refuse_wrong_token(given: str, expected: str) -> None:
    """Raise Forbidden unless the request carries the session's own token."""
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden("csrf", "the page is too old: load it again")
