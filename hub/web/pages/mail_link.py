"""A person says whose a message is: the choice of candidates and of clients found by name, and the deed.

Invariant: nobody links what they may not see; what is offered to choose from is what `crm` lets every manager find.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from hub.crm import clients
from hub.crm.base import permissions, records
from hub.errors import NotFound
from hub.mail import manual_link, originals, register
from hub.store import changes
from hub.web import render
from hub.web.request_context import RequestContext, parse_id
from hub.web.routes import Route

OFFERED = 20


class LinkQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""


async def choice(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(LinkQuery)
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        message = await register.find(conn, ctx.actor, ctx.id())
        asked = query.q.strip()[:300]
        region = ctx.services.linker.region
        known = {one["client_id"] for one in message.candidates if one.get("client_id") is not None}
        names = await records.names(conn, ctx.actor, "client", known)
        found = await clients.search(conn, ctx.actor, asked, region=region, limit=OFFERED) if asked else []
    offered = [one for one in message.candidates if one.get("client_id") in names]
    context = {"message": message, "offered": offered, "found": found, "q": asked}
    context["may_create"] = permissions.scope(ctx.actor, "client", "create") != "none"
    return render.page(ctx, "messages/link.html", context, feed=feed)


async def link(ctx: RequestContext) -> web.StreamResponse:
    message_id, form = ctx.id(), ctx.form
    client, _, contact = form.text("whose", max_chars=40).partition("/")
    whose: dict[str, Any] = {
        "client_id": parse_id(client, field="whose") if client else None,
        "contact_id": parse_id(contact, field="whose") if contact else None,
    }
    async with ctx.db.begin() as conn:
        await manual_link.link(
            conn, ctx.actor, message_id, **whose, whole_thread=bool(form.text("thread")), way="page", now=ctx.now
        )
        try:
            await register.find(conn, ctx.actor, message_id)
        except NotFound:
            # Taken off the card by somebody of another team: it is no longer theirs to see.
            return render.redirect(ctx, "/messages")
    return render.redirect(ctx, f"/messages/{message_id}")


async def accept_original(ctx: RequestContext) -> web.StreamResponse:
    """Say that the letter a colleague forwarded is from whom it names."""
    async with ctx.db.begin() as conn:
        await originals.accept(conn, ctx.actor, ctx.services.linker, ctx.id(), now=ctx.now)
    return render.redirect(ctx, f"/messages/{ctx.id()}")


ROUTES = (
    Route("GET", "/messages/{id}/link", choice),
    Route("POST", "/messages/{id}/link", link),
    Route("POST", "/messages/{id}/original", accept_original),
)
