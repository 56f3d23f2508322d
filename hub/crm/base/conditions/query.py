"""Ask by a condition: from a tree and a person to the SQL condition that lists, counts and bulk edits take.

    tree = loads(request_text)
    page = await records.page(conn, actor, entity, where=await query.where(conn, actor, entity, tree, now=now))

Decides what the asker may ask about: fields of kinds they may see, and of other kinds only records they may see.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristics, permissions, registry
from hub.crm.base.conditions import compile as compiling
from hub.crm.base.conditions.asker import Asker, Scope
from hub.crm.base.conditions.binding import bind
from hub.crm.base.conditions.tree import EVERYTHING, Tree, every_leaf
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Moment
from hub.crm.base.labels import _

Person = permissions.Asker


async def where(
    conn: AsyncConnection,
    person: Person | None,
    entity: Entity[Any, Any],
    tree: Tree,
    *,
    now: datetime,
    zone: tzinfo = UTC,
    region: str = "RU",
) -> sa.ColumnElement[bool] | None:
    """Return the condition on the kind's table, None for a tree that holds for all. Raises InvalidCondition."""
    if tree == EVERYTHING:
        return None
    asker = asker_of(person, now=now, zone=zone, region=region)
    named = any("c." in leaf.field for leaf in every_leaf(tree))
    scope = scope_of(person, entity, await characteristics.every_field(conn) if named else {})
    return compiling.where(bind(tree, scope, asker), scope, asker)


def asker_of(person: Person | None, *, now: datetime, zone: tzinfo = UTC, region: str = "RU") -> Asker:
    """Return who asks; nobody has neither "me" nor teams."""
    if person is None:
        return Asker(now=now, zone=zone, region=region)
    return Asker(now=now, user_id=person.user_id, team_ids=person.team_ids, zone=zone, region=region)


def scope_of(
    person: Person | None, entity: Entity[Any, Any], defined: Mapping[str, Sequence[Field]] | None = None
) -> Scope:
    """Return a kind as a person may ask about it; `defined` are the characteristics of each kind."""
    extra = (defined or {}).get(entity.kind, ())
    fields = {field.name: field for field in (*_common(entity), *entity.fields, *extra)}

    def related(word: str) -> Scope | None:
        other = registry.kinds().get(word)
        if other is None or (other.rule is None and permissions.scope(person, word, "see") == "none"):
            return None
        return scope_of(person, other, defined)

    permitted = permissions.permitted(person, entity, "see")
    return Scope(kind=entity.kind, table=entity.table, fields=fields, permitted=permitted, related=related)


def _common(entity: Entity[Any, Any]) -> list[Field]:
    """Return the columns of every kind that have no field but may be asked about."""
    labels = {"created_at": _("Created"), "changed_at": _("Changed")}
    return [_moment(entity, name, label) for name, label in labels.items() if name in entity.table.c]


@functools.cache
def _moment(entity: Entity[Any, Any], name: str, label: str) -> Field:
    return Moment(entity.table.c[name], label, read_only=True)
