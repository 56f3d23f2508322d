"""The one table of what Hub answers: method, path, handler, and who may come.

Every route of the server is one of these, so a test can walk them all and nothing is reachable by accident.
Decides nothing itself; `authentication.py` enforces it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from hub.web.request_context import RequestContext

SECRET_PIECE = "token"  # noqa: S105
"""A piece of a path that is a secret: `{token}`. It stands in no log."""
Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]
Who = Literal["anyone", "signed_in", "admin"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `by` says how the asker shows who they are; by "nothing" nobody is looked up."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Handler
    who: Who = "signed_in"
    by: Literal["cookie", "token", "nothing"] = "cookie"
    is_for_enrolment: bool = False
    """Open to a signed-in person who must set up a second step of the sign-in before anything else."""

    @property
    def is_safe(self) -> bool:
        return self.method == "GET"


def loggable_path(request: web.Request) -> str:
    """Return the path of a request as a log may hold it: without the secret that stands in some."""
    secret = request.match_info.get(SECRET_PIECE)
    return request.path.replace(secret, "…") if secret else request.path
