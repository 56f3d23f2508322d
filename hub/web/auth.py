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
from hub.web import render
from hub.web.client_address import network_of
from hub.web.door import LANGUAGES, LIVE, device_cookie, is_https, session_cookie
from hub.web.routes import Route
from hub.web.sign_in_limits import LIMITS
from hub.web.visit import Visit

log = logging.getLogger(__name__)


def safe_next(text: str) -> str:
    """Return a path of our own to go on to, empty for everything else."""
    if not text.isprintable() or len(text) >= 1000 or not text.startswith("/") or text[1:2] in ("/", "\\"):
        return ""
    return text


def home_of(actor: Actor) -> str:
    """Where a person begins their day."""
    return "/calls" if actor.is_admin else "/desk"


async def root(visit: Visit) -> web.StreamResponse:
    raise web.HTTPSeeOther(home_of(visit.actor))


async def login_page(visit: Visit) -> web.StreamResponse:
    if visit.visitor is not None:
        raise web.HTTPSeeOther(safe_next(visit.request.query.get("next", "")) or home_of(visit.visitor))
    return _form(visit, next_path=visit.request.query.get("next", ""))


def _form(
    visit: Visit, *, next_path: str, email: str = "", error: str | None = None, status: int = 200
) -> web.Response:
    context = {"next": safe_next(next_path), "email": email, "error": error}
    return render.page(visit, "login.html", context, status=status)


async def login(visit: Visit) -> web.StreamResponse:
    typed = visit.form.text("email", max_chars=254)
    account = people.account_key(typed)
    next_path = visit.form.text("next")
    device = visit.request.cookies.get(device_cookie(visit.services), "")
    try:
        found = await _checked(visit, account, device)
    except TooMany as error:
        log.warning("a sign-in was put off: too many tries, the last from %s", visit.client_address)
        response = _form(visit, next_path=next_path, email=typed, error="too_many", status=error.status)
        response.headers["Retry-After"] = str(error.details["retry_after_s"])
        return response
    if found is None:
        return _form(visit, next_path=next_path, email=typed, error="wrong", status=401)
    user_id, password_hash = found
    return await begin_session(visit, user_id, password_hash, device=device, next_path=safe_next(next_path))


async def _checked(visit: Visit, account: AccountKey, device: str) -> tuple[int, str] | None:
    """Return whose password was typed and its hash, None where it is wrong. Raises TooMany, Unavailable."""
    limits = visit.request.app[LIMITS]
    known = False
    if device:
        async with visit.db.read() as conn:
            known = await known_devices.is_known(conn, device, account, now=visit.now)
    network = network_of(visit.client_address)
    one = await limits.count(account, network, device=known_devices.digest(device) if known else None)
    try:
        async with limits.turn(known=known):
            async with visit.db.read() as conn:
                user_id, stored = await people.password_of(conn, account)
            is_right = await people.fits(stored, visit.form.fields.get("password", ""))
    except (TooMany, Unavailable):
        # No password was looked at.
        await limits.attempts.give_back(one)
        raise
    if not is_right or user_id is None:
        await _note_failure(visit, user_id)
        return None
    await limits.forgive(one)
    return user_id, stored


async def _note_failure(visit: Visit, user_id: int | None) -> None:
    """Log and audit a wrong password. What was typed as an address is kept by neither: it may be the password."""
    whose = f"of user {user_id}" if user_id is not None else "of nobody here"
    log.warning("a sign-in failed: a wrong password %s, from %s", whose, visit.client_address)
    async with visit.db.begin() as conn:
        await audit.record(
            conn,
            "sign_in.failed",
            at=visit.now,
            user_id=None,
            object_kind="user",
            object_id=user_id,
            details={"address": visit.client_address},
        )


async def begin_session(visit: Visit, user_id: int, password_hash: str, *, device: str, next_path: str) -> web.Response:
    """Sign a person in: a new session, and a browser that is known from now on.

    Raises NotSignedIn where the password was changed, or the account disabled, since it was checked.
    """
    async with visit.db.begin() as conn:
        if await people.password_now(conn, user_id) != password_hash:
            raise NotSignedIn("not_signed_in", "the password was changed a moment ago")
        if visit.session is not None:
            await people.revoke_session(conn, visit.session.id, now=visit.now)
        agent = visit.request.headers.get("User-Agent", "")
        address = visit.client_address
        secret = await people.open_session(conn, user_id, user_agent=agent, address=address, now=visit.now)
        known = await known_devices.remember(conn, user_id, device, now=visit.now)
        await presence.arrive(conn, user_id, now=visit.now)
        actor = await load_actor(conn, user_id)
    assert actor is not None
    response = web.Response(status=303, headers={"Location": next_path or home_of(actor)})
    is_secure = is_https(visit.services)
    for name, value, lasts, same_site in (
        (session_cookie(visit.services), secret, people.SESSION_LASTS, "Lax"),
        (device_cookie(visit.services), known, known_devices.LASTS, "Strict"),
    ):
        seconds = int(lasts.total_seconds())
        response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, secure=is_secure, samesite=same_site)
    return response


async def logout(visit: Visit) -> web.StreamResponse:
    assert visit.session is not None
    live = visit.request.app[LIVE]
    live.close_session(visit.session.id)
    async with visit.db.begin() as conn:
        await people.revoke_session(conn, visit.session.id, now=visit.now)
        if not live.has_streams(visit.actor.user_id):
            await presence.leave(conn, visit.actor.user_id, now=visit.now)
    response = web.Response(status=303, headers={"Location": "/login"})
    response.del_cookie(session_cookie(visit.services), path="/", secure=is_https(visit.services))
    return response


async def language(visit: Visit) -> web.StreamResponse:
    chosen = visit.form.text("lang", max_chars=5)
    if chosen not in LANGUAGES:
        raise Refused("bad_language", "no such language", field="lang")
    if visit.visitor is not None:
        async with visit.db.begin() as conn:
            await directory.set_language(conn, visit.visitor, chosen)
    response = web.Response(status=303, headers={"Location": safe_next(visit.form.text("next")) or "/"})
    response.set_cookie("lang", chosen, max_age=365 * 86400, path="/", samesite="Lax", secure=is_https(visit.services))
    return response


ROUTES = (
    Route("GET", "/", root),
    Route("GET", "/login", login_page, "anyone"),
    Route("POST", "/login", login, "anyone"),
    Route("POST", "/logout", logout),
    Route("POST", "/language", language, "anyone"),
)
