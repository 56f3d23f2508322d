"""The list of any kind: columns, order, search, filters, archived ones, pages; what `templates/base/list.html` shows.

Decides nothing about rights: `records` lists what the asker may see. Invariants: whatever narrows a list stands in
its address, so that a reload, a bookmark and a colleague see the same; a condition that cannot be asked shows no row,
and says why at the filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.base import permissions, records, views
from hub.crm.base.characteristics import Characteristic
from hub.crm.base.conditions import tree as conditions
from hub.crm.base.conditions.operators import operators_of
from hub.crm.base.conditions.problems import InvalidCondition
from hub.crm.base.conditions.tree import EVERYTHING, All, Tree, every_leaf, top_leaves
from hub.crm.base.entity import Entity, sortable
from hub.crm.base.field import Field
from hub.crm.base.labels import Problem
from hub.crm.base.permissions import Action
from hub.crm.base.views import View
from hub.web.base import columns
from hub.web.base.columns import Values
from hub.web.base.filters import Chip, read_chips, without
from hub.web.base.kind import Asked, RecordQuery, WebKind, asked
from hub.web.base.list_fields import Choices, every_field, read_choices
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
    """The address of a list. `params` are the parameters that narrow and sort it, without the place of a page.

    `changed` are those of the list once it is changed: what an open view says stands in the address then.
    """

    path: str
    params: Mapping[str, str]
    changed: Mapping[str, str]

    def __call__(self, path: str = "", **changes: str) -> str:
        """Return the address with these changes; an empty value takes a parameter away."""
        params = {name: value for name, value in {**self.params, **changes}.items() if value}
        return self.path + path + (f"?{urlencode(params)}" if params else "")

    def where(self, tree: Tree) -> str:
        """Return the address with another condition."""
        return self.with_changes(where=conditions.dumps(tree) if tree != EVERYTHING else "")

    def with_changes(self, path: str = "", **changes: str) -> str:
        """Return the address of the list changed: an open view is the one that it began with."""
        return ListAddress(self.path, self.changed, self.changed)(path, **changes)


def list_address(web: WebKind, query: RecordQuery, asked: Asked) -> ListAddress:
    """Return the address of the list that a query means: what of it differs from its defaults."""
    default = web.query()
    words = zip(web.query.__struct_fields__, web.query.__struct_encode_fields__, strict=True)
    every = {word: (getattr(query, name), getattr(default, name)) for name, word in words}
    chosen = {word: now for word, (now, usual) in every.items() if now != usual and word not in ("cursor", "limit")}
    params = {word: str(value).lower() if isinstance(value, bool) else str(value) for word, value in chosen.items()}
    if asked.view is None:
        return ListAddress(web.path, params, params)
    of_view = {"where": conditions.dumps(asked.tree), "sort": asked.sort, "columns": ",".join(asked.columns)}
    changed = {name: value for name, value in (params | of_view).items() if name != "view" and value}
    return ListAddress(web.path, params, changed | {"changed_view": str(asked.view.id)})


def edited_at_once(entity: Entity[Any, Any], fields: Iterable[Field]) -> list[Field]:
    """Return the fields that a bulk edit may set: no record is called as another."""
    return [field for field in fields if not (field.hidden or field.read_only or field.column is entity.name)]


@dataclass(frozen=True, slots=True)
class RecordList:
    """A page of a list with everything that its template shows."""

    web: WebKind
    query: RecordQuery
    rows: list[Any]
    next: str | None
    previous: str | None
    values: Values
    columns: tuple[Column, ...]
    may_create: bool
    address: ListAddress
    reader: Actor
    fields: Mapping[str, Field]
    """Every field that the reader may list and ask about."""
    choices: Choices
    asked: Asked
    views: tuple[View, ...] = ()
    chips: tuple[Chip, ...] = ()
    problem: Problem | None = None
    """The reason why nothing can be listed, where the condition is wrong."""

    @property
    def subtitle(self) -> Field | None:
        return self.web.entity.by_name.get(self.web.subtitle)

    @property
    def view_id(self) -> int | None:
        """The view that is open, perhaps changed since."""
        return self.query.view or self.query.changed_view

    @property
    def view(self) -> View | None:
        return next((view for view in self.views if view.id == self.view_id), None)

    @property
    def may_export(self) -> bool:
        return permissions.scope(self.reader, self.web.entity.kind, "export") != "none"

    @property
    def may_edit_many(self) -> bool:
        """Whether the reader may edit many of these records at once."""
        has_field = bool(edited_at_once(self.web.entity, self.fields.values()))
        return has_field and not self.query.archived and self._may("bulk", "edit")

    @property
    def may_archive_many(self) -> bool:
        """Whether the reader may archive many of these records at once, or bring them back."""
        return self._may("bulk", "delete")

    @property
    def may_bulk(self) -> bool:
        return self.may_edit_many or self.may_archive_many

    def _may(self, *actions: Action) -> bool:
        entity = self.web.entity
        return entity.is_editable and all(permissions.scope(self.reader, entity.kind, one) != "none" for one in actions)

    @property
    def can_save(self) -> bool:
        """Whether what is shown may become the open view's own."""
        return self.view is not None and self.is_changed and views.can_change(self.reader, self.view)

    @property
    def is_changed(self) -> bool:
        """Whether the list is another than its view, or than the kind's own."""
        query = self.query
        says = query.where or query.sort or query.columns or query.changed_view
        return bool(says) or self.web.kept_tree(query, EVERYTHING) != self.web.kept_tree(self.web.query(), EVERYTHING)

    @property
    def filterable(self) -> list[Field]:
        """The fields that a filter can be about, in the order in which they are offered."""
        return [field for field in self.fields.values() if field.filterable and operators_of(field)]

    def said(self, name: str) -> str:
        """Return the one value that the condition asks of a field, empty where it asks for none or for several."""
        leaf = next((leaf for leaf in top_leaves(self.asked.tree) if leaf.field == name and leaf.op == "is"), None)
        return str(leaf.value[0]) if leaf is not None and len(leaf.value) == 1 else ""

    def tab(self, name: str, value: str) -> str:
        """Return the address of the list with a parameter in place of what its condition asks of that field."""
        kept = tuple(leaf for leaf in conditions.parts_of(self.asked.tree) if getattr(leaf, "field", "") != name)
        tree = conditions.both(All(kept), EVERYTHING)
        return self.address.with_changes(**{"where": conditions.dumps(tree) if kept else "", name: value})

    def without(self, place: int) -> str:
        """Return the address of the list without one of its filters."""
        return self.address.where(without(self.asked.tree, place))


