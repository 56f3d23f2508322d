"""A person says whose a message is: the choice of candidates and of clients found by name, and the deed.

Invariant: nobody links what they may not see; what is offered to choose from is what `crm` lets every manager find.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from hub.crm import clients
from hub.errors import NotFound
from hub.mail import manual_link, originals, register
from hub.store import changes
from hub.web import render
from hub.web.routes import Route
from hub.web.visit import Visit, parse_id

OFFERED = 20


class LinkQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""


async def choice(visit: Visit) -> web.StreamResponse:
    query = visit.query(LinkQuery)
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        message = await register.find(conn, visit.actor, visit.id())
        asked = query.q.strip()[:300]
        region = visit.services.linker.region
        found = await clients.search(conn, asked, region=region, limit=OFFERED) if asked else []
    offered = [one for one in message.candidates if one.get("client_id") is not None]
    return render.page(
        visit, "messages/link.html", {"message": message, "offered": offered, "found": found, "q": asked}, feed=feed
    )


async def link(visit: Visit) -> web.StreamResponse:
    message_id, form = visit.id(), visit.form
    client, _, contact = form.text("whose", max_chars=40).partition("/")
    whose: dict[str, Any] = {
        "client_id": parse_id(client, field="whose") if client else None,
        "contact_id": parse_id(contact, field="whose") if contact else None,
    }
    async with visit.db.begin() as conn:
        await manual_link.link(
            conn, visit.actor, message_id, **whose, whole_thread=bool(form.text("thread")), now=visit.now
        )
        try:
            await register.find(conn, visit.actor, message_id)
        except NotFound:
            # Taken off the card by somebody of another team: it is no longer theirs to see.
            return render.go(visit, "/messages")
    return render.go(visit, f"/messages/{message_id}")


async def accept_original(visit: Visit) -> web.StreamResponse:
    """Say that the letter a colleague forwarded is from whom it names."""
    async with visit.db.begin() as conn:
        await originals.accept(conn, visit.actor, visit.services.linker, visit.id(), now=visit.now)
    return render.go(visit, f"/messages/{visit.id()}")


ROUTES = (
    Route("GET", "/messages/{id}/link", choice),
    Route("POST", "/messages/{id}/link", link),
    Route("POST", "/messages/{id}/original", accept_original),
)
