"""Set fields of many records at once, as an operation: those of a list of ids, or those of a condition.

Each record is written by its kind's own rules and rights, as by hand. Its undo gives each field back its value where
the field still holds what the operation wrote. Invariant: a condition means the records for which it held when it was
asked: "today" is the day of the request, however long the operation runs.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristics, history, operations, permissions, records, registry
from hub.crm.base.conditions import query, tree
from hub.crm.base.conditions.tree import Tree
from hub.crm.base.entity import Entity
from hub.crm.base.field import Reading
from hub.crm.base.history import Edit
from hub.crm.base.keyset import count_up_to
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.operations import Operation, Result

KIND = "bulk_edit"
MAX_IDS = 10_000
COUNTED = 1_000_000


async def begin(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    values: Mapping[str, Any],
    *,
    ids: Sequence[int] | None = None,
    where: Tree | None = None,
    edit: Edit,
    zone: tzinfo = ZoneInfo("UTC"),  # noqa: B008
    region: str = "RU",
) -> int:
    """Queue a bulk edit of records by their ids or by a condition; return the operation's id.

    `values` are the fields to set, as the API takes them. Raises Forbidden, Invalid, InvalidCondition.
    """
    permissions.require(edit.actor, entity.kind, "bulk")
    permissions.require(edit.actor, entity.kind, "edit")
    if (ids is None) == (where is None):
        raise Invalid({"ids": Problem("bad_value", _("Give either ids or where"))})
    if not values:
        raise Invalid({"set": Problem("required", _("Fill in this field"))})
    if ids is not None and len(ids) > MAX_IDS:
        raise Invalid({"ids": Problem("too_many", _("At most %(max)s values"), {"max": MAX_IDS})})
    entity.read(values, is_new=False, reading=Reading(region=region, zone=zone))
    params: dict[str, Any] = {
        "set": dict(values),
        "zone": str(zone),
        "region": region,
        "asked_at": edit.now.isoformat(),
    }
    if ids is not None:
        params["ids"] = sorted(set(ids))
        total = len(params["ids"])
    else:
        assert where is not None
        params["where"] = tree.to_json(where)
        asked = await query.where(conn, edit.actor, entity, where, now=edit.now, zone=zone, region=region)
        total = await count_up_to(conn, _listed(edit.actor, entity, asked), COUNTED)
    return await operations.begin(conn, KIND, entity.kind, params=params, total=total, edit=edit)


def _listed(
    person: permissions.Asker | None, entity: Entity[Any, Any], where: sa.ColumnElement[bool] | None
) -> sa.Select[Any]:
    """Select the ids that a list would show and a bulk edit may touch."""
    found = sa.select(entity.id).where(
        permissions.permitted(person, entity, "see"), permissions.permitted(person, entity, "bulk")
    )
    if entity.archived_column is not None:
        found = found.where(entity.archived_column.is_(None))
    return found if where is None else found.where(where)


class BulkEdit:
    """The work of a bulk edit."""

    can_undo = True

    async def targets(
        self, conn: AsyncConnection, operation: Operation, person: permissions.Asker | None, *, limit: int
    ) -> Sequence[int]:
        params = operation.params
        if "ids" in params:
            ids: list[int] = params["ids"]
            start = bisect.bisect_right(ids, operation.position)
            return ids[start : start + limit]
        entity = registry.kind(operation.object_kind)
        asked = await query.where(
            conn,
            person,
            entity,
            tree.parse(params["where"]),
            now=operation.created_at,
            zone=ZoneInfo(params["zone"]),
            region=params["region"],
        )
        found = _listed(person, entity, asked).where(entity.id > operation.position)
        return list((await conn.execute(found.order_by(entity.id).limit(limit))).scalars())

    async def apply(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        entity = registry.kind(operation.object_kind)
        reading = Reading(region=operation.params["region"], zone=ZoneInfo(operation.params["zone"]))
        given = entity.read(operation.params["set"], is_new=False, reading=reading)
        allowed = sa.select(entity.table.c.version).where(entity.id == record_id)
        allowed = allowed.where(permissions.permitted(edit.actor, entity, "bulk"))
        before = (await conn.execute(allowed)).scalar()
        if before is None:
            return Result(record_id, "refused", f"{entity.kind}_missing: no such record, or not yours to edit in bulk")
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
        return Result(record_id, "kept", f"changed since: {', '.join(kept)}")
    return Result(record_id, "reversed")
