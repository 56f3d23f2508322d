"""Checks of a value beyond its own field: the record it refers to, its dictionary, the values of others.

Each check is one statement for each kind or for all dictionaries together. Raises Invalid with every field's problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import dictionaries, registry
from hub.crm.base.collections import item_of
from hub.crm.base.dictionaries import Asked
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.permissions import permitted


def several(value: Any) -> tuple[Any, ...]:
    """Return a typed value as a tuple, whether the field has one value or several."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


async def references(conn: AsyncConnection, fields: Mapping[str, Field], values: Mapping[str, Any], edit: Edit) -> None:
    """Raise Invalid for a reference to what is not there, archived, or hidden from the actor."""
    wanted: dict[str, set[int]] = {}
    for name, value in values.items():
        if (kind := fields[name].kind) is not None:
            wanted.setdefault(kind, set()).update(fields[name].ids(value))
    problems: dict[str, Problem] = {}
    for kind, ids in wanted.items():
        known = await _known(conn, registry.kind(kind), ids, edit)
        for name, value in values.items():
            if fields[name].kind == kind and not set(fields[name].ids(value)) <= known:
                problems[name] = Problem("not_found", _("There is no such record"))
    if problems:
        raise Invalid(problems)


async def _known(conn: AsyncConnection, entity: Entity[Any, Any], ids: Iterable[int], edit: Edit) -> set[int]:
    query = sa.select(entity.id).where(entity.id.in_(set(ids)))
    if not entity.names_are_open:
        query = query.where(permitted(edit.actor, entity, "see"))
    if entity.archived_column is not None:
        query = query.where(entity.archived_column.is_(None))
    return set((await conn.execute(query)).scalars())


async def choices(
    conn: AsyncConnection, fields: Mapping[str, Field], values: Mapping[str, Any], before: Mapping[str, Any]
) -> None:
    """Raise Invalid for a value of a dictionary that is unknown, or switched off and not held already."""
    asked: dict[str, Asked] = {}
    for name, value in values.items():
        item = item_of(fields[name])
        if isinstance(item, Choice) and item.dictionary is not None and several(value):
            asked[name] = Asked(item.dictionary, several(value), several(before.get(name)))
    if asked and (problems := await dictionaries.problems_of(conn, asked)):
        raise Invalid(problems)


async def unique(
    conn: AsyncConnection, entity: Entity[Any, Any], values: Mapping[str, Any], *, record_id: int | None
) -> None:
    """Raise Invalid where a column that holds each value once has this one already."""
    problems: dict[str, Problem] = {}
    for name, value in values.items():
        field = entity.by_name[name]
        if not field.columns or not field.column.unique or field.is_empty(value):
            continue
        same = sa.select(entity.id).where(field.column == field.store(value)[field.column.key])
        if (other := (await conn.execute(same)).scalar()) is not None and other != record_id:
            problems[name] = Problem("taken", _("Already taken"))
    if problems:
        raise Invalid(problems)
