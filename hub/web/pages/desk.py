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
from hub.web.routes import Route
from hub.web.visit import Visit

SHOWN = 100


async def desk(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        # The position is read first: what changes while the rest is read is told again, never missed.
        feed = await changes.head(conn)
        waiting = await queue.listed(conn, visit.actor, state="waiting", limit=SHOWN)
        mine = await queue.listed(conn, visit.actor, state="claimed", mine=True, limit=SHOWN)
        # A refresh of the queue takes the queue only: who is on keeps itself true.
        people = [] if visit.is_fragment else await presence.of_team(conn, visit.actor, visit.now)
        teams = {team.id: team.name for team in await directory.my_teams(conn, visit.actor)}
        phone = await _phone(conn, visit)
    context = {"waiting": waiting, "mine": mine, "people": people, "teams": teams, "now": visit.now, **phone}
    return render.page(visit, "desk.html", context, feed=feed)


async def current_call(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        phone = await _phone(conn, visit)
    return render.page(visit, "desk/current_call.html", {"now": visit.now, **phone})


async def _phone(conn: AsyncConnection, visit: Visit) -> dict[str, Any]:
    """What the panel of one's phone shows: the call, what may be done with it, and who is parked."""
    call = await register.current(conn, visit.actor)
    return {
        "call": call,
        "panel": await panel.panel_of(conn, visit.actor, call, now=visit.now),
        "parked": await parked.parked_calls(conn, visit.actor),
    }


async def take(visit: Visit) -> web.StreamResponse:
    item_id = visit.id()
    try:
        async with visit.db.begin() as conn:
            item = await queue.claim(conn, visit.actor, item_id, now=visit.now)
            if item.kind == "call":
                await control.take(conn, visit.actor, item, now=visit.now)
    except Conflict as lost:
        return await _lost(visit, item_id, lost)
    return await _row(visit, item)


async def release(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        item = await queue.release(conn, visit.actor, visit.id(), now=visit.now)
    return await _row(visit, item)


async def done(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        item = await queue.finish(conn, visit.actor, visit.id(), now=visit.now)
    return await _row(visit, item)


async def _row(visit: Visit, item: queue.Item) -> web.Response:
    if not visit.is_fragment:
        return web.Response(status=303, headers={"Location": "/desk"})
    async with visit.db.read() as conn:
        teams = {team.id: team.name for team in await directory.my_teams(conn, visit.actor)}
    return render.page(visit, "desk/row.html", {"item": item, "teams": teams, "now": visit.now})


async def _lost(visit: Visit, item_id: int, lost: Conflict) -> web.StreamResponse:
    """Say who was first and how long ago; where there is nobody, that it is over."""
    if not visit.is_fragment or lost.code != "already_claimed":
        raise lost
    claimed_at = datetime.fromisoformat(str(lost.details["claimed_at"]))
    ago_s = max(0, int((visit.now - claimed_at).total_seconds()))
    owner = lost.details["owner"]["name"]
    context = {"item_id": item_id, "owner": owner, "ago_s": ago_s}
    return render.page(visit, "desk/taken.html", context, status=409)


ROUTES = (
    Route("GET", "/desk", desk),
    Route("GET", "/desk/call", current_call),
    Route("POST", "/queue/{id}/take", take),
    Route("POST", "/queue/{id}/release", release),
    Route("POST", "/queue/{id}/done", done),
)
