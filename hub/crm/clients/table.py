"""A client: the row, the input and the fields. The table is `models.clients`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from hub.crm.base import dictionaries
from hub.crm.base.collections import Collection
from hub.crm.base.dictionaries import Dictionary
from hub.crm.base.entity import Entity, RecordInput
from hub.crm.base.fields import Choice, Date, Link, LongText, Moment, Option, Person, Team, Text
from hub.crm.base.labels import _
from hub.crm.base.participants import Participant, Participants, ParticipantStore, pairs_of
from hub.crm.clients.addresses import AddressValue, address_list
from hub.crm.clients.bank_accounts import MOST as MOST_ACCOUNTS
from hub.crm.clients.bank_accounts import BankAccount, BankAccountItem, BankAccountStore
from hub.crm.clients.requisites import Inn, Kpp, Ogrn, Site
from hub.crm.clients.search import fold_words, matches
from hub.crm.models import addresses, client_bank_accounts, client_participants, clients

ClientKind = Literal["organisation", "person"]
KINDS = (
    Option("organisation", _("Organisation"), icon="building"),
    Option("person", _("Person"), icon="user"),
)
SEXES = (Option("male", _("Male")), Option("female", _("Female")))
OF_ORGANISATIONS = ("kind", ("organisation",))
OF_PERSONS = ("kind", ("person",))
SOURCES = Dictionary("client_source", _("Sources of clients"))
STATES = Dictionary("client_state", _("Client statuses"))
INDUSTRIES = Dictionary("industry", _("Industries"), is_tree=True)
REGIONS = Dictionary("region", _("Regions"), is_tree=True)
dictionaries.declare(STATES, SOURCES, INDUSTRIES, REGIONS)


@dataclass(frozen=True, slots=True)
class ClientRecord:
    id: int
    version: int
    created_at: datetime
    changed_at: datetime | None
    archived_at: datetime | None
    kind: ClientKind
    name: str
    note: str
    source: str | None
    full_name: str
    inn: str | None
    kpp: str | None
    ogrn: str | None
    legal_address: str
    address: str
    site: str
    state: str | None
    industry: str | None
    region: str | None
    external_id: str | None
    last_name: str | None
    first_name: str | None
    middle_name: str | None
    birth_date: date | None
    sex: str | None
    bank_accounts: tuple[BankAccount, ...]
    participants: tuple[Participant, ...]
    parent_id: int | None
    owner_id: int | None
    team_id: int | None
    phones: tuple[AddressValue, ...]
    emails: tuple[AddressValue, ...]
    domains: tuple[AddressValue, ...]


class ClientInput(RecordInput, kw_only=True, frozen=True):
    kind: ClientKind | UnsetType = UNSET
    name: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    source: str | UnsetType | None = UNSET
    full_name: str | UnsetType = UNSET
    inn: str | UnsetType | None = UNSET
    kpp: str | UnsetType | None = UNSET
    ogrn: str | UnsetType | None = UNSET
    legal_address: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    site: str | UnsetType = UNSET
    state: str | UnsetType | None = UNSET
    industry: str | UnsetType | None = UNSET
    region: str | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    last_name: str | UnsetType | None = UNSET
    first_name: str | UnsetType | None = UNSET
    middle_name: str | UnsetType | None = UNSET
    birth_date: date | UnsetType | None = UNSET
    sex: str | UnsetType | None = UNSET
    bank_accounts: tuple[BankAccount, ...] | UnsetType = UNSET
    parent: int | UnsetType | None = UNSET
    participants: tuple[Participant, ...] | UnsetType = UNSET
    manager: int | UnsetType | None = UNSET
    team: int | UnsetType | None = UNSET
    phones: tuple[AddressValue, ...] | UnsetType = UNSET
    emails: tuple[AddressValue, ...] | UnsetType = UNSET
    domains: tuple[AddressValue, ...] | UnsetType = UNSET


class ClientName(Text):
    """A name with a second twin, by whose words clients are searched."""

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        return (*super().columns, clients.c.name_folded)

    def store(self, value: str | None) -> dict[str, Any]:
        return super().store(value) | {clients.c.name_folded.key: fold_words(value or "")}


PARTICIPANTS = ParticipantStore(
    client_participants.c.client_id, client_participants.c.user_id, client_participants.c.role
)
CLIENTS = Entity(
    kind="client",
    title=_("Client"),
    titles=_("Clients"),
    table=clients,
    row=ClientRecord,
    input=ClientInput,
    order="name",
    name=clients.c.name,
    owner=clients.c.owner_id,
    participants=pairs_of(PARTICIPANTS),
    team=clients.c.team_id,
    client=clients.c.id,
    search=matches,
    fields=(
        ClientName(
            clients.c.name,
            _("Name"),
            folded=clients.c.name_sort,
            required=True,
            follows=True,
            shown=True,
            searchable=True,
        ),
        Choice(clients.c.kind, _("Type"), options=KINDS, default="organisation", sortable=False),
        Text(clients.c.last_name, _("Last name"), when=OF_PERSONS),
        Text(clients.c.first_name, _("First name"), when=OF_PERSONS),
        Text(clients.c.middle_name, _("Middle name"), when=OF_PERSONS),
        Choice(clients.c.sex, _("Sex"), options=SEXES, sortable=False, when=OF_PERSONS),
        Date(clients.c.birth_date, _("Date of birth"), when=OF_PERSONS),
        address_list(addresses.c.client_id, "phone", _("Phones"), name="phones", shown=True, searchable=True),
        address_list(addresses.c.client_id, "email", _("E-mails"), name="emails", shown=True, searchable=True),
        address_list(addresses.c.client_id, "domain", _("Domains"), name="domains"),
        Choice(clients.c.state, _("Status"), dictionary=STATES.name, shown=True),
        Choice(clients.c.source, _("Source"), dictionary=SOURCES.name),
        Person(clients.c.owner_id, _("Manager"), name="manager", shown=True),
        Team(clients.c.team_id, _("Team")),
        Participants(PARTICIPANTS, _("Participants"), name="participants"),
        Link(clients.c.parent_id, _("Parent company"), to="client", when=OF_ORGANISATIONS),
        Choice(clients.c.industry, _("Industry"), dictionary=INDUSTRIES.name),
        Choice(clients.c.region, _("Region"), dictionary=REGIONS.name),
        Text(clients.c.full_name, _("Full legal name"), when=OF_ORGANISATIONS),
        Inn(clients.c.inn, _("INN")),
        Kpp(clients.c.kpp, _("KPP"), when=OF_ORGANISATIONS),
        Ogrn(clients.c.ogrn, _("OGRN"), when=OF_ORGANISATIONS),
        Collection(
            BankAccountItem(client_bank_accounts.c.account, _("Bank account")),
            _("Bank accounts"),
            store=BankAccountStore(),
            name="bank_accounts",
            most=MOST_ACCOUNTS,
            filterable=False,
            help=_("One account per line: BIC, account, correspondent account, bank."),
        ),
        Text(clients.c.legal_address, _("Legal address"), sortable=False),
        Text(clients.c.address, _("Actual address"), sortable=False),
        Site(clients.c.site, _("Site"), sortable=False),
        Text(
            clients.c.external_id,
            _("External ID"),
            help=_("The number of the client in another program, as in an accounting system."),
        ),
        LongText(clients.c.note, _("Note")),
        Moment(clients.c.created_at, _("Created"), read_only=True, shown=True),
        Moment(clients.c.changed_at, _("Changed"), read_only=True),
    ),
)
