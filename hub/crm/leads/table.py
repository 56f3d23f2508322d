"""A lead as a kind: the row and the fields. The table is `models.leads`; its team and its owner see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.crm.addresses import AddressKind, parse_email, parse_phone
from hub.crm.base.entity import Entity
from hub.crm.base.fields import Choice, Integer, Link, Moment, Person, Team, Text
from hub.crm.base.labels import _
from hub.crm.choices import LeadAddressKind, LeadReason, LeadState
from hub.crm.models import leads


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead as lists and the API show it. `times` counts the calls and mails that came to it.

    `queries.detailed` adds the names.
    """

    id: int
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
    created_at: datetime
    last_at: datetime
    closed_at: datetime | None
    team_name: str = ""
    owner_name: str | None = None


def matches(text: str, region: str) -> sa.ColumnElement[bool]:
    """Leads of an address in any way of writing, or whose name begins so."""
    email = parse_email(text) if "@" in text else None
    phone = None if email else parse_phone(text, region)
    address = email or (phone.value if phone else text)
    return sa.or_(leads.c.address == address, leads.c.name.startswith(text, autoescape=True))


LEADS: Entity[Lead, Any] = Entity(
    kind="lead",
    title=_("Lead"),
    titles=_("Leads"),
    table=leads,
    row=Lead,
    order="-last_at",
    name=leads.c.name,
    owner=leads.c.owner_id,
    team=leads.c.team_id,
    search=matches,
    fields=(
        Text(leads.c.name, _("Who"), shown=True, sortable=False),
        Choice(leads.c.reason, _("Kind"), options=LeadReason.options(), sortable=False),
        Choice(leads.c.state, _("State"), options=LeadState.options(), sortable=False),
        Text(leads.c.address, _("Address"), shown=True, sortable=False),
        Choice(leads.c.address_kind, _("Channel"), options=LeadAddressKind.options(), sortable=False),
        Team(leads.c.team_id, _("Team"), shown=True),
        Person(leads.c.owner_id, _("In work"), name="manager", shown=True),
        Link(leads.c.client_id, _("Client"), to="client"),
        Link(leads.c.contact_id, _("Contact"), to="contact"),
        Integer(leads.c.times, _("Times"), sortable=False),
        Moment(leads.c.created_at, _("Created"), sortable=False),
        Moment(leads.c.last_at, _("Last"), shown=True),
        Moment(leads.c.closed_at, _("Closed"), sortable=False),
    ),
)
