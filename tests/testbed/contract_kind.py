"""A kind of record that only tests know: contracts, with a field of every type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from msgspec import UNSET, Struct, UnsetType

from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.entity import Entity
from hub.crm.base.fields import (
    Amount,
    Choice,
    Date,
    Email,
    Integer,
    Link,
    LongText,
    Moment,
    Money,
    Number,
    Option,
    Person,
    Phone,
    Team,
    Text,
    YesNo,
)
from hub.store.engine import Database
from hub.store.schema import BigId, folded, id_column, moment

METADATA = sa.MetaData()
contracts = sa.Table(
    "test_contracts",
    METADATA,
    id_column(),
    sa.Column("version", sa.Integer(), nullable=False),
    moment("created_at", nullable=False),
    moment("changed_at", nullable=False),
    moment("archived_at"),
    sa.Column("number", sa.String(20), nullable=False, unique=True),
    folded("number_folded"),
    sa.Column("client_id", BigId),
    sa.Column("amount", sa.BigInteger()),
    sa.Column("currency", sa.String(3)),
    sa.Column("weight", sa.BigInteger()),
    sa.Column("pages", sa.Integer()),
    sa.Column("until", sa.Date()),
    moment("signed_at"),
    sa.Column("is_signed", sa.Boolean(), nullable=False),
    sa.Column("stage", sa.String(20), nullable=False),
    sa.Column("note", sa.Text(), nullable=False),
    sa.Column("email", sa.String(254)),
    sa.Column("phone", sa.String(20)),
    sa.Column("owner_id", BigId),
    sa.Column("team_id", BigId),
)
_MOMENTS = ("created_at", "changed_at", "signed_at", "until")
for _name in (*_MOMENTS, "number_folded", "amount", "weight", "pages", "is_signed", "stage", "email", "phone"):
    sa.Index(f"ix_test_contracts_{_name}", contracts.c[_name], contracts.c.id)
contract_tags = sa.Table(
    "test_contract_tags",
    METADATA,
    sa.Column("contract_id", BigId, primary_key=True),
    sa.Column("tag", sa.String(10), primary_key=True),
)
contract_people = sa.Table(
    "test_contract_people",
    METADATA,
    sa.Column("contract_id", BigId, primary_key=True),
    sa.Column("user_id", BigId, primary_key=True),
)
PEOPLE = Pairs(contract_people.c.contract_id, contract_people.c.user_id)
STAGES = (Option("draft", "Draft"), Option("signed", "Signed"))
TAGS = (Option("red", "Red"), Option("blue", "Blue"), Option("green", "Green"))


@dataclass(frozen=True, slots=True)
class Contract:
    id: int
    version: int
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None
    number: str
    client_id: int | None
    amount: Amount | None
    weight: Decimal | None
    pages: int | None
    until: date | None
    signed_at: datetime | None
    is_signed: bool
    stage: str
    note: str
    email: str | None
    phone: str | None
    owner_id: int | None
    team_id: int | None
    tags: tuple[str, ...]
    people: tuple[int, ...]


class ContractInput(Struct, kw_only=True, frozen=True):
    number: str | UnsetType = UNSET
    client: int | UnsetType | None = UNSET
    amount: Amount | UnsetType | None = UNSET
    weight: Decimal | UnsetType | None = UNSET
    pages: int | UnsetType | None = UNSET
    until: date | UnsetType | None = UNSET
    signed_at: datetime | UnsetType | None = UNSET
    is_signed: bool | UnsetType = UNSET
    stage: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    manager: int | UnsetType | None = UNSET
    team: int | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    people: tuple[int, ...] | UnsetType = UNSET


CONTRACTS = Entity(
    kind="contract",
    title="Contract",
    titles="Contracts",
    table=contracts,
    row=Contract,
    input=ContractInput,
    order="number",
    name=contracts.c.number,
    owner=contracts.c.owner_id,
    team=contracts.c.team_id,
    participants=PEOPLE,
    client=contracts.c.client_id,
    fields=(
        Text(contracts.c.number, "Number", required=True, shown=True, searchable=True),
        Link(contracts.c.client_id, "Client", to="client", shown=True),
        Money(contracts.c.amount, contracts.c.currency, "Amount", measure=True, shown=True),
        Number(contracts.c.weight, "Weight", places=3),
        Integer(contracts.c.pages, "Pages", least=0, most=1000),
        Date(contracts.c.until, "Until", shown=True),
        Moment(contracts.c.signed_at, "Signed at"),
        YesNo(contracts.c.is_signed, "Signed", default=False),
        Choice(contracts.c.stage, "Stage", options=STAGES, default="draft"),
        LongText(contracts.c.note, "Note", max_chars=2000, default=""),
        Email(contracts.c.email, "E-mail"),
        Phone(contracts.c.phone, "Phone"),
        Person(contracts.c.owner_id, "Manager", name="manager"),
        Team(contracts.c.team_id, "Team"),
        Collection(
            Choice(contract_tags.c.tag, "Tag", options=TAGS),
            "Tags",
            store=Pairs(contract_tags.c.contract_id, contract_tags.c.tag),
            name="tags",
        ),
        Collection(Person(contract_people.c.user_id, "Participant"), "Participants", store=PEOPLE, name="people"),
    ),
)


async def make_tables(db: Database) -> None:
    """Make the kind's tables in a database of the tests."""
    async with db.begin() as conn:
        await conn.run_sync(METADATA.create_all)
