"""From an error to an answer: the API's one JSON shape. Pages have theirs from `render`.

Decides the status and what a stranger may read of it: a bug says nothing of itself but a number to find it by.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from hub.errors import Forbidden, HubError, NotFound, NotSignedIn, Refused, TooLarge, TooMany, Unavailable
from hub.logs import current_trace, new_trace
from hub.web.api.endpoint import json_response

REQUEST_ID = "X-Request-ID"


class WrongMethod(Refused):
    """The path is there, this method of it is not."""

    status = 405


class Compressed(Refused):
    """The body is packed. It is not unpacked to see how large it is: a few MB can become many GB."""

    status = 415


class Bug(HubError):
    """Something else than a HubError was raised: our fault, and in the log under this number."""

    status = 500

    @classmethod
    def numbered(cls) -> Bug:
        return cls("internal_error", "Hub met an error of its own", number=secrets.token_hex(4))


def error_of_status(status: int) -> HubError:
    """Say what aiohttp itself refused in Hub's words."""
    kinds: dict[int, tuple[type[HubError], str, str]] = {
        401: (NotSignedIn, "not_signed_in", "sign in first"),
        403: (Forbidden, "forbidden", "not allowed"),
        404: (NotFound, "page_missing", "there is nothing here"),
        413: (TooLarge, "too_large", "too large"),
    }
    kind, code, message = kinds.get(status, (Refused, "bad_request", "the request cannot be read"))
    return kind(code, message)


def wrong_method(allowed: Iterable[str]) -> WrongMethod:
    """Return the refusal of a method, with those that the address takes."""
    return WrongMethod("wrong_method", "this method is not for this address", allow=sorted(allowed))


def json_error(error: HubError) -> web.Response:
    """Answer in the API's shape."""
    trace = current_trace() or new_trace()
    body: dict[str, Any] = {"code": error.code, "message": error.message, "details": error.details, "request_id": trace}
    response = json_response({"error": body}, status=error.status)
    response.headers[REQUEST_ID] = trace
    return with_headers(response, error)


def with_headers(response: web.Response, error: HubError) -> web.Response:
    """Add what the status asks for: when to come again, how to sign in."""
    if isinstance(error, Unavailable | TooMany):
        response.headers["Retry-After"] = str(error.details.get("retry_after_s", 5))
    if isinstance(error, Compressed):
        response.headers["Accept-Encoding"] = "identity"
    if isinstance(error, WrongMethod):
        response.headers["Allow"] = ", ".join(error.details.get("allow", ()))
    if isinstance(error, NotSignedIn):
        response.headers["WWW-Authenticate"] = 'Bearer realm="hub"'
    return response
