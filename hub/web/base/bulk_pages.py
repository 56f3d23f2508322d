"""Edit a field of many records from their list, archive them or bring them back: the ticked ones, or all that it shows.

It runs as an operation, whose page shows the progress and undoes it. Decides no rights: `bulk_edit` asks them.
Invariant: a value that the field refuses begins nothing and comes back with the problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from aiohttp import web as http
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import bulk_archive, bulk_edit, permissions, records
from hub.crm.base.bulk_selection import MAX_IDS, Selection
from hub.crm.base.characteristics import PREFIX
from hub.crm.base.collections import Collection
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.web import render
from hub.web.base import forms
from hub.web.base.kind import RecordQuery, WebKind, asked, reading
from hub.web.base.kind_fields import fields_of
from hub.web.base.list_page import edited_at_once, list_address
from hub.web.request_context import RequestContext, parse_id
from hub.web.routes import Route


class BulkPages:
    """The bulk edit of one kind."""

    def __init__(self, web: WebKind) -> None:
        self.web = web
        made = msgspec.defstruct("BulkQuery", [("field", str, "")], bases=(web.query,), frozen=True, kw_only=True)
        self.query = cast("type[RecordQuery]", made)

    def routes(self) -> tuple[Route, ...]:
        path = f"{self.web.path}/bulk"
        return (
            Route("GET", path, self.form),
            Route("POST", path, self.begin),
            Route("POST", f"{path}/archive", self.archive),
            Route("POST", f"{path}/restore", self.restore),
        )

    async def form(self, ctx: RequestContext) -> http.StreamResponse:
        """The choice of the field and the input of its value."""
        permissions.require(ctx.actor, self.web.entity.kind, "bulk")
        query: Any = ctx.query(self.query)
        return await self._shown(ctx, query.field, {})

    async def begin(self, ctx: RequestContext) -> http.StreamResponse:
        entity, query = self.web.entity, ctx.query(self.web.query)
        permissions.require(ctx.actor, entity.kind, "bulk")
        name = ctx.form.text("field", max_chars=200)
        async with ctx.db.read() as conn:
            known = {field.name: field for field in await fields_of(conn, ctx, entity) if not field.read_only}
        if name not in known:
            raise Invalid({"field": Problem("unknown_field", _("There is no such field"))})
        text = "\n".join(ctx.form.texts(name)) if isinstance(known[name], Collection) else ctx.form.fields.get(name, "")
        try:
            given = forms.read_input(entity, [known[name]], {name: text}, ctx, is_new=False)
        except Invalid as error:
            return await self._shown(ctx, name, {name: text}, problems=error.problems)
        if name.startswith(PREFIX):
            value = given.characteristics[name.removeprefix(PREFIX)]
        else:
            value = known[name].dump(getattr(given, name))
        async with ctx.db.begin() as conn:
            chosen = await self._selection(conn, ctx, query)
            edit = Edit(ctx.actor, "page", ctx.now)
            operation = await bulk_edit.begin(conn, entity, {name: value}, chosen, edit=edit)
        return render.redirect(ctx, f"/operations/{operation}")

    async def archive(self, ctx: RequestContext) -> http.StreamResponse:
        return await self._archive(ctx, archives=True)

    async def restore(self, ctx: RequestContext) -> http.StreamResponse:
        return await self._archive(ctx, archives=False)

    async def _archive(self, ctx: RequestContext, *, archives: bool) -> http.StreamResponse:
        query = ctx.query(self.web.query)
        async with ctx.db.begin() as conn:
            chosen = await self._selection(conn, ctx, query)
            edit = Edit(ctx.actor, "page", ctx.now)
            operation = await bulk_archive.begin(conn, self.web.entity, chosen, archives=archives, edit=edit)
        return render.redirect(ctx, f"/operations/{operation}")

    async def _selection(self, conn: AsyncConnection, ctx: RequestContext, query: RecordQuery) -> Selection:
        """Return the records that the form is about: the ticked ones, or all that the list shows."""
        entity, read = self.web.entity, reading(ctx)
        if ctx.form.text("all") != "yes":
            ids = [parse_id(one, field="ids") for one in ctx.form.texts("ids")]
            return Selection(ids=ids, zone=read.zone, region=read.region)
        tree = (await asked(conn, ctx, entity, query)).tree
        if (shown := self.web.shown_tree(query, tree)) is not None:
            text, archived = query.q.strip(), query.archived
            return Selection(where=shown, text=text, archived=archived, zone=read.zone, region=read.region)
        # What narrows this kind's lists beyond the filters is known to its pages alone: the records are chosen now.
        where = await self.web.condition(conn, ctx, query, tree)
        found = records.listed(ctx.actor, entity, where, archived=query.archived).with_only_columns(entity.id)
        ids = list((await conn.execute(found.limit(MAX_IDS + 1))).scalars())
        return Selection(ids=ids, zone=read.zone, region=read.region)

    async def _shown(
        self,
        ctx: RequestContext,
        name: str,
        texts: Mapping[str, str],
        *,
        problems: Mapping[str, Problem] | None = None,
    ) -> http.StreamResponse:
        entity, query = self.web.entity, ctx.query(self.query)
        async with ctx.db.read() as conn:
            fields = await fields_of(conn, ctx, entity)
            offered = edited_at_once(entity, fields)
            if not offered:
                raise Invalid({"field": Problem("unknown_field", _("These records have no field to edit at once"))})
            chosen = name if name in {field.name for field in offered} else offered[0].name
            address = list_address(self.web, query, await asked(conn, ctx, entity, query))
            form = await forms.make_form(conn, ctx, offered, texts, only=[chosen], problems=problems)
        context = {"web": self.web, "address": address, "offered": offered, "chosen": chosen, "form": form}
        return render.page(ctx, "base/bulk_form.html", context)
