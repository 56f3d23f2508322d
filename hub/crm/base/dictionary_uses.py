"""The uses of a value of a dictionary: a value in use is not deleted.

Which fields hold keys is read off the declared fields of every kind and its characteristics. Invariant: no key stands
in a record without its value standing in the dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristics, dictionaries, keyset, registry
from hub.crm.base.characteristics import Definition
from hub.crm.base.collections import JoinedField, item_of
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice
from hub.crm.base.history import Edit
from hub.errors import Conflict, NotFound

COUNTED = 10_000
"""Uses are counted up to this."""


@dataclass(frozen=True, slots=True)
class Use:
    """The number of records of a kind that hold a value in one field, up to `COUNTED`."""

    entity: Entity[Any, Any]
    field: Field
    count: int


@dataclass(frozen=True, slots=True)
class KnownDictionary:
    """A list that exists: the product's own, or the options of a characteristic, which is then named."""

    name: str
    title: str
    is_tree: bool
    of: Definition | None = None


async def every_dictionary(conn: AsyncConnection) -> list[KnownDictionary]:
    """Return the product's lists, then the options of characteristics in their order, switched-off ones too."""
    own = [KnownDictionary(one.name, one.title, one.is_tree) for one in dictionaries.declared()]
    options = [
        KnownDictionary(one.dictionary, one.text("en"), False, one)
        for one in await characteristics.definitions(conn)
        if one.has_options and one.kind in registry.kinds()
    ]
    return own + options


async def find(conn: AsyncConnection, name: str) -> KnownDictionary:
    """Return a list by its name. Raises NotFound."""
    for one in await every_dictionary(conn):
        if one.name == name:
            return one
    raise NotFound("dictionary_missing", "no such dictionary")


async def holders(conn: AsyncConnection, dictionary: str) -> list[tuple[Entity[Any, Any], Field]]:
    """Return every field of every kind that holds keys of a dictionary: declared ones and characteristics."""
    found: list[tuple[Entity[Any, Any], Field]] = []
    for entity in registry.kinds().values():
        for field in entity.fields:
            item = item_of(field)
            if isinstance(item, Choice) and item.dictionary == dictionary:
                found.append((entity, field))
    for one in await characteristics.definitions(conn):
        if one.dictionary == dictionary and one.has_options and one.kind in registry.kinds():
            entity = registry.kind(one.kind)
            found.append((entity, characteristics.field_of(entity, one)))
    return found


def holding(entity: Entity[Any, Any], field: Field, key: str) -> sa.Select[tuple[int]]:
    """Select the ids of the records that hold a key in a field."""
    if isinstance(field, JoinedField):
        return field.source.owners(lambda column: column == key)
    return sa.select(entity.id).where(field.column == key)


async def uses(conn: AsyncConnection, dictionary: str, key: str) -> list[Use]:
    """Return where a key is held; fields that hold it nowhere are left out."""
    found = []
    for entity, field in await holders(conn, dictionary):
        if count := await keyset.count_up_to(conn, holding(entity, field, key), COUNTED):
            found.append(Use(entity, field, min(count, COUNTED)))
    return found


async def delete(conn: AsyncConnection, dictionary: str, value_id: int, *, edit: Edit) -> None:
    """Remove a value that nothing holds. Raises NotFound, Conflict `in_use` with the uses by kind."""
    there = await dictionaries.lock(conn, dictionary)
    value = await dictionaries.get(conn, dictionary, value_id)
    by_kind: dict[str, int] = {}
    for use in await uses(conn, dictionary, value.key):
        by_kind[use.entity.kind] = by_kind.get(use.entity.kind, 0) + use.count
    if below := sum(other.parent == value.key for other in there):
        by_kind["below"] = below
    if by_kind:
        raise Conflict("in_use", "this value is in use: switch it off instead", uses=by_kind)
    await dictionaries.delete_unused(conn, value, edit=edit)
