"""Enqueue items of the team's queue, let them follow their things, and close them.

Decides nothing about who takes an item; that is `claims`. Invariant: a thing has one item.
"""

from __future__ import annotations

import functools
import secrets
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.models import clients, queue_items
from hub.crm.queue.items import COLUMNS, Item, Kind, freed, publish_item, read_item
from hub.store.changes import publish
from hub.store.upsert import insert_for


async def enqueue(
    conn: AsyncConnection,
    *,
    team_id: int,
    kind: Kind,
    ref_id: int,
    title: str,
    address: str,
    client_id: int | None,
    data: dict[str, Any],
    now: datetime,
) -> Item:
    """Enqueue an item for a team, or refresh the data of one already queued.

    An open item keeps its state, owner and position; a done one waits again at a new position. The returned item has
    no `owner_name`.
    """
    shown = {"team_id": team_id, "title": title[:300], "address": address[:254], "client_id": client_id, "data": data}
    thing = {"kind": kind, "ref_id": ref_id, "state": "waiting", "version": 1, "queued_at": now}
    row = (await conn.execute(_enqueuing(conn.dialect.name), thing | shown)).mappings().one()
    await publish_item(conn, row, now=now)
    return read_item(row, None)


@functools.cache
def _enqueuing(dialect: str) -> Any:
    was_done = queue_items.c.state == "done"
    statement = insert_for(dialect, queue_items)
    shown = ("team_id", "title", "address", "client_id", "data")
    return statement.on_conflict_do_update(
        index_elements=["kind", "ref_id"],
        set_={
            **{name: statement.excluded[name] for name in shown},
            "state": sa.case((was_done, "waiting"), else_=queue_items.c.state),
            "queued_at": sa.case((was_done, statement.excluded.queued_at), else_=queue_items.c.queued_at),
            "owner_id": sa.case((was_done, None), else_=queue_items.c.owner_id),
            "claim_id": sa.case((was_done, None), else_=queue_items.c.claim_id),
            "done_at": None,
            "version": queue_items.c.version + 1,
        },
    ).returning(*COLUMNS)


async def annotate(conn: AsyncConnection, kind: Kind, ref_id: int, said: dict[str, Any], *, now: datetime) -> None:
    """Add to what a row shows of a thing that is not done; nothing where it says so already."""
    which = sa.and_(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, queue_items.c.state != "done")
    item = (await conn.execute(sa.select(queue_items.c.data).where(which).with_for_update())).first()
    if item is None or said.items() <= item.data.items():
        return
    values = {"data": item.data | said, "version": queue_items.c.version + 1}
    row = (await conn.execute(sa.update(queue_items).where(which).values(**values).returning(*COLUMNS))).mappings()
    await publish_item(conn, row.one(), now=now)


async def set_client(conn: AsyncConnection, kind: Kind, ref_id: int, *, client_id: int | None, now: datetime) -> None:
    """Set the client of an open item, e.g. after late linking. No-op if unchanged.

    The item's title becomes the client's name.
    """
    name = sa.select(clients.c.name).where(clients.c.id == client_id).scalar_subquery()
    update = (
        sa.update(queue_items)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, queue_items.c.state != "done")
        .where(queue_items.c.client_id.is_distinct_from(client_id))
        .values(
            client_id=client_id,
            title=sa.func.coalesce(name, queue_items.c.title),
            version=queue_items.c.version + 1,
        )
        .returning(*COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await publish_item(conn, row, now=now)


async def close(conn: AsyncConnection, kind: Kind, ref_id: int, *, now: datetime) -> None:
    """Close the item of a thing that is over, whoever holds it; nothing where it is closed or was never offered."""
    update = (
        sa.update(queue_items)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, queue_items.c.state != "done")
        .values(**freed("done", now))
        .returning(*COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await publish_item(conn, row, now=now)


async def reopen(conn: AsyncConnection, kind: Kind, ref_id: int, *, version: int, owned: bool, now: datetime) -> None:
    """Open again what `close` closed at this version, to its owner where it was `owned`, else to the team.

    Whatever happened to it since stands.
    """
    closed = sa.and_(queue_items.c.state == "done", queue_items.c.version == version)
    back = {"state": "claimed", "version": queue_items.c.version + 1} if owned else freed("waiting", now)
    update = (
        sa.update(queue_items)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, closed)
        .values(**back, done_at=None)
        .returning(*COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await publish_item(conn, row, now=now)


async def move(conn: AsyncConnection, item_id: int, team_id: int, *, now: datetime) -> None:
    """Give an item that is not done to another team; its position, owner and claim stay. Both teams are told."""
    was = sa.select(queue_items.c.team_id).where(queue_items.c.id == item_id)
    old_team_id = (await conn.execute(was)).scalar_one()
    update = (
        sa.update(queue_items)
        .where(queue_items.c.id == item_id, queue_items.c.state != "done")
        .values(team_id=team_id, version=queue_items.c.version + 1)
        .returning(*COLUMNS)
    )
    if (row := (await conn.execute(update)).mappings().first()) and old_team_id != team_id:
        gone = {"state": "moved", "item_kind": row["kind"], "version": row["version"]}
        await publish(conn, "queue_item", item_id, at=now, team_id=old_team_id, data=gone)
        await publish_item(conn, row, now=now)


async def lock(conn: AsyncConnection, kind: Kind, ref_id: int) -> None:
    """Let nobody change the item of a thing until the transaction ends: items are locked before their things."""
    which = sa.and_(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id)
    await conn.execute(sa.select(queue_items.c.id).where(which).with_for_update())


async def follow(
    conn: AsyncConnection, kind: Kind, ref_id: int, *, team_id: int, owner_id: int | None, now: datetime
) -> None:
    """Give the open item of a thing to the team and the person who have the thing now; nobody: it waits again."""
    which = sa.and_(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, queue_items.c.state != "done")
    item = (await conn.execute(sa.select(queue_items.c.id, queue_items.c.owner_id).where(which))).first()
    if item is None:
        return
    await move(conn, item.id, team_id, now=now)
    if item.owner_id == owner_id:
        return
    held = {"state": "claimed", "owner_id": owner_id, "claim_id": secrets.token_hex(8), "claimed_at": now}
    values = freed("waiting", now) if owner_id is None else held | {"version": queue_items.c.version + 1}
    update = sa.update(queue_items).where(which).values(**values).returning(*COLUMNS)
    if row := (await conn.execute(update)).mappings().first():
        await publish_item(conn, row, now=now)
