"""Operations on pages: what was begun, how far it is, what could not be done and why; cancel, resume, undo.

A person sees their own, an administrator all. Decides nothing: `hub.crm.base.operations` does.
"""

from __future__ import annotations

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import operations, records, registry
from hub.crm.base.history import Edit
from hub.crm.base.operations import Operation, Outcome
from hub.crm.operation_kinds import LABELS, WORKS
from hub.store import changes
from hub.web import render
from hub.web.base.kind_fields import fields_of
from hub.web.request_context import RequestContext, read_cursor, write_cursor
from hub.web.routes import Route

SHOWN: tuple[Outcome, ...] = ("refused", "failed", "kept")
ROWS = 50


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    cursor: str | None = None


async def listed(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(ListQuery)
    before = read_cursor(query.cursor)[1] if query.cursor else None
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        found = await operations.page(conn, ctx.actor, is_admin=ctx.actor.is_admin, before=before)
    following = write_cursor("", int(found.next)) if found.next else None
    context = {
        "rows": found.items,
        "next_cursor": following,
        "query": query,
        "kinds": LABELS,
        "entities": registry.kinds(),
    }
    return render.page(ctx, "administration/operations.html", context, feed=feed)


async def _found(conn: AsyncConnection, ctx: RequestContext) -> Operation:
    return await operations.get(conn, ctx.actor, ctx.id(), is_admin=ctx.actor.is_admin)


async def one(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        operation = await _found(conn, ctx)
        counts = await operations.counts(conn, operation.id)
        rows = [
            row
            for outcome in SHOWN
            if counts.get(outcome)
            for row in (await operations.results(conn, operation.id, outcome=outcome, limit=ROWS)).items
        ][:ROWS]
        names = await records.names(conn, ctx.actor, operation.object_kind, [row.record_id for row in rows])
        entity = registry.kind(operation.object_kind)
        fields = {field.name: field for field in await fields_of(conn, ctx, entity, with_inactive=True)}
    context = {"operation": operation, "counts": counts, "rows": rows, "names": names, "kinds": LABELS}
    context |= {"entity": entity, "fields": fields, "can_undo": WORKS[operation.kind].can_undo}
    return render.page(ctx, "administration/operation.html", context, feed=feed)


async def cancel(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await operations.cancel(conn, await _found(conn, ctx), edit=_edit(ctx))
    return render.redirect(ctx, f"/operations/{ctx.id()}")


async def resume(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await operations.resume(conn, await _found(conn, ctx), edit=_edit(ctx))
    return render.redirect(ctx, f"/operations/{ctx.id()}")


async def undo(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        operation = await _found(conn, ctx)
        await operations.undo(conn, operation, WORKS[operation.kind], edit=_edit(ctx))
    return render.redirect(ctx, f"/operations/{ctx.id()}")


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "page", ctx.now)


ROUTES = (
    Route("GET", "/operations", listed),
    Route("GET", "/operations/{id}", one),
    Route("POST", "/operations/{id}/cancel", cancel),
    Route("POST", "/operations/{id}/resume", resume),
    Route("POST", "/operations/{id}/undo", undo),
)
