"""Teams on the web: a team's card with its people."""

from __future__ import annotations

from aiohttp import web

from hub.crm.base import records
from hub.crm.people import USERS
from hub.crm.people.table import MEMBERSHIP
from hub.crm.teams.table import TEAMS
from hub.store import changes
from hub.web import render
from hub.web.base.kind import WebKind
from hub.web.base.record_page import read_card
from hub.web.request_context import RequestContext

PEOPLE = 200
WEB = WebKind(entity=TEAMS, icon="users")


async def card(ctx: RequestContext) -> web.StreamResponse:
    team_id = ctx.id()
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        found = await read_card(conn, ctx, WEB, team_id)
        members = USERS.id.in_(MEMBERSHIP.owners(lambda column: column == team_id))
        people = await records.page(conn, ctx.actor, USERS, where=members, limit=PEOPLE)
    return render.page(ctx, "team.html", {"card": found, "people": people.items}, feed=feed)
