"""The list of any kind: columns, order, search, archived ones, pages; what `templates/base/list.html` shows.

Decides nothing about rights: `records` lists what the asker may see. Invariant: whatever narrows a list stands in
its address, so that a reload, a bookmark and a colleague see the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import permissions, records
from hub.crm.base.entity import sortable
from hub.crm.base.field import Field
from hub.web.base.kind import RecordQuery, WebKind
from hub.web.request_context import RequestContext

PAGE = 50


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `sort` is the address that sorts by it, empty where it cannot; `direction` as `aria-sort` has it."""

    field: Field
    sort: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True)
class RecordList:
    """A page of a list with everything that its template shows."""

    web: WebKind
    query: RecordQuery
    rows: list[Any]
    next: str | None
    names: Mapping[tuple[str, int], str]
    columns: tuple[Column, ...]
    may_create: bool
    params: Mapping[str, str]
    """The parameters that narrow and sort the list, for the addresses of its other pages."""

    @property
    def subtitle(self) -> Field | None:
        return self.web.entity.by_name.get(self.web.subtitle)

    def address(self, path: str = "", **changes: str) -> str:
        """Return the list's own address with these changes; an empty value takes a parameter away."""
        params = {name: value for name, value in {**self.params, **changes}.items() if value}
        return self.web.path + path + (f"?{urlencode(params)}" if params else "")


async def read_list(conn: AsyncConnection, ctx: RequestContext, web: WebKind) -> RecordList:
    """Return the page of the list that an address means. Raises Invalid and Refused for what is none."""
    query = ctx.query(web.query)
    entity = web.entity
    found = await records.page(
        conn,
        ctx.actor,
        entity,
        where=await web.condition(conn, ctx, query),
        sort=query.sort,
        cursor=query.cursor,
        limit=PAGE,
        archived=query.archived,
    )
    listed = RecordList(
        web=web,
        query=query,
        rows=found.items,
        next=found.next,
        names=await records.names_for(conn, ctx.actor, entity, found.items),
        columns=(),
        may_create=entity.is_editable and permissions.scope(ctx.actor, entity.kind, "create") != "none",
        params=_params(query),
    )
    return replace(listed, columns=_columns(listed))


def _params(query: RecordQuery) -> dict[str, str]:
    """Return what of a query differs from its defaults, as an address has it; the place of the page is not of it."""
    default = type(query)()
    every = {name: getattr(query, name) for name in query.__struct_fields__ if name not in ("cursor", "limit")}
    changed = {name: value for name, value in every.items() if value != getattr(default, name)}
    return {name: "true" if value is True else str(value) for name, value in changed.items()}


def _columns(listed: RecordList) -> tuple[Column, ...]:
    """Return the columns: the name first, then what the kind shows."""
    entity = listed.web.entity
    shown = [field for field in entity.fields if field.shown and not field.hidden and field.name != listed.web.subtitle]
    name_first = sorted(shown, key=lambda field: field.column is not entity.name)
    now, can_sort = listed.query.sort or entity.order, sortable(entity)
    columns = []
    for field in name_first:
        if field.name not in can_sort:
            columns.append(Column(field))
            continue
        is_now = now.removeprefix("-") == field.name
        direction = ("descending" if now.startswith("-") else "ascending") if is_now else ""
        word = f"-{field.name}" if direction == "ascending" else field.name
        columns.append(Column(field, listed.address(sort=word), direction))
    return tuple(columns)
