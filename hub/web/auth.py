"""Signing in and out, and the language a browser is spoken to in.

`sign_in_limits` decides how often a password may be tried, `crm.people` whether it is right. Invariants: an unknown
e-mail and a wrong password are answered alike, a sign-in always begins a new session, and a flood of tries can neither
fill the memory nor take every database connection.
"""

from __future__ import annotations

import logging

from aiohttp import web

from hub.crm import audit, directory, known_devices, people, presence
from hub.crm.access import Actor, load_actor
from hub.crm.people import AccountKey
from hub.errors import NotSignedIn, Refused, TooMany, Unavailable
from hub.web import menu, render
from hub.web.authentication import LANGUAGES, LIVE, device_cookie, is_https, session_cookie
from hub.web.client_address import network_of
from hub.web.request_context import RequestContext
from hub.web.routes import Route
from hub.web.sign_in_limits import LIMITS

log = logging.getLogger(__name__)


def safe_next(text: str) -> str:
    """Return a path of our own to go on to, empty for everything else."""
    if not text.isprintable() or len(text) >= 1000 or not text.startswith("/") or text[1:2] in ("/", "\\"):
        return ""
    return text


def home_of(actor: Actor) -> str:
    """Where a person begins their day."""
    if actor.is_admin:
        return "/calls"
    return "/desk" if actor.has_page("desk") else menu.groups_for(actor)[0].entries[0].href


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
        found = await _checked(ctx, account, device)
    except TooMany as error:
        log.warning("a sign-in was put off: too many tries, the last from %s", ctx.client_address)
        response = _form(ctx, next_path=next_path, email=typed, error="too_many", status=error.status)
        response.headers["Retry-After"] = str(error.details["retry_after_s"])
        return response
    if found is None:
        return _form(ctx, next_path=next_path, email=typed, error="wrong", status=401)
    user_id, password_hash = found
    return await begin_session(ctx, user_id, password_hash, device=device, next_path=safe_next(next_path))


async def _checked(ctx: RequestContext, account: AccountKey, device: str) -> tuple[int, str] | None:
    """Return whose password was typed and its hash, None where it is wrong. Raises TooMany, Unavailable."""
    limits = ctx.request.app[LIMITS]
    known = False
    if device:
        async with ctx.db.read() as conn:
            known = await known_devices.is_known(conn, device, account, now=ctx.now)
    network = network_of(ctx.client_address)
    one = await limits.count(account, network, device=known_devices.digest(device) if known else None)
    try:
        async with limits.turn(known=known):
            async with ctx.db.read() as conn:
                user_id, stored = await people.password_of(conn, account)
            is_right = await people.fits(stored, ctx.form.fields.get("password", ""))
    except (TooMany, Unavailable):
        # No password was looked at.
        await limits.attempts.give_back(one)
        raise
    if not is_right or user_id is None:
        await _note_failure(ctx, user_id)
        return None
    await limits.forgive(one)
    return user_id, stored


async def _note_failure(ctx: RequestContext, user_id: int | None) -> None:
    """Log and audit a wrong password. What was typed as an address is kept by neither: it may be the password."""
    whose = f"of user {user_id}" if user_id is not None else "of nobody here"
    log.warning("a sign-in failed: a wrong password %s, from %s", whose, ctx.client_address)
    async with ctx.db.begin() as conn:
        await audit.record(
            conn,
            "sign_in.failed",
            at=ctx.now,
            user_id=None,
            object_kind="user",
            object_id=user_id,
            details={"address": ctx.client_address},
        )


async def begin_session(
    ctx: RequestContext, user_id: int, password_hash: str, *, device: str, next_path: str
) -> web.Response:
    """Sign a person in: a new session, and a browser that is known from now on.

    Raises NotSignedIn where the password was changed, or the account disabled, since it was checked.
    """
    async with ctx.db.begin() as conn:
        if await people.password_now(conn, user_id) != password_hash:
            raise NotSignedIn("not_signed_in", "the password was changed a moment ago")
        if ctx.session is not None:
            await people.revoke_session(conn, ctx.session.id, now=ctx.now)
        agent = ctx.request.headers.get("User-Agent", "")
        address = ctx.client_address
        secret = await people.open_session(conn, user_id, user_agent=agent, address=address, now=ctx.now)
        known = await known_devices.remember(conn, user_id, device, now=ctx.now)
        await presence.arrive(conn, user_id, now=ctx.now)
        actor = await load_actor(conn, user_id)
    assert actor is not None
    response = web.Response(status=303, headers={"Location": next_path or home_of(actor)})
    is_secure = is_https(ctx.services)
    for name, value, lasts, same_site in (
        (session_cookie(ctx.services), secret, people.SESSION_LASTS, "Lax"),
        (device_cookie(ctx.services), known, known_devices.LASTS, "Strict"),
    ):
        seconds = int(lasts.total_seconds())
        response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, secure=is_secure, samesite=same_site)
    return response


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
    Route("POST", "/logout", logout),
    Route("POST", "/language", language, "anyone"),
)
