"""Lists of values over the API: everybody reads them, whoever keeps the lists changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.base import dictionaries, dictionary_uses, merge_values
from hub.crm.base.dictionaries import COLORS, ICONS, MAX_VALUES, Value, ValueInput
from hub.crm.base.dictionary_uses import KnownDictionary
from hub.crm.base.history import Edit
from hub.web.api.endpoint import Endpoint, Page, Query
from hub.web.api.shapes import Cursor, Shape, one_of
from hub.web.base.endpoints import read_version
from hub.web.base.kind import read_struct
from hub.web.request_context import RequestContext, read_cursor, write_cursor

Label = dict[Annotated[str, one_of("ru", "en")], Annotated[str, msgspec.Meta(max_length=200)]]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class DictionaryShape(Shape, frozen=True, kw_only=True):
    """A list. `characteristic` is the field whose options these are, as `kind.key`, null for one of the product."""

    name: str
    title: str
    is_tree: bool
    characteristic: str | None


class DictionaryList(Shape, frozen=True, kw_only=True):
    items: list[DictionaryShape]
    next: Cursor | None


class ValueShape(Shape, frozen=True, kw_only=True):
    id: int
    key: str
    label: dict[str, str]
    color: str
    icon: str
    order: int
    active: bool
    parent: str | None
    data: dict[str, Any]
    version: int


class ValueList(Shape, frozen=True, kw_only=True):
    items: list[ValueShape]
    next: Cursor | None


class NewValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value. Without a key it gets one made from its label; without `order` it goes to the end."""

    label: Label
    key: Key | UnsetType = UNSET
    color: Annotated[str, one_of(*COLORS)] | UnsetType = UNSET
    icon: Annotated[str, one_of(*ICONS)] | UnsetType = UNSET
    order: Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUES)] | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    parent: Key | UnsetType | None = UNSET
    data: dict[str, Any] | UnsetType = UNSET


class ValueChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of a value. Its key never changes."""

    version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    label: Label | UnsetType = UNSET
    color: Annotated[str, one_of(*COLORS)] | UnsetType = UNSET
    icon: Annotated[str, one_of(*ICONS)] | UnsetType = UNSET
    order: Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUES)] | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    parent: Key | UnsetType | None = UNSET
    data: dict[str, Any] | UnsetType = UNSET


class Merge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key of the value that every record gets instead."""

    into: Key


class Merged(Shape, frozen=True, kw_only=True):
    """The operations that were begun: one for each kind that uses the list. `operation` is the first."""

    operation: int | None
    operations: list[int]


class Deleted(Shape, frozen=True, kw_only=True):
    id: int


def _shape(value: Value) -> ValueShape:
    return ValueShape(**dictionaries.answer(value))


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "api", ctx.now)


async def _known(conn: AsyncConnection, ctx: RequestContext, *, writes: bool = False) -> KnownDictionary:
    """Return the list that the path names. Raises NotFound, Forbidden for whoever may not change it."""
    known = await dictionary_uses.find(conn, ctx.request.match_info["name"])
    if writes:
        access.require(ctx.actor, "dictionaries")
    return known


async def listed(conn: AsyncConnection, _ctx: RequestContext, _query: Query) -> DictionaryList:
    items = [
        DictionaryShape(
            name=one.name,
            title=one.title,
            is_tree=one.is_tree,
            characteristic=f"{one.of.kind}.{one.of.key}" if one.of else None,
        )
        for one in await dictionary_uses.every_dictionary(conn)
    ]
    return DictionaryList(items=items, next=None)


async def page(conn: AsyncConnection, ctx: RequestContext, query: Page) -> ValueList:
    known = await _known(conn, ctx)
    values = (await dictionaries.load(conn, [known.name]))[known.name]
    start = read_cursor(query.cursor)[1] if query.cursor else 0
    shown = values[start : start + query.limit]
    following = start + query.limit
    return ValueList(
        items=[_shape(one) for one in shown], next=write_cursor("", following) if following < len(values) else None
    )


async def one(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> ValueShape:
    return _shape(await dictionaries.get(conn, (await _known(conn, ctx)).name, ctx.id()))


async def create(conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> ValueShape:
    known = await _known(conn, ctx, writes=True)
    return _shape(await dictionaries.create(conn, known.name, read_struct(ValueInput, body), edit=_edit(ctx)))


async def change(conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> ValueShape:
    known = await _known(conn, ctx, writes=True)
    version, changes = read_version(body)
    given = read_struct(ValueInput, changes)
    return _shape(await dictionaries.update(conn, known.name, ctx.id(), given, edit=_edit(ctx), version=version))


async def delete(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> Deleted:
    known = await _known(conn, ctx, writes=True)
    await dictionary_uses.delete(conn, known.name, ctx.id(), edit=_edit(ctx))
    return Deleted(id=ctx.id())


async def merge(conn: AsyncConnection, ctx: RequestContext, body: Merge) -> Merged:
    known = await _known(conn, ctx, writes=True)
    begun = await merge_values.begin(conn, known.name, ctx.id(), body.into, edit=_edit(ctx))
    return Merged(operation=begun[0] if begun else None, operations=begun)


_ONE = "/dictionaries/{name}/{id}"
ENDPOINTS = (
    Endpoint(method="GET", path="/dictionaries", summary="Lists of values", reads=listed, answer=DictionaryList),
    Endpoint(
        method="GET",
        path="/dictionaries/{name}",
        summary="The values of a list, in their order",
        reads=page,
        query=Page,
        answer=ValueList,
    ),
    Endpoint(method="GET", path=_ONE, summary="One value", reads=one, answer=ValueShape),
    Endpoint(
        method="POST",
        path="/dictionaries/{name}",
        summary="Add a value",
        writes=create,
        body=NewValue,
        decodes=dict[str, Any],
        answer=ValueShape,
        status=201,
    ),
    Endpoint(
        method="PATCH",
        path=_ONE,
        summary="Rename a value, move it, switch it on or off",
        writes=change,
        body=ValueChange,
        decodes=dict[str, Any],
        answer=ValueShape,
    ),
    Endpoint(method="DELETE", path=_ONE, summary="Remove a value that nothing uses", writes=delete, answer=Deleted),
    Endpoint(
        method="POST",
        path=f"{_ONE}/merge",
        summary="Replace a value by another in every record",
        writes=merge,
        body=Merge,
        answer=Merged,
        status=202,
    ),
)
