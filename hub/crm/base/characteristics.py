"""Fields that an administrator defines: to the base they are fields like any other, called `c.KEY`.

A definition is a row, so a new field needs no DDL. Decides the types and their columns, and reads and writes the
values of many records at once. Options of a choice are a dictionary of its own, so a record stores their keys.
Invariants: a key is once in its kind and never changes, nor does a type; a field that is switched off keeps its values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as Several
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import checks, keyset, registry
from hub.crm.base.characteristic_types import CharacteristicType
from hub.crm.base.characteristic_values import NUMBER_PLACES, TEXT_CHARS, FieldValues, values_table
from hub.crm.base.collections import JoinedField
from hub.crm.base.entity import Entity
from hub.crm.base.field import JSON_INPUT, Field, Names, Reading
from hub.crm.base.fields import (
    Choice,
    Date,
    Email,
    Integer,
    LongText,
    Moment,
    Number,
    Person,
    Phone,
    Text,
    YesNo,
)
from hub.crm.base.history import Edit
from hub.crm.base.keyset import Sort
from hub.crm.base.labels import FieldError, Invalid, Problem, _
from hub.crm.base.schema import record_columns
from hub.store.schema import Json, metadata

PREFIX = "c."

characteristics = sa.Table(
    "characteristics",
    metadata,
    *record_columns(archived="", always_changed=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("key", sa.String(40), nullable=False),
    sa.Column("label", Json, nullable=False),
    sa.Column("type", sa.String(20), nullable=False),
    sa.Column("help", Json),
    sa.Column("required", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("group", sa.String(100), nullable=False, server_default=""),
    sa.Column("position", sa.Integer(), nullable=False),
    sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
    sa.UniqueConstraint("kind", "key", name="uq_characteristics_key"),
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A characteristic as its row has it. `label` has a text by language."""

    id: int
    kind: str
    key: str
    label: Mapping[str, str]
    type: CharacteristicType
    help: Mapping[str, str] | None
    required: bool
    group: str
    position: int
    active: bool
    version: int

    def text(self, language: str) -> str:
        """Return the label in a language, in the other one where it has none."""
        return self.label.get(language) or next((text for text in self.label.values() if text), self.key)

    def help_text(self, language: str) -> str:
        """Return what stands below the field in a form, in a language or in the other one."""
        told = self.help or {}
        return told.get(language) or next((text for text in told.values() if text), "")

    @property
    def dictionary(self) -> str:
        """The dictionary of a choice's options."""
        return f"c.{self.kind}.{self.key}"

    @property
    def has_options(self) -> bool:
        return self.type in ("choice", "many_choice")


UNSORTED: tuple[str, ...] = ("long_text", "many_choice", "person")
"""No index, several values, and an id say no order."""


class _YesNo(YesNo):
    """Yes and no in a column of numbers."""

    def store(self, value: bool | None) -> dict[str, Any]:
        return {self.column.key: None if value is None else int(value)}

    def load(self, row: Mapping[str, Any]) -> bool | None:
        stored = row[self.column.key]
        return None if stored is None else bool(stored)


class _Number(Number):
    """A number as people write it: without the zeros that its column keeps."""

    def dump(self, value: Decimal | None) -> str | None:
        return None if value is None else f"{value.normalize():f}"


class _Key(Choice):
    """The key of an option; it is compared in the indexed column."""

    def store(self, value: str | None) -> dict[str, Any]:
        return {"text": value, "text_folded": value}


class Characteristic(JoinedField):
    """One characteristic of a kind. `item` is its type; a value is a tuple where `is_many`, else one or None."""

    type = "characteristic"

    def __init__(self, definition: Definition, item: Field, source: FieldValues) -> None:
        label = definition.text("en")
        super().__init__(item, label, source=source, name=PREFIX + definition.key, required=definition.required)
        self.definition = definition
        self.values = source
        self.sortable = definition.type not in UNSORTED
        self.is_many = definition.type == "many_choice"

    @property
    def empty(self) -> Any:
        return () if self.is_many else None

    def parse(self, value: object, reading: Reading = JSON_INPUT) -> Any:
        return super().parse(value, reading) if self.is_many else self.item.parse(value, reading)

    def check(self, value: Any) -> Any:
        return super().check(value) if self.is_many else None if value is None else self.item.check(value)

    def is_empty(self, value: Any) -> bool:
        return value is None or value in ((), "")

    def dump(self, value: Any) -> Any:
        return super().dump(value) if self.is_many else self.item.dump(value)

    def answer(self, value: Any, names: Names) -> Any:
        return super().answer(value, names) if self.is_many else self.item.answer(value, names)


