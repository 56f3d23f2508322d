"""The changes of records in the feed: one for each write, one for each batch of an operation.

A change carries the principals of before and after, so that streams are checked without a query. A batch is one
change with the ids of its records: many single ones would reset every open page.
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
"""`owners` and `teams` of records: who may see them by scope `own` and `team`."""


async def publish_write(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    edit: Edit,
) -> None:
    """Publish the change of one record. That of an operation is published with its batch."""
    if edit.operation is not None:
        return
    data: dict[str, Any] = {"version": after["version"]}
    principals = await _principals(conn, entity, [row for row in (before, after) if row is not None])
    data |= {word: sorted(ids) for word, ids in principals.items()}
    client_id = None if entity.client is None else after[entity.client.key]
    await publish(conn, entity.kind, after["id"], at=edit.now, client_id=client_id, data=data)


async def principals_of(conn: AsyncConnection, entity: Entity[Any, Any], ids: Sequence[int]) -> Principals:
    """Return the principals of these records together."""
    rows = (await conn.execute(sa.select(entity.table).where(entity.id.in_(ids)))).mappings().all() if ids else []
    return await _principals(conn, entity, rows)


async def publish_batch(
    conn: AsyncConnection, entity: Entity[Any, Any], ids: Sequence[int], before: Principals, *, at: datetime
) -> None:
    """Publish the change of many records, whose principals were `before`: `object_id` is the first of `ids`."""
    if ids:
        after = await principals_of(conn, entity, ids)
        data: dict[str, Any] = {word: sorted(found | after[word]) for word, found in before.items()}
        await publish(conn, entity.kind, ids[0], at=at, data=data | {"ids": list(ids)})


async def _principals(conn: AsyncConnection, entity: Entity[Any, Any], rows: Sequence[Mapping[Any, Any]]) -> Principals:
    """Return whose these records are, and of which teams, as `permitted` looks at it."""
    found: dict[str, set[int]] = {"owners": set(), "teams": set()}
    ids = list({row["id"] for row in rows})
    columns = (("owners", entity.owner, entity.participants), ("teams", entity.team, entity.teams))
    for word, column, pairs in columns:
        if column is not None:
            found[word] |= {row[column.key] for row in rows if row[column.key] is not None}
        if pairs is not None:
            found[word] |= {one for values in (await pairs.load(conn, ids)).values() for one in values}
    if entity.through is not None:
        other = registry.target(entity, entity.through)
        query = sa.select(other.table).where(other.id.in_([row[entity.through.key] for row in rows]))
        behind = await _principals(conn, other, list((await conn.execute(query)).mappings()))
        found = {word: ids | behind[word] for word, ids in found.items()}
    return found
