"""The administrator's register of all calls: filters in the URL, pages by key, nothing counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from aiohttp import web

from hub.crm import directory
from hub.store import changes
from hub.telephony.choices import CallDirection, CallOutcome, CallState
from hub.telephony.reading import register as telephony
from hub.telephony.reading.register import CallFilters
from hub.web import render
from hub.web.dialing import looked_up_number
from hub.web.request_context import MAX_ID, RequestContext, parse_moment, read_time_cursor, write_cursor
from hub.web.routes import Route

PAGE = 50
Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]


class CallQuery(msgspec.Struct, frozen=True, kw_only=True):
    direction: CallDirection | None = None
    state: CallState | None = None
    outcome: CallOutcome | None = None
    team: Id | None = None
    user: Id | None = None
    number: str | None = None
    since: str | None = None
    until: str | None = None
    cursor: str | None = None


def day(text: str | None, *, field: str, days: int = 0) -> datetime | None:
    """Read a date of a filter; `days` moves it, for an end that is meant with its whole day."""
    return parse_moment(text, field=field) + timedelta(days=days) if text else None


async def calls(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(CallQuery)
    filters = CallFilters(
        direction=query.direction,
        state=query.state,
        outcome=query.outcome,
        team_id=query.team,
        user_id=query.user,
        number=looked_up_number(query.number, ctx.services.linker.region),
        since=day(query.since, field="since"),
        until=day(query.until, field="until", days=1),
    )
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        rows = await telephony.listed(
            conn, ctx.actor, filters, before=read_time_cursor(query.cursor), limit=PAGE + 1, with_legs=True
        )
        teams = await directory.my_teams(conn, ctx.actor)
        people = await directory.people(conn, ctx.actor, limit=200)
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    context = {
        "calls": rows[:PAGE],
        "filters": query,
        "teams": teams,
        "people": people,
        "next_cursor": write_cursor(last.started_at, last.id) if last else None,
    }
    return render.page(ctx, "calls.html", context, feed=feed)


ROUTES = (Route("GET", "/calls", calls, "admin"),)