async def definitions(conn: AsyncConnection, kinds: Several[str] | None = None) -> list[Definition]:
    """Return the characteristics of these kinds, of all by default, in their order, switched-off ones too."""
    query = sa.select(*(characteristics.c[name] for name in Definition.__slots__))
    query = query.order_by(characteristics.c.kind, characteristics.c.position, characteristics.c.id)
    if kinds is not None:
        query = query.where(characteristics.c.kind.in_(kinds))
    return [Definition(**row) for row in (await conn.execute(query)).mappings()]


def field_of(entity: Entity[Any, Any], definition: Definition) -> Characteristic:
    """Return a definition as a field of its kind."""
    values = values_table(entity.table)
    c, label = values.c, definition.key
    items: dict[str, Callable[[], Field]] = {
        "text": lambda: Text(c.text, label, folded=c.text_folded, max_chars=TEXT_CHARS),
        "long_text": lambda: LongText(c.text, label, max_chars=10_000),
        "email": lambda: Email(c.text, label, folded=c.text_folded, max_chars=TEXT_CHARS),
        "phone": lambda: Phone(c.text, label, folded=c.text_folded, max_chars=TEXT_CHARS),
        "number": lambda: _Number(c.num, label, places=NUMBER_PLACES),
        "integer": lambda: Integer(c.num, label, least=-(10**15), most=10**15),
        "yes_no": lambda: _YesNo(c.num, label),
        "person": lambda: Person(c.num, label, name=label),
        "date": lambda: Date(c.date, label),
        "moment": lambda: Moment(c.moment, label),
        "choice": lambda: _Key(c.text, label, dictionary=definition.dictionary),
        "many_choice": lambda: _Key(c.text, label, dictionary=definition.dictionary),
    }
    item = items[definition.type]()
    compared = c.text_folded if isinstance(item, _Key) else item.order_column
    return Characteristic(definition, item, FieldValues(values, definition.id, compared))


async def fields(conn: AsyncConnection, entity: Entity[Any, Any]) -> list[Characteristic]:
    """Return the characteristics of a kind that are switched on, as fields, in their order."""
    return [field_of(entity, one) for one in await definitions(conn, [entity.kind]) if one.active]


async def read_sort(conn: AsyncConnection, entity: Entity[Any, Any], word: str) -> Sort:
    """Return the order of a word such as "-changed_at" or "c.floor". Raises Invalid for an unknown one."""
    name = word.removeprefix("-")
    if not entity.has_characteristics or not name.startswith(PREFIX):
        return keyset.read_sort(entity, word)
    found = next((one for one in await fields(conn, entity) if one.name == name and one.sortable), None)
    if found is None:
        raise keyset.unsortable(name)
    return Sort(word, found.values.compared, entity.id, word.startswith("-"), found.values)


async def every_field(conn: AsyncConnection) -> dict[str, list[Characteristic]]:
    """Return the characteristics of every kind that are switched on, in one statement."""
    found: dict[str, list[Characteristic]] = {}
    for one in await definitions(conn):
        if one.active and one.kind in registry.kinds():
            found.setdefault(one.kind, []).append(field_of(registry.kind(one.kind), one))
    return found


async def load(
    conn: AsyncConnection, entity: Entity[Any, Any], known: Sequence[Characteristic], ids: Several[int]
) -> dict[int, dict[str, Any]]:
    """Return the typed values of these records by the name of the field; of what has none, nothing. One statement."""
    if not known or not ids:
        return {}
    table, by_id = values_table(entity.table), {one.definition.id: one for one in known}
    query = sa.select(table).where(table.c.record_id.in_(ids)).order_by(table.c.record_id, table.c.field_id, table.c.n)
    found: dict[int, dict[str, Any]] = {}
    for row in (await conn.execute(query)).mappings():
        if (one := by_id.get(row["field_id"])) is None:
            continue
        values, value = found.setdefault(row["record_id"], {}), one.item.load(dict(row))
        values[one.name] = (*values.get(one.name, ()), value) if one.is_many else value
    return found


