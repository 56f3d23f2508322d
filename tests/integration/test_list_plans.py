"""Every list of every kind, by each order that it offers, reads indexes: no whole table of 100,000 rows.

As an administrator, by scope `own` and by scope `team`; the first page, the next, the one before, and the page of the
empty values. PostgreSQL plans with the statistics of 100,000 rows. SQLite keeps none, so that its plans do not depend
on what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

import hub.app  # noqa: F401  (registers every kind)
from hub.clock import utc_now
from hub.crm.access import Actor
from hub.crm.base import characteristic_definitions, characteristics, keyset, records, registry
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.characteristic_types import CharacteristicType
from hub.crm.base.characteristic_values import values_table
from hub.crm.base.conditions import query
from hub.crm.base.conditions.operators import operators_of
from hub.crm.base.conditions.tree import Leaf
from hub.crm.base.entity import Entity, sortable
from hub.crm.base.field import Field
from hub.crm.base.history import Edit
from hub.crm.base.keyset import Sort
from hub.crm.base.permissions import ACTIONS, Scope
from hub.crm.models import addresses, team_members
from hub.store.engine import Database
from hub.store.schema import Moment, metadata
from tests.testbed.filled_tables import T0, fill

Statement = tuple[str, Any]


def person(scope: Scope) -> Actor:
    grants = {("*", action): scope for action in ACTIONS}
    rights: Any = frozenset({"read_mail"})
    return Actor(7, "Olga", "olga@hub.test", "manager", frozenset({3}), None, None, privileges=rights, granted=grants)


PEOPLE = {
    "administrator": Actor(1, "Boss", "boss@hub.test", "admin", frozenset(), None, None),
    "own": person("own"),
    "team": person("team"),
}


def places(sort: Sort) -> Iterator[str | None]:
    """Return the cursors of a list's first page, one in its middle, one back, and one among its empty values."""
    yield None
    for is_backward in (False, True):
        yield keyset.write_cursor(sort, row_at(sort, is_empty=False), is_backward=is_backward)
    if sort.is_filled is not None:
        yield keyset.write_cursor(sort, row_at(sort, is_empty=True))


def row_at(sort: Sort, *, is_empty: bool) -> Any:
    kind = sort.column.type
    value: Any = T0 if isinstance(kind, Moment) else T0.date() if isinstance(kind, sa.Date) else kind.python_type()
    if value == "":
        value = "v5"
    if is_empty:
        value = None if sort.column.nullable else ""
    return {sort.key: value, "id": 50_000}


