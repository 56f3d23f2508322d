"""A contact, a person at a client. The table is `models.contacts`; its client decides who may see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from hub.crm.base.entity import Entity, RecordInput
from hub.crm.base.fields import Link, Moment, Text
from hub.crm.base.labels import _
from hub.crm.clients.addresses import AddressValue, address_list
from hub.crm.contacts.queries import matches
from hub.crm.models import addresses, clients, contacts


@dataclass(frozen=True, slots=True)
class ContactRecord:
    id: int
    version: int
    created_at: datetime
    changed_at: datetime | None
    archived_at: datetime | None
    client_id: int | None
    name: str
    position: str
    phones: tuple[AddressValue, ...]
    emails: tuple[AddressValue, ...]


class ContactInput(RecordInput, kw_only=True, frozen=True):
    client: int | UnsetType | None = UNSET
    name: str | UnsetType = UNSET
    position: str | UnsetType = UNSET
    phones: tuple[AddressValue, ...] | UnsetType = UNSET
    emails: tuple[AddressValue, ...] | UnsetType = UNSET


# One look by the client's id for each contact: neither database makes a join that reads all clients of it.
_client = clients.alias()
_CLIENT_ARCHIVED_AT = (
    sa.select(_client.c.archived_at).where(_client.c.id == contacts.c.client_id).correlate(contacts).scalar_subquery()
)

CONTACTS = Entity(
    kind="contact",
    title=_("Contact"),
    titles=_("Contacts"),
    table=contacts,
    row=ContactRecord,
    input=ContactInput,
    name=contacts.c.name,
    through=contacts.c.client_id,
    client=contacts.c.client_id,
    in_lists=_CLIENT_ARCHIVED_AT.is_(None),
    search=matches,
    fields=(
        Text(contacts.c.name, _("Name"), required=True, shown=True, searchable=True),
        Link(contacts.c.client_id, _("Client"), to="client", shown=True),
        Text(contacts.c.position, _("Position"), shown=True, sortable=False),
        address_list(addresses.c.contact_id, "phone", _("Phones"), name="phones", shown=True, searchable=True),
        address_list(addresses.c.contact_id, "email", _("E-mails"), name="emails", shown=True, searchable=True),
        Moment(contacts.c.created_at, _("Created"), read_only=True),
        Moment(contacts.c.changed_at, _("Changed"), read_only=True),
    ),
)
