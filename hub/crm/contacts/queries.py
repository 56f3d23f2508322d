"""People at clients as a list of their own: finding and showing them. Making one is `clients.add_contact`.

Invariant: a contact that the actor may not see, an archived one, or one of an archived client, is neither listed nor
found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.addresses import parse_email, parse_phone
from hub.crm.base import registry
from hub.crm.base.permissions import permitted
from hub.crm.clients.queries import Address
from hub.crm.models import addresses, clients, contacts
from hub.errors import NotFound


@dataclass(frozen=True, slots=True)
class ContactRow:
    id: int
    name: str
    position: str
    client_id: int | None
    client_name: str | None
    created_at: datetime
    addresses: tuple[Address, ...]


def _query(actor: Actor | None) -> sa.Select[Any]:
    return (
        sa.select(contacts, access.shown_name(actor, "client").label("client_name"))
        .outerjoin(clients, clients.c.id == contacts.c.client_id)
        .where(contacts.c.archived_at.is_(None), clients.c.archived_at.is_(None))
        .where(permitted(actor, registry.kind("contact"), "see"))
    )


async def listed(
    conn: AsyncConnection,
    actor: Actor | None,
    text: str,
    *,
    region: str,
    client_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[ContactRow]:
    """Return contacts that the actor may see, the newest first, by the beginning of the name, by phone or by e-mail.

    An empty text gives all. `before` is the id of the last row of the page before.
    """
    query = _query(actor).order_by(contacts.c.id.desc()).limit(limit)
    if client_id is not None:
        query = query.where(contacts.c.client_id == client_id)
    if text.strip():
        query = query.where(matches(text.strip(), region))
    if before is not None:
        query = query.where(contacts.c.id < before)
    return await _rows(conn, query)


async def find(conn: AsyncConnection, actor: Actor | None, contact_id: int) -> ContactRow:
    """Return a contact. Raises NotFound, for a hidden one too."""
    found = await _rows(conn, _query(actor).where(contacts.c.id == contact_id))
    if not found:
        raise NotFound("contact_missing", "no such contact")
    return found[0]


def matches(text: str, region: str) -> sa.ColumnElement[bool]:
    """Return the condition under which a contact is found by a text."""
    phone = parse_phone(text, region)
    values = [value for value in (parse_email(text), phone.value if phone else None) if value]
    if values:
        return contacts.c.id.in_(sa.select(addresses.c.contact_id).where(addresses.c.value.in_(values)))
    # SQLite folds only Latin letters, so a Cyrillic name is looked for as written and with a capital as well.
    ways = {text, text.lower(), text.capitalize(), text.title()}
    return sa.or_(*(contacts.c.name.startswith(way, autoescape=True) for way in sorted(ways)))


async def _rows(conn: AsyncConnection, query: sa.Select[Any]) -> list[ContactRow]:
    rows = (await conn.execute(query)).all()
    of_these = addresses.c.contact_id.in_([row.id for row in rows])
    found = (await conn.execute(sa.select(addresses).where(of_these).order_by(addresses.c.id))).all()
    every = [Address(a.id, a.kind, a.value, a.raw, a.extension, a.contact_id) for a in found]
    return [
        ContactRow(
            row.id,
            row.name,
            row.position,
            row.client_id,
            row.client_name,
            row.created_at,
            tuple(a for a in every if a.contact_id == row.id),
        )
        for row in rows
    ]
