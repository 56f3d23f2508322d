"""The rules of contacts: `WRITERS`, through which everything writes one.

Invariant: whatever adds an address, takes one away or moves the contact to another client has the past calls and
messages of the address asked anew whose they are, in the transaction of the edit.
"""

from __future__ import annotations

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import relinking
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.base.registry import Writers
from hub.crm.clients.addresses import addresses_of, gives_addresses
from hub.crm.contacts.table import CONTACTS, ContactInput, ContactRecord


async def create_record(conn: AsyncConnection, given: ContactInput, *, edit: Edit) -> ContactRecord:
    made = await records.create(conn, CONTACTS, given, edit=edit)
    await relinking.of_edit(conn, {}, addresses_of(made), edit=edit)
    return made


async def update_record(
    conn: AsyncConnection, record_id: int, given: ContactInput, *, edit: Edit, version: int | None = None
) -> ContactRecord:
    if given.client is UNSET and not gives_addresses(given):
        return await records.update(conn, CONTACTS, record_id, given, edit=edit, version=version)
    before = await records.get(conn, edit.actor, CONTACTS, record_id)
    after = await records.update(conn, CONTACTS, record_id, given, edit=edit, version=version)
    has_moved = before.client_id != after.client_id
    await relinking.of_edit(conn, {} if has_moved else addresses_of(before), addresses_of(after), edit=edit)
    return after


WRITERS = Writers(create=create_record, update=update_record)
