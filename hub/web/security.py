"""Headers that restrict the browser, and the signs of a request that another site made.

Two protections against a forged request, each enough alone: where it came from (Origin, Sec-Fetch-Site), and a token
that only our own pages know. Invariant: every response carries the headers of `put_headers`, whatever made it.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from hub import sanitize
from hub.errors import Forbidden

log = logging.getLogger(__name__)

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


HSTS = "max-age=31536000"


def hardener(public_url: str) -> Callable[[web.BaseRequest, web.StreamResponse], Awaitable[None]]:
    """Return the signal that puts the headers on a response."""

    async def harden(_request: web.BaseRequest, response: web.StreamResponse) -> None:
        put_headers(response, public_url)

    return harden


def put_headers(response: web.StreamResponse, public_url: str) -> None:
    """Put on a response the headers that it has not set itself.

    Where people come by https, browsers are told to come by nothing else.
    """
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    if public_url.startswith("https://"):
        response.headers.setdefault("Strict-Transport-Security", HSTS)


def refuse_foreign(request: web.Request, *, public_url: str) -> None:
    """Raise Forbidden for a request that a browser says another site made: by Sec-Fetch-Site, Origin, else Referer.

    A client that is no browser says none of them; the token must be right for it all the same.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        raise Forbidden("foreign_origin", "this request comes from another site")
    origins = request.headers.getall("Origin", [])
    if any("/" in origin.partition("://")[2] for origin in origins):
        raise Forbidden("foreign_origin", "this request comes from another site")
    said = origins or request.headers.getall("Referer", [])
    if not said:
        return
    if len(said) > 1 or not _is_own(said[0], request.host, public_url):
        own = f"web.public_url {public_url}" if public_url else f"Host {sanitize.shown(request.host)!r}"
        # Of a Referer only the origin: its path may hold the secret of a link.
        theirs = sanitize.shown(sanitize.web_origin(said[0]) or "no origin")
        log.warning("a form sent from %r was refused: it is not %s", theirs, own)
        raise Forbidden("foreign_origin", "this request comes from another site")


def _is_own(said: str, host: str, public_url: str) -> bool:
    """Compare scheme, host and port; without `public_url` Hub does not know by which scheme people come."""
    origin = sanitize.web_origin(said)
    if origin is None:
        return False
    if public_url:
        return origin == sanitize.web_origin(public_url)
    return origin in (sanitize.web_origin(f"http://{host}"), sanitize.web_origin(f"https://{host}"))


def masked(token: str) -> str:
    """Return a token as a page may show it: never twice the same bytes.

    Pages are compressed, and the length of what is compressed tells of a text that stands in it twice (BREACH).
    """
    plain = _bytes(token)
    pad = secrets.token_bytes(len(plain))
    return (pad + _xor(pad, plain)).hex()


def _unmasked(text: str) -> str:
    """Return the token in a masked one, the text itself where it is none."""
    try:
        both = bytes.fromhex(text)
        return _xor(both[: len(both) // 2], both[len(both) // 2 :]).decode("utf-8", "surrogatepass")
    except ValueError:
        return text


def _bytes(text: str) -> bytes:
    """Encode what a browser sent: bytes that are no UTF-8 came in as lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def refuse_wrong_token(given: str, expected: str) -> None:
    """Raise Forbidden unless the request carries the session's own token, masked or as it is."""
    if not any(hmac.compare_digest(_bytes(one), _bytes(expected)) for one in (given, _unmasked(given))):
        raise Forbidden("csrf", "the page is too old: load it again")
