"""Fields whose values lie in another table: phones, members, many choices. One record has several.

A `Collection` says how one value is read and written as JSON; its `Store` reads and writes those of many records at
once. `records` calls it in the transaction of the edit. A list is replaced as a whole. Invariant: values are tuples
in a fixed order, so that two of them can be compared.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, Unpack, runtime_checkable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.field import JSON_INPUT, Field, Names, Options, Reading
from hub.crm.base.labels import FieldError, _
from hub.store.upsert import insert

MOST = 50
"""Values of one record: more are no list that a person keeps."""


class Owners(Protocol):
    """The table that holds the values of a field, as conditions ask it."""

    def owners(self, condition: Any) -> sa.Select[tuple[int]]:
        """Return the ids of the records that have a value for which `condition(column)` holds."""


class Store(Owners, Protocol):
    """The table that holds the values of one collection: read and written record by record."""

    async def load(self, conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[Any, ...]]:
        """Return the values of each of these records that has any, in one statement."""

    async def replace(self, conn: AsyncConnection, record_id: int, values: tuple[Any, ...], *, now: datetime) -> None:
        """Make these the record's values."""


@runtime_checkable
class JointStore(Store, Protocol):
    """A store that one statement reads together with its siblings, as phones with e-mails."""

    @property
    def family(self) -> Hashable:
        """The same for all siblings."""

    @property
    def part(self) -> str:
        """The word of this one among them."""

    async def load_parts(
        self, conn: AsyncConnection, ids: Sequence[int], parts: Sequence[str]
    ) -> Mapping[str, Mapping[int, tuple[Any, ...]]]:
        """Return the values of these siblings, by their words."""


class JoinedField(Field):
    """A field whose values lie in another table, a tuple of them. `item` reads, checks and writes one of them."""

    def __init__(
        self, item: Field, label: str, *, source: Owners, most: int = MOST, **options: Unpack[Options]
    ) -> None:
        options.setdefault("sortable", False)
        super().__init__(item.column, label, **options)
        self.item = item
        self.kind = item.kind
        self.source = source
        self.most = most

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        return ()

    @property
    def empty(self) -> Any:
        return ()

    def is_empty(self, value: Any) -> bool:
        return not value

    def parse(self, value: object, reading: Reading = JSON_INPUT) -> Any:
        return () if value is None else self.check(self.convert(value, reading))

    def convert(self, value: object, reading: Reading) -> Any:
        if reading.is_form and isinstance(value, str):
            value = [part for part in value.splitlines() if part.strip()]
        if not isinstance(value, (list, tuple)):
            raise FieldError("not_a_list", _("Must be a list"))
        self._check_length(value)
        return tuple(self.item.parse(one, reading) for one in value)

    def check(self, value: Any) -> Any:
        if any(one is None or one == "" for one in value):
            raise FieldError("empty_value", _("A value of the list is empty"))
        self._check_length(value)
        unique = dict.fromkeys(self.item.check(one) for one in value)
        return tuple(sorted(unique) if isinstance(self.source, Pairs) else unique)

    def _check_length(self, value: Sequence[Any]) -> None:
        """Raise FieldError for too many values, before any of them is read: reading a phone takes its time."""
        if len(value) > self.most:
            raise FieldError("too_many", _("At most %(max)s values"), max=self.most)

    def store(self, value: Any) -> dict[str, Any]:
        return {}

    def load(self, row: Mapping[str, Any]) -> Any:
        return row[self.name]

    def dump(self, value: Any) -> Any:
        return [self.item.dump(one) for one in value]

    def ids(self, value: Any) -> tuple[int, ...]:
        several = value if isinstance(value, tuple) else () if value is None else (value,)
        return tuple(record_id for one in several for record_id in self.item.ids(one))

    def answer(self, value: Any, names: Names) -> Any:
        return [self.item.answer(one, names) for one in value]


def item_of(field: Field) -> Field:
    """Return the field of one value: what reads an item of a list, else the field itself."""
    return field.item if isinstance(field, JoinedField) else field


class Collection(JoinedField):
    """Several values of one record, in a table of the kind's own."""

    type = "collection"

    def __init__(self, item: Field, label: str, *, store: Store, most: int = MOST, **options: Unpack[Options]) -> None:
        super().__init__(item, label, source=store, most=most, **options)
        self.values = store


async def load_all(
    conn: AsyncConnection, fields: Sequence[Collection], ids: Sequence[int]
) -> dict[str, Mapping[int, tuple[Any, ...]]]:
    """Return the values of these records, by field: one statement for each field or family of them."""
    found: dict[str, Mapping[int, tuple[Any, ...]]] = {}
    families: dict[Hashable, dict[str, tuple[str, JointStore]]] = {}
    for field in fields:
        if isinstance(field.values, JointStore):
            families.setdefault(field.values.family, {})[field.values.part] = (field.name, field.values)
        else:
            found[field.name] = await field.values.load(conn, ids)
    for siblings in families.values():
        _name, store = next(iter(siblings.values()))
        loaded = await store.load_parts(conn, ids, list(siblings))
        found |= {name: loaded.get(part, {}) for part, (name, _store) in siblings.items()}
    return found


class Pairs:
    """A store of pairs, one row each: (record, value), in the order of the values.

    Also says who takes part in a record (`Entity.participants`) and of which teams it is (`Entity.teams`).
    """

    def __init__(self, record: sa.Column[Any], value: sa.Column[Any]) -> None:
        self.record = record
        self.value = value

    async def load(self, conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[Any, ...]]:
        query = sa.select(self.record, self.value).where(self.record.in_(ids)).order_by(self.record, self.value)
        found: dict[int, tuple[Any, ...]] = {}
        for record_id, value in await conn.execute(query):
            found[record_id] = (*found.get(record_id, ()), value)
        return found

    async def replace(self, conn: AsyncConnection, record_id: int, values: tuple[Any, ...], *, now: datetime) -> None:
        table = self.record.table
        assert isinstance(table, sa.Table)
        await conn.execute(table.delete().where(self.record == record_id, self.value.not_in(values)))
        if values:
            rows = [{self.record.key: record_id, self.value.key: value} for value in values]
            await conn.execute(insert(conn, table).on_conflict_do_nothing(), rows)

    def owners(self, condition: Any) -> sa.Select[tuple[int]]:
        return sa.select(self.record).where(condition(self.value))
