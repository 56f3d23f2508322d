"""The changes of records in the feed: one for each write, one for each batch of an operation.

A change carries the principals of before and after, so that streams are checked without a query. A batch is one
change with the ids of its records: many single ones would reset every open page. Its `groups` say which of them have
the same principals, so that a reader is told only of those that they may see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import registry
from hub.crm.base.entity import Entity
from hub.crm.base.history import Edit
from hub.store.changes import publish

Principals = dict[str, set[int]]
"""`owners` and `teams` of a record: who may see it by scope `own` and `team`."""


async def publish_write(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    before: Principals | None,
    after: Mapping[str, Any],
    edit: Edit,
) -> None:
    """Publish the change of one record, with its principals `before`. An operation's is published with its batch."""
    if edit.operation is not None:
        return
    data: dict[str, Any] = {"version": after["version"]}
    new = await _principals(conn, entity, [after])
    data |= _together([*([] if before is None else [before]), *new.values()])
    client_id = None if entity.client is None else after[entity.client.key]
    await publish(conn, entity.kind, after["id"], at=edit.now, client_id=client_id, data=data)


async def principals_of(conn: AsyncConnection, entity: Entity[Any, Any], ids: Sequence[int]) -> dict[int, Principals]:
    """Return the principals of each of these records."""
    rows = (await conn.execute(sa.select(entity.table).where(entity.id.in_(ids)))).mappings().all() if ids else []
    return await _principals(conn, entity, rows)


async def principals_of_row(conn: AsyncConnection, entity: Entity[Any, Any], row: Mapping[Any, Any]) -> Principals:
    """Return the principals of a record as it stands, before an edit takes some away."""
    return (await _principals(conn, entity, [row]))[row["id"]]


async def publish_batch(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    ids: Sequence[int],
    before: Mapping[int, Principals],
    *,
    at: datetime,
) -> None:
    """Publish the change of many records, with principals `before` it: `object_id` is the first of `ids`."""
    if not ids:
        return
    after = await principals_of(conn, entity, ids)
    groups: dict[str, dict[str, Any]] = {}
    for record_id in ids:
        told = _together([one[record_id] for one in (before, after) if record_id in one])
        groups.setdefault(repr(told), {**told, "ids": []})["ids"].append(record_id)
    data: dict[str, Any] = _together([one[key] for one in (before, after) for key in ids if key in one])
    data |= {"ids": list(ids), "groups": list(groups.values())}
    await publish(conn, entity.kind, ids[0], at=at, data=data)


def _together(several: Sequence[Principals]) -> dict[str, list[int]]:
    return {word: sorted({one for of in several for one in of[word]}) for word in ("owners", "teams")}


async def _principals(
    conn: AsyncConnection, entity: Entity[Any, Any], rows: Sequence[Mapping[Any, Any]]
) -> dict[int, Principals]:
    """Return whose each of these records is, and of which teams, as `permitted` looks at it."""
    found: dict[int, Principals] = {row["id"]: {"owners": set(), "teams": set()} for row in rows}
    columns = (("owners", entity.owner, entity.participants), ("teams", entity.team, entity.teams))
    for word, column, pairs in columns:
        if column is not None:
            for row in rows:
                found[row["id"]][word] |= {row[column.key]} - {None}
        if pairs is not None:
            for record_id, values in (await pairs.load(conn, list(found))).items():
                found[record_id][word].update(values)
    if entity.through is not None:
        other, key = registry.target(entity, entity.through), entity.through.key
        behind = await principals_of(conn, other, [row[key] for row in rows if row[key] is not None])
        for row in rows:
            for word, ids in behind.get(row[key], {}).items():
                found[row["id"]][word] |= ids
    return found
