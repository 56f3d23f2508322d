"""The rules of clients: `WRITERS`, through which everything writes one, and shorter ways to make and extend one.

Invariants: whatever adds an address or takes one away has its past calls and messages asked anew whose they are, in
the transaction of the edit; an address is kept raw and in its normal form, and only where it has one.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import relinking
from hub.crm.access import Actor
from hub.crm.addresses import AddressKind
from hub.crm.audit import record
from hub.crm.base import records
from hub.crm.base.fields import Reading
from hub.crm.base.history import Edit, Way
from hub.crm.base.labels import FieldError, Invalid, Problem, _
from hub.crm.base.registry import Writers
from hub.crm.clients import group, names
from hub.crm.clients.addresses import AddressItem, AddressValue, addresses_of, gives_addresses
from hub.crm.clients.table import CLIENTS, ClientInput, ClientKind, ClientRecord
from hub.crm.contacts import rules as contacts
from hub.crm.contacts.table import CONTACTS, ContactInput
from hub.errors import Refused
from hub.store.changes import publish


async def create_record(conn: AsyncConnection, given: ClientInput, *, edit: Edit) -> ClientRecord:
    _check_birth(given, edit)
    if not given.name and (name := names.composed(*(getattr(given, part) or None for part in names.PARTS))):
        given = msgspec.structs.replace(given, name=name)
    made = await records.create(conn, CLIENTS, given, edit=edit)
    await relinking.of_edit(conn, {}, addresses_of(made), edit=edit)
    return made


async def update_record(
    conn: AsyncConnection, record_id: int, given: ClientInput, *, edit: Edit, version: int | None = None
) -> ClientRecord:
    _check_birth(given, edit)
    if isinstance(given.parent, int):
        await group.check_parent(conn, record_id, given.parent)
    gives_parts = any(getattr(given, part) is not UNSET for part in names.PARTS)
    if not gives_addresses(given) and not gives_parts:
        return await records.update(conn, CLIENTS, record_id, given, edit=edit, version=version)
    before = await records.get(conn, edit.actor, CLIENTS, record_id)
    if gives_parts:
        given = _named_by_parts(before, given)
    after = await records.update(conn, CLIENTS, record_id, given, edit=edit, version=version)
    await relinking.of_edit(conn, addresses_of(before), addresses_of(after), edit=edit)
    return after


def _named_by_parts(before: ClientRecord, given: ClientInput) -> ClientInput:
    """Let the name follow the parts of it that an edit changes, unless it was something else before or is given."""
    held = {part: getattr(before, part) for part in names.PARTS}
    if before.name != names.composed(**held) or given.name not in (UNSET, before.name):
        return given
    sent = {part: value for part in names.PARTS if (value := getattr(given, part)) is not UNSET}
    name = names.composed(**(held | sent))
    return msgspec.structs.replace(given, name=name) if name else given


def _check_birth(given: ClientInput, edit: Edit) -> None:
    """Raise Invalid for a birth date that lies ahead."""
    if isinstance(given.birth_date, date) and given.birth_date > edit.now.date():
        raise Invalid({"birth_date": Problem("in_the_future", _("This day has not come yet"))})


WRITERS = Writers(create=create_record, update=update_record)


async def create(
    conn: AsyncConnection,
    actor: Actor | None,
    *,
    kind: ClientKind,
    name: str,
    note: str = "",
    source: str | None = None,
    way: Way = "hub",
    now: datetime,
) -> int:
    """Make a client; return its id. Raises Refused for an empty name."""
    clean = sanitize.shown(name, max_chars=300)
    if not clean:
        raise Refused("name_missing", "a client needs a name", field="name")
    given = ClientInput(kind=kind, name=clean, note=note, source=source)
    made = await create_record(conn, given, edit=Edit(actor, way, now))
    await record(conn, "client.created", at=now, user_id=_id(actor), object_kind="client", object_id=made.id)
    return made.id


async def add_contact(
    conn: AsyncConnection,
    actor: Actor | None,
    client_id: int,
    *,
    name: str,
    position: str = "",
    way: Way = "hub",
    now: datetime,
) -> int:
    """Add a person to a client; return the contact's id. Raises Refused for an empty name."""
    clean = sanitize.shown(name, max_chars=300)
    if not clean:
        raise Refused("name_missing", "a contact needs a name", field="name")
    given = ContactInput(client=client_id, name=clean, position=sanitize.shown(position))
    made = await contacts.create_record(conn, given, edit=Edit(actor, way, now))
    await record(conn, "contact.created", at=now, user_id=_id(actor), object_kind="contact", object_id=made.id)
    await publish(conn, "client", client_id, at=now, client_id=client_id)
    return made.id


async def add_address(
    conn: AsyncConnection,
    actor: Actor | None,
    client_id: int,
    *,
    kind: AddressKind,
    raw: str,
    region: str = "RU",
    contact_id: int | None = None,
    way: Way = "hub",
    now: datetime,
) -> str:
    """Give a client (or one of its contacts) an address; return its normal form. Raises Refused where it is none."""
    added = _read(kind, raw, region)
    edit = Edit(actor, way, now)
    if contact_id is None:
        client = await records.get(conn, actor, CLIENTS, client_id)
        every = {"phone": client.phones, "email": client.emails, "domain": client.domains}[kind]
        await update_record(conn, client_id, _with(ClientInput, kind, (*every, added)), edit=edit)
    else:
        contact = await records.get(conn, actor, CONTACTS, contact_id)
        every = contact.phones if kind == "phone" else contact.emails
        await contacts.update_record(conn, contact_id, _with(ContactInput, kind, (*every, added)), edit=edit)
        await publish(conn, "client", client_id, at=now, client_id=client_id)
    details = {"kind": kind, "value": added.value}
    await record(
        conn, "address.added", at=now, user_id=_id(actor), object_kind="client", object_id=client_id, details=details
    )
    return added.value


InputT = TypeVar("InputT", ClientInput, ContactInput)


def _with(of: type[InputT], kind: AddressKind, values: tuple[AddressValue, ...]) -> InputT:
    given: dict[str, Any] = {f"{kind}s": values}
    return of(**given)


def _read(kind: AddressKind, raw: str, region: str) -> AddressValue:
    try:
        return AddressItem(kind, kind).convert(raw, Reading(region=region))
    except FieldError:
        raise Refused(f"bad_{kind}", f"{sanitize.shown(raw)!r} is not a valid {kind}", field=kind) from None


def _id(actor: Actor | None) -> int | None:
    return actor.user_id if actor else None
