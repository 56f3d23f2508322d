"""Leads: a caller or sender nobody knows yet, or somebody to be called back. Once per address and team while open.

A second call or mail of the same address joins the open lead. Invariant: the database holds at most one open lead
for a team and an address; turning a lead into a client happens in one transaction with its address.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access, clients, queue
from hub.crm.access import Actor
from hub.crm.addresses import AddressKind
from hub.crm.audit import record
from hub.crm.leads.queries import find
from hub.crm.leads.table import Lead
from hub.crm.models import leads
from hub.errors import Conflict
from hub.store.changes import publish
from hub.store.upsert import insert_for

LeadReason = Literal["new", "callback"]
_OPEN = sa.text("state = 'open'")
_CALLBACK = (leads.c.address_kind == "phone", leads.c.state == "open", leads.c.reason == "callback")


async def join_or_open(
    conn: AsyncConnection,
    *,
    team_id: int,
    reason: LeadReason,
    name: str,
    address_kind: AddressKind,
    address: str,
    client_id: int | None = None,
    contact_id: int | None = None,
    is_counted: bool = False,
    now: datetime,
) -> int:
    """Return the id of the open lead of this address, opening it where there is none.

    A call-back wish stays on the lead until it is closed, whatever else joins. `is_counted`: this very call or mail
    has joined before, as when a caller who stood in the queue gives up.
    """
    fresh = {
        "team_id": team_id,
        "state": "open",
        "reason": reason,
        "name": (name or address)[:300],
        "address_kind": address_kind,
        "address": address,
        "client_id": client_id,
        "contact_id": contact_id,
        "times": 1,
        "created_at": now,
        "last_at": now,
    }
    counted = {"more": 0 if is_counted else 1}
    lead_id, times = (await conn.execute(_joining(conn.dialect.name), fresh | counted)).one()
    await publish(conn, "lead", lead_id, at=now, team_id=team_id, data={"times": times})
    return int(lead_id)


@functools.cache
def _joining(dialect: str) -> Any:
    statement = insert_for(dialect, leads)
    return statement.on_conflict_do_update(
        index_elements=["team_id", "address_kind", "address"],
        index_where=_OPEN,
        set_={
            "times": leads.c.times + sa.bindparam("more", type_=sa.Integer()),
            # A call that is told of late may be older than what is known.
            "last_at": sa.case(
                (leads.c.last_at > statement.excluded.last_at, leads.c.last_at), else_=statement.excluded.last_at
            ),
            "reason": sa.case((leads.c.reason == "callback", "callback"), else_=statement.excluded.reason),
            "client_id": sa.func.coalesce(leads.c.client_id, statement.excluded.client_id),
        },
    ).returning(leads.c.id, leads.c.times)


async def enqueue(
    conn: AsyncConnection, lead_id: int, *, title: str, data: dict[str, Any], now: datetime
) -> queue.Item:
    """Enqueue a lead for its team."""
    row = (await conn.execute(sa.select(leads).where(leads.c.id == lead_id))).one()
    return await queue.enqueue(
        conn,
        team_id=row.team_id,
        kind="lead",
        ref_id=lead_id,
        title=title or row.name,
        address=row.address,
        client_id=row.client_id,
        data={"reason": row.reason, "times": row.times, **data},
        now=now,
    )


async def convert(
    conn: AsyncConnection, actor: Actor, lead_id: int, *, kind: clients.ClientKind, name: str, now: datetime
) -> int:
    """Make a client of an open lead and give it the lead's address; return the client's id.

    Raises Conflict where the lead is not open. Earlier calls and mails are linked by the caller, in this transaction.
    """
    lead = await find(conn, lead_id, actor=actor)
    client_id = await clients.create(conn, actor, kind=kind, name=name, now=now)
    await clients.add_address(conn, actor, client_id, kind=lead.address_kind, raw=lead.address, now=now)
    await _end(conn, actor, lead, "converted", client_id=client_id, now=now)
    return client_id


async def close(conn: AsyncConnection, actor: Actor, lead_id: int, *, now: datetime) -> None:
    """Close an open lead that comes to nothing. Raises Conflict where it is not open."""
    await _end(conn, actor, await find(conn, lead_id, actor=actor), "closed", client_id=None, now=now)


async def _end(
    conn: AsyncConnection, actor: Actor, lead: Lead, state: str, *, client_id: int | None, now: datetime
) -> None:
    access.require_edit(actor, "lead")
    update = sa.update(leads).where(leads.c.id == lead.id, leads.c.state == "open")
    done = await conn.execute(
        update.values(state=state, closed_at=now, client_id=sa.func.coalesce(client_id, leads.c.client_id))
    )
    if done.rowcount != 1:
        raise Conflict("lead_not_open", "this lead is no longer open", state=lead.state)
    await queue.close(conn, "lead", lead.id, now=now)
    await record(conn, f"lead.{state}", at=now, user_id=actor.user_id, object_kind="lead", object_id=lead.id)
    await publish(conn, "lead", lead.id, at=now, team_id=lead.team_id, data={"state": state})


async def callback_addresses(conn: AsyncConnection, addresses: Collection[str]) -> set[str]:
    """Return those of these numbers (E.164) that somebody is to call back."""
    if not addresses:
        return set()
    query = sa.select(leads.c.address).where(leads.c.address.in_(addresses), *_CALLBACK)
    return set((await conn.execute(query)).scalars())


async def close_callback(conn: AsyncConnection, *, address: str, spoken_by: int | None = None, now: datetime) -> None:
    """Close the call-backs of a number that has just been spoken with, those of every team, whoever works on them.

    A client's is over with that. A stranger's stays open as a new lead, in the work of whom it belongs to, else of
    the manager who spoke (`spoken_by`).
    """
    wanted = sa.select(leads).where(leads.c.address == address, *_CALLBACK).order_by(leads.c.id)
    for lead in (await conn.execute(wanted)).all():
        over = {"state": "closed", "closed_at": now} if lead.client_id is not None else {"reason": "new"}
        await conn.execute(sa.update(leads).where(leads.c.id == lead.id).values(**over))
        await queue.close(conn, "lead", lead.id, now=now)
        await publish(conn, "lead", lead.id, at=now, team_id=lead.team_id)
        owner_id = lead.owner_id or spoken_by
        if lead.client_id is None and owner_id is not None:
            await enqueue(conn, lead.id, title=lead.name, data={}, now=now)
            await queue.assign(conn, "lead", lead.id, owner_id, now=now)
