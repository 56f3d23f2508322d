"""Set fields of many records at once, as an operation.

Each record is written by its kind's own rules and rights, as by hand. Its undo gives each field back its value where
the field still holds what the operation wrote. Which records those are is `bulk_selection`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import bulk_selection, characteristics, history, operations, permissions, records, registry
from hub.crm.base.bulk_selection import Selection
from hub.crm.base.entity import Entity
from hub.crm.base.field import Reading
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.operations import Operation, Result
from hub.crm.base.reasons import CHANGED_SINCE, Reason

KIND = "bulk_edit"


async def begin(
    conn: AsyncConnection, entity: Entity[Any, Any], values: Mapping[str, Any], selection: Selection, *, edit: Edit
) -> int:
    """Queue a bulk edit of the selected records; return the operation's id.

    `values` are the fields to set, as the API takes them. Raises Forbidden, Invalid, InvalidCondition.
    """
    permissions.require(edit.actor, entity.kind, "bulk")
    permissions.require(edit.actor, entity.kind, "edit")
    params = selection.params()
    if not values:
        raise Invalid({"set": Problem("required", _("Fill in this field"))})
    entity.read(values, is_new=False, reading=Reading(region=selection.region, zone=selection.zone))
    params |= {"set": dict(values)}
    total = await bulk_selection.count(conn, edit.actor, entity, params, now=edit.now)
    return await operations.begin(conn, KIND, entity.kind, params=params, total=total, edit=edit)


async def version_of(conn: AsyncConnection, entity: Entity[Any, Any], record_id: int, *, edit: Edit) -> int:
    """Return the version of a record that the person may touch in bulk. Raises NotFound."""
    query = sa.select(entity.table.c.version).where(
        entity.id == record_id, permissions.permitted(edit.actor, entity, "bulk")
    )
    version: int | None = (await conn.execute(query)).scalar()
    if version is None:
        raise records.missing(entity)
    return version


class BulkEdit:
    """The work of a bulk edit."""

    can_undo = True

    async def targets(
        self, conn: AsyncConnection, operation: Operation, person: permissions.Asker | None, *, limit: int
    ) -> Sequence[int]:
        return await bulk_selection.targets(conn, operation, person, limit=limit)

    async def apply(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        entity = registry.kind(operation.object_kind)
        reading = Reading(region=operation.params["region"], zone=ZoneInfo(operation.params["zone"]))
        given = entity.read(operation.params["set"], is_new=False, reading=reading)
        before = await version_of(conn, entity, record_id, edit=edit)
        write = records.writers(entity).update
        assert write is not None
        after = await write(conn, record_id, given, edit=edit)
        return Result(record_id, "updated" if after.version != before else "skipped")

    async def reverse(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        return await reverse_changes(conn, operation, record_id, edit=edit)


async def reverse_changes(conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
    """Give each field that an operation changed its value back, where it still holds what the operation wrote.

    The undo of every operation that changes fields. A field that somebody has changed since is kept and named.
    """
    entity = registry.kind(operation.object_kind)
    written = await history.of_operation(conn, entity.kind, record_id, operation.id)
    if not written:
        return Result(record_id, "reversed")
    row = await records.get(conn, edit.actor, entity, record_id)
    fields = entity.by_name
    now = {name: fields[name].dump(entity.value(row, fields[name])) for name in written if name in fields}
    if entity.has_characteristics and any(name.startswith("c.") for name in written):
        held = (await characteristics.answers(conn, entity, [record_id])).get(record_id, {})
        for one in await characteristics.fields(conn, entity):
            now[one.name] = held.get(one.definition.key, one.dump(one.empty) if one.is_many else None)
    kept = sorted(name for name, (_before, wrote) in written.items() if name not in now or now[name] != wrote)
    back = {name: before for name, (before, _wrote) in written.items() if name not in kept}
    if back:
        write = records.writers(entity).update
        assert write is not None
        given = entity.read(back, is_new=False)
        await write(conn, record_id, given, edit=edit)
    if kept:
        return Result(record_id, "kept", tuple(Reason(CHANGED_SINCE, name) for name in kept))
    return Result(record_id, "reversed")
