"""Claims on items of the queue: taking, giving back, and what comes back by itself.

An item goes `waiting → claimed → done`, or back to `waiting`. The database decides the race in one statement; no row
means that somebody else was first, and the loser is told who and when. Invariant: a claimed item has exactly one owner
and one claim id; no call to a peer happens here.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base import history
from hub.crm.base.history import Edit
from hub.crm.base.permissions import scope
from hub.crm.models import leads, queue_items, users
from hub.crm.queue.items import COLUMNS, Item, Kind, State, find, freed, publish_item, read_item
from hub.errors import Conflict, Forbidden, NotFound, NotSignedIn

CALL_LEASE = timedelta(seconds=45)
"""A taken call must be talked within this: ringing the manager's phone (20 s) and the PBX's own delays. Where the
dialplan says how long the phone rings, that counts, and `RING_MARGIN` for the delays."""
RING_MARGIN = timedelta(seconds=25)


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
        .returning(*COLUMNS)
    )
    row = (await conn.execute(won)).mappings().first()
    if row is None:
        return await _explain_loss(conn, actor, item_id)
    await _own_lead(conn, row, actor.user_id, by=actor, now=now)
    await record(conn, "queue_item.claimed", at=now, user_id=actor.user_id, object_kind="queue_item", object_id=item_id)
    await publish_item(conn, row, now=now)
    return await _answer(conn, actor, row, actor.name)


async def _answer(conn: AsyncConnection, actor: Actor, row: Mapping[Any, Any], owner_name: str | None) -> Item:
    """Return an item that was just written, as the actor may read it."""
    if scope(actor, "client", "see") == "all":
        return read_item(row, owner_name)
    try:
        return await find(conn, row["id"], actor=actor)
    except NotFound:  # given back to a team that the actor is not in any more
        return read_item(dict(row) | {"title": row["address"], "client_id": None}, owner_name)


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
        .values(**freed(to, now))
        .returning(*COLUMNS)
    )
    row = (await conn.execute(update)).mappings().first()
    if row is None:
        item = await find(conn, item_id, actor=actor)
        raise Conflict("not_yours", "you do not hold this", owner={"id": item.owner_id, "name": item.owner_name})
    if to == "waiting":
        await _own_lead(conn, row, None, by=actor, now=now)
    word = "queue_item.released" if to == "waiting" else "queue_item.done"
    await record(conn, word, at=now, user_id=actor.user_id, object_kind="queue_item", object_id=item_id)
    await publish_item(conn, row, now=now)
    return await _answer(conn, actor, row, actor.name if to == "done" else None)


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
        .values(**freed("waiting", now))
        .returning(*COLUMNS)
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
    await publish_item(conn, row, now=now, extra={"claim_failed": reason})
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
        .returning(*COLUMNS)
    )
    row = (await conn.execute(update)).mappings().first()
    if row is not None:
        await publish_item(conn, row, now=now)
    return row is not None


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
        .returning(*COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await _own_lead(conn, row, user_id, by=None, now=now)
        await publish_item(conn, row, now=now)


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
        .returning(*COLUMNS)
    )
    if row := (await conn.execute(update)).mappings().first():
        await _own_lead(conn, row, user_id, by=None, now=now)
        await publish_item(conn, row, now=now)


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
