"""The values of characteristics: one table per kind, `(record, field, n) → num | text | date | moment`.

Any of hundreds of fields can be searched at once, with no DDL and the same SQL on both databases (`crm.md` measured
it against JSON and against a column per field). Each value stands in the column of its type, and a partial index
leads from a field and a value to the records. Decides no type: a typed field stores into these columns by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hub.store.schema import BigId, folded, moment

TEXT_CHARS = 200
"""Of a text that is searched: longer ones are `long_text`, which has no index."""
FOLDED_CHARS = 600
"""Folding lengthens some letters to three."""
NUMBER_PLACES = 4


@functools.cache
def values_table(table: sa.Table) -> sa.Table:
    """Return the table of the values of a kind's characteristics, beside the kind's own table."""
    name = f"{table.name}_values"
    return sa.Table(
        name,
        table.metadata,
        sa.Column("record_id", BigId, sa.ForeignKey(table.c.id), primary_key=True),
        sa.Column("field_id", BigId, primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True),
        sa.Column("num", sa.BigInteger()),
        sa.Column("text", sa.Text()),
        folded("text_folded", FOLDED_CHARS),
        sa.Column("date", sa.Date()),
        moment("moment"),
        *(_index(name, column) for column in ("num", "text_folded", "date", "moment")),
    )


def _index(table: str, column: str) -> sa.Index:
    filled = sa.text(f"{column} IS NOT NULL")
    return sa.Index(
        f"ix_{table}_{column}", "field_id", column, "record_id", sqlite_where=filled, postgresql_where=filled
    )


@dataclass(frozen=True, slots=True)
class FieldValues:
    """The values of one characteristic, as conditions ask them; many records are read and written together.

    `compared` is the column that conditions and orders look at.
    """

    table: sa.Table
    field_id: int
    compared: sa.Column[Any]

    def is_of(self, record_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The first value of a record, for whose id this stands."""
        return sa.and_(self.table.c.record_id == record_id, self.table.c.field_id == self.field_id, self.table.c.n == 0)

    def owners(self, condition: Callable[[sa.Column[Any]], sa.ColumnElement[bool]]) -> sa.Select[tuple[int]]:
        """Return the ids of the records that have a value for which the condition holds."""
        record_id: sa.Column[Any] = self.table.c.record_id
        return sa.select(record_id).where(self.table.c.field_id == self.field_id, condition(self.compared))
