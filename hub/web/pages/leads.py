"""The leads of one's teams: seeing them, making a client of one, closing one."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from hub.crm import leads
from hub.errors import Refused
from hub.store import changes
from hub.web import belongings, render
from hub.web.pages.clients import read_kind
from hub.web.routes import Route
from hub.web.visit import Visit, read_time_cursor, write_cursor

PAGE = 50


class LeadQuery(msgspec.Struct, frozen=True, kw_only=True):
    state: Literal["open", "converted", "closed"] = "open"
    cursor: str | None = None


async def listed(visit: Visit) -> web.StreamResponse:
    query = visit.query(LeadQuery)
    before = read_time_cursor(query.cursor)
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        rows = await leads.listed(conn, visit.actor, state=query.state, before=before, limit=PAGE + 1)
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    context = {
        "leads": rows[:PAGE],
        "filters": query,
        "now": visit.now,
        "next_cursor": write_cursor(last.last_at, last.id) if last else None,
    }
    return render.page(visit, "leads.html", context, feed=feed)


async def convert(visit: Visit) -> web.StreamResponse:
    kind = read_kind(visit.form.text("kind") or "person")
    async with visit.db.begin() as conn:
        lead = await leads.find(conn, visit.id(), actor=visit.actor)
        name = visit.form.text("name", max_chars=300) or lead.name
        if not name:
            raise Refused("name_missing", "a client needs a name", field="name")
        client_id = await belongings.convert_lead(conn, visit.actor, lead.id, kind=kind, name=name, now=visit.now)
    return render.go(visit, f"/clients/{client_id}")


async def close(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await leads.close(conn, visit.actor, visit.id(), now=visit.now)
    return render.go(visit, "/leads")


ROUTES = (
    Route("GET", "/leads", listed),
    Route("POST", "/leads/{id}/convert", convert),
    Route("POST", "/leads/{id}/close", close),
)
