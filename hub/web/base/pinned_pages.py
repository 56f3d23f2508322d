"""The pinned views in the menu, each with the number of its records: a piece that is filled in after the page.

The numbers stop at `COUNTED`, and all come from one statement. Decides no rights: each view is counted by the rights
of who looks. Invariant: a view that cannot be asked any more stands in the menu without a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from aiohttp import web as http
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import permissions, records, registry, views
from hub.crm.base.conditions import query as asking
from hub.crm.base.labels import Invalid
from hub.crm.base.views import View
from hub.web import render
from hub.web.base.kind import reading
from hub.web.request_context import RequestContext
from hub.web.routes import Route

MOST = 12
COUNTED = 999


@dataclass(frozen=True, slots=True)
class Pinned:
    """One entry of the menu. `count` is None where the view cannot be asked any more, `COUNTED` + 1 for more."""

    view: View
    path: str
    count: int | None


async def pinned(ctx: RequestContext) -> http.StreamResponse:
    async with ctx.db.read() as conn:
        found = [view for view in await views.load(conn, ctx.actor, pinned=True) if _is_seen(ctx, view)][:MOST]
        counts = await _counts(conn, ctx, found)
    entries = [Pinned(view, f"/{registry.kind(view.kind).plural}", counts.get(view.id)) for view in found]
    return render.page(ctx, "base/pinned.html", {"entries": entries, "counted": COUNTED})


def _is_seen(ctx: RequestContext, view: View) -> bool:
    return view.kind in registry.kinds() and permissions.scope(ctx.actor, view.kind, "see") != "none"


async def _counts(conn: AsyncConnection, ctx: RequestContext, found: list[View]) -> dict[int, int]:
    read, counted = reading(ctx), []
    for view in found:
        entity = registry.kind(view.kind)
        try:
            where = await asking.where(
                conn,
                ctx.actor,
                entity,
                views.condition(view),
                now=ctx.now,
                zone=read.zone,
                region=read.region,
            )
        except Invalid:
            continue
        listed: sa.Select[Any] = records.listed(ctx.actor, entity, where, archived=False)
        some = listed.with_only_columns(entity.id).limit(COUNTED + 1).subquery()
        counted.append(sa.select(sa.func.count()).select_from(some).scalar_subquery().label(f"v{view.id}"))
    if not counted:
        return {}
    row = (await conn.execute(sa.select(*counted))).mappings().one()
    return {int(name.removeprefix("v")): number for name, number in row.items()}


ROUTES = (Route("GET", "/views/pinned", pinned),)
