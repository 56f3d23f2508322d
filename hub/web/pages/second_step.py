"""The second step of a sign-in: a code of the app, or a recovery code, asked after the password.

`web.signing_in` decides; here is its form. Invariant: without a first step in this very browser, minutes ago, the page
asks for nothing and tells nothing.
"""

from __future__ import annotations

from aiohttp import web

from hub.errors import TooMany
from hub.web import render
from hub.web.request_context import RequestContext
from hub.web.routes import Route
from hub.web.signing_in import SECOND_STEP, first_step, pass_code


async def show(ctx: RequestContext) -> web.StreamResponse:
    if first_step(ctx) is None:
        raise web.HTTPSeeOther("/login")
    return _form(ctx, None)


async def enter(ctx: RequestContext) -> web.StreamResponse:
    first = first_step(ctx)
    if first is None:
        return render.redirect(ctx, "/login")
    try:
        response = await pass_code(ctx, first, ctx.form.text("code", max_chars=100))
    except TooMany as error:
        refused = _form(ctx, "too_many", status=error.status)
        refused.headers["Retry-After"] = str(error.details["retry_after_s"])
        return refused
    return response or _form(ctx, "wrong", status=401)


def _form(ctx: RequestContext, error: str | None, *, status: int = 200) -> web.Response:
    return render.page(ctx, "account/second_step.html", {"error": error}, status=status)


ROUTES = (
    Route("GET", SECOND_STEP, show, "anyone"),
    Route("POST", SECOND_STEP, enter, "anyone"),
)
