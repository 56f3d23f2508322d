"""The client's card: who it is in figures, what waits for an answer, and the one timeline, whole or of one kind."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, directory, queue, timeline
from hub.crm.base import records
from hub.crm.clients import CLIENTS, group
from hub.mail.filters import shown_by_twin
from hub.mail.undeliverable import undeliverable_of
from hub.store import changes
from hub.telephony.recordings import recordings
from hub.web import composing, render
from hub.web.base.record_page import read_card
from hub.web.crm.clients import WEB
from hub.web.request_context import RequestContext, read_time_cursor, write_cursor
from hub.web.routes import Route

ENTRIES = 30


Only = Literal["", "call", "message"]


class CardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`only`: entries of one kind. `tab`: what stands under the head."""

    only: Only = ""
    tab: Literal["", "changes"] = ""


class EntriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    only: Only = ""
    cursor: str | None = None


async def card(ctx: RequestContext) -> web.StreamResponse:
    client_id, query = ctx.id(), ctx.query(CardQuery)
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        record = await read_card(conn, ctx, WEB, client_id)
        client = await clients.find(conn, ctx.actor, client_id, with_archived=True)
        figures = await timeline.figures(conn, ctx.actor, client_id, now=ctx.now)
        context = {"card": record, "client": client, "figures": figures, "only": query.only, "tab": query.tab}
        context |= await _waiting(conn, ctx, client_id)
        context["group"] = await group.read(conn, ctx.actor, client_id)
        mails = client.every_address("email")
        context["writing"] = await composing.composer(ctx).on_card(conn, client.id, mails[0].value if mails else "")
        context["came_back"] = await undeliverable_of(conn, [one.value for one in mails])
        if not query.tab:
            context |= await _entries(conn, ctx, client_id, query.only)
    return render.page(ctx, "client.html", context, feed=feed)


async def entries(ctx: RequestContext) -> web.StreamResponse:
    """One page of the timeline, for "older" and for what came while the card is open."""
    client_id, query = ctx.id(), ctx.query(EntriesQuery)
    async with ctx.db.read() as conn:
        await records.get(conn, ctx.actor, CLIENTS, client_id)
        context = await _entries(conn, ctx, client_id, query.only, before=read_time_cursor(query.cursor))
    return render.page(ctx, "client/timeline.html", {"client_id": client_id, "only": query.only} | context)


async def waiting(ctx: RequestContext) -> web.StreamResponse:
    """Answer the items that wait, alone: for a card on which the queue changes."""
    client_id = ctx.id()
    async with ctx.db.read() as conn:
        await records.get(conn, ctx.actor, CLIENTS, client_id)
        context = await _waiting(conn, ctx, client_id)
    return render.page(ctx, "client/waiting.html", {"client_id": client_id} | context)


async def _waiting(conn: AsyncConnection, ctx: RequestContext, client_id: int) -> dict[str, Any]:
    items = await queue.of_client(conn, ctx.actor, client_id)
    teams = {team.id: team.name for team in await directory.my_teams(conn, ctx.actor)} if items else {}
    return {"items": items, "teams": teams, "now": ctx.now}


async def _entries(
    conn: AsyncConnection,
    ctx: RequestContext,
    client_id: int,
    only: Only,
    *,
    before: tuple[datetime, int] | None = None,
) -> dict[str, Any]:
    """Return a page of the timeline with its recordings."""
    rows = await timeline.page(
        conn, ctx.actor, client_id, before=before, limit=ENTRIES + 1, kind=only or None, but=shown_by_twin()
    )
    return {"recordings": await _heard(conn, ctx, rows)} | _page_of(rows)


async def _heard(
    conn: AsyncConnection, ctx: RequestContext, entries: list[timeline.Entry]
) -> dict[int, tuple[recordings.Recording, ...]]:
    """The recordings that the visitor may hear among these entries: rights are asked here, for an entry has none."""
    call_ids = [one.ref_id for one in entries if one.kind == "call"]
    return await recordings.of_calls(conn, ctx.actor, call_ids, now=ctx.now)


def _page_of(rows: list[timeline.Entry]) -> dict[str, object]:
    last = rows[ENTRIES - 1] if len(rows) > ENTRIES else None
    return {"entries": rows[:ENTRIES], "next_cursor": write_cursor(last.at, last.id) if last else None}


ROUTES = (
    Route("GET", "/clients/{id}/timeline", entries),
    Route("GET", "/clients/{id}/waiting", waiting),
)
