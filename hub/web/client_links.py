"""Giving a client an address, with all that follows: what was said and written earlier moves onto the card.

Stands here because only the web layer may touch calls and messages in one transaction. Invariant: an address that
is added has been relinked in the same transaction: the latest calls and messages at once, all other mail by a job.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, leads
from hub.crm.access import Actor
from hub.crm.addresses import AddressKind
from hub.mail import relink as mail_relink
from hub.telephony.reading import relink as calls_relink


async def add_address(
    conn: AsyncConnection,
    actor: Actor,
    client_id: int,
    *,
    kind: AddressKind,
    raw: str,
    region: str,
    contact_id: int | None = None,
    now: datetime,
) -> None:
    """Give a client or its contact an address and relink what is known of it. Raises Refused."""
    value = await clients.add_address(
        conn, actor, client_id, kind=kind, raw=raw, region=region, contact_id=contact_id, now=now
    )
    await relink(conn, client_id, contact_id, kind, value, now=now)


async def convert_lead(
    conn: AsyncConnection, actor: Actor, lead_id: int, *, kind: clients.ClientKind, name: str, now: datetime
) -> int:
    """Make a client of a lead and bring its calls and messages; return the client's id. Raises Conflict, NotFound."""
    lead = await leads.find(conn, lead_id, actor=actor)
    client_id = await leads.convert(conn, actor, lead_id, kind=kind, name=name, now=now)
    await relink(conn, client_id, None, lead.address_kind, lead.address, now=now)
    return client_id


async def relink(
    conn: AsyncConnection, client_id: int, contact_id: int | None, kind: AddressKind, value: str, *, now: datetime
) -> None:
    """Bring the calls and messages of an address that a client or its contact has got onto the client's card."""
    if kind == "phone":
        await calls_relink.relink(conn, client_id=client_id, contact_id=contact_id, number=value, now=now)
    elif kind == "email":
        await mail_relink.relink(conn, client_id=client_id, contact_id=contact_id, email=value, now=now)
    if kind != "phone":
        await mail_relink.want(conn, [value], now=now)