@contextmanager
def asked_of(conn: AsyncConnection) -> Iterator[list[Statement]]:
    """Collect every SELECT that is run on a connection."""
    found: list[Statement] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().startswith("SELECT"):
            found.append((statement, parameters))

    sa.event.listen(conn.sync_connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(conn.sync_connection, "before_cursor_execute", note)


async def whole_tables(conn: AsyncConnection, statement: Statement, filled: Sequence[str]) -> list[str]:
    """Return the steps of a statement's plan that read all of a filled table, or sort what was not narrowed."""
    text, parameters = statement
    if conn.dialect.name == "sqlite":
        lines = [row[3] for row in await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)]
        scans = [line for line in lines if line.startswith("SCAN") and line.split()[1] in filled]
        if "ORDER BY" not in text or any("TEMP B-TREE FOR ORDER BY" in line for line in lines):
            return scans
        # Without a sort the table is walked in the order of its list, and left after a page.
        return scans[lines[0] in scans :]
    plan = (await conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", parameters)).scalar_one()
    return list(_whole((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], filled, is_sorted=False))


def _whole(node: dict[str, Any], filled: Sequence[str], *, is_sorted: bool) -> Iterator[str]:
    kind, table = node["Node Type"], node.get("Relation Name")
    # In a hashed or bitmap plan below a sort, an index without a condition is a whole table too, but for a partial one.
    is_whole = is_sorted and "Index Scan" in kind and "Index Cond" not in node and node["Index Name"] not in PARTIAL
    if table in filled and (kind == "Seq Scan" or is_whole):
        yield f"{kind} on {table}{' below a sort' if is_sorted else ''}"
    for below in node.get("Plans", ()):
        yield from _whole(below, filled, is_sorted=is_sorted or kind == "Sort")


PARTIAL = {
    index.name
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None
}


async def read_pages(conn: AsyncConnection, actor: Actor, entity: Entity[Any, Any], word: str) -> list[Statement]:
    sort = await characteristics.read_sort(conn, entity, word)
    with asked_of(conn) as found:
        for cursor in places(sort):
            await records.page(conn, actor, entity, sort=word, cursor=cursor)
    return found


async def define(conn: AsyncConnection, entity: Entity[Any, Any]) -> list[str]:
    """Give a kind a characteristic of each type that lists are sorted by; return their names, as an order has them."""
    now = Edit(None, "api", utc_now())
    types = [one.value for one in CharacteristicType if one not in characteristics.UNSORTED]
    for one in types:
        given = DefinitionInput(key=one, type=one, label={"en": one})
        await characteristic_definitions.create(conn, entity, given, edit=now)
    return [characteristics.PREFIX + one for one in types]


CARRIED = ("is", "starts_with", "between")
"""The operators whose records an index leads to; the others walk the order of the list."""
ASKED_FOR: dict[str, Any] = {
    "text": "v555", "email": "v555@hub.test", "phone": "+74951234567", "integer": 555, "number": "555",
    "date": "2026-01-02", "moment": "2026-01-02T00:00:00Z", "link": 3, "person": 3, "team": 3,
}  # fmt: skip


def filters_of(entity: Entity[Any, Any], defined: Sequence[Field]) -> Iterator[Leaf]:
    """Return a filter for each field and operator that an index can carry."""
    begins = {next(iter(index.columns)) for index in entity.table.indexes}
    for field in (*entity.fields, *defined):
        item: Field = getattr(field, "item", field)
        is_carried = field in defined or not field.columns or field.order_column in begins
        if not field.filterable or not is_carried or item.type not in ASKED_FOR:
            continue
        value = ASKED_FOR[item.type]
        for op in operators_of(field):
            if op in CARRIED:
                yield Leaf(field.name, op, {"is": [value], "between": [value, value]}.get(op, value))


async def test_no_filter_that_an_index_can_carry_reads_a_whole_table(db: Database) -> None:
    kinds = registry.kinds()
    tables = [*dict.fromkeys(entity.table for entity in kinds.values()), addresses, team_members]
    asked = 0
    wrong: dict[str, list[str]] = {}
    async with db.begin() as conn:
        for entity in kinds.values():
            if entity.has_characteristics:
                await define(conn, entity)
                tables.append(values_table(entity.table))
        if conn.dialect.name == "postgresql":
            await fill(conn, tables)
    filled = [table.name for table in tables]
    async with db.read() as conn:
        for entity in kinds.values():
            defined = await characteristics.fields(conn, entity) if entity.has_characteristics else []
            for leaf in filters_of(entity, defined):
                for who, actor in PEOPLE.items():
                    where = await query.where(conn, actor, entity, leaf, now=T0)
                    with asked_of(conn) as found:
                        await records.page(conn, actor, entity, where=where)
                    asked += 1
                    for statement in found:
                        if scans := await whole_tables(conn, statement, filled):
                            wrong[f"{entity.plural}, {leaf.field} {leaf.op}, {who}: {statement[0]}"] = scans
    assert asked > 100
    assert not wrong, "\n".join(f"{where}\n    {found}" for where, found in wrong.items())


async def test_no_list_reads_a_whole_table_in_any_order_that_it_offers(db: Database) -> None:
    kinds = registry.kinds()
    tables = [*dict.fromkeys(entity.table for entity in kinds.values()), addresses, team_members]
    filled = [table.name for table in tables]
    wrong: dict[str, list[str]] = {}
    words = {entity.kind: [*map(str, sortable(entity))] for entity in kinds.values()}
    async with db.begin() as conn:
        for entity in kinds.values():
            if entity.has_characteristics:
                words[entity.kind] += await define(conn, entity)
                tables.append(values_table(entity.table))
                filled.append(tables[-1].name)
        if conn.dialect.name == "postgresql":
            await fill(conn, tables)
    async with db.read() as conn:
        unsorted = "SELECT name FROM contacts ORDER BY position, id LIMIT 50"
        assert await whole_tables(conn, (unsorted, ()), filled), "the test sees a whole table that is sorted"
        for entity in kinds.values():
            for word in words[entity.kind]:  # The page back reads the other direction.
                for who, actor in PEOPLE.items():
                    for statement in await read_pages(conn, actor, entity, word):
                        if found := await whole_tables(conn, statement, filled):
                            wrong[f"{entity.plural} by {word}, {who}: {statement[0]}"] = found
    assert not wrong, "\n".join(f"{where}\n    {found}" for where, found in wrong.items())
