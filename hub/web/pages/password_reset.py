"""The page behind a link of `hub user reset-link`: a new password, once, and then one is signed in.

`crm.password_resets` decides whether the link works. Invariants: the token leaves this page only in its own form: not
as a Referer, not into a log; opening the page changes nothing, so that a program which looks at links uses none up.
"""

from __future__ import annotations

from aiohttp import web

from hub.crm import accounts, password_resets, people
from hub.crm.password_resets import ResetLink
from hub.errors import HubError, NotFound, Refused, TooMany
from hub.web import render
from hub.web.auth import begin_session
from hub.web.client_address import network_of
from hub.web.door import device_cookie
from hub.web.routes import SECRET_PIECE, Route
from hub.web.sign_in_limits import LIMITS
from hub.web.visit import Visit


async def show(visit: Visit) -> web.StreamResponse:
    token = visit.request.match_info[SECRET_PIECE]
    try:
        async with visit.db.read() as conn:
            link = await password_resets.find(conn, token, now=visit.now)
    except NotFound as error:
        return _page(visit, None, "", error)
    return _page(visit, link, token, None)


async def save(visit: Visit) -> web.StreamResponse:
    token = visit.form.text("token", max_chars=200)
    limits = visit.request.app[LIMITS]
    link: ResetLink | None = None
    try:
        one = await limits.count(people.account_key(""), network_of(visit.client_address), device=None)
        async with visit.db.read() as conn:
            link = await password_resets.find(conn, token, now=visit.now)
        await limits.attempts.give_back(one)
        hashed = await _hashed(visit)
        async with visit.db.begin() as conn:
            await password_resets.use(conn, link, now=visit.now)
            await accounts.set_password(conn, link.user_id, hashed, way="link", now=visit.now)
    except NotFound as error:
        return _page(visit, None, "", error)
    except (Refused, TooMany) as error:
        return _page(visit, link, token, error)
    device = visit.request.cookies.get(device_cookie(visit.services), "")
    return await begin_session(visit, link.user_id, hashed, device=device, next_path="")


async def _hashed(visit: Visit) -> str:
    """Return the hash of the new password. Raises Refused, TooMany."""
    password = visit.form.fields.get("password", "")
    if visit.form.fields.get("again", password) != password:
        raise Refused("passwords_differ", "the two passwords are not the same", field="again")
    async with visit.request.app[LIMITS].turn(known=True):
        return await people.hash_password(password)


def _page(visit: Visit, link: ResetLink | None, token: str, error: HubError | None) -> web.Response:
    context = {"link": link, "token": token, "error": error}
    response = render.page(visit, "account/password_reset.html", context, status=error.status if error else 200)
    # The origin alone: a form without any would be refused as another site's.
    response.headers["Referrer-Policy"] = "strict-origin"
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.details.get("retry_after_s", 5))
    return response


ROUTES = (
    Route("GET", "/reset/{token}", show, "anyone"),
    Route("POST", "/reset", save, "anyone"),
)
