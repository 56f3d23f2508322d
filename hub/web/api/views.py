"""Saved lists of every kind: conditions, columns and order under a name."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import registry, views
from hub.crm.base.entity import Entity
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.views import View, ViewInput
from hub.web.api.endpoint import Endpoint, Id, Nothing, Query
from hub.web.api.shapes import Moment, Shape, one_of
from hub.web.request_context import RequestContext

Sharing = Literal["me", "team", "all"]
Columns = Annotated[list[str], msgspec.Meta(max_length=views.MAX_COLUMNS)]
Name = Annotated[str, msgspec.Meta(max_length=100)]


class ViewShape(Shape, frozen=True, kw_only=True):
    """A saved list. `where` is a condition; without `columns` the kind's own are shown."""

    id: int
    kind: str
    name: str
    where: dict[str, Any]
    columns: list[str]
    sort: str
    shared_with: Annotated[str, one_of("me", "team", "all")]
    team: int | None
    owner: int
    pinned: bool
    version: int
    created_at: Moment
    changed_at: Moment


class ViewShapes(Shape, frozen=True, kw_only=True):
    items: list[ViewShape]
    next: None = None


class ViewsQuery(Query, frozen=True, kw_only=True):
    kind: Annotated[str, msgspec.Meta(max_length=40)] | None = None


class NewView(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A view to save; `team` is who sees it where it is shared with a team."""

    kind: Annotated[str, msgspec.Meta(max_length=40)]
    name: Name
    where: dict[str, Any] | None = None
    columns: Columns = msgspec.field(default_factory=list)
    sort: Annotated[str, msgspec.Meta(max_length=100)] = ""
    shared_with: Sharing = "me"
    team: Id | None = None
    pinned: bool = False


class ViewChange(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Changes of a view; an older `version` is refused."""

    version: Id | None = None
    name: Name | msgspec.UnsetType = UNSET
    where: dict[str, Any] | msgspec.UnsetType | None = UNSET
    columns: Columns | msgspec.UnsetType = UNSET
    sort: Annotated[str, msgspec.Meta(max_length=100)] | msgspec.UnsetType = UNSET
    shared_with: Sharing | msgspec.UnsetType = UNSET
    team: Id | msgspec.UnsetType | None = UNSET
    pinned: bool | msgspec.UnsetType = UNSET


def _kind(word: str) -> Entity[Any, Any]:
    if (entity := registry.kinds().get(word)) is None:
        raise Invalid({"kind": Problem("not_a_choice", _("There is no such kind of record"))})
    return entity


def _shape(view: View) -> ViewShape:
    return ViewShape(**views.answer(view))


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "api", ctx.now)


async def page(conn: AsyncConnection, ctx: RequestContext, query: ViewsQuery) -> ViewShapes:
    word = _kind(query.kind).kind if query.kind else ""
    return ViewShapes(items=[_shape(view) for view in await views.load(conn, ctx.actor, word)])


async def one(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> ViewShape:
    return _shape(await views.get(conn, ctx.actor, ctx.id()))


async def create(conn: AsyncConnection, ctx: RequestContext, body: NewView) -> ViewShape:
    given = ViewInput(
        name=body.name,
        where=body.where,
        columns=body.columns,
        sort=body.sort,
        shared_with=body.shared_with,
        team=body.team,
        pinned=body.pinned,
    )
    return _shape(await views.create(conn, _kind(body.kind), ctx.actor, given, edit=_edit(ctx), zone=UTC))


async def change(conn: AsyncConnection, ctx: RequestContext, body: ViewChange) -> ViewShape:
    view = await views.get(conn, ctx.actor, ctx.id())
    given = ViewInput(**{name: getattr(body, name) for name in body.__struct_fields__ if name != "version"})
    entity = _kind(view.kind)
    changed = await views.update(
        conn, entity, ctx.actor, view.id, given, edit=_edit(ctx), zone=UTC, version=body.version
    )
    return _shape(changed)


async def delete(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> ViewShape:
    view = await views.get(conn, ctx.actor, ctx.id())
    await views.delete(conn, ctx.actor, view.id, edit=_edit(ctx))
    return _shape(view)


ENDPOINTS = (
    Endpoint(method="GET", path="/views", summary="Saved lists", reads=page, query=ViewsQuery, answer=ViewShapes),
    Endpoint(method="GET", path="/views/{id}", summary="One saved list", reads=one, answer=ViewShape),
    Endpoint(
        method="POST", path="/views", summary="Save a list", writes=create, body=NewView, answer=ViewShape, status=201
    ),
    Endpoint(
        method="PATCH",
        path="/views/{id}",
        summary="Change a saved list",
        writes=change,
        body=ViewChange,
        answer=ViewShape,
    ),
    Endpoint(method="DELETE", path="/views/{id}", summary="Delete a saved list", writes=delete, answer=ViewShape),
)
