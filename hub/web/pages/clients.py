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
from hub.web import belongings, composing, render
from hub.web.routes import Route
from hub.web.visit import Visit, read_cursor, read_time_cursor, write_cursor

PAGE = 50
ENTRIES = 30


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""
    cursor: str | None = None


class EntriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    cursor: str | None = None


async def listed(visit: Visit) -> web.StreamResponse:
    query = visit.query(ListQuery)
    after = read_cursor(query.cursor) if query.cursor else None
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        region = visit.services.linker.region
        rows = await clients.search(conn, query.q[:300], region=region, after=after, limit=PAGE + 1)
    more = rows[PAGE - 1] if len(rows) > PAGE else None
    cursor = write_cursor(clients.fold(more.name), more.id) if more else None
    context = {"clients": rows[:PAGE], "q": query.q, "next_cursor": cursor}
    return render.page(visit, "clients.html", context, feed=feed)


async def new(visit: Visit) -> web.StreamResponse:
    return render.page(visit, "client_new.html", {"values": {}, "error": None})


async def create(visit: Visit) -> web.StreamResponse:
    try:
        async with visit.db.begin() as conn:
            client_id = await _create(conn, visit)
    except Refused as error:
        context = {"values": dict(visit.form.fields), "error": error}
        return render.page(visit, "client_new.html", context, status=error.status)
    return web.Response(status=303, headers={"Location": f"/clients/{client_id}"})


async def _create(conn: AsyncConnection, visit: Visit) -> int:
    form, region = visit.form, visit.services.linker.region
    kind = read_kind(form.text("kind") or "organisation")
    name = form.text("name", max_chars=300)
    client_id = await clients.create(conn, visit.actor, kind=kind, name=name, now=visit.now)
    contact_id = None
    if contact := form.text("contact", max_chars=300):
        contact_id = await clients.add_contact(conn, visit.actor, client_id, name=contact, now=visit.now)
    for address_kind in ("phone", "email"):
        if raw := form.text(address_kind, max_chars=254):
            await belongings.add_address(
                conn,
                visit.actor,
                client_id,
                kind="phone" if address_kind == "phone" else "email",
                raw=raw,
                region=region,
                contact_id=contact_id,
                now=visit.now,
            )
    return client_id


def read_kind(text: str) -> clients.ClientKind:
    """Read what kind of client a form means. Raises Refused."""
    kinds: dict[str, Literal["organisation", "person"]] = {"organisation": "organisation", "person": "person"}
    if text not in kinds:
        raise Refused("bad_kind", "a client is an organisation or a person", field="kind")
    return kinds[text]


async def card(visit: Visit) -> web.StreamResponse:
    client_id = visit.id()
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        client = await clients.find(conn, client_id)
        entries = await timeline.page(conn, client_id, limit=ENTRIES + 1, but=shown_by_twin())
        heard = await _heard(conn, visit, entries)
        mails = client.every_address("email")
        writing = await composing.on_card(conn, visit, client.id, mails[0].value if mails else "")
        came_back = await undeliverable_of(conn, [one.value for one in mails])
    context = {"client": client, "writing": writing, "recordings": heard, "came_back": came_back}
    return render.page(visit, "client.html", context | _page_of(entries), feed=feed)


async def entries(visit: Visit) -> web.StreamResponse:
    """One page of the timeline, for "older" and for what came while the card is open."""
    client_id = visit.id()
    before = read_time_cursor(visit.query(EntriesQuery).cursor)
    async with visit.db.read() as conn:
        await clients.find(conn, client_id)
        rows = await timeline.page(conn, client_id, before=before, limit=ENTRIES + 1, but=shown_by_twin())
        heard = await _heard(conn, visit, rows)
    return render.page(visit, "client/timeline.html", {"client_id": client_id, "recordings": heard} | _page_of(rows))


async def _heard(
    conn: AsyncConnection, visit: Visit, entries: list[timeline.Entry]
) -> dict[int, tuple[recordings.Recording, ...]]:
    """What the visitor may hear of the calls among these entries: rights are asked here, for an entry has none."""
    call_ids = [one.ref_id for one in entries if one.kind == "call"]
    return await recordings.of_calls(conn, visit.actor, call_ids, now=visit.now)


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