async def read_list(conn: AsyncConnection, ctx: RequestContext, web: WebKind) -> RecordList:
    """Return the page of the list that an address means. Raises Invalid and Refused for what is none."""
    query = ctx.query(web.query)
    entity = web.entity
    fields = await every_field(conn, ctx, entity)
    wanted = Asked(EVERYTHING, query.sort, (), None)
    found: records.Page[Any] = records.Page([], None)
    shown: tuple[Field, ...] = ()
    error: InvalidCondition | None = None
    try:
        wanted = await asked(conn, ctx, entity, query)
        shown = await columns.shown(conn, ctx, web, fields, wanted.columns)
        found = await records.page(
            conn,
            ctx.actor,
            entity,
            where=await web.condition(conn, ctx, query, wanted.tree),
            sort=wanted.sort,
            cursor=query.cursor,
            limit=PAGE,
            archived=query.archived,
            only=columns.collections_of(web, shown),
        )
    except InvalidCondition as wrong:
        error = wrong
    rows = list(await web.detail(conn, ctx, found.items)) if web.detail and found.items else found.items
    asked_about = [fields[leaf.field] for leaf in every_leaf(wanted.tree) if leaf.field in fields]
    choices = await read_choices(conn, ctx, [*asked_about, *shown])
    values = await columns.read_values(conn, ctx, web, shown, found.items)
    address = list_address(web, query, wanted)
    return RecordList(
        web=web,
        query=query,
        rows=rows,
        next=found.next,
        previous=found.previous,
        values=values,
        columns=_columns(entity, address, shown, wanted.sort),
        may_create=entity.is_editable and permissions.scope(ctx.actor, entity.kind, "create") != "none",
        address=address,
        reader=ctx.actor,
        fields=fields,
        choices=choices,
        asked=wanted,
        views=tuple(await views.load(conn, ctx.actor, entity.kind)),
        chips=await read_chips(conn, ctx, wanted.tree, fields, error, choices),
        problem=error.told if error is not None else None,
    )


def _columns(entity: Entity[Any, Any], address: ListAddress, shown: Sequence[Field], sort: str) -> tuple[Column, ...]:
    """Return the heads of the columns, with the address that sorts by each."""
    now, can_sort = sort or entity.order, sortable(entity)
    characteristics = {field.name for field in shown if isinstance(field, Characteristic) and field.sortable}
    found = []
    for field in shown:
        if field.name not in can_sort and field.name not in characteristics:
            found.append(Column(field))
            continue
        is_now = now.removeprefix("-") == field.name
        direction = ("descending" if now.startswith("-") else "ascending") if is_now else ""
        word = f"-{field.name}" if direction == "ascending" else field.name
        found.append(Column(field, address(sort=word), direction))
    return tuple(found)
