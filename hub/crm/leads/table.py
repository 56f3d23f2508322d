"""A lead as a kind: the row, the input and the fields. The table is `models.leads`; its team and its owner see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from hub.crm.addresses import AddressKind, parse_email, parse_phone
from hub.crm.base.entity import Entity, RecordInput
from hub.crm.base.fields import Choice, Integer, Link, LongText, Moment, Person, Reading, Team, Text
from hub.crm.base.labels import FieldError, _
from hub.crm.choices import LeadAddressKind, LeadReason, LeadState
from hub.crm.models import leads

SOURCES = "client_source"
"""The list of sources that clients have, too: what a lead came by goes on to its client."""


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead as lists and the API show it. `times` counts the calls and mails that came to it.

    `queries.detailed` adds the names.
    """

    id: int
    version: int
    changed_at: datetime | None
    archived_at: datetime | None
    team_id: int
    state: str
    reason: str
    name: str
    address_kind: AddressKind
    address: str
    client_id: int | None
    contact_id: int | None
    owner_id: int | None
    times: int
    note: str
    source: str | None
    created_at: datetime
    last_at: datetime
    closed_at: datetime | None
    team_name: str = ""
    owner_name: str | None = None


class LeadInput(RecordInput, kw_only=True, frozen=True):
    """The fields that people write: all else follows from the calls and mails that came, and from the lead's end."""

    name: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    team: int | UnsetType = UNSET
    manager: int | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    note: str | UnsetType = UNSET


class LeadAddress(Text):
    """A phone or an e-mail in its normal form, which says the channel too."""

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        return (*super().columns, leads.c.address_kind)

    def convert(self, value: object, reading: Reading) -> str:
        text = super().convert(value, reading)
        if "@" in text:
            normal = parse_email(text)
        else:
            phone = parse_phone(text, reading.region)
            normal = phone.value if phone is not None else None
        if normal is None:
            raise FieldError("bad_address", _("Must be a phone number or an e-mail address"))
        return normal

    def store(self, value: str | None) -> dict[str, Any]:
        kind = LeadAddressKind.EMAIL if "@" in (value or "") else LeadAddressKind.PHONE
        return super().store(value) | {leads.c.address_kind.key: kind.value}


def matches(text: str, region: str) -> sa.ColumnElement[bool]:
    """Leads of an address in any way of writing, or whose name begins so."""
    email = parse_email(text) if "@" in text else None
    phone = None if email else parse_phone(text, region)
    address = email or (phone.value if phone else text)
    return sa.or_(leads.c.address == address, leads.c.name.startswith(text, autoescape=True))


LEADS: Entity[Lead, LeadInput] = Entity(
    kind="lead",
    title=_("Lead"),
    titles=_("Leads"),
    table=leads,
    row=Lead,
    input=LeadInput,
    order="-last_at",
    name=leads.c.name,
    owner=leads.c.owner_id,
    team=leads.c.team_id,
    search=matches,
    fields=(
        Text(leads.c.name, _("Who"), shown=True, sortable=False),
        LeadAddress(leads.c.address, _("Address"), required=True, shown=True, sortable=False),
        Team(leads.c.team_id, _("Team"), shown=True),
        Person(leads.c.owner_id, _("In work"), name="manager", shown=True),
        Choice(leads.c.source, _("Source"), dictionary=SOURCES, sortable=False),
        LongText(leads.c.note, _("Note")),
        Choice(leads.c.reason, _("Kind"), options=LeadReason.options(), sortable=False, read_only=True),
        Choice(leads.c.state, _("State"), options=LeadState.options(), sortable=False, read_only=True),
        Choice(leads.c.address_kind, _("Channel"), options=LeadAddressKind.options(), sortable=False, read_only=True),
        Link(leads.c.client_id, _("Client"), to="client", read_only=True),
        Link(leads.c.contact_id, _("Contact"), to="contact", read_only=True),
        Integer(leads.c.times, _("Times"), sortable=False, read_only=True),
        Moment(leads.c.created_at, _("Created"), sortable=False, read_only=True),
        Moment(leads.c.last_at, _("Last"), shown=True, read_only=True),
        Moment(leads.c.closed_at, _("Closed at"), sortable=False, read_only=True),
    ),
)
