"""The team's queue: what waits, who takes it, and what comes back.

An item goes `waiting → claimed → done`, or back to `waiting`. The database decides the race in one statement; no
row means that somebody else was first, and the loser is told who and when. Items keep their place (`queued_at`)
when they come back. Invariant: a claimed item has exactly one owner and one claim id; no call to a peer happens here.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NewType

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base import history
from hub.crm.base.history import Edit
from hub.crm.base.permissions import scope
from hub.crm.models import clients, leads, queue_items, users
from hub.errors import Conflict, Forbidden, NotFound, NotSignedIn
from hub.store.changes import publish
from hub.store.upsert import insert_for

ItemId = NewType("ItemId", int)
Kind = Literal["call", "message", "lead"]
State = Literal["waiting", "claimed", "done"]

CALL_LEASE = timedelta(seconds=45)
"""A taken call must be talked within this: ringing the manager's phone (20 s) and the PBX's own delays. Where the
dialplan says how long the phone rings, that counts, and `RING_MARGIN` for the delays."""
RING_MARGIN = timedelta(seconds=25)


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


_COLUMNS = [queue_items.c[name] for name in Item.__slots__ if name != "owner_name"]


def _shown(actor: Actor) -> list[sa.ColumnElement[Any]]:
    """The columns of an item as the actor may read them: of a client whose card is hidden, only the address."""
    if scope(actor, "client", "see") == "all":
        return list(_COLUMNS)
    table = queue_items.c
    is_open = access.of_visible_client(actor, table.client_id)
    shown = {
        "title": sa.case((sa.or_(table.client_id.is_(None), is_open), table.title), else_=table.address),
        "client_id": sa.case((is_open, table.client_id)),
    }
    return [shown[column.name].label(column.name) if column.name in shown else column for column in _COLUMNS]


def _item(row: Mapping[Any, Any], owner_name: str | None) -> Item:
    return Item(owner_name=owner_name, **{c.name: row[c.name] for c in _COLUMNS})


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
    await _tell(conn, row, now=now)
    return _item(row, None)


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
    ).returning(*_COLUMNS)


async def annotate(conn: AsyncConnection, kind: Kind, ref_id: int, said: dict[str, Any], *, now: datetime) -> None:
    """Add to what a row shows of a thing that is not done; nothing where it says so already."""
    which = sa.and_(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, queue_items.c.state != "done")
    item = (await conn.execute(sa.select(queue_items.c.data).where(which).with_for_update())).first()
    if item is None or said.items() <= item.data.items():
        return
    values = {"data": item.data | said, "version": queue_items.c.version + 1}
    row = (await conn.execute(sa.update(queue_items).where(which).values(**values).returning(*_COLUMNS))).mappings()
    await _tell(conn, row.one(), now=now)


async def find(conn: AsyncConnection, item_id: int, *, actor: Actor) -> Item:
    """Return an item the actor may see. Raises NotFound."""
    query = (
        sa.select(*_shown(actor), users.c.name.label("owner_name"))
        .outerjoin(users, users.c.id == queue_items.c.owner_id)
        .where(queue_items.c.id == item_id, access.queue_visible(actor))
    )
    row = (await conn.execute(query)).mappings().first()
    if row is None:
        raise NotFound("queue_item_missing", "no such queue item")
    return _item(row, row["owner_name"])


async def find_by_thing(conn: AsyncConnection, kind: Kind, ref_id: int) -> Item | None:
    """Return the item of a call, thread or lead, for Hub's own machinery."""
    query = (
        sa.select(*_COLUMNS, users.c.name.label("owner_name"))
        .outerjoin(users, users.c.id == queue_items.c.owner_id)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id)
    )
    row = (await conn.execute(query)).mappings().first()
    return _item(row, row["owner_name"]) if row else None


async def of_things(conn: AsyncConnection, kind: Kind, ref_ids: Collection[int]) -> dict[int, Item]:
    """Return the items of many calls, threads or leads by `ref_id`, the owners' names left out."""
    if not ref_ids:
        return {}
    query = sa.select(*_COLUMNS).where(queue_items.c.kind == kind, queue_items.c.ref_id.in_(ref_ids))
    return {row["ref_id"]: _item(row, None) for row in (await conn.execute(query)).mappings()}


