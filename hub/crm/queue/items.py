"""The items of the team's queue: what a row is, who may read which, and the change that is published of one.

Items keep their place (`queued_at`) when they come back. Invariant: of a client whose card is hidden, an item shows
the address only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NewType

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base.permissions import scope
from hub.crm.models import queue_items, users
from hub.errors import NotFound
from hub.store.changes import publish

ItemId = NewType("ItemId", int)
Kind = Literal["call", "message", "lead"]
State = Literal["waiting", "claimed", "done"]


@dataclass(frozen=True, slots=True)
class Item:
    """A queue item as the database has it. `ref_id` is the call's, thread's or lead's id; `data` what a row shows."""

    id: ItemId
    team_id: int
    kind: Kind
    ref_id: int
    state: State
    owner_id: int | None
    owner_name: str | None
    claim_id: str | None
    claimed_at: datetime | None
    client_id: int | None
    title: str
    address: str
    data: dict[str, Any]
    version: int
    queued_at: datetime
    lease_until: datetime | None = None
    """Of a live call that was taken and is not talked yet."""


COLUMNS = [queue_items.c[name] for name in Item.__slots__ if name != "owner_name"]


def shown_columns(actor: Actor) -> list[sa.ColumnElement[Any]]:
    """The columns of an item as the actor may read them: of a client whose card is hidden, only the address."""
    if scope(actor, "client", "see") == "all":
        return list(COLUMNS)
    table = queue_items.c
    is_open = access.of_visible_client(actor, table.client_id)
    shown = {
        "title": sa.case((sa.or_(table.client_id.is_(None), is_open), table.title), else_=table.address),
        "client_id": sa.case((is_open, table.client_id)),
    }
    return [shown[column.name].label(column.name) if column.name in shown else column for column in COLUMNS]


def read_item(row: Mapping[Any, Any], owner_name: str | None) -> Item:
    return Item(owner_name=owner_name, **{c.name: row[c.name] for c in COLUMNS})


def freed(to: State, now: datetime) -> dict[str, Any]:
    common = {"state": to, "lease_until": None, "version": queue_items.c.version + 1}
    if to == "waiting":
        return common | {"owner_id": None, "claim_id": None, "claimed_at": None}
    return common | {"done_at": now}


async def publish_item(
    conn: AsyncConnection, row: sa.RowMapping, *, now: datetime, extra: dict[str, Any] | None = None
) -> None:
    data = {"state": row["state"], "item_kind": row["kind"], "version": row["version"], **(extra or {})}
    await publish(
        conn,
        "queue_item",
        row["id"],
        at=now,
        team_id=row["team_id"],
        user_id=row["owner_id"],
        data=data,
    )


async def find(conn: AsyncConnection, item_id: int, *, actor: Actor) -> Item:
    """Return an item the actor may see. Raises NotFound."""
    query = (
        sa.select(*shown_columns(actor), users.c.name.label("owner_name"))
        .outerjoin(users, users.c.id == queue_items.c.owner_id)
        .where(queue_items.c.id == item_id, access.queue_visible(actor))
    )
    row = (await conn.execute(query)).mappings().first()
    if row is None:
        raise NotFound("queue_item_missing", "no such queue item")
    return read_item(row, row["owner_name"])


async def find_by_thing(conn: AsyncConnection, kind: Kind, ref_id: int) -> Item | None:
    """Return the item of a call, thread or lead, for Hub's own machinery."""
    query = (
        sa.select(*COLUMNS, users.c.name.label("owner_name"))
        .outerjoin(users, users.c.id == queue_items.c.owner_id)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id)
    )
    row = (await conn.execute(query)).mappings().first()
    return read_item(row, row["owner_name"]) if row else None


async def of_things(conn: AsyncConnection, kind: Kind, ref_ids: Collection[int]) -> dict[int, Item]:
    """Return the items of many calls, threads or leads by `ref_id`, the owners' names left out."""
    if not ref_ids:
        return {}
    query = sa.select(*COLUMNS).where(queue_items.c.kind == kind, queue_items.c.ref_id.in_(ref_ids))
    return {row["ref_id"]: read_item(row, None) for row in (await conn.execute(query)).mappings()}


async def listed(
    conn: AsyncConnection, actor: Actor, *, state: State, mine: bool = False, after: int | None = None, limit: int = 50
) -> list[Item]:
    """Return items in the order they are to be taken: calls before all else, then the longest waiting.

    `mine` gives what the actor holds, whatever the team. `after` is the id of the last item of the page before.
    """
    rank = sa.case((queue_items.c.kind == "call", 0), else_=1)
    query = (
        sa.select(*shown_columns(actor), users.c.name.label("owner_name"))
        .outerjoin(users, users.c.id == queue_items.c.owner_id)
        .where(queue_items.c.state == state)
        .order_by(rank, queue_items.c.queued_at, queue_items.c.id)
        .limit(limit)
    )
    query = query.where(queue_items.c.owner_id == actor.user_id if mine else access.queue_visible(actor))
    if after is not None:
        position = sa.select(rank, queue_items.c.queued_at, queue_items.c.id).where(queue_items.c.id == after)
        if (last := (await conn.execute(position)).first()) is not None:
            at = sa.literal(last[1], queue_items.c.queued_at.type)
            query = query.where(
                sa.tuple_(rank, queue_items.c.queued_at, queue_items.c.id) > sa.tuple_(last[0], at, last[2])
            )
    return [read_item(row, row["owner_name"]) for row in (await conn.execute(query)).mappings()]


async def of_client(conn: AsyncConnection, actor: Actor, client_id: int, *, limit: int = 5) -> list[Item]:
    """Return what waits for an answer to a client, or is in somebody's hands, of the teams of the actor."""
    query = (
        sa.select(*shown_columns(actor), users.c.name.label("owner_name"))
        .outerjoin(users, users.c.id == queue_items.c.owner_id)
        .where(queue_items.c.client_id == client_id, queue_items.c.state != "done", access.queue_visible(actor))
        .order_by(queue_items.c.queued_at, queue_items.c.id)
        .limit(limit)
    )
    return [read_item(row, row["owner_name"]) for row in (await conn.execute(query)).mappings()]


async def count_waiting(conn: AsyncConnection, actor: Actor, *, at_most: int = 1000) -> int:
    """Count what waits in the actor's teams, never further than `at_most`."""
    some = sa.select(queue_items.c.id).where(
        queue_items.c.state == "waiting", access.of_my_teams(actor, queue_items.c.team_id)
    )
    return (await conn.execute(sa.select(sa.func.count()).select_from(some.limit(at_most).subquery()))).scalar_one()
