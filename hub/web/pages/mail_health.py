"""How the mailboxes are, on two pages: all that one may look into, and one with its folders and what to do.

Invariant: what a server said is for administrators and for whose own mailbox it is; everybody else reads what it means.
"""

from __future__ import annotations

from aiohttp import web

from hub.crm import access
from hub.crm.audit import record
from hub.mail import health, reparse
from hub.store import changes
from hub.web import render
from hub.web.request_context import RequestContext
from hub.web.routes import Route


async def listed(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        boxes = await health.of_all(conn, ctx.actor, now=ctx.now)
    return render.page(ctx, "mailboxes/health.html", {"boxes": boxes}, feed=feed)


async def card(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        box = await health.of_one(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.page(ctx, "mailboxes/card.html", {"box": box}, feed=feed)


async def read_again(ctx: RequestContext) -> web.StreamResponse:
    """Have the messages that could not be read tried once more; only an observer may not."""
    async with ctx.db.begin() as conn:
        box = await health.of_one(conn, ctx.actor, ctx.id(), now=ctx.now)
        access.require_edit(ctx.actor, "mailbox")
        await reparse.request(conn, box.id, now=ctx.now)
        about = {"object_kind": "mailbox", "object_id": box.id}
        await record(conn, "mailbox.read_again", at=ctx.now, user_id=ctx.actor.user_id, **about)  # type: ignore[arg-type]
    return render.redirect(ctx, f"/mailboxes/{box.id}")


ROUTES = (
    Route("GET", "/mailboxes/health", listed),
    Route("GET", "/mailboxes/{id}", card),
    Route("POST", "/mailboxes/{id}/read-again", read_again),
)
