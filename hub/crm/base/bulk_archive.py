"""Archive many records at once, or bring many archived ones back, as an operation.

Each record is written by its kind's own rules and rights, as by hand. Its undo does the opposite to each record that
is still as the operation left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import bulk_selection, history, operations, permissions, records, registry
from hub.crm.base.bulk_edit import version_of
from hub.crm.base.bulk_selection import Selection
from hub.crm.base.entity import Entity
from hub.crm.base.history import Edit
from hub.crm.base.operations import Operation, Result
from hub.crm.base.reasons import CHANGED_SINCE, Reason

ARCHIVE, RESTORE = "bulk_archive", "bulk_restore"


async def begin(
    conn: AsyncConnection, entity: Entity[Any, Any], selection: Selection, *, archives: bool, edit: Edit
) -> int:
    """Queue the archiving of the selected records, or their return; give the operation's id.

    Raises Forbidden, Invalid, InvalidCondition.
    """
    permissions.require(edit.actor, entity.kind, "bulk")
    permissions.require(edit.actor, entity.kind, "delete")
    params = replace(selection, archived=not archives).params()
    total = await bulk_selection.count(conn, edit.actor, entity, params, now=edit.now)
    kind = ARCHIVE if archives else RESTORE
    return await operations.begin(conn, kind, entity.kind, params=params, total=total, edit=edit)


class BulkArchive:
    """The work of archiving, or of bringing back."""

    can_undo = True

    def __init__(self, *, archives: bool) -> None:
        self._archives = archives

    async def targets(
        self, conn: AsyncConnection, operation: Operation, person: permissions.Asker | None, *, limit: int
    ) -> Sequence[int]:
        return await bulk_selection.targets(conn, operation, person, limit=limit)

    async def apply(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        entity = registry.kind(operation.object_kind)
        before = await version_of(conn, entity, record_id, edit=edit)
        after = await _set(conn, entity, record_id, archives=self._archives, edit=edit)
        return Result(record_id, "updated" if after.version != before else "skipped")

    async def reverse(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        entity = registry.kind(operation.object_kind)
        written = await history.of_operation(conn, entity.kind, record_id, operation.id)
        if records.ARCHIVED not in written:
            return Result(record_id, "reversed")
        wrote: bool = written[records.ARCHIVED][1]
        row = await records.get(conn, edit.actor, entity, record_id)
        assert entity.archived_column is not None
        if (getattr(row, entity.archived_column.key) is not None) != wrote:
            return Result(record_id, "kept", (Reason(CHANGED_SINCE, records.ARCHIVED),))
        await _set(conn, entity, record_id, archives=not wrote, edit=edit)
        return Result(record_id, "reversed")


async def _set(conn: AsyncConnection, entity: Entity[Any, Any], record_id: int, *, archives: bool, edit: Edit) -> Any:
    writers = records.writers(entity)
    write = writers.archive if archives else writers.restore
    assert write is not None
    return await write(conn, record_id, edit=edit)
