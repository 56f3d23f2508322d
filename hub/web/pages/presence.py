"""Who is on: one's own word in the frame of every page, the team on the desk, and the wallboard of a team.

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
from hub.web.routes import Route
from hub.web.visit import Visit


class BoardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`screen` is a board alone, for a screen on the wall."""

    screen: bool = False


async def mine(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        said = (await said_presence.said_of(conn, [visit.actor.user_id])).get(visit.actor.user_id, said_presence.SILENT)
    return render.page(visit, "presence/mine.html", {"said": said.at(visit.now)})


async def say(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await said_presence.say(conn, visit.actor.user_id, visit.form.text("state", max_chars=20), now=visit.now)
    return await mine(visit) if visit.is_fragment else render.go(visit, "/")


async def team(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        people = await presence.of_team(conn, visit.actor, visit.now)
    return render.page(visit, "desk/team.html", {"people": people})


async def boards(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        teams = await directory.my_teams(conn, visit.actor)
    if len(teams) == 1:
        raise web.HTTPSeeOther(f"/wallboard/{teams[0].id}")
    return render.page(visit, "wallboards.html", {"teams": teams})


async def board(visit: Visit) -> web.StreamResponse:
    query = visit.query(BoardQuery)
    team_id = visit.id()
    try:
        async with visit.db.read() as conn:
            feed = await changes.head(conn)
            shown = await wallboard.board(conn, visit.actor, team_id, now=visit.now)
            teams = await directory.my_teams(conn, visit.actor)
    except NotFound:
        if not visit.is_fragment:
            raise
        # Who has left the team while its board was open must not be left with figures that stand still.
        return render.go(visit, "/wallboard")
    context = {"board": shown, "screen": query.screen, "teams": teams}
    return render.page(visit, "wallboard.html", context, feed=feed)


ROUTES = (
    Route("GET", "/presence", mine),
    Route("POST", "/presence", say),
    Route("GET", "/desk/team", team),
    Route("GET", "/wallboard", boards),
    Route("GET", "/wallboard/{id}", board),
)
