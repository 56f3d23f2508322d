"""Every field of a kind as one reader sees it: declared ones and characteristics, options and labels in their language.

A field of a dictionary gets its values as options here, so that a form, a card and a history show it like any other
choice. Decides no rights. Invariant: what is returned is a copy; the declared field stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristics, dictionaries
from hub.crm.base.characteristics import Characteristic
from hub.crm.base.collections import JoinedField, item_of
from hub.crm.base.dictionaries import Value
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice, Option
from hub.web.request_context import RequestContext

FieldT = TypeVar("FieldT", bound=Field)


async def fields_of(
    conn: AsyncConnection, ctx: RequestContext, entity: Entity[Any, Any], *, with_inactive: bool = False
) -> list[Field]:
    """Return the fields of a kind in their order; `with_inactive`: also characteristics that are switched off."""
    found: list[Field] = list(entity.fields)
    if entity.has_characteristics:
        for definition in await characteristics.definitions(conn, [entity.kind]):
            if definition.active or with_inactive:
                found.append(characteristics.field_of(entity, definition))
    named = {item.dictionary for item in map(item_of, found) if isinstance(item, Choice) and item.dictionary}
    values = await dictionaries.load(conn, named) if named else {}
    return [_shown(field, values, ctx.language) for field in found]


def _shown(field: FieldT, values: Mapping[str, Sequence[Value]], language: str) -> FieldT:
    item = item_of(field)
    shown = copy.copy(field)
    if isinstance(item, Choice) and item.dictionary:
        options = tuple(
            Option(value.key, value.text(language), icon=value.icon, color=value.color, active=value.active)
            for value in values[item.dictionary]
        )
        filled = copy.copy(item)
        filled.options = options
        if isinstance(shown, JoinedField):
            shown.item = filled
        elif isinstance(shown, Choice):
            shown.options = options
    if isinstance(shown, Characteristic):
        shown.label = shown.definition.text(language)
        shown.help = shown.definition.help_text(language)
    return shown


async def values_of(
    conn: AsyncConnection, entity: Entity[Any, Any], fields: Sequence[Field], row: Any
) -> dict[str, Any]:
    """Return the typed value of each of these fields of a record, by name."""
    extra = [field for field in fields if isinstance(field, Characteristic)]
    loaded = (await characteristics.load(conn, entity, extra, [row.id])).get(row.id, {})
    return {
        field.name: loaded.get(field.name, field.empty)
        if isinstance(field, Characteristic)
        else entity.value(row, field)
        for field in fields
    }
