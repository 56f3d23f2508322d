"""The pages of any kind: list, count, card, history, and the forms that make, change, archive and restore.

Made from a `WebKind`; a kind with a card of its own gives the handler. Decides no rights: `records` asks them.
Invariant: a form that cannot be saved comes back with what was typed and each problem at its field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web as http
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import permissions, records
from hub.crm.base.field import Field
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.records import Edit
from hub.errors import Conflict
from hub.store import changes
from hub.web import render
from hub.web.api.endpoint import json_response
from hub.web.base import export, forms
from hub.web.base.bulk_pages import BulkPages
from hub.web.base.endpoints import read_version
from hub.web.base.filter_pages import FilterPages
from hub.web.base.kind import WebKind
from hub.web.base.kind_fields import fields_of, values_of
from hub.web.base.list_page import read_list
from hub.web.base.record_page import read_card, read_history
from hub.web.base.view_pages import ViewPages
from hub.web.request_context import RequestContext
from hub.web.routes import Handler, Route

NAMES = 10


class EditQuery(msgspec.Struct, frozen=True, kw_only=True):
    field: str = ""


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    cursor: str = ""


class RecordPages:
    """The pages of one kind."""

    def __init__(self, web: WebKind, card: Handler | None = None) -> None:
        """Make the pages; `card` is the page of one record where the kind has its own."""
        self.web = web
        self.own_card = card
        self.entity = web.entity
        self.export_query = export.query_of(web)

    def routes(self) -> tuple[Route, ...]:
        path = self.web.path
        reads: tuple[Route, ...] = (
            Route("GET", path, self.listed),
            Route("GET", f"{path}/count", self.count),
            Route("GET", f"{path}/names", self.names),
            Route("GET", f"{path}/export", self.export),
            *FilterPages(self.web).routes(),
            *ViewPages(self.web).routes(),
        )
        if not self.entity.is_editable:
            return reads
        reads += (
            Route("GET", f"{path}/{{id}}", self.own_card or self.card),
            Route("GET", f"{path}/{{id}}/history", self.history),
        )
        return (
            Route("GET", f"{path}/new", self.new),
            Route("POST", path, self.create),
            *BulkPages(self.web).routes(),
            *reads,
            Route("GET", f"{path}/{{id}}/properties", self.properties),
            Route("GET", f"{path}/{{id}}/edit", self.edit),
            Route("POST", f"{path}/{{id}}", self.change),
            Route("POST", f"{path}/{{id}}/archive", self.archive),
            Route("POST", f"{path}/{{id}}/restore", self.restore),
        )

    async def listed(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.read() as conn:
            feed = await changes.head(conn)
            found = await read_list(conn, ctx, self.web)
            facts = await self.web.list_facts(conn, ctx, found.rows) if self.web.list_facts else {}
        status = 422 if found.problem is not None else 200
        return render.page(ctx, self.web.list_template, {"list": found} | facts, feed=feed, status=status)

    async def count(self, ctx: RequestContext) -> http.StreamResponse:
        """The number beside the title, asked for after the page."""
        query = ctx.query(self.web.query)
        async with ctx.db.read() as conn:
            where = await self.web.condition(conn, ctx, query)
            found = await records.count(conn, ctx.actor, self.entity, where=where, archived=query.archived)
        return render.page(ctx, "base/count.html", {"found": found})

    async def export(self, ctx: RequestContext) -> http.StreamResponse:
        return await export.export(ctx, self.web, ctx.query(self.export_query))

    async def names(self, ctx: RequestContext) -> http.StreamResponse:
        """A few records found by what is typed, for the fields of other kinds that refer to this one."""
        query = ctx.query(self.web.query)
        async with ctx.db.read() as conn:
            where = await self.web.condition(conn, ctx, query)
            rows = (await records.page(conn, ctx.actor, self.entity, where=where, limit=NAMES)).items
            names = await records.names(conn, ctx.actor, self.entity.kind, [row.id for row in rows])
        return json_response({"items": [{"id": row.id, "name": names.get(row.id, "")} for row in rows]})

    async def new(self, ctx: RequestContext) -> http.StreamResponse:
        permissions.require(ctx.actor, self.entity.kind, "create")
        texts = {field.name: str(field.default) for field in self.entity.input_fields if field.default}
        texts |= ctx.given([field.name for field in self.entity.input_fields])
        async with ctx.db.read() as conn:
            if self.web.new_texts is not None:
                texts |= await self.web.new_texts(conn, ctx)
            form = await forms.make_form(conn, ctx, await fields_of(conn, ctx, self.entity), texts)
        return self._form(ctx, form, texts, row=None)

    async def create(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.read() as conn:
            fields = await fields_of(conn, ctx, self.entity)
        texts = forms.sent_texts(fields, ctx)
        write = self.web.create_from_form or self._create
        try:
            async with ctx.db.begin() as conn:
                row = await write(conn, ctx, fields, texts)
        except Invalid as error:
            async with ctx.db.read() as conn:
                form = await forms.make_form(conn, ctx, fields, texts, problems=error.problems)
            return self._form(ctx, form, texts, row=None, error=error)
        return render.redirect(ctx, f"{self.web.path}/{row.id}")

    async def _create(
        self, conn: AsyncConnection, ctx: RequestContext, fields: Sequence[Field], texts: Mapping[str, str]
    ) -> Any:
        given = forms.read_input(self.entity, fields, texts, ctx, is_new=True)
        create = self.web.write().create
        assert create is not None
        return await create(conn, given, edit=_edit(ctx))

    async def card(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.read() as conn:
            feed = await changes.head(conn)
            card = await read_card(conn, ctx, self.web, ctx.id())
        return render.page(ctx, "base/record.html", {"card": card}, feed=feed)

    async def properties(self, ctx: RequestContext) -> http.StreamResponse:
        """The properties beside a card, drawn anew after an edit or a change by somebody else."""
        async with ctx.db.read() as conn:
            card = await read_card(conn, ctx, self.web, ctx.id())
        return render.page(ctx, "base/properties.html", {"card": card})

    async def history(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.read() as conn:
            card = await read_card(conn, ctx, self.web, ctx.id())
            edits = await read_history(conn, ctx, self.web, ctx.id(), ctx.query(HistoryQuery).cursor)
        return render.page(ctx, "base/history.html", {"card": card, "edits": edits})

    async def edit(self, ctx: RequestContext) -> http.StreamResponse:
        """The form of a record, or of one field of it in its place."""
        only = ctx.query(EditQuery).field
        async with ctx.db.read() as conn:
            row = await records.get(conn, ctx.actor, self.entity, ctx.id())
            fields = await fields_of(conn, ctx, self.entity)
            if only and only not in {field.name for field in fields}:
                raise Invalid({only[:60]: Problem("unknown_field", _("There is no such field"))})
            texts = forms.texts_of(fields, await values_of(conn, self.entity, fields, row), ctx)
            names = [only] if only else None
            form = await forms.make_form(conn, ctx, fields, texts, only=names, version=row.version)
        return self._form(ctx, form, texts, row=row)

    async def change(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.read() as conn:
            fields = await fields_of(conn, ctx, self.entity)
        texts = forms.sent_texts(fields, ctx)
        version, _rest = read_version({"version": ctx.form.number("version")})
        only = [field.name for field in fields if field.name in texts] if ctx.is_fragment else None
        try:
            given = forms.read_input(self.entity, fields, texts, ctx, is_new=False)
            update = self.web.write().update
            assert update is not None
            async with ctx.db.begin() as conn:
                await update(conn, ctx.id(), given, edit=_edit(ctx), version=version)
        except (Invalid, Conflict) as error:
            return await self._again(ctx, fields, texts, error, version=version, only=only)
        if not ctx.is_fragment:
            return render.redirect(ctx, f"{self.web.path}/{ctx.id()}")
        return await self.properties(ctx)

    async def _again(
        self,
        ctx: RequestContext,
        fields: Sequence[Field],
        texts: dict[str, str],
        error: Invalid | Conflict,
        *,
        version: int | None,
        only: list[str] | None,
    ) -> http.StreamResponse:
        """Show a form that was refused: each problem at its field, or mine, theirs and the original."""
        async with ctx.db.read() as conn:
            row = await records.get(conn, ctx.actor, self.entity, ctx.id())
            if isinstance(error, Invalid):
                form = await forms.make_form(
                    conn, ctx, fields, texts, only=only, problems=error.problems, version=version
                )
            elif error.code == "record_changed":
                conflicts = forms.conflicts_of(fields, error.details, ctx)
                typed = {name: texts[name] for name in conflicts if name in texts}
                texts = forms.texts_of(fields, await values_of(conn, self.entity, fields, row), ctx) | typed
                by = (error.details["changed_by"] or {}).get("name", "")
                form = await forms.make_form(
                    conn, ctx, fields, texts, only=only, conflicts=conflicts, version=row.version, changed_by=by
                )
            else:
                raise error
        return self._form(ctx, form, texts, row=row, error=error)

    def _form(
        self,
        ctx: RequestContext,
        form: forms.RecordForm,
        texts: Mapping[str, str],
        *,
        row: Any,
        error: Invalid | Conflict | None = None,
    ) -> http.StreamResponse:
        in_place = ctx.is_fragment and row is not None
        name = "base/field_form.html" if in_place else "base/form_page.html"
        context = {"web": self.web, "form": form, "texts": texts, "row": row, "error": error}
        # htmx puts a refused form in its place as it does a saved one.
        status = error.status if error is not None and not in_place else 200
        return render.page(ctx, name, context, status=status)

    async def archive(self, ctx: RequestContext) -> http.StreamResponse:
        archive = self.web.write().archive
        assert archive is not None
        async with ctx.db.begin() as conn:
            await archive(conn, ctx.id(), edit=_edit(ctx))
        return render.redirect(ctx, f"{self.web.path}/{ctx.id()}")

    async def restore(self, ctx: RequestContext) -> http.StreamResponse:
        restore = self.web.write().restore
        assert restore is not None
        async with ctx.db.begin() as conn:
            await restore(conn, ctx.id(), edit=_edit(ctx))
        return render.redirect(ctx, f"{self.web.path}/{ctx.id()}")


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "page", ctx.now)
