"""The list of clients, making one, and the client's card with its one timeline.

Cards are open to every manager. Invariant: a client and the addresses typed with it are made together or not at all.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, timeline
from hub.errors import Refused
from hub.mail.filters import shown_by_twin
from hub.mail.undeliverable import undeliverable_of
from hub.store import changes
from hub.telephony.recordings import recordings
from hub.web import client_links, composing, render
from hub.web.request_context import RequestContext, read_cursor, read_time_cursor, write_cursor
from hub.web.routes import Route

PAGE = 50
ENTRIES = 30


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""
    cursor: str | None = None


class EntriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    cursor: str | None = None


async def listed(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(ListQuery)
    after = read_cursor(query.cursor) if query.cursor else None
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        region = ctx.services.linker.region
        rows = await clients.search(conn, query.q[:300], region=region, after=after, limit=PAGE + 1)
    more = rows[PAGE - 1] if len(rows) > PAGE else None
    cursor = write_cursor(clients.fold(more.name), more.id) if more else None
    context = {"clients": rows[:PAGE], "q": query.q, "next_cursor": cursor}
    return render.page(ctx, "clients.html", context, feed=feed)


async def new(ctx: RequestContext) -> web.StreamResponse:
    return render.page(ctx, "client_new.html", {"values": {}, "error": None})


async def create(ctx: RequestContext) -> web.StreamResponse:
    try:
        async with ctx.db.begin() as conn:
            client_id = await _create(conn, ctx)
    except Refused as error:
        context = {"values": dict(ctx.form.fields), "error": error}
        return render.page(ctx, "client_new.html", context, status=error.status)
    return web.Response(status=303, headers={"Location": f"/clients/{client_id}"})


async def _create(conn: AsyncConnection, ctx: RequestContext) -> int:
    form, region = ctx.form, ctx.services.linker.region
    kind = read_kind(form.text("kind") or "organisation")
    name = form.text("name", max_chars=300)
    client_id = await clients.create(conn, ctx.actor, kind=kind, name=name, now=ctx.now)
    contact_id = None
    if contact := form.text("contact", max_chars=300):
        contact_id = await clients.add_contact(conn, ctx.actor, client_id, name=contact, now=ctx.now)
    for address_kind in ("phone", "email"):
        if raw := form.text(address_kind, max_chars=254):
            await client_links.add_address(
                conn,
                ctx.actor,
                client_id,
                kind="phone" if address_kind == "phone" else "email",
                raw=raw,
                region=region,
                contact_id=contact_id,
                now=ctx.now,
            )
    return client_id


def read_kind(text: str) -> clients.ClientKind:
    """Read what kind of client a form means. Raises Refused."""
    kinds: dict[str, Literal["organisation", "person"]] = {"organisation": "organisation", "person": "person"}
    if text not in kinds:
        raise Refused("bad_kind", "a client is an organisation or a person", field="kind")
    return kinds[text]


async def card(ctx: RequestContext) -> web.StreamResponse:
    client_id = ctx.id()
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        client = await clients.find(conn, client_id)
        entries = await timeline.page(conn, client_id, limit=ENTRIES + 1, but=shown_by_twin())
        heard = await _heard(conn, ctx, entries)
        mails = client.every_address("email")
        writing = await composing.composer(ctx).on_card(conn, client.id, mails[0].value if mails else "")
        came_back = await undeliverable_of(conn, [one.value for one in mails])
    context = {"client": client, "writing": writing, "recordings": heard, "came_back": came_back}
    return render.page(ctx, "client.html", context | _page_of(entries), feed=feed)


async def entries(ctx: RequestContext) -> web.StreamResponse:
    """One page of the timeline, for "older" and for what came while the card is open."""
    client_id = ctx.id()
    before = read_time_cursor(ctx.query(EntriesQuery).cursor)
    async with ctx.db.read() as conn:
        await clients.find(conn, client_id)
        rows = await timeline.page(conn, client_id, before=before, limit=ENTRIES + 1, but=shown_by_twin())
        heard = await _heard(conn, ctx, rows)
    return render.page(ctx, "client/timeline.html", {"client_id": client_id, "recordings": heard} | _page_of(rows))


async def _heard(
    conn: AsyncConnection, ctx: RequestContext, entries: list[timeline.Entry]
) -> dict[int, tuple[recordings.Recording, ...]]:
    """What the visitor may hear of the calls among these entries: rights are asked here, for an entry has none."""
    call_ids = [one.ref_id for one in entries if one.kind == "call"]
    return await recordings.of_calls(conn, ctx.actor, call_ids, now=ctx.now)


def _page_of(rows: list[timeline.Entry]) -> dict[str, object]:
    last = rows[ENTRIES - 1] if len(rows) > ENTRIES else None
    return {"entries": rows[:ENTRIES], "next_cursor": write_cursor(last.at, last.id) if last else None}


ROUTES = (
    Route("GET", "/clients", listed),
    Route("GET", "/clients/new", new),
    Route("POST", "/clients", create),
    Route("GET", "/clients/{id}", card),
    Route("GET", "/clients/{id}/timeline", entries),
)
