"""Additions of one kind to the pages and the API of the base. A kind with nothing of its own needs none of this.

Decides nothing; `web_kind` fills in what a kind leaves out. Invariant: pages and API write a kind through the same
functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import records, views
from hub.crm.base.conditions import query as asking
from hub.crm.base.conditions import tree as conditions
from hub.crm.base.conditions.tree import EVERYTHING, Tree
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field, Reading
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.registry import Writers
from hub.crm.base.views import View
from hub.errors import NotFound
from hub.web.api.endpoint import Id, Page
from hub.web.request_context import RequestContext
from hub.web.routes import Who

More = Callable[[AsyncConnection, RequestContext, Sequence[Any]], Awaitable[list[dict[str, Any]]]]

ListFacts = Callable[[AsyncConnection, RequestContext, Sequence[Any]], Awaitable[dict[str, Any]]]
Detail = Callable[[AsyncConnection, RequestContext, Sequence[Any]], Awaitable[Sequence[Any]]]
NewTexts = Callable[[AsyncConnection, RequestContext], Awaitable[dict[str, str]]]
FormCreate = Callable[[AsyncConnection, RequestContext, Sequence[Field], Mapping[str, str]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An object of the API: its type, and how a row becomes one."""

    type: type[msgspec.Struct]
    of: Callable[[Any], msgspec.Struct]


class RecordQuery(Page, frozen=True, kw_only=True):
    """The query of every list of records."""

    q: Annotated[str, msgspec.Meta(max_length=300)] = ""
    where: Annotated[str, msgspec.Meta(max_length=conditions.MAX_JSON_CHARS)] = ""
    """A condition as JSON (`hub.crm.base.conditions.tree`)."""
    sort: Annotated[str, msgspec.Meta(max_length=60)] = ""
    archived: bool = False
    view: Id | None = None
    """A saved list; `where` narrows it further, `sort` and `columns` replace its own."""
    columns: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    """The names of the columns of a page or an export, divided by commas."""
    changed_view: Id | None = None
    """The view that a page's list began with, where the address says all of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a query, together with those of the view that it names."""

    tree: Tree
    sort: str
    columns: tuple[str, ...]
    view: View | None


async def asked(conn: AsyncConnection, ctx: RequestContext, entity: Entity[Any, Any], query: RecordQuery) -> Asked:
    """Return what a query asks for. Raises InvalidCondition, NotFound for a view that is hidden or of another kind."""
    view = await views.get(conn, ctx.actor, query.view) if query.view is not None else None
    if view is not None and view.kind != entity.kind:
        raise NotFound("view_missing", "no such view")
    tree = conditions.loads(query.where)
    names = tuple(name.strip() for name in query.columns.split(",") if name.strip())
    if view is None:
        return Asked(tree, query.sort, names, None)
    whole = conditions.both(views.condition(view), tree) if tree != EVERYTHING else views.condition(view)
    return Asked(whole, query.sort or view.sort, names or tuple(view.columns), view)


@dataclass(frozen=True, slots=True)
class FieldTemplate:
    """A template that draws one field of a form from `one`, and what else it needs, from the field's text."""

    name: str
    facts: Callable[[str], dict[str, Any]]


