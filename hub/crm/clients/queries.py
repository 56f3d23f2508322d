"""Queries of clients for their card and their list. Linking is decided in `linking`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.addresses import AddressKind
from hub.crm.base import registry
from hub.crm.base.permissions import permitted
from hub.crm.clients.search import matches
from hub.crm.clients.table import CLIENTS, ClientKind
from hub.crm.models import addresses, clients, contacts
from hub.errors import NotFound


@dataclass(frozen=True, slots=True)
class Address:
    id: int
    kind: AddressKind
    value: str
    raw: str
    extension: str
    contact_id: int | None


@dataclass(frozen=True, slots=True)
class Contact:
    id: int
    name: str
    position: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """A client as its card shows it: own addresses, and contacts with theirs."""

    id: int
    kind: ClientKind
    name: str
    note: str
    owner_id: int | None
    created_at: datetime
    addresses: tuple[Address, ...]
    contacts: tuple[Contact, ...]

    def every_address(self, kind: AddressKind) -> tuple[Address, ...]:
        own = [*self.addresses, *(a for c in self.contacts for a in c.addresses)]
        return tuple(a for a in own if a.kind == kind)


@dataclass(frozen=True, slots=True)
class Found:
    """A row of the list of clients. `phone` and `email` are one of each, for recognition."""

    id: int
    kind: ClientKind
    name: str
    phone: str | None
    email: str | None
    created_at: datetime


async def find(conn: AsyncConnection, actor: Actor | None, client_id: int, *, with_archived: bool = False) -> Client:
    """Return a client with all that its card's head shows. Raises NotFound, for a hidden one too."""
    query = sa.select(clients).where(clients.c.id == client_id, permitted(actor, CLIENTS, "see"))
    if not with_archived:
        query = query.where(clients.c.archived_at.is_(None))
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound("client_missing", "no such client")
    people = sa.select(contacts).where(contacts.c.client_id == client_id, contacts.c.archived_at.is_(None))
    people = people.where(permitted(actor, registry.kind("contact"), "see"))
    persons = (await conn.execute(people.order_by(contacts.c.id))).all()
    of_persons = addresses.c.contact_id.in_([p.id for p in persons])
    where = sa.or_(addresses.c.client_id == client_id, of_persons)
    found = (await conn.execute(sa.select(addresses).where(where).order_by(addresses.c.id))).all()
    every = [Address(a.id, a.kind, a.value, a.raw, a.extension, a.contact_id) for a in found]
    return Client(
        row.id,
        row.kind,
        row.name,
        row.note,
        row.owner_id,
        row.created_at,
        tuple(a for a in every if a.contact_id is None),
        tuple(Contact(p.id, p.name, p.position, tuple(a for a in every if a.contact_id == p.id)) for p in persons),
    )


async def search(
    conn: AsyncConnection,
    actor: Actor | None,
    text: str,
    *,
    region: str,
    after: tuple[str, int] | None = None,
    limit: int = 50,
) -> list[Found]:
    """Return clients that the actor may see, in the order of names, found by a text.

    The text is the beginning of a word of the name, a phone or an e-mail; an empty one gives all.
    `after` is (folded name, id) of the last row of the page before.
    """
    phone, email = _one_address(actor, "phone"), _one_address(actor, "email")
    query = sa.select(clients, phone.label("phone"), email.label("email")).where(clients.c.archived_at.is_(None))
    query = query.where(permitted(actor, CLIENTS, "see"))
    if text.strip():
        query = query.where(matches(text, region))
    if after is not None:
        query = query.where(sa.tuple_(clients.c.name_folded, clients.c.id) > sa.tuple_(*after))
    query = query.order_by(clients.c.name_folded, clients.c.id).limit(limit)
    return [Found(r.id, r.kind, r.name, r.phone, r.email, r.created_at) for r in await conn.execute(query)]


def _one_address(actor: Actor | None, kind: AddressKind) -> sa.ScalarSelect[str]:
    persons = sa.select(contacts.c.id).where(
        contacts.c.client_id == clients.c.id, permitted(actor, registry.kind("contact"), "see")
    )
    persons = persons.correlate(clients)
    whose = sa.or_(addresses.c.client_id == clients.c.id, addresses.c.contact_id.in_(persons))
    first = sa.select(addresses.c.value).where(addresses.c.kind == kind, whose).order_by(addresses.c.id).limit(1)
    return first.correlate(clients).scalar_subquery()
