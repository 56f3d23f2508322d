"""The uses of a value of a dictionary: a value in use is not deleted.

Which columns hold keys is read off the declared fields of every kind. Invariant: no key stands in a record without
its value standing in the dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import dictionaries, keyset, registry
from hub.crm.base.collections import Collection
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice
from hub.crm.base.history import Edit
from hub.errors import Conflict

COUNTED = 10_000
"""Uses are counted up to this."""


def holders(dictionary: str) -> Iterator[tuple[Entity[Any, Any], Field]]:
    """Return every declared field of every kind that holds keys of a dictionary."""
    for entity in registry.kinds().values():
        for field in entity.fields:
            item = field.item if isinstance(field, Collection) else field
            if isinstance(item, Choice) and item.dictionary == dictionary:
                yield entity, field


async def uses(conn: AsyncConnection, dictionary: str, key: str) -> dict[str, int]:
    """Return how many records of each kind hold a key, up to 10,000 each; kinds without one are left out."""
    found: dict[str, int] = {}
    for entity, field in holders(dictionary):
        if isinstance(field, Collection):
            query = field.values.owners(lambda column: column == key)
        else:
            query = sa.select(entity.id).where(field.column == key)
        if count := await keyset.count_up_to(conn, query, COUNTED):
            found[entity.kind] = found.get(entity.kind, 0) + min(count, COUNTED)
    return found


async def delete(conn: AsyncConnection, dictionary: str, value_id: int, *, edit: Edit) -> None:
    """Remove a value that nothing holds. Raises NotFound, Conflict `in_use` with the uses by kind."""
    there = await dictionaries.lock(conn, dictionary)
    value = await dictionaries.get(conn, dictionary, value_id)
    found = await uses(conn, dictionary, value.key)
    if below := sum(other.parent == value.key for other in there):
        found["below"] = below
    if found:
        raise Conflict("in_use", "this value is in use: switch it off instead", uses=found)
    await dictionaries.delete_unused(conn, value, edit=edit)
