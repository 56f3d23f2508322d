"""Clients, their contacts and addresses: making, finding and showing them.

Names are folded once when written (`name_folded`), so that a search never computes on the column. Decides no
linking (that is `linking`). Invariant: an address is kept raw and in its normal form, and only where it has one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.access import Actor
from hub.crm.addresses import AddressKind, parse_domain, parse_email, parse_phone
from hub.crm.audit import record
from hub.crm.models import addresses, clients, contacts
from hub.errors import NotFound, Refused
from hub.store.changes import publish

ClientKind = Literal["organisation", "person"]

_BETWEEN_WORDS = re.compile(r"[\W_]+")


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


def fold(name: str) -> str:
    """The form in which names are searched: case, ё/е and what stands between words («, -, .) do not count."""
    return " ".join(_BETWEEN_WORDS.sub(" ", name.casefold().replace("ё", "е")).split())[:300]


async def create(conn: AsyncConnection, actor: Actor | None, *, kind: ClientKind, name: str, now: datetime) -> int:
    """Make a client; return its id. Raises Refused for an empty name."""
    clean = sanitize.shown(name, max_chars=300)
    if not clean:
        raise Refused("name_missing", "a client needs a name", field="name")
    values = {"kind": kind, "name": clean, "name_folded": fold(clean), "created_at": now}
    client_id: int = (await conn.execute(clients.insert().values(**values).returning(clients.c.id))).scalar_one()
    user_id = actor.user_id if actor else None
    await record(conn, "client.created", at=now, user_id=user_id, object_kind="client", object_id=client_id)
    await publish(conn, "client", client_id, at=now, client_id=client_id)
    return client_id


async def add_contact(
    conn: AsyncConnection, actor: Actor | None, client_id: int, *, name: str, position: str = "", now: datetime
) -> int:
    """Add a person to a client; return the contact's id. Raises Refused for an empty name."""
    clean = sanitize.shown(name, max_chars=300)
    if not clean:
        raise Refused("name_missing", "a contact needs a name", field="name")
    values = {"client_id": client_id, "name": clean, "position": sanitize.shown(position), "created_at": now}
    contact_id: int = (await conn.execute(contacts.insert().values(**values).returning(contacts.c.id))).scalar_one()
    user_id = actor.user_id if actor else None
    await record(conn, "contact.created", at=now, user_id=user_id, object_kind="contact", object_id=contact_id)
    await publish(conn, "client", client_id, at=now, client_id=client_id)
    return contact_id


async def add_address(
    conn: AsyncConnection,
    actor: Actor | None,
    client_id: int,
    *,
    kind: AddressKind,
    raw: str,
    region: str = "RU",
    contact_id: int | None = None,
    now: datetime,
) -> str:
    """Give a client (or one of its contacts) an address; return its normal form. Raises Refused where it is none."""
    value, extension = _normal(kind, raw, region)
    owner = {"client_id": None, "contact_id": contact_id} if contact_id else {"client_id": client_id}
    row = {"kind": kind, "value": value, "raw": sanitize.shown(raw, max_chars=254), "extension": extension}
    await conn.execute(addresses.insert().values(**row, **owner, created_at=now))
    user_id = actor.user_id if actor else None
    await record(
        conn,
        "address.added",
        at=now,
        user_id=user_id,
        object_kind="client",
        object_id=client_id,
        details={"kind": kind, "value": value},
    )
    await publish(conn, "client", client_id, at=now, client_id=client_id)
    return value


def _normal(kind: AddressKind, raw: str, region: str) -> tuple[str, str]:
    if kind == "phone":
        if phone := parse_phone(raw, region):
            return phone.value, phone.extension
    elif value := parse_email(raw) if kind == "email" else parse_domain(raw):
        return value, ""
    raise Refused(f"bad_{kind}", f"{sanitize.shown(raw)!r} is not a valid {kind}", field=kind)


async def find(conn: AsyncConnection, client_id: int) -> Client:
    """Return a client with all that its card's head shows. Raises NotFound."""
    query = sa.select(clients).where(clients.c.id == client_id, clients.c.archived_at.is_(None))
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound("client_missing", "no such client")
    people = sa.select(contacts).where(contacts.c.client_id == client_id, contacts.c.archived_at.is_(None))
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
    conn: AsyncConnection, text: str, *, region: str, after: tuple[str, int] | None = None, limit: int = 50
) -> list[Found]:
    """Return clients by the beginning of a word of the name, by phone or by e-mail, in the order of names.

    An empty text gives all. `after` is (folded name, id) of the last row of the page before.
    """
    phone, email = _one_address("phone"), _one_address("email")
    query = sa.select(clients, phone.label("phone"), email.label("email")).where(clients.c.archived_at.is_(None))
    if text.strip():
        query = query.where(_matches(text, region))
    if after is not None:
        query = query.where(sa.tuple_(clients.c.name_folded, clients.c.id) > sa.tuple_(*after))
    query = query.order_by(clients.c.name_folded, clients.c.id).limit(limit)
    return [Found(r.id, r.kind, r.name, r.phone, r.email, r.created_at) for r in await conn.execute(query)]


def _one_address(kind: AddressKind) -> sa.ScalarSelect[str]:
    persons = sa.select(contacts.c.id).where(contacts.c.client_id == clients.c.id).correlate(clients)
    whose = sa.or_(addresses.c.client_id == clients.c.id, addresses.c.contact_id.in_(persons))
    first = sa.select(addresses.c.value).where(addresses.c.kind == kind, whose).order_by(addresses.c.id).limit(1)
    return first.correlate(clients).scalar_subquery()


def _matches(text: str, region: str) -> sa.ColumnElement[bool]:
    folded = fold(text)
    pattern = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    by_name = sa.or_(
        clients.c.name_folded.like(f"{pattern}%", escape="\\"), clients.c.name_folded.like(f"% {pattern}%", escape="\\")
    )
    values = [value for value in (parse_email(text), _phone_value(text, region)) if value]
    if not values:
        return by_name
    owners = sa.select(sa.func.coalesce(addresses.c.client_id, contacts.c.client_id)).outerjoin(
        contacts, contacts.c.id == addresses.c.contact_id
    )
    return sa.or_(by_name, clients.c.id.in_(owners.where(addresses.c.value.in_(values))))


def _phone_value(text: str, region: str) -> str | None:
    phone = parse_phone(text, region)
    return phone.value if phone else None
