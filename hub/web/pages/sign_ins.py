"""Where one is signed in, and one's API tokens: seen and ended. Everybody sees their own alone."""

from __future__ import annotations

from aiohttp import web

from hub.crm import sessions, tokens
from hub.crm.browsers import browser_name
from hub.web import render
from hub.web.request_context import RequestContext
from hub.web.routes import Route

PATH = "/me/sign-ins"


async def show(ctx: RequestContext) -> web.StreamResponse:
    user_id = ctx.actor.user_id
    async with ctx.db.read() as conn:
        open_now = await sessions.open_of(conn, user_id, now=ctx.now)
        mine = await tokens.listed(conn, user_id=user_id)
    context = {
        "sessions": [(one, browser_name(one.user_agent)) for one in open_now],
        "current": ctx.session.id if ctx.session else 0,
        "tokens": [(one, one.is_live(ctx.now)) for one in mine],
    }
    return render.page(ctx, "account/sign_ins.html", context)


async def end(ctx: RequestContext) -> web.StreamResponse:
    user_id = ctx.actor.user_id
    async with ctx.db.begin() as conn:
        await sessions.end(conn, user_id, ctx.id(), by=user_id, now=ctx.now)
    return render.redirect(ctx, PATH)


async def end_others(ctx: RequestContext) -> web.StreamResponse:
    assert ctx.session is not None
    user_id = ctx.actor.user_id
    async with ctx.db.begin() as conn:
        await sessions.end_all(conn, user_id, but=ctx.session.id, by=user_id, now=ctx.now)
    return render.redirect(ctx, PATH)


async def revoke(ctx: RequestContext) -> web.StreamResponse:
    user_id = ctx.actor.user_id
    async with ctx.db.begin() as conn:
        await tokens.revoke(conn, ctx.id(), of=user_id, by=user_id, now=ctx.now)
    return render.redirect(ctx, PATH)


ROUTES = (
    Route("GET", PATH, show),
    Route("POST", "/me/sessions/end-others", end_others),
    Route("POST", "/me/sessions/{id}/end", end),
    Route("POST", "/me/tokens/{id}/revoke", revoke),
)
