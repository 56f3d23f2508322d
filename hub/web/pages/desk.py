"""The manager's desk: what waits for the team, what one holds, and the call on one's phone.

Taking is never optimistic: the row changes when the database has decided, and who lost reads who won. Invariant: a
claim and what it asks of the PBX are one transaction.
"""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from hub.crm import queue
from hub.errors import Conflict
from hub.store import changes
from hub.telephony import control, recording_switch, register
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
        current = await register.current(conn, visit.actor)
        recorded = await recording_switch.state_of(conn, current.id) if current else None
    context = {"waiting": waiting, "mine": mine, "call": current, "recorded": recorded, "now": visit.now}
    return render.page(visit, "desk.html", context, feed=feed)


async def current_call(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        current = await register.current(conn, visit.actor)
        recorded = await recording_switch.state_of(conn, current.id) if current else None
    return render.page(visit, "desk/current_call.html", {"call": current, "recorded": recorded, "now": visit.now})


async def take(visit: Visit) -> web.StreamResponse:
    item_id = visit.id()
    try:
        async with visit.db.begin() as conn:
            item = await queue.claim(conn, visit.actor, item_id, now=visit.now)
            if item.kind == "call":
                await control.take(conn, visit.actor, item, now=visit.now)
    except Conflict as lost:
        return await _lost(visit, item_id, lost)
    return _row(visit, item)


async def release(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        item = await queue.release(conn, visit.actor, visit.id(), now=visit.now)
    return _row(visit, item)


async def done(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        item = await queue.finish(conn, visit.actor, visit.id(), now=visit.now)
    return _row(visit, item)


def _row(visit: Visit, item: queue.Item) -> web.Response:
    if not visit.is_fragment:
        return web.Response(status=303, headers={"Location": "/desk"})
    return render.page(visit, "desk/row.html", {"item": item, "now": visit.now})


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
