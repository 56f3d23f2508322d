"""The records that a bulk operation is about: those of a list of ids, or all that a condition and a search find.

What was asked stands in the operation's parameters. Invariant: a condition means the records for which it held when
it was asked: "today" is the day of the request, however long the operation runs.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import permissions, reading, registry
from hub.crm.base.conditions import query, tree
from hub.crm.base.conditions.tree import Tree
from hub.crm.base.entity import Entity
from hub.crm.base.keyset import count_up_to
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.operations import Operation

MAX_IDS = 10_000
COUNTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Either `ids`, or `where` with a search for `text`, among the living records or the archived ones."""

    ids: Sequence[int] | None = None
    where: Tree | None = None
    text: str = ""
    archived: bool = False
    zone: tzinfo = UTC
    region: str = "RU"

    def params(self) -> dict[str, Any]:
        """Return the selection as an operation keeps it. Raises Invalid."""
        if (self.ids is None) == (self.where is None):
            raise Invalid({"ids": Problem("bad_value", _("Give either ids or where"))})
        kept: dict[str, Any] = {"zone": str(self.zone), "region": self.region}
        if self.ids is not None:
            if len(self.ids) > MAX_IDS:
                raise Invalid({"ids": Problem("too_many", _("At most %(max)s values"), {"max": MAX_IDS})})
            return kept | {"ids": sorted(set(self.ids))}
        assert self.where is not None
        return kept | {"where": tree.to_json(self.where), "text": self.text, "archived": self.archived}


async def count(
    conn: AsyncConnection,
    person: permissions.Asker | None,
    entity: Entity[Any, Any],
    params: Mapping[str, Any],
    *,
    now: datetime,
) -> int:
    """Return the number of records of a selection, up to a million. Raises InvalidCondition."""
    if "ids" in params:
        return len(params["ids"])
    return await count_up_to(conn, await _found(conn, person, entity, params, now=now), COUNTED)


async def targets(
    conn: AsyncConnection, operation: Operation, person: permissions.Asker | None, *, limit: int
) -> Sequence[int]:
    """Return the next records of an operation's selection behind its position, ascending."""
    params = operation.params
    if "ids" in params:
        ids: list[int] = params["ids"]
        start = bisect.bisect_right(ids, operation.position)
        return ids[start : start + limit]
    entity = registry.kind(operation.object_kind)
    found = await _found(conn, person, entity, params, now=operation.created_at)
    found = found.where(entity.id > operation.position).order_by(entity.id).limit(limit)
    return list((await conn.execute(found)).scalars())


async def _found(
    conn: AsyncConnection,
    person: permissions.Asker | None,
    entity: Entity[Any, Any],
    params: Mapping[str, Any],
    *,
    now: datetime,
) -> sa.Select[Any]:
    """Select the ids that a list would show and a bulk operation may touch."""
    asked = tree.parse(params["where"])
    zone, region = ZoneInfo(params["zone"]), params["region"]
    where = await query.where(conn, person, entity, asked, now=now, zone=zone, region=region)
    found = reading.listed(person, entity, where, archived=params.get("archived", False))
    found = found.with_only_columns(entity.id).where(permissions.permitted(person, entity, "bulk"))
    if text := params.get("text", ""):
        found = found.where(reading.matching(conn, entity, text, region=region))
    return found