@dataclass(frozen=True, eq=False, kw_only=True)
class WebKind:
    """A kind on the web."""

    entity: Entity[Any, Any]
    more_types: tuple[tuple[str, Any], ...] = ()
    """Parts of an API answer beyond the fields: names and types."""
    more: More | None = None
    """Return the values of `more_types` of records, a dict for each."""
    query: type[RecordQuery] = RecordQuery
    narrow: Callable[[RequestContext, Any], sa.ColumnElement[bool] | None] | None = None
    """The condition of what the kind's own `query` has beyond the common one, where a tree cannot say it."""
    narrow_tree: Callable[[Any, Tree], Tree] | None = None
    """The condition of the kind's own `query` as a tree, beside the one that is asked: views and bulk edits keep it."""
    refine: Callable[[RequestContext, Any, sa.ColumnElement[bool] | None], sa.ColumnElement[bool]] | None = None
    """Return a further condition of a list from its condition so far, which has no search in it, as to show one of
    several copies of a message."""
    detail: Detail | None = None
    """Return the rows of a page with what the kind's own template and answer show beyond its columns."""
    answer: Answer | None = None
    """The kind's own object in the API, where the outside contract has another than its fields."""
    list_template: str = "base/list.html"
    list_facts: ListFacts | None = None
    """Return what `list_template` shows beyond the base's list, for the rows of a page."""
    form_part: str = ""
    """A template with what the form of a new record has beyond the fields; `create_from_form` reads it."""
    create_from_form: FormCreate | None = None
    new_texts: NewTexts | None = None
    """Return what the form of a new record begins with, beyond the defaults and what the address says."""
    field_templates: Mapping[str, FieldTemplate] = field(default_factory=dict)
    """Fields that the kind draws itself, by name: in the form by a template, on the kind's own card by that."""
    who: Who = "signed_in"
    """The people who may open the pages and calls at all; `permitted` decides which records they see."""
    pages_who: Who | None = None
    """The same for its pages alone, but for the names by which the fields of other kinds find a record."""
    icon: str = "list"
    subtitle: str = ""
    """The field that stands in the second line of a row, under the name."""

    @property
    def path(self) -> str:
        return f"/{self.entity.plural}"

    def client_of(self, row: Any) -> int | None:
        """Return the client on whose card a record stands."""
        column = self.entity.client
        found: int | None = None if column is None else getattr(row, column.key)
        return found

    def shown_tree(self, query: Any, tree: Tree) -> Tree | None:
        """Return the condition of all that a list shows, beside its search; None where a tree cannot say it."""
        return None if self.narrow is not None else self.kept_tree(query, tree)

    def kept_tree(self, query: Any, tree: Tree) -> Tree:
        """Return the condition that a view keeps of a list, with what the kind's own parameters say."""
        return tree if self.narrow_tree is None else conditions.both(tree, self.narrow_tree(query, tree))

    def write(self) -> Writers:
        """Return the functions that write this kind, all four."""
        return records.writers(self.entity)

    async def condition(
        self, conn: AsyncConnection, ctx: RequestContext, query: Any, tree: Tree | None = None
    ) -> sa.ColumnElement[bool] | None:
        """Return the condition of a list's query; `tree` is what `asked` says. Raises Invalid that names the place."""
        read = reading(ctx)
        if tree is None:
            tree = (await asked(conn, ctx, self.entity, query)).tree
        tree = self.kept_tree(query, tree)
        where = await asking.where(conn, ctx.actor, self.entity, tree, now=ctx.now, zone=read.zone, region=read.region)
        found = [] if where is None else [where]
        if self.narrow is not None and (own := self.narrow(ctx, query)) is not None:
            found.append(own)
        if self.refine is not None:
            found.append(self.refine(ctx, query, sa.and_(*found) if found else None))
        if query.q.strip():
            found.append(records.matching(conn, self.entity, query.q, region=read.region))
        return sa.and_(*found) if found else None


def reading(ctx: RequestContext, *, is_form: bool = False) -> Reading:
    """Return how what this person sends is to be understood."""
    return Reading(is_form=is_form, region=ctx.services.linker.region, zone=ctx.zone)


StructT = TypeVar("StructT", bound=msgspec.Struct)


def read_struct(of: type[StructT], sent: Mapping[str, Any]) -> StructT:
    """Return what was sent as an input whose fields may each be left out. Raises Invalid with every field's problem."""
    values: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    types = {one.name: one.type for one in msgspec.structs.fields(of)}
    for name, value in sent.items():
        if name not in types:
            problems[name[:60]] = Problem("unknown_field", _("There is no such field"))
            continue
        try:
            values[name] = msgspec.convert(value, type=types[name])
        except msgspec.ValidationError:
            problems[name] = Problem("bad_value", _("A value of another type is expected here"))
    if problems:
        raise Invalid(problems)
    return of(**values)
