"""Signing in and out, and the language a browser is spoken to in.

`signing_in` decides what a sign-in consists of. Invariants: an unknown e-mail and a wrong password are answered
alike, a sign-in always begins a new session, and a flood of tries can neither fill the memory nor take every database
connection.
"""

from __future__ import annotations

import logging

from aiohttp import web

from hub.crm import directory, people, presence
from hub.errors import Refused, TooMany
from hub.web import render
from hub.web.authentication import LANGUAGES, LIVE, device_cookie, is_https, session_cookie
from hub.web.request_context import RequestContext
from hub.web.routes import Route
from hub.web.signing_in import check_password, home_of, pass_password

log = logging.getLogger(__name__)


def safe_next(text: str) -> str:
    """Return a path of our own to go on to, empty for everything else."""
    if not text.isprintable() or len(text) >= 1000 or not text.startswith("/") or text[1:2] in ("/", "\\"):
        return ""
    return text


async def root(ctx: RequestContext) -> web.StreamResponse:
    raise web.HTTPSeeOther(home_of(ctx.actor))


async def login_page(ctx: RequestContext) -> web.StreamResponse:
    if ctx.visitor is not None:
        raise web.HTTPSeeOther(safe_next(ctx.request.query.get("next", "")) or home_of(ctx.visitor))
    return _form(ctx, next_path=ctx.request.query.get("next", ""))


def _form(
    ctx: RequestContext, *, next_path: str, email: str = "", error: str | None = None, status: int = 200
) -> web.Response:
    context = {"next": safe_next(next_path), "email": email, "error": error}
    return render.page(ctx, "login.html", context, status=status)


async def login(ctx: RequestContext) -> web.StreamResponse:
    typed = ctx.form.text("email", max_chars=254)
    account = people.account_key(typed)
    next_path = ctx.form.text("next")
    device = ctx.request.cookies.get(device_cookie(ctx.services), "")
    try:
        found = await check_password(ctx, account, device)
    except TooMany as error:
        log.warning("a sign-in was put off: too many tries, the last from %s", ctx.client_address)
        response = _form(ctx, next_path=next_path, email=typed, error="too_many", status=error.status)
        response.headers["Retry-After"] = str(error.details["retry_after_s"])
        return response
    if found is None:
        return _form(ctx, next_path=next_path, email=typed, error="wrong", status=401)
    user_id, password_hash = found
    return await pass_password(ctx, user_id, password_hash, next_path=safe_next(next_path))


async def logout(ctx: RequestContext) -> web.StreamResponse:
    assert ctx.session is not None
    live = ctx.request.app[LIVE]
    live.close_session(ctx.session.id)
    async with ctx.db.begin() as conn:
        await people.revoke_session(conn, ctx.session.id, now=ctx.now)
        if not live.has_streams(ctx.actor.user_id):
            await presence.leave(conn, ctx.actor.user_id, now=ctx.now)
    response = web.Response(status=303, headers={"Location": "/login"})
    response.del_cookie(session_cookie(ctx.services), path="/", secure=is_https(ctx.services))
    return response


async def language(ctx: RequestContext) -> web.StreamResponse:
    chosen = ctx.form.text("lang", max_chars=5)
    if chosen not in LANGUAGES:
        raise Refused("bad_language", "no such language", field="lang")
    if ctx.visitor is not None:
        async with ctx.db.begin() as conn:
            await directory.set_language(conn, ctx.visitor, chosen)
    response = web.Response(status=303, headers={"Location": safe_next(ctx.form.text("next")) or "/"})
    response.set_cookie("lang", chosen, max_age=365 * 86400, path="/", samesite="Lax", secure=is_https(ctx.services))
    return response


ROUTES = (
    Route("GET", "/", root),
    Route("GET", "/login", login_page, "anyone"),
    Route("POST", "/login", login, "anyone"),
    Route("POST", "/logout", logout, is_for_enrolment=True),
    Route("POST", "/language", language, "anyone"),
)
