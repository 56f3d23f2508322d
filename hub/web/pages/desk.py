"""The manager's desk: what waits for the team, what one holds, and the call on one's phone.

Taking is never optimistic: the row changes when the database has decided, and who lost reads who won. Invariant: a
claim and what it asks of the PBX are one transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import directory, queue
from hub.errors import Conflict
from hub.store import changes
from hub.telephony.control import control
from hub.telephony.presence import presence
from hub.telephony.reading import panel, parked, register
from hub.web import render
from hub.web.request_context import RequestContext
from hub.web.routes import Route

SHOWN = 100


async def desk(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        # The position is read first: what changes while the rest is read is told again, never missed.
        feed = await changes.head(conn)
        waiting = await queue.listed(conn, ctx.actor, state="waiting", limit=SHOWN)
        mine = await queue.listed(conn, ctx.actor, state="claimed", mine=True, limit=SHOWN)
        # A refresh of the queue takes the queue only: who is on keeps itself true.
        people = [] if ctx.is_fragment else await presence.of_team(conn, ctx.actor, ctx.now)
        teams = {team.id: team.name for team in await directory.my_teams(conn, ctx.actor)}
        phone = await _phone(conn, ctx)
    context = {"waiting": waiting, "mine": mine, "people": people, "teams": teams, "now": ctx.now, **phone}
    return render.page(ctx, "desk.html", context, feed=feed)


async def waiting(ctx: RequestContext) -> web.StreamResponse:
    """The rows that wait, alone: the strip of every other page."""
    async with ctx.db.read() as conn:
        items = await queue.listed(conn, ctx.actor, state="waiting", limit=SHOWN)
        teams = {team.id: team.name for team in await directory.my_teams(conn, ctx.actor)}
    return render.page(ctx, "desk/waiting.html", {"waiting": items, "teams": teams, "now": ctx.now})


async def current_call(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        phone = await _phone(conn, ctx)
    return render.page(ctx, "desk/current_call.html", {"now": ctx.now, **phone})


async def _phone(conn: AsyncConnection, ctx: RequestContext) -> dict[str, Any]:
    """The panel of one's phone: the call, what may be done with it, and who is parked."""
    call = await register.current(conn, ctx.actor)
    return {
        "call": call,
        "panel": await panel.panel_of(conn, ctx.actor, call, now=ctx.now),
        "parked": await parked.parked_calls(conn, ctx.actor),
    }


async def take(ctx: RequestContext) -> web.StreamResponse:
    item_id = ctx.id()
    try:
        async with ctx.db.begin() as conn:
            item = await queue.claim(conn, ctx.actor, item_id, now=ctx.now)
            if item.kind == "call":
                await control.take(conn, ctx.actor, item, now=ctx.now)
    except Conflict as lost:
        return await _lost(ctx, item_id, lost)
    return await _row(ctx, item)


async def release(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        item = await queue.release(conn, ctx.actor, ctx.id(), now=ctx.now)
    return await _row(ctx, item)


async def done(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        item = await queue.finish(conn, ctx.actor, ctx.id(), now=ctx.now)
    return await _row(ctx, item)


async def _row(ctx: RequestContext, item: queue.Item) -> web.Response:
    if not ctx.is_fragment:
        return web.Response(status=303, headers={"Location": "/desk"})
    async with ctx.db.read() as conn:
        teams = {team.id: team.name for team in await directory.my_teams(conn, ctx.actor)}
    return render.page(ctx, "desk/row.html", {"item": item, "teams": teams, "now": ctx.now})


async def _lost(ctx: RequestContext, item_id: int, lost: Conflict) -> web.StreamResponse:
    """Say who was first and how long ago; where there is nobody, that it is over."""
    if not ctx.is_fragment or lost.code != "already_claimed":
        raise lost
    claimed_at = datetime.fromisoformat(str(lost.details["claimed_at"]))
    ago_s = max(0, int((ctx.now - claimed_at).total_seconds()))
    owner = lost.details["owner"]["name"]
    context = {"item_id": item_id, "owner": owner, "ago_s": ago_s}
    return render.page(ctx, "desk/taken.html", context, status=409)


ROUTES = (
    Route("GET", "/desk", desk),
    Route("GET", "/desk/waiting", waiting),
    Route("GET", "/desk/call", current_call),
    Route("POST", "/queue/{id}/take", take),
    Route("POST", "/queue/{id}/release", release),
    Route("POST", "/queue/{id}/done", done),
)
