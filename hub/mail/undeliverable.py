"""Addresses whose mail came back: what a card and the composer warn of.

Decides nothing of who may see a client; it says of addresses that somebody holds already. Invariant: an address is
listed only after a message that Hub sent to it came back for good, and no longer once mail from it has arrived.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.addresses import parse_email
from hub.mail.models import undeliverable
from hub.store.upsert import insert


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """An address that mail came back from: how often, since when, and the last reason."""

    address: str
    status: str
    reason: str
    message_id: int | None
    times: int
    since: datetime
    last_at: datetime


async def undeliverable_of(conn: AsyncConnection, addresses: Collection[str]) -> dict[str, Undeliverable]:
    """Return those of `addresses` that mail came back from, by the address as it was asked for."""
    wanted = {raw: email for raw in addresses if (email := parse_email(raw))}
    if not wanted:
        return {}
    query = sa.select(undeliverable).where(undeliverable.c.address.in_(set(wanted.values())))
    rows = {row["address"]: row for row in (await conn.execute(query)).mappings()}
    return {
        raw: Undeliverable(**{name: rows[email][name] for name in Undeliverable.__slots__})
        for raw, email in wanted.items()
        if email in rows
    }


async def came_back(
    conn: AsyncConnection, address: str, *, status: str, reason: str, message_id: int, now: datetime
) -> None:
    """Note that a message to this address (in its normal form) came back for good."""
    values = {"status": status[:12], "reason": reason[:300], "message_id": message_id, "last_at": now}
    statement = insert(conn, undeliverable).values(address=address, times=1, since=now, **values)
    more = {"times": undeliverable.c.times + 1, **{name: statement.excluded[name] for name in values}}
    await conn.execute(statement.on_conflict_do_update(index_elements=["address"], set_=more))


async def is_alive(conn: AsyncConnection, addresses: Collection[str]) -> None:
    """Mail came from these addresses: whatever came back once, they work."""
    wanted = {email for raw in addresses if (email := parse_email(raw))}
    if wanted:
        await conn.execute(sa.delete(undeliverable).where(undeliverable.c.address.in_(sorted(wanted))))
