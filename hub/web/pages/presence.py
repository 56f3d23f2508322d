"""Presence on pages: one's own state in the frame of every page, the team on the desk, and a team's wallboard.

Invariant: a board shows the teams of who looks, and no other; what is said is said by a person of themselves only.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from hub.crm import directory
from hub.crm import presence as said_presence
from hub.errors import NotFound
from hub.store import changes
from hub.telephony.presence import presence, wallboard
from hub.web import render
from hub.web.request_context import RequestContext
from hub.web.routes import Route


class BoardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`screen` is a board alone, for a screen on the wall."""

    screen: bool = False


async def mine(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        said = (await said_presence.said_of(conn, [ctx.actor.user_id])).get(ctx.actor.user_id, said_presence.SILENT)
    return render.page(ctx, "presence/mine.html", {"said": said.at(ctx.now)})


async def say(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await said_presence.say(conn, ctx.actor.user_id, ctx.form.text("state", max_chars=20), now=ctx.now)
    return await mine(ctx) if ctx.is_fragment else render.redirect(ctx, "/")


async def team(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        people = await presence.of_team(conn, ctx.actor, ctx.now)
    return render.page(ctx, "desk/team.html", {"people": people})


async def boards(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        teams = await directory.my_teams(conn, ctx.actor)
    if len(teams) == 1:
        raise web.HTTPSeeOther(f"/wallboard/{teams[0].id}")
    return render.page(ctx, "wallboards.html", {"teams": teams})


async def board(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(BoardQuery)
    team_id = ctx.id()
    try:
        async with ctx.db.read() as conn:
            feed = await changes.head(conn)
            shown = await wallboard.board(conn, ctx.actor, team_id, now=ctx.now)
            teams = await directory.my_teams(conn, ctx.actor)
    except NotFound:
        if not ctx.is_fragment:
            raise
        # Who has left the team while its board was open must not be left with figures that stand still.
        return render.redirect(ctx, "/wallboard")
    context = {"board": shown, "screen": query.screen, "teams": teams}
    return render.page(ctx, "wallboard.html", context, feed=feed)


ROUTES = (
    Route("GET", "/presence", mine),
    Route("POST", "/presence", say),
    Route("GET", "/desk/team", team),
    Route("GET", "/wallboard", boards),
    Route("GET", "/wallboard/{id}", board),
)
