"""The list of any kind: columns, order, search, filters, archived ones, pages; what `templates/base/list.html` shows.

Decides nothing about rights: `records` lists what the asker may see. Invariants: whatever narrows a list stands in
its address, so that a reload, a bookmark and a colleague see the same; a condition that cannot be asked shows no row,
and says why at the filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import permissions, records
from hub.crm.base.conditions import tree as conditions
from hub.crm.base.conditions.operators import operators_of
from hub.crm.base.conditions.problems import InvalidCondition
from hub.crm.base.conditions.tree import EVERYTHING, Tree, every_leaf
from hub.crm.base.entity import sortable
from hub.crm.base.field import Field
from hub.crm.base.labels import Problem
from hub.web.base.filters import Chip, read_chips, without
from hub.web.base.kind import RecordQuery, WebKind
from hub.web.base.list_fields import every_field, read_choices
from hub.web.request_context import RequestContext

PAGE = 50


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `sort` is the address that sorts by it, empty where it cannot; `direction` as `aria-sort` has it."""

    field: Field
    sort: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True)
class ListAddress:
    """The address of a list. `params` are the parameters that narrow and sort it, without the place of a page."""

    path: str
    params: Mapping[str, str]

    def __call__(self, path: str = "", **changes: str) -> str:
        """Return the address with these changes; an empty value takes a parameter away."""
        params = {name: value for name, value in {**self.params, **changes}.items() if value}
        return self.path + path + (f"?{urlencode(params)}" if params else "")

    def where(self, tree: Tree) -> str:
        """Return the address with another condition."""
        return self(where=conditions.dumps(tree) if tree != EVERYTHING else "")


def list_address(web: WebKind, query: RecordQuery) -> ListAddress:
    """Return the address of the list that a query means: what of it differs from its defaults."""
    default = web.query()
    words = zip(web.query.__struct_fields__, web.query.__struct_encode_fields__, strict=True)
    every = {word: (getattr(query, name), getattr(default, name)) for name, word in words}
    changed = {word: now for word, (now, usual) in every.items() if now != usual and word not in ("cursor", "limit")}
    return ListAddress(web.path, {word: "true" if value is True else str(value) for word, value in changed.items()})


@dataclass(frozen=True, slots=True)
class RecordList:
    """A page of a list with everything that its template shows."""

    web: WebKind
    query: RecordQuery
    rows: list[Any]
    next: str | None
    previous: str | None
    names: Mapping[tuple[str, int], str]
    columns: tuple[Column, ...]
    may_create: bool
    address: ListAddress
    fields: Mapping[str, Field]
    """Every field that the reader may list and ask about."""
    tree: Tree = EVERYTHING
    chips: tuple[Chip, ...] = ()
    problem: Problem | None = None
    """The reason why nothing can be listed, where the condition is wrong."""

    @property
    def subtitle(self) -> Field | None:
        return self.web.entity.by_name.get(self.web.subtitle)

    @property
    def filterable(self) -> list[Field]:
        """The fields that a filter can be about, in the order in which they are offered."""
        return [field for field in self.fields.values() if field.filterable and operators_of(field)]

    def without(self, place: int) -> str:
        """Return the address of the list without one of its filters."""
        return self.address.where(without(self.tree, place))


async def read_list(conn: AsyncConnection, ctx: RequestContext, web: WebKind) -> RecordList:
    """Return the page of the list that an address means. Raises Invalid and Refused for what is none."""
    query = ctx.query(web.query)
    entity = web.entity
    fields = await every_field(conn, ctx, entity)
    tree: Tree = EVERYTHING
    found: records.Page[Any] = records.Page([], None)
    error: InvalidCondition | None = None
    try:
        tree = conditions.loads(query.where)
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
    except InvalidCondition as wrong:
        error = wrong
    choices = await read_choices(conn, ctx, [fields[leaf.field] for leaf in every_leaf(tree) if leaf.field in fields])
    rows = list(await web.detail(conn, ctx, found.items)) if web.detail and found.items else found.items
    listed = RecordList(
        web=web,
        query=query,
        rows=rows,
        next=found.next,
        previous=found.previous,
        names=await records.names_for(conn, ctx.actor, entity, found.items),
        columns=(),
        may_create=entity.is_editable and permissions.scope(ctx.actor, entity.kind, "create") != "none",
        address=list_address(web, query),
        fields=fields,
        tree=tree,
        chips=await read_chips(conn, ctx, tree, fields, error, choices),
        problem=error.told if error is not None else None,
    )
    return replace(listed, columns=_columns(listed))


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
