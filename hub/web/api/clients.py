"""Clients, contacts, their timeline, and "whose is this?" over the API. Cards are open to every manager."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, contacts, timeline
from hub.crm.addresses import AddressKind
from hub.crm.clients import Address
from hub.errors import Refused
from hub.mail.filters import shown_by_twin
from hub.web import client_links
from hub.web.api.endpoint import Endpoint, Id, Page, Query
from hub.web.api.shapes import Cursor, Moment, Ref, Shape, at, one_of, ref
from hub.web.request_context import RequestContext, read_cursor, read_time_cursor, write_cursor

Texts = Annotated[list[Annotated[str, msgspec.Meta(max_length=254)]], msgspec.Meta(max_length=50)]


class AddressShape(Shape, frozen=True, kw_only=True):
    """A phone, e-mail or domain: normal form, as it was written, and the digits behind "ext."."""

    kind: Annotated[str, one_of("phone", "email", "domain")]
    value: str
    raw: str
    extension: str | None


class ContactShape(Shape, frozen=True, kw_only=True):
    id: int
    name: str
    position: str
    client: Ref | None
    addresses: list[AddressShape]


class ClientShape(Shape, frozen=True, kw_only=True):
    id: int
    kind: Annotated[str, one_of("organisation", "person")]
    name: str
    note: str
    created_at: Moment
    addresses: list[AddressShape]
    contacts: list[ContactShape]


class ClientRow(Shape, frozen=True, kw_only=True):
    """A client in a list; `phone` and `email` are one of each."""

    id: int
    kind: Annotated[str, one_of("organisation", "person")]
    name: str
    phone: str | None
    email: str | None
    created_at: Moment


class ClientRows(Shape, frozen=True, kw_only=True):
    items: list[ClientRow]
    next: Cursor | None


class ContactRows(Shape, frozen=True, kw_only=True):
    items: list[ContactShape]
    next: Cursor | None


class EntryShape(Shape, frozen=True, kw_only=True):
    """One entry of a timeline; `ref` is the call's or message's id, `data` what a card shows of it."""

    id: int
    kind: Annotated[str, one_of("call", "message")]
    ref: int
    contact: int | None
    at: Moment
    data: dict[str, Any]


class Entries(Shape, frozen=True, kw_only=True):
    items: list[EntryShape]
    next: Cursor | None


class CandidateShape(Shape, frozen=True, kw_only=True):
    client: Ref | None
    contact: Ref | None
    reason: Annotated[str, one_of("contact", "client", "domain", "thread", "manual")]
    confidence: Annotated[str, one_of("exact", "likely")]


class Matched(Shape, frozen=True, kw_only=True):
    """Whose an address is. `own` says that it is the company's own; `best` is who it links to by itself."""

    address: str | None
    own: bool
    best: CandidateShape | None
    candidates: list[CandidateShape]
    items: list[CandidateShape]
    next: Cursor | None


class Search(Page, frozen=True, kw_only=True):
    q: Annotated[str, msgspec.Meta(max_length=300)] = ""


class ContactSearch(Search, frozen=True, kw_only=True):
    client: Id | None = None


class Match(Query, frozen=True, kw_only=True):
    phone: str | None = None
    email: str | None = None


class _Addresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    phones: Texts = msgspec.field(default_factory=list)
    emails: Texts = msgspec.field(default_factory=list)


