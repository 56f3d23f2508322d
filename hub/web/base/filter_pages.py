"""The form of one filter of a list, and what it writes: the list with the new condition.

The list stands in the address of the form, as it stands in its own; a form adds the leaf. Decides nothing about
conditions: `conditions` reads and refuses them. Invariant: a filter that is refused comes back with what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import msgspec
from aiohttp import web as http

from hub.crm.base.conditions import operators
from hub.crm.base.conditions import query as asking
from hub.crm.base.conditions import tree as conditions
from hub.crm.base.conditions.problems import InvalidCondition
from hub.crm.base.conditions.tree import All
from hub.crm.base.field import Field
from hub.crm.base.labels import Invalid, Problem, _
from hub.web import render
from hub.web.base import filters
from hub.web.base.filters import FilterForm
from hub.web.base.kind import RecordQuery, WebKind, asked, reading
from hub.web.base.list_fields import every_field
from hub.web.base.list_page import ListAddress, list_address
from hub.web.request_context import RequestContext
from hub.web.routes import Route

Word = Annotated[str, msgspec.Meta(max_length=200)]


class FilterPages:
    """The form of a filter of one kind."""

    def __init__(self, web: WebKind) -> None:
        self.web = web
        parts: list[Any] = [("field", Word, ""), ("op", Word, ""), ("place", int | None, None)]
        made = msgspec.defstruct("FilterQuery", parts, bases=(web.query,), frozen=True, kw_only=True)
        self.query = cast("type[RecordQuery]", made)

    def routes(self) -> tuple[Route, ...]:
        path = f"{self.web.path}/filter"
        return Route("GET", path, self.form), Route("POST", path, self.change)

    async def form(self, ctx: RequestContext) -> http.StreamResponse:
        """The form of the filter at `place`, or of a new one about `field`."""
        query: Any = ctx.query(self.query)
        async with ctx.db.read() as conn:
            wanted = await asked(conn, ctx, self.web.entity, query)
            parts = conditions.parts_of(wanted.tree)
            place = query.place if query.place is not None and 0 <= query.place < len(parts) else None
            leaf = filters.leaf_of(parts[place]) if place is not None else None
            fields = await every_field(conn, ctx, self.web.entity)
            field = _field(fields, query.field or (leaf.field if leaf is not None else ""))
            was = leaf if leaf is not None and leaf.field == field.name and query.op in ("", leaf.op) else None
            op, value = (was.op, was.value) if was is not None else (query.op, None)
            form = await filters.make_form(conn, ctx, field, op, value, place=place)
        return self._shown(ctx, list_address(self.web, query, wanted), form)

    async def change(self, ctx: RequestContext) -> http.StreamResponse:
        """Put the leaf of the form into the condition and go to the list."""
        query = ctx.query(self.web.query)
        place, read = ctx.form.number("place"), reading(ctx)
        async with ctx.db.read() as conn:
            wanted = await asked(conn, ctx, self.web.entity, query)
            address = list_address(self.web, query, wanted)
            fields = await every_field(conn, ctx, self.web.entity)
            field, op = _field(fields, ctx.form.text("field", max_chars=200)), ctx.form.text("op", max_chars=40)
            part = filters.read_part(field, op, ctx.form)
            try:
                await asking.where(
                    conn,
                    ctx.actor,
                    self.web.entity,
                    All((part,)),
                    now=ctx.now,
                    zone=read.zone,
                    region=read.region,
                )
            except InvalidCondition as error:
                leaf = filters.leaf_of(part)
                value = leaf.value if leaf is not None else None
                form = await filters.make_form(conn, ctx, field, op, value, place=place, problem=error.told)
                return self._shown(ctx, address, form, status=200 if ctx.is_fragment else 422)
        whole = filters.replaced(wanted.tree, place, part)
        # Reading what is written bounds the whole: at most so many parts, so many characters.
        return render.redirect(ctx, address.where(conditions.loads(conditions.dumps(whole))))

    def _shown(
        self, ctx: RequestContext, address: ListAddress, form: FilterForm, *, status: int = 200
    ) -> http.StreamResponse:
        name = "base/filter_form.html" if ctx.is_fragment else "base/filter_page.html"
        return render.page(ctx, name, {"web": self.web, "address": address, "form": form}, status=status)


def _field(fields: Mapping[str, Field], name: str) -> Field:
    """Return a field that a filter can be about. Raises Invalid that names an unknown one."""
    field = fields.get(name)
    if field is None or not field.filterable or not operators.operators_of(field):
        raise Invalid({"field": Problem("unknown_field", _("There is no field %(field)s"), {"field": name[:80]})})
    return field