async def listed(
    conn: AsyncConnection, actor: Actor, *, state: State, mine: bool = False, after: int | None = None, limit: int = 50
) -> list[Item]:
    """Return items in the order they are to be taken: calls before all else, then the longest waiting.

    `mine` gives what the actor holds, whatever the team. `after` is the id of the last item of the page before.
    """
    rank = sa.case((queue_items.c.kind == "call", 0), else_=1)
    query = (
        sa.select(*_shown(actor), users.c.name.label("owner_name"))
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
    return [_item(row, row["owner_name"]) for row in (await conn.execute(query)).mappings()]


async def count_waiting(conn: AsyncConnection, actor: Actor, *, at_most: int = 1000) -> int:
    """Count what waits in the actor's teams, never further than `at_most`."""
    some = sa.select(queue_items.c.id).where(
        queue_items.c.state == "waiting", access.of_my_teams(actor, queue_items.c.team_id)
    )
    return (await conn.execute(sa.select(sa.func.count()).select_from(some.limit(at_most).subquery()))).scalar_one()


async def claim(conn: AsyncConnection, actor: Actor, item_id: int, *, now: datetime) -> Item:
    """Take an item for the actor. Repeated by the winner it answers the same item again.

    Raises Conflict `already_claimed` with the owner's name and the moment, or `not_waiting` for what is done;
    Forbidden for a team the actor is not in; NotFound; NotSignedIn for an account that was disabled meanwhile.
    """
    access.require_work(actor)
    if not await _lock_enabled(conn, actor.user_id):
        raise NotSignedIn("not_signed_in", "this account is disabled")
    claim_id = secrets.token_hex(8)
    won = (
        sa.update(queue_items)
        .where(
            queue_items.c.id == item_id,
            queue_items.c.state == "waiting",
            queue_items.c.owner_id.is_(None),
            access.of_my_teams(actor, queue_items.c.team_id),
        )
        .values(
            state="claimed",
            owner_id=actor.user_id,
            claim_id=claim_id,
            claimed_at=now,
            lease_until=sa.case(
                (queue_items.c.kind == "call", sa.literal(now + CALL_LEASE, queue_items.c.lease_until.type))
            ),
            version=queue_items.c.version + 1,
        )
        .returning(*_COLUMNS)
    )
    row = (await conn.execute(won)).mappings().first()
    if row is None:
        return await _explain_loss(conn, actor, item_id)
    await _own_lead(conn, row, actor.user_id, by=actor, now=now)
    await record(conn, "queue_item.claimed", at=now, user_id=actor.user_id, object_kind="queue_item", object_id=item_id)
    await _tell(conn, row, now=now)
    return await _answer(conn, actor, row, actor.name)


async def _answer(conn: AsyncConnection, actor: Actor, row: Mapping[Any, Any], owner_name: str | None) -> Item:
    """Return an item that was just written, as the actor may read it."""
    if scope(actor, "client", "see") == "all":
        return _item(row, owner_name)
    try:
        return await find(conn, row["id"], actor=actor)
    except NotFound:  # given back to a team that the actor is not in any more
        return _item(dict(row) | {"title": row["address"], "client_id": None}, owner_name)


async def _lock_enabled(conn: AsyncConnection, user_id: int) -> bool:
    """Return whether an account is enabled, and keep it so until the transaction ends (`accounts.disable` waits)."""
    query = sa.select(users.c.id).where(users.c.id == user_id, users.c.disabled_at.is_(None))
    return (await conn.execute(query.with_for_update(read=True))).first() is not None


async def _explain_loss(conn: AsyncConnection, actor: Actor, item_id: int) -> Item:
    item = await find(conn, item_id, actor=actor)
    if item.state == "claimed" and item.owner_id == actor.user_id:
        return item
    if item.state == "claimed":
        raise Conflict(
            "already_claimed",
            f"{item.owner_name} has already taken this",
            owner={"id": item.owner_id, "name": item.owner_name},
            claimed_at=rfc3339(item.claimed_at),
        )
    if item.state == "done":
        raise Conflict("not_waiting", "this is no longer waiting", state=item.state)
    raise Forbidden("forbidden", "this is another team's queue")


async def release(conn: AsyncConnection, actor: Actor, item_id: int, *, now: datetime) -> Item:
    """Give an item back to the team, at the place it had. Raises Conflict unless the actor holds it."""
    return await _leave(conn, actor, item_id, to="waiting", now=now)


async def finish(conn: AsyncConnection, actor: Actor, item_id: int, *, now: datetime) -> Item:
    """Mark a held item as done. Raises Conflict unless the actor holds it."""
    return await _leave(conn, actor, item_id, to="done", now=now)


async def _leave(conn: AsyncConnection, actor: Actor, item_id: int, *, to: State, now: datetime) -> Item:
    held = queue_items.c.owner_id == actor.user_id
    update = (
        sa.update(queue_items)
        .where(queue_items.c.id == item_id, queue_items.c.state == "claimed", held)
        .values(**_freed(to, now))
        .returning(*_COLUMNS)
    )
    row = (await conn.execute(update)).mappings().first()
    if row is None:
        item = await find(conn, item_id, actor=actor)
        raise Conflict("not_yours", "you do not hold this", owner={"id": item.owner_id, "name": item.owner_name})
    if to == "waiting":
        await _own_lead(conn, row, None, by=actor, now=now)
    word = "queue_item.released" if to == "waiting" else "queue_item.done"
    await record(conn, word, at=now, user_id=actor.user_id, object_kind="queue_item", object_id=item_id)
    await _tell(conn, row, now=now)
    return await _answer(conn, actor, row, actor.name if to == "done" else None)


def _freed(to: State, now: datetime) -> dict[str, Any]:
    common = {"state": to, "lease_until": None, "version": queue_items.c.version + 1}
    if to == "waiting":
        return common | {"owner_id": None, "claim_id": None, "claimed_at": None}
    return common | {"done_at": now}


async def take_back(
    conn: AsyncConnection, claim_id: str, *, reason: str, now: datetime, only_expired: bool = False
) -> bool:
    """Bring the item of a claim that failed back to the team, at its place; False where the claim is over already.

    `only_expired`: nothing either where its lease has not run out, or has become a hold meanwhile.
    """
    failed = sa.and_(queue_items.c.claim_id == claim_id, queue_items.c.state == "claimed")
    update = (
        sa.update(queue_items)
        .where(failed, queue_items.c.lease_until < now if only_expired else sa.true())
        .values(**_freed("waiting", now))
        .returning(*_COLUMNS)
    )
    row = (await conn.execute(update)).mappings().first()
    if row is None:
        return False
    await record(
        conn,
        "queue_item.claim_failed",
        at=now,
        user_id=None,
        object_kind="queue_item",
        object_id=row["id"],
        details={"reason": reason},
    )
    await _tell(conn, row, now=now, extra={"claim_failed": reason})
    return True


async def expired(conn: AsyncConnection, *, now: datetime) -> list[str]:
    """Return the claims whose lease has run out: taken calls that were never talked."""
    query = sa.select(queue_items.c.claim_id).where(
        queue_items.c.state == "claimed", queue_items.c.lease_until < now, queue_items.c.claim_id.is_not(None)
    )
    return list((await conn.execute(query)).scalars())


async def is_held(conn: AsyncConnection, claim_id: str) -> bool:
    """Tell whether a claim still holds its item: it may have been released, or given back to the team."""
    query = sa.select(queue_items.c.id).where(queue_items.c.claim_id == claim_id, queue_items.c.state == "claimed")
    return (await conn.execute(query)).first() is not None


async def extend_lease(conn: AsyncConnection, claim_id: str, *, until: datetime) -> None:
    """Set when the lease of a claim runs out. No-op for a claim that is over, or a hold already."""
    is_lease = sa.and_(queue_items.c.state == "claimed", queue_items.c.lease_until.is_not(None))
    update = sa.update(queue_items).where(queue_items.c.claim_id == claim_id, is_lease)
    await conn.execute(update.values(lease_until=until))


async def hold(conn: AsyncConnection, claim_id: str, *, now: datetime) -> bool:
    """Turn a live call's lease into a plain hold: manager and caller are talking. False where the claim is over."""
    update = (
        sa.update(queue_items)
        .where(queue_items.c.claim_id == claim_id, queue_items.c.state == "claimed")
        .values(lease_until=None, version=queue_items.c.version + 1)
        .returning(*_COLUMNS)
    )
    row = (await conn.execute(update)).mappings().first()
    if row is not None:
        await _tell(conn, row, now=now)
    return row is not None


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
        .returning(*_COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await _tell(conn, row, now=now)


async def close(conn: AsyncConnection, kind: Kind, ref_id: int, *, now: datetime) -> None:
    """Close the item of a thing that is over, whoever holds it; nothing where it is closed or was never offered."""
    update = (
        sa.update(queue_items)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, queue_items.c.state != "done")
        .values(**_freed("done", now))
        .returning(*_COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await _tell(conn, row, now=now)


async def reopen(conn: AsyncConnection, kind: Kind, ref_id: int, *, version: int, owned: bool, now: datetime) -> None:
    """Open again what `close` closed at this version, to its owner where it was `owned`, else to the team.

    Whatever happened to it since stands.
    """
    closed = sa.and_(queue_items.c.state == "done", queue_items.c.version == version)
    back = {"state": "claimed", "version": queue_items.c.version + 1} if owned else _freed("waiting", now)
    update = (
        sa.update(queue_items)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, closed)
        .values(**back, done_at=None)
        .returning(*_COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await _tell(conn, row, now=now)


async def assign(conn: AsyncConnection, kind: Kind, ref_id: int, user_id: int, *, now: datetime) -> None:
    """Give a waiting item to a user, e.g. when they answered its caller. A disabled account gets nothing."""
    if not await _lock_enabled(conn, user_id):
        return
    update = (
        sa.update(queue_items)
        .where(queue_items.c.kind == kind, queue_items.c.ref_id == ref_id, queue_items.c.state == "waiting")
        .values(
            state="claimed",
            owner_id=user_id,
            claim_id=secrets.token_hex(8),
            claimed_at=now,
            version=queue_items.c.version + 1,
        )
        .returning(*_COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await _own_lead(conn, row, user_id, by=None, now=now)
        await _tell(conn, row, now=now)


async def hold_for(conn: AsyncConnection, claim_id: str, ref_id: int, user_id: int, *, now: datetime) -> None:
    """Give a call's open item to the person whose claim `claim_id` is being talked, whoever has claimed it since.

    A claim can be over before its talk begins: its lease ran out, or it was given back, while the phone still rang.
    """
    update = (
        sa.update(queue_items)
        .where(queue_items.c.kind == "call", queue_items.c.ref_id == ref_id, queue_items.c.state != "done")
        .values(
            state="claimed",
            owner_id=user_id,
            claim_id=claim_id,
            claimed_at=now,
            lease_until=None,
            version=queue_items.c.version + 1,
        )
        .returning(*_COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await _own_lead(conn, row, user_id, by=None, now=now)
        await _tell(conn, row, now=now)


async def move(conn: AsyncConnection, item_id: int, team_id: int, *, now: datetime) -> None:
    """Give an item that is not done to another team; its position, owner and claim stay. Both teams are told."""
    was = sa.select(queue_items.c.team_id).where(queue_items.c.id == item_id)
    old_team_id = (await conn.execute(was)).scalar_one()
    update = (
        sa.update(queue_items)
        .where(queue_items.c.id == item_id, queue_items.c.state != "done")
        .values(team_id=team_id, version=queue_items.c.version + 1)
        .returning(*_COLUMNS)
    )
    if (row := (await conn.execute(update)).mappings().first()) and old_team_id != team_id:
        gone = {"state": "moved", "item_kind": row["kind"], "version": row["version"]}
        await publish(conn, "queue_item", item_id, at=now, team_id=old_team_id, data=gone)
        await _tell(conn, row, now=now)


async def _own_lead(
    conn: AsyncConnection, row: sa.RowMapping, user_id: int | None, *, by: Actor | None, now: datetime
) -> None:
    """Whoever holds the item of a lead, or the call or mail that a lead came by, holds the lead."""
    lead_id = row["ref_id"] if row["kind"] == "lead" else row["data"].get("lead_id")
    if lead_id is None:
        return
    which = leads.c.id == lead_id
    before = (await conn.execute(sa.select(leads.c.owner_id, leads.c.version).where(which).with_for_update())).first()
    if before is None or before.owner_id == user_id:
        return
    version = before.version + 1
    await conn.execute(sa.update(leads).where(which).values(owner_id=user_id, version=version, changed_at=now))
    changes = {"manager": [before.owner_id, user_id]}
    await history.write(conn, "lead", lead_id, version=version, changes=changes, edit=Edit(by, "rule", now))


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
    values = _freed("waiting", now) if owner_id is None else held | {"version": queue_items.c.version + 1}
    update = sa.update(queue_items).where(which).values(**values).returning(*_COLUMNS)
    if row := (await conn.execute(update)).mappings().first():
        await _tell(conn, row, now=now)


async def _tell(
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