def read(known: Sequence[Characteristic], given: Mapping[str, object], reading: Reading = JSON_INPUT) -> dict[str, Any]:
    """Return the typed values of what was sent as `{key: value}`, by the name of the field. Raises Invalid."""
    by_key = {one.definition.key: one for one in known}
    values: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    for key, sent in given.items():
        if (one := by_key.get(key)) is None:
            problems[PREFIX + key[:60]] = Problem("unknown_field", _("There is no such field"))
            continue
        try:
            values[one.name] = one.parse(sent, reading)
        except FieldError as error:
            problems[one.name] = error.problem
    if problems:
        raise Invalid(problems)
    return values


@dataclass(frozen=True, slots=True)
class GivenValues:
    """The characteristics that an edit changes, typed, by the name of the field."""

    fields: Sequence[Characteristic] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def held(self, one: Characteristic) -> Any:
        """Return the value that the record has now."""
        return self.before.get(one.name, one.empty)

    def changes(self) -> dict[str, list[Any]]:
        """Return the changes for the history."""
        changed = [one for one in self.fields if one.name in self.values]
        return {one.name: [one.dump(self.held(one)), one.dump(self.values[one.name])] for one in changed}


async def given_values(
    conn: AsyncConnection, entity: Entity[Any, Any], given: Any, *, edit: Edit, record_id: int | None
) -> GivenValues:
    """Return what an input changes of the record's characteristics; `record_id` None: of a new one. Raises Invalid.

    A new record that no person fills in, as the client made of a lead, needs none of the required ones; an undo may
    take a value away again.
    """
    sent = getattr(given, "characteristics", UNSET)
    if not entity.has_characteristics or (sent is UNSET and record_id is not None):
        return GivenValues()
    known = await fields(conn, entity)
    values = read(known, {} if sent is UNSET else sent)
    before: dict[str, Any] = {}
    if record_id is not None and values:
        before = (await load(conn, entity, known, [record_id])).get(record_id, {})
    changed = {
        one.name: values[one.name]
        for one in known
        if one.name in values and values[one.name] != before.get(one.name, one.empty)
    }
    is_filled_in = record_id is None and edit.way in ("page", "api", "import", "bulk")
    asked = {one.name: values.get(one.name, one.empty) for one in known} if is_filled_in else values
    lacking = [one.name for one in known if one.required and one.name in asked and one.is_empty(asked[one.name])]
    if lacking and edit.way != "undo":
        raise Invalid({name: Problem("required", _("Fill in this field")) for name in lacking})
    by_name = {one.name: one for one in known}
    await checks.references(conn, by_name, changed, edit)
    await checks.choices(conn, by_name, changed, before)
    return GivenValues(known, before, changed)


async def answers(conn: AsyncConnection, entity: Entity[Any, Any], ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return these records' characteristics as the API answers them: `{key: value}`, those with a value alone."""
    known = await fields(conn, entity)
    found = await load(conn, entity, known, ids)
    return {
        record_id: {one.definition.key: one.dump(values[one.name]) for one in known if one.name in values}
        for record_id, values in found.items()
    }


async def store(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    known: Sequence[Characteristic],
    values_of: Mapping[int, Mapping[str, Any]],
) -> None:
    """Write typed values of records by the name of the field: in two statements, for one record or for hundreds."""
    if not any(values_of.values()):
        return
    table, by_name = values_table(entity.table), {one.name: one for one in known}
    columns = ("num", "text", "text_folded", "date", "moment")
    gone: dict[int, list[int]] = {}
    rows: list[dict[str, Any]] = []
    for record_id, values in values_of.items():
        for name, value in values.items():
            one = by_name[name]
            gone.setdefault(one.definition.id, []).append(record_id)
            several = value if one.is_many else () if one.is_empty(value) else (value,)
            for n, each in enumerate(several):
                place = {"record_id": record_id, "field_id": one.definition.id, "n": n}
                rows.append(place | dict.fromkeys(columns) | one.item.store(each))
    for field_id, ids in gone.items():
        await conn.execute(table.delete().where(table.c.field_id == field_id, table.c.record_id.in_(ids)))
    if rows:
        await conn.execute(table.insert(), rows)
