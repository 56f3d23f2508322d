"""Characteristics over the API: the fields that an administrator defines, and a change of their type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.base import change_type, characteristic_definitions, characteristics, dictionaries, registry
from hub.crm.base.characteristic_definitions import MAX_OF_A_KIND, DefinitionInput
from hub.crm.base.characteristic_types import CharacteristicType
from hub.crm.base.characteristics import Definition
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.web.api.dictionaries import Label
from hub.web.api.endpoint import Endpoint, Page
from hub.web.api.shapes import Cursor, Shape, one_of
from hub.web.base.endpoints import read_version
from hub.web.base.kind import read_struct, reading
from hub.web.request_context import RequestContext, read_cursor, write_cursor

KINDS = tuple(word for word, entity in registry.kinds().items() if entity.has_characteristics)
Choices = Annotated[list[Label], msgspec.Meta(max_length=1000)]
Order = Annotated[int, msgspec.Meta(ge=0, le=MAX_OF_A_KIND)]
Key = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
Group = Annotated[str, msgspec.Meta(max_length=100)]


class Choice(Shape, frozen=True, kw_only=True):
    """An option. `dictionary` of the characteristic has the rest of it."""

    key: str
    label: dict[str, str]
    active: bool


class CharacteristicShape(Shape, frozen=True, kw_only=True):
    """A field of a kind. `dictionary` is the list of its options, null for other types than choices."""

    id: int
    kind: str
    key: str
    label: dict[str, str]
    type: Annotated[str, one_of(*CharacteristicType.words())]
    help: dict[str, str]
    required: bool
    group: str
    order: int
    active: bool
    version: int
    dictionary: str | None
    choices: list[Choice]


class CharacteristicList(Shape, frozen=True, kw_only=True):
    items: list[CharacteristicShape]
    next: Cursor | None


class CharacteristicQuery(Page, frozen=True, kw_only=True):
    kind: Annotated[str, one_of(*KINDS)] | None = None


class NewCharacteristic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Annotated[str, one_of(*KINDS)]
    label: Label
    type: Annotated[str, one_of(*CharacteristicType.words())]
    key: Key | UnsetType = UNSET
    help: Label | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    group: Group | UnsetType = UNSET
    order: Order | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    choices: Choices | UnsetType = UNSET


class CharacteristicChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of a characteristic. Its key never changes, its type only by `change-type`."""

    version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    label: Label | UnsetType = UNSET
    help: Label | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    group: Group | UnsetType = UNSET
    order: Order | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class NewType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Annotated[str, one_of(*CharacteristicType.words())]


class TypeChanged(Shape, frozen=True, kw_only=True):
    """The operation that copies the values, and the new field that they go to."""

    operation: int
    characteristic: CharacteristicShape


async def _shapes(conn: AsyncConnection, found: list[Definition]) -> list[CharacteristicShape]:
    named = [one.dictionary for one in found if one.has_options]
    values = await dictionaries.load(conn, named) if named else {}
    return [
        CharacteristicShape(
            **characteristic_definitions.answer(one),
            dictionary=one.dictionary if one.has_options else None,
            choices=[
                Choice(key=value.key, label=dict(value.label), active=value.active)
                for value in values.get(one.dictionary, ())
            ],
        )
        for one in found
    ]


def _edit(ctx: RequestContext) -> Edit:
    access.require(ctx.actor, "dictionaries")
    return Edit(ctx.actor, "api", ctx.now)


def _known(kind: object) -> str:
    """Return the word of a kind that has characteristics. Raises Invalid for any other."""
    if not isinstance(kind, str) or kind not in KINDS:
        choices = {"choices": ", ".join(KINDS)}
        raise Invalid({"kind": Problem("not_a_choice", _("Must be one of: %(choices)s"), choices)})
    return kind


async def page(conn: AsyncConnection, _ctx: RequestContext, query: CharacteristicQuery) -> CharacteristicList:
    found = await characteristics.definitions(conn, [_known(query.kind)] if query.kind else KINDS)
    start = read_cursor(query.cursor)[1] if query.cursor else 0
    following = start + query.limit
    items = await _shapes(conn, found[start:following])
    return CharacteristicList(items=items, next=write_cursor("", following) if following < len(found) else None)


async def one(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> CharacteristicShape:
    return (await _shapes(conn, [await characteristic_definitions.get(conn, ctx.id())]))[0]


async def create(conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> CharacteristicShape:
    edit, sent = _edit(ctx), dict(body)
    kind = sent.pop("kind", None)
    given = read_struct(DefinitionInput, sent)
    made = await characteristic_definitions.create(conn, registry.kind(_known(kind)), given, edit=edit)
    return (await _shapes(conn, [made]))[0]


async def change(conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> CharacteristicShape:
    edit = _edit(ctx)
    version, changes = read_version(body)
    given = read_struct(DefinitionInput, changes)
    changed = await characteristic_definitions.update(conn, ctx.id(), given, edit=edit, version=version)
    return (await _shapes(conn, [changed]))[0]


async def switch_off(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> CharacteristicShape:
    edit = _edit(ctx)
    off = await characteristic_definitions.update(conn, ctx.id(), DefinitionInput(active=False), edit=edit)
    return (await _shapes(conn, [off]))[0]


async def change_of_type(conn: AsyncConnection, ctx: RequestContext, body: NewType) -> TypeChanged:
    edit = _edit(ctx)
    number, made = await change_type.begin(conn, ctx.id(), body.type, reading=reading(ctx), edit=edit)
    return TypeChanged(operation=number, characteristic=(await _shapes(conn, [made]))[0])


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/characteristics",
        summary="Characteristics, in the order of each kind",
        reads=page,
        query=CharacteristicQuery,
        answer=CharacteristicList,
    ),
    Endpoint(
        method="GET",
        path="/characteristics/{id}",
        summary="One characteristic",
        reads=one,
        answer=CharacteristicShape,
    ),
    Endpoint(
        method="POST",
        path="/characteristics",
        summary="Define a characteristic",
        writes=create,
        body=NewCharacteristic,
        decodes=dict[str, Any],
        answer=CharacteristicShape,
        status=201,
    ),
    Endpoint(
        method="PATCH",
        path="/characteristics/{id}",
        summary="Rename a characteristic, move it, switch it on or off",
        writes=change,
        body=CharacteristicChange,
        decodes=dict[str, Any],
        answer=CharacteristicShape,
    ),
    Endpoint(
        method="DELETE",
        path="/characteristics/{id}",
        summary="Switch a characteristic off; its values stay",
        writes=switch_off,
        answer=CharacteristicShape,
    ),
    Endpoint(
        method="POST",
        path="/characteristics/{id}/change-type",
        summary="Make a field of another type with a copy of the values; the old one stays",
        writes=change_of_type,
        body=NewType,
        answer=TypeChanged,
        status=202,
    ),
)
