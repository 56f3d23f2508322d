"""Signing in and out, and the language a browser is spoken to in.

Decides who may try a password and how often; `crm.people` decides whether it is right. Invariants: an unknown e-mail
and a wrong password are answered alike, a sign-in always begins a new session, and a flood of tries can neither fill
the memory nor take every database connection.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from math import ceil
from urllib.parse import urlsplit

from aiohttp import web

from hub.clock import monotonic_s
from hub.crm import directory, people, presence
from hub.crm.access import Actor, load_actor
from hub.errors import Refused, TooMany
from hub.web import render
from hub.web.client_address import network_of
from hub.web.door import LANGUAGES, LIVE, is_https, session_cookie
from hub.web.limits import SlidingLimit
from hub.web.routes import Route
from hub.web.visit import Visit

AT_ONCE = 2
MAY_WAIT = 30


class Limits:
    """What bounds sign-ins in this process."""

    def __init__(self) -> None:
        self.by_address = SlidingLimit(60, timedelta(minutes=5))
        self.by_email = SlidingLimit(10, timedelta(minutes=5))
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0


LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)


def safe_next(text: str) -> str:
    """Return a path of our own to go on to, empty for everything else."""
    parts = urlsplit(text) if text.isprintable() and len(text) < 1000 else None
    if parts is None or parts.scheme or parts.netloc or not text.startswith("/") or text[1:2] in ("/", "\\"):
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
    email = visit.form.text("email", max_chars=254)
    password = visit.form.fields.get("password", "")
    next_path = visit.form.text("next")
    limits = visit.request.app[LIMITS]
    try:
        _count_try(limits, network_of(visit.client_address), email.lower())
        user_id = await _checked(visit, limits, email, password)
    except TooMany as error:
        response = _form(visit, next_path=next_path, email=email, error="too_many", status=error.status)
        response.headers["Retry-After"] = str(error.details["retry_after_s"])
        return response
    if user_id is None:
        return _form(visit, next_path=next_path, email=email, error="wrong", status=401)
    limits.by_email.forgive(email.lower())
    async with visit.db.begin() as conn:
        if visit.session is not None:
            await people.revoke_session(conn, visit.session.id, now=visit.now)
        agent = visit.request.headers.get("User-Agent", "")
        secret = await people.open_session(conn, user_id, user_agent=agent, now=visit.now)
        await presence.arrive(conn, user_id, now=visit.now)
        actor = await load_actor(conn, user_id)
    assert actor is not None
    response = web.Response(status=303, headers={"Location": safe_next(next_path) or home_of(actor)})
    response.set_cookie(
        session_cookie(visit.services),
        secret,
        max_age=int(people.SESSION_LASTS.total_seconds()),
        path="/",
        httponly=True,
        secure=is_https(visit.services),
        samesite="Lax",
    )
    return response


def _count_try(limits: Limits, address: str, email: str) -> None:
    now_s = monotonic_s()
    wait_s = max(limits.by_address.wait_s(address, now_s=now_s), limits.by_email.wait_s(email, now_s=now_s))
    if wait_s > 0:
        raise TooMany("too_many_tries", "too many tries", retry_after_s=ceil(wait_s))
    limits.by_address.note(address, now_s=now_s)
    limits.by_email.note(email, now_s=now_s)


async def _checked(visit: Visit, limits: Limits, email: str, password: str) -> int | None:
    """Check a password when its turn comes: the hash takes 64 MiB and a database connection while it runs."""
    if limits.waiting >= MAY_WAIT:
        raise TooMany("too_many_tries", "too many people are signing in", retry_after_s=5)
    limits.waiting += 1
    try:
        async with limits.turns, visit.db.read() as conn:
            return await people.check_password(conn, email, password)
    finally:
        limits.waiting -= 1


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
