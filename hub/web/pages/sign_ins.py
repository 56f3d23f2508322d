"""Where one is signed in, and one's API tokens: seen and ended. Everybody sees their own alone."""

from __future__ import annotations

from aiohttp import web

from hub.crm import sessions, tokens
from hub.crm.browsers import browser_name
from hub.web import render
from hub.web.routes import Route
from hub.web.visit import Visit

PATH = "/me/sign-ins"


async def show(visit: Visit) -> web.StreamResponse:
    user_id = visit.actor.user_id
    async with visit.db.read() as conn:
        open_now = await sessions.open_of(conn, user_id, now=visit.now)
        mine = await tokens.listed(conn, user_id=user_id)
    context = {
        "sessions": [(one, browser_name(one.user_agent)) for one in open_now],
        "current": visit.session.id if visit.session else 0,
        "tokens": [(one, one.is_live(visit.now)) for one in mine],
    }
    return render.page(visit, "account/sign_ins.html", context)


async def end(visit: Visit) -> web.StreamResponse:
    user_id = visit.actor.user_id
    async with visit.db.begin() as conn:
        await sessions.end(conn, user_id, visit.id(), by=user_id, now=visit.now)
    return render.go(visit, PATH)


async def end_others(visit: Visit) -> web.StreamResponse:
    assert visit.session is not None
    user_id = visit.actor.user_id
    async with visit.db.begin() as conn:
        await sessions.end_all(conn, user_id, but=visit.session.id, by=user_id, now=visit.now)
    return render.go(visit, PATH)


async def revoke(visit: Visit) -> web.StreamResponse:
    user_id = visit.actor.user_id
    async with visit.db.begin() as conn:
        await tokens.revoke(conn, visit.id(), of=user_id, by=user_id, now=visit.now)
    return render.go(visit, PATH)


ROUTES = (
    Route("GET", PATH, show),
    Route("POST", "/me/sessions/end-others", end_others),
    Route("POST", "/me/sessions/{id}/end", end),
    Route("POST", "/me/tokens/{id}/revoke", revoke),
)
