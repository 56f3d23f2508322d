"""The page behind a link of `hub user reset-link`: a new password, once, and then one is signed in (or asked
for the second step).

`crm.password_resets` decides whether the link works. Invariants: the token leaves this page only in its own form: not
as a Referer, not into a log; opening the page changes nothing, so that a program which looks at links uses none up.
"""

from __future__ import annotations

from aiohttp import web

from hub.crm import accounts, password_resets, people
from hub.crm.password_resets import ResetLink
from hub.errors import Gone, HubError, NotFound, Refused, TooMany
from hub.web import render
from hub.web.client_address import network_of
from hub.web.request_context import RequestContext
from hub.web.routes import SECRET_PIECE, Route
from hub.web.sign_in_limits import LIMITS
from hub.web.signing_in import pass_password


async def show(ctx: RequestContext) -> web.StreamResponse:
    token = ctx.request.match_info[SECRET_PIECE]
    try:
        async with ctx.db.read() as conn:
            link = await password_resets.find(conn, token, now=ctx.now)
    except NotFound as error:
        return _page(ctx, None, "", error)
    return _page(ctx, link, token, None)


async def save(ctx: RequestContext) -> web.StreamResponse:
    token = ctx.form.text("token", max_chars=200)
    limits = ctx.request.app[LIMITS]
    link: ResetLink | None = None
    try:
        try:
            async with ctx.db.read() as conn:
                link = await password_resets.find(conn, token, now=ctx.now)
        except Gone:
            raise
        except NotFound:
            # Only guesses count: a good link works in a network where others have used up their tries.
            await limits.count(people.account_key(""), network_of(ctx.client_address), device=None)
            raise
        hashed = await _hashed(ctx)
        async with ctx.db.begin() as conn:
            await password_resets.use(conn, link, now=ctx.now)
            await accounts.set_password(conn, link.user_id, hashed, way="link", now=ctx.now)
    except NotFound as error:
        return _page(ctx, None, "", error)
    except (Refused, TooMany) as error:
        return _page(ctx, link, token, error)
    return await pass_password(ctx, link.user_id, hashed, next_path="")


async def _hashed(ctx: RequestContext) -> str:
    """Return the hash of the new password. Raises Refused, TooMany."""
    password = ctx.form.fields.get("password", "")
    if ctx.form.fields.get("again", password) != password:
        raise Refused("passwords_differ", "the two passwords are not the same", field="again")
    async with ctx.request.app[LIMITS].turn(known=True):
        return await people.hash_password(password)


def _page(ctx: RequestContext, link: ResetLink | None, token: str, error: HubError | None) -> web.Response:
    context = {"link": link, "token": token, "error": error}
    response = render.page(ctx, "account/password_reset.html", context, status=error.status if error else 200)
    # The origin alone: a form without any would be refused as another site's.
    response.headers["Referrer-Policy"] = "strict-origin"
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.details.get("retry_after_s", 5))
    return response


ROUTES = (
    Route("GET", "/reset/{token}", show, "anyone"),
    Route("POST", "/reset", save, "anyone"),
)
