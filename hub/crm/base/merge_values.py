"""Merge two values of a dictionary: every record of a kind that holds the one gets the other, as an operation.

The merged value is switched off at once, so that no record gets it meanwhile; its row stays, for history and undo
name it. Each record is written by its kind's own rules and the person's rights; one that they may not see keeps its
value. Invariant: a record that they see holds a merged value no more, or the operation names it with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristics, dictionaries, dictionary_uses, operations, permissions, records, registry
from hub.crm.base.bulk_edit import reverse_changes
from hub.crm.base.characteristics import Characteristic
from hub.crm.base.checks import several
from hub.crm.base.dictionaries import ValueInput
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.history import Edit
from hub.crm.base.keyset import count_up_to
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.operations import Operation, Result

KIND = "merge_values"
COUNTED = 1_000_000


async def begin(conn: AsyncConnection, dictionary: str, value_id: int, into: str, *, edit: Edit) -> list[int]:
    """Switch a value off and queue its replacement by another; return an operation for each kind that uses it.

    Raises NotFound, Invalid where the other value is none, is off, or stands below the first.
    """
    there = await dictionaries.lock(conn, dictionary)
    value = await dictionaries.get(conn, dictionary, value_id)
    target = next((one for one in there if one.key == into), None)
    if target is None or target.key == value.key or not target.active:
        raise Invalid({"into": Problem("not_a_choice", _("Choose another value of the list that is on"))})
    if any(one.parent == value.key for one in there):
        raise Invalid({"into": Problem("has_values_below", _("Move the values below it first"))})
    await dictionaries.update(conn, dictionary, value_id, ValueInput(active=False), edit=edit)
    params = {"dictionary": dictionary, "value": value_id, "from": value.key, "into": into}
    kinds = {entity.kind: entity for entity, _field in await dictionary_uses.holders(conn, dictionary)}
    begun = []
    for entity in kinds.values():
        held = await _holding(conn, entity, dictionary, value.key, person=edit.actor)
        total = await count_up_to(conn, held, COUNTED)
        begun.append(await operations.begin(conn, KIND, entity.kind, params=params, total=total, edit=edit))
    return begun


async def _fields(conn: AsyncConnection, entity: Entity[Any, Any], dictionary: str) -> list[Field]:
    return [field for of, field in await dictionary_uses.holders(conn, dictionary) if of.kind == entity.kind]


async def _holding(
    conn: AsyncConnection, entity: Entity[Any, Any], dictionary: str, key: str, *, person: permissions.Asker | None
) -> sa.Select[Any]:
    """Select the ids of the kind's records that a person may see and that hold a key in any of its fields."""
    fields = await _fields(conn, entity, dictionary)
    held = sa.or_(sa.false(), *(entity.id.in_(dictionary_uses.holding(entity, field, key)) for field in fields))
    return sa.select(entity.id).where(held, permissions.permitted(person, entity, "see"))


class MergeValues:
    """The work of a merge."""

    can_undo = True

    async def targets(
        self, conn: AsyncConnection, operation: Operation, person: permissions.Asker | None, *, limit: int
    ) -> Sequence[int]:
        entity, params = registry.kind(operation.object_kind), operation.params
        found = await _holding(conn, entity, params["dictionary"], params["from"], person=person)
        found = found.where(entity.id > operation.position).order_by(entity.id).limit(limit)
        return list((await conn.execute(found)).scalars())

    async def apply(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        entity, params = registry.kind(operation.object_kind), operation.params
        row = await records.get(conn, edit.actor, entity, record_id)
        sent: dict[str, Any] = {}
        for field in await _fields(conn, entity, params["dictionary"]):
            held = await _held(conn, entity, field, row)
            if params["from"] in several(held):
                kept = (params["into"] if one == params["from"] else one for one in several(held))
                sent[field.name] = list(dict.fromkeys(kept)) if isinstance(held, tuple) else params["into"]
        if not sent:
            return Result(record_id, "skipped")
        write = records.writers(entity).update
        assert write is not None
        await write(conn, record_id, entity.read(sent, is_new=False), edit=edit)
        return Result(record_id, "updated")

    async def reverse(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        params = operation.params
        value = await dictionaries.get(conn, params["dictionary"], params["value"])
        if not value.active:
            await dictionaries.update(conn, params["dictionary"], params["value"], ValueInput(active=True), edit=edit)
        return await reverse_changes(conn, operation, record_id, edit=edit)


async def _held(conn: AsyncConnection, entity: Entity[Any, Any], field: Field, row: Any) -> Any:
    if isinstance(field, Characteristic):
        loaded = await characteristics.load(conn, entity, [field], [row.id])
        return loaded.get(row.id, {}).get(field.name, field.empty)
    return entity.value(row, field)