class NewContact(_Addresses, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    position: str = ""


class NewContactOf(NewContact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client: Id


class NewClient(_Addresses, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    kind: Literal["organisation", "person"] = "organisation"
    domains: Texts = msgspec.field(default_factory=list)
    contacts: Annotated[list[NewContact], msgspec.Meta(max_length=50)] = msgspec.field(default_factory=list)


def address_shape(row: Address) -> AddressShape:
    return AddressShape(kind=row.kind, value=row.value, raw=row.raw, extension=row.extension or None)


def contact_shape(row: contacts.ContactRow) -> ContactShape:
    addresses = [address_shape(one) for one in row.addresses]
    client = ref(row.client_id, row.client_name)
    return ContactShape(id=row.id, name=row.name, position=row.position, client=client, addresses=addresses)


async def client_shape(conn: AsyncConnection, client_id: int) -> ClientShape:
    row = await clients.find(conn, client_id)
    people = [
        ContactShape(
            id=one.id,
            name=one.name,
            position=one.position,
            client=Ref(id=row.id, name=row.name),
            addresses=[address_shape(address) for address in one.addresses],
        )
        for one in row.contacts
    ]
    return ClientShape(
        id=row.id,
        kind=row.kind,
        name=row.name,
        note=row.note,
        created_at=at(row.created_at),
        addresses=[address_shape(one) for one in row.addresses],
        contacts=people,
    )


async def listed(conn: AsyncConnection, ctx: RequestContext, query: Search) -> ClientRows:
    after = read_cursor(query.cursor) if query.cursor else None
    region = ctx.services.linker.region
    rows = await clients.search(conn, query.q, region=region, after=after, limit=query.limit)
    items = [
        ClientRow(id=r.id, kind=r.kind, name=r.name, phone=r.phone, email=r.email, created_at=at(r.created_at))
        for r in rows
    ]
    last = rows[-1] if len(rows) == query.limit else None
    return ClientRows(items=items, next=write_cursor(clients.fold(last.name), last.id) if last else None)


async def found(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> ClientShape:
    return await client_shape(conn, ctx.id())


async def create(conn: AsyncConnection, ctx: RequestContext, body: NewClient) -> ClientShape:
    client_id = await clients.create(conn, ctx.actor, kind=body.kind, name=body.name, now=ctx.now)
    await _add_addresses(conn, ctx, client_id, None, body)
    for domain in body.domains:
        await _add(conn, ctx, client_id, None, "domain", domain)
    for contact in body.contacts:
        await _add_contact(conn, ctx, client_id, contact)
    return await client_shape(conn, client_id)


async def contacts_listed(conn: AsyncConnection, ctx: RequestContext, query: ContactSearch) -> ContactRows:
    before = read_cursor(query.cursor)[1] if query.cursor else None
    rows = await contacts.listed(
        conn,
        query.q,
        region=ctx.services.linker.region,
        client_id=query.client,
        before=before,
        limit=query.limit,
    )
    last = rows[-1] if len(rows) == query.limit else None
    return ContactRows(items=[contact_shape(r) for r in rows], next=write_cursor("", last.id) if last else None)


async def contact_found(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> ContactShape:
    return contact_shape(await contacts.find(conn, ctx.id()))


async def contact_create(conn: AsyncConnection, ctx: RequestContext, body: NewContactOf) -> ContactShape:
    await clients.find(conn, body.client)
    return contact_shape(await contacts.find(conn, await _add_contact(conn, ctx, body.client, body)))


async def entries(conn: AsyncConnection, ctx: RequestContext, query: Page) -> Entries:
    client_id = ctx.id()
    await clients.find(conn, client_id)
    rows = await timeline.page(
        conn, client_id, before=read_time_cursor(query.cursor), limit=query.limit, but=shown_by_twin()
    )
    last = rows[-1] if len(rows) == query.limit else None
    items = [
        EntryShape(id=r.id, kind=r.kind, ref=r.ref_id, contact=r.contact_id, at=at(r.at), data=r.data) for r in rows
    ]
    return Entries(items=items, next=write_cursor(last.at, last.id) if last else None)


async def match(conn: AsyncConnection, ctx: RequestContext, query: Match) -> Matched:
    linker = ctx.services.linker
    if (query.phone is None) == (query.email is None):
        raise Refused("address_missing", "give either phone or email")
    linked = (
        await linker.by_phone(conn, query.phone)
        if query.phone is not None
        else await linker.by_email(conn, query.email or "")
    )

    def shape(one: Any) -> CandidateShape:
        client, contact = ref(one.client_id, one.client_name), ref(one.contact_id, one.contact_name)
        return CandidateShape(client=client, contact=contact, reason=one.reason, confidence=one.confidence)

    every = [shape(one) for one in linked.candidates]
    best = shape(linked.best) if linked.best else None
    return Matched(address=linked.address, own=linked.is_own, best=best, candidates=every, items=every, next=None)


async def _add_contact(conn: AsyncConnection, ctx: RequestContext, client_id: int, contact: NewContact) -> int:
    contact_id = await clients.add_contact(
        conn, ctx.actor, client_id, name=contact.name, position=contact.position, now=ctx.now
    )
    await _add_addresses(conn, ctx, client_id, contact_id, contact)
    return contact_id


async def _add_addresses(
    conn: AsyncConnection, ctx: RequestContext, client_id: int, contact_id: int | None, given: _Addresses
) -> None:
    for phone in given.phones:
        await _add(conn, ctx, client_id, contact_id, "phone", phone)
    for email in given.emails:
        await _add(conn, ctx, client_id, contact_id, "email", email)


async def _add(
    conn: AsyncConnection, ctx: RequestContext, client_id: int, contact_id: int | None, kind: AddressKind, raw: str
) -> None:
    region = ctx.services.linker.region
    await client_links.add_address(
        conn, ctx.actor, client_id, kind=kind, raw=raw, region=region, contact_id=contact_id, now=ctx.now
    )


ENDPOINTS = (
    Endpoint(method="GET", path="/clients", summary="Clients by name", reads=listed, query=Search, answer=ClientRows),
    Endpoint(
        method="POST",
        path="/clients",
        summary="Make a client",
        writes=create,
        body=NewClient,
        answer=ClientShape,
        status=201,
    ),
    Endpoint(method="GET", path="/clients/{id}", summary="One client", reads=found, answer=ClientShape),
    Endpoint(
        method="GET",
        path="/clients/{id}/timeline",
        summary="What was said and written, newest first",
        reads=entries,
        query=Page,
        answer=Entries,
    ),
    Endpoint(
        method="GET",
        path="/contacts",
        summary="Contacts, newest first",
        reads=contacts_listed,
        query=ContactSearch,
        answer=ContactRows,
    ),
    Endpoint(
        method="POST",
        path="/contacts",
        summary="Add a contact to a client",
        writes=contact_create,
        body=NewContactOf,
        answer=ContactShape,
        status=201,
    ),
    Endpoint(method="GET", path="/contacts/{id}", summary="One contact", reads=contact_found, answer=ContactShape),
    Endpoint(method="GET", path="/match", summary="Whose is this?", reads=match, query=Match, answer=Matched),
)
