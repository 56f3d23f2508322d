"""The outbox: every message that is not sent yet or is stuck, why, and what a person may do with it.

An administrator sees all, a manager what is of their teams and what they wrote. Invariant: a deed here is the same
function as on the message's own page and in the API.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from hub.mail.choices import OutboxStand
from hub.mail.sending import outbox, standing
from hub.mail.sending.providers import pace_of
from hub.store import changes
from hub.web import render
from hub.web.paging import PAGE, cut
from hub.web.request_context import MAX_ID, RequestContext, read_cursor
from hub.web.routes import Route


class OutboxQuery(msgspec.Struct, frozen=True, kw_only=True):
    state: OutboxStand | None = None
    mine: bool = False
    mailbox: Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)] | None = None
    cursor: str | None = None


async def page(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(OutboxQuery)
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        rows = await standing.listed(
            conn,
            ctx.actor,
            stands=(query.state,) if query.state else standing.OPEN,
            now=ctx.now,
            mailbox_id=query.mailbox,
            mine=query.mine,
            before=read_cursor(query.cursor)[1] if query.cursor else None,
            limit=PAGE + 1,
            pace_of=pace_of(ctx.services.settings.mailbox),
        )
        counts = await standing.counted(conn, ctx.actor, mine=query.mine)
        backlogs = [] if query.mine else await standing.backlogs(conn, ctx.actor)
    page = cut(rows, lambda row: ("", row.outbox_id))
    context = {
        "rows": page.items,
        "counts": counts,
        "backlogs": backlogs,
        "filters": query,
        "at_most": standing.AT_MOST,
        "now": ctx.now,
        "next_cursor": page.next,
    }
    return render.page(ctx, "outbox.html", context, feed=feed)


async def stuck(ctx: RequestContext) -> web.StreamResponse:
    """The badge of the desk: one's own mail that is stuck."""
    async with ctx.db.read() as conn:
        count = await standing.count_stuck(conn, ctx.actor)
    return render.page(ctx, "outbox/stuck.html", {"count": count})


async def send_again(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await outbox.send_again(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/outbox")


async def accept_as_sent(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await outbox.accept_as_sent(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/outbox")


async def cancel(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await outbox.cancel(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/outbox")


async def copy_again(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await outbox.copy_again(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/outbox")


ROUTES = (
    Route("GET", "/outbox", page),
    Route("GET", "/outbox/stuck", stuck),
    Route("POST", "/outbox/{id}/send-again", send_again),
    Route("POST", "/outbox/{id}/accept-as-sent", accept_as_sent),
    Route("POST", "/outbox/{id}/cancel", cancel),
    Route("POST", "/outbox/{id}/copy-again", copy_again),
)
