"""The client's card with its one timeline, and what clients add to their list and their form."""

from __future__ import annotations

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, timeline
from hub.crm.base import records
from hub.crm.clients import CLIENTS
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


class EntriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    cursor: str | None = None


async def card(ctx: RequestContext) -> web.StreamResponse:
    client_id = ctx.id()
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        record = await read_card(conn, ctx, WEB, client_id)
        client = await clients.find(conn, ctx.actor, client_id, with_archived=True)
        entries = await timeline.page(conn, ctx.actor, client_id, limit=ENTRIES + 1, but=shown_by_twin())
        heard = await _heard(conn, ctx, entries)
        mails = client.every_address("email")
        writing = await composing.composer(ctx).on_card(conn, client.id, mails[0].value if mails else "")
        came_back = await undeliverable_of(conn, [one.value for one in mails])
    context = {"card": record, "client": client, "writing": writing, "recordings": heard, "came_back": came_back}
    return render.page(ctx, "client.html", context | _page_of(entries), feed=feed)


async def entries(ctx: RequestContext) -> web.StreamResponse:
    """One page of the timeline, for "older" and for what came while the card is open."""
    client_id = ctx.id()
    before = read_time_cursor(ctx.query(EntriesQuery).cursor)
    async with ctx.db.read() as conn:
        await records.get(conn, ctx.actor, CLIENTS, client_id)
        rows = await timeline.page(conn, ctx.actor, client_id, before=before, limit=ENTRIES + 1, but=shown_by_twin())
        heard = await _heard(conn, ctx, rows)
    return render.page(ctx, "client/timeline.html", {"client_id": client_id, "recordings": heard} | _page_of(rows))


async def _heard(
    conn: AsyncConnection, ctx: RequestContext, entries: list[timeline.Entry]
) -> dict[int, tuple[recordings.Recording, ...]]:
    """The recordings that the visitor may hear among these entries: rights are asked here, for an entry has none."""
    call_ids = [one.ref_id for one in entries if one.kind == "call"]
    return await recordings.of_calls(conn, ctx.actor, call_ids, now=ctx.now)


def _page_of(rows: list[timeline.Entry]) -> dict[str, object]:
    last = rows[ENTRIES - 1] if len(rows) > ENTRIES else None
    return {"entries": rows[:ENTRIES], "next_cursor": write_cursor(last.at, last.id) if last else None}


ROUTES = (Route("GET", "/clients/{id}/timeline", entries),)
