"""The leads of one's teams: seeing them, making a client of one, closing one."""

from __future__ import annotations

import msgspec
from aiohttp import web

from hub.crm import leads
from hub.crm.choices import LeadState
from hub.crm.clients import ClientKind
from hub.errors import Refused
from hub.store import changes
from hub.web import render
from hub.web.request_context import RequestContext, read_time_cursor, write_cursor
from hub.web.routes import Route

PAGE = 50


class LeadQuery(msgspec.Struct, frozen=True, kw_only=True):
    state: LeadState = LeadState.OPEN
    cursor: str | None = None


async def listed(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(LeadQuery)
    before = read_time_cursor(query.cursor)
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        rows = await leads.listed(conn, ctx.actor, state=query.state, before=before, limit=PAGE + 1)
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    context = {
        "leads": rows[:PAGE],
        "filters": query,
        "now": ctx.now,
        "next_cursor": write_cursor(last.last_at, last.id) if last else None,
    }
    return render.page(ctx, "leads.html", context, feed=feed)


async def convert(ctx: RequestContext) -> web.StreamResponse:
    kind = read_kind(ctx.form.text("kind") or "person")
    async with ctx.db.begin() as conn:
        lead = await leads.find(conn, ctx.id(), actor=ctx.actor)
        name = ctx.form.text("name", max_chars=300) or lead.name
        if not name:
            raise Refused("name_missing", "a client needs a name", field="name")
        client_id = await leads.convert(conn, ctx.actor, lead.id, kind=kind, name=name, now=ctx.now)
    return render.redirect(ctx, f"/clients/{client_id}")


def read_kind(text: str) -> ClientKind:
    """Read what kind of client a form means. Raises Refused."""
    kinds: dict[str, ClientKind] = {"organisation": "organisation", "person": "person"}
    if text not in kinds:
        raise Refused("bad_kind", "a client is an organisation or a person", field="kind")
    return kinds[text]


async def close(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await leads.close(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/leads")


ROUTES = (
    Route("GET", "/leads", listed),
    Route("POST", "/leads/{id}/convert", convert),
    Route("POST", "/leads/{id}/close", close),
)
