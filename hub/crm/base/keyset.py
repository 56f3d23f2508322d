"""Pages by keyset, forward and back: the next page begins behind the last row of this one, however many came and went.

Empty values sort last in both directions: they are a second phase, because a row-value comparison with NULL finds
nothing. Invariants: walking all pages yields each row that stayed as it was once, back as forward; a page that is
followed by nothing has no `next`, the first page no `previous`; a cursor is of one sort only.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.characteristic_values import FieldValues
from hub.crm.base.entity import Entity, order_column, sortable
from hub.crm.base.labels import Invalid, Problem, _
from hub.errors import Refused
from hub.store.schema import Moment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursors of the next page and of the one before; None where there is none."""

    items: list[T]
    next: str | None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of a list: by one column, then by id, both in one direction.

    `values`: the column is of a characteristic, in a table of its own, whose index leads from field and value to ids.
    """

    word: str
    column: sa.Column[Any]
    id: sa.Column[Any]
    is_descending: bool
    values: FieldValues | None = None

    @property
    def key(self) -> str:
        """The name of the value in a row."""
        return self.column.key if self.values is None else "sorted_by"

    def filled(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Narrow a query to the rows of the first phase, which then have the value."""
        if self.values is not None:
            joined = sa.join(self.id.table, self.values.table, self.values.is_of(self.id))
            query = query.select_from(joined).add_columns(self.column.label(self.key))
        return query if self.is_filled is None else query.where(self.is_filled)

    @property
    def is_filled(self) -> sa.ColumnElement[bool] | None:
        """The rows of the first phase; None where there is no second."""
        if self.column.nullable:
            return self.column.is_not(None)
        return self.column > "" if isinstance(self.column.type, sa.String) else None

    @property
    def is_empty(self) -> sa.ColumnElement[bool]:
        """The rows of the second phase."""
        if self.values is not None:
            return ~sa.exists().where(self.values.is_of(self.id), self.column.is_not(None)).correlate(self.id.table)
        return self.column.is_(None) if self.column.nullable else self.column == ""

    @property
    def back(self) -> Sort:
        """The same order, walked towards the first row."""
        return replace(self, is_descending=not self.is_descending)

    def ordered(self, *, by_id_only: bool = False) -> list[sa.ColumnElement[Any]]:
        columns = [self.id] if by_id_only or self.column is self.id else [self.column, self._id_beside]
        return [column.desc() if self.is_descending else column.asc() for column in columns]

    def behind(self, value: Any, row_id: int) -> sa.ColumnElement[bool]:
        """Rows behind a place of the first phase."""
        if self.column is self.id:
            return self.behind_id(row_id)
        place = sa.tuple_(sa.literal(value, self.column.type), sa.literal(row_id, self.id.type))
        here = sa.tuple_(self.column, self._id_beside)
        return here < place if self.is_descending else here > place

    @property
    def _id_beside(self) -> sa.Column[Any]:
        """The id in the table of the column."""
        return self.id if self.values is None else self.values.table.c.record_id

    def behind_id(self, row_id: int) -> sa.ColumnElement[bool]:
        return self.id < row_id if self.is_descending else self.id > row_id


def read_sort(entity: Entity[Any, Any], word: str) -> Sort:
    """Return the order of a word such as "-changed_at"; empty is the kind's own. Raises Invalid for an unknown one."""
    word = word or entity.order or "-id"
    name = word.removeprefix("-")
    if name not in sortable(entity):
        raise unsortable(name)
    return Sort(word, order_column(entity, name), entity.id, word.startswith("-"))


def unsortable(name: str) -> Invalid:
    """The error of a name that a list cannot be sorted by."""
    return Invalid({"sort": Problem("unknown_field", _("Cannot sort by %(name)s"), {"name": name[:60]})})


async def read_page(
    conn: AsyncConnection, query: sa.Select[Any], sort: Sort, *, cursor: str | None, limit: int
) -> Page[sa.RowMapping]:
    """Return a page of `query`, which selects the table of the sort and has its conditions, but no order or limit."""
    place = read_cursor(sort, cursor) if cursor else None
    if place is not None and place.is_backward:
        rows = await _before(conn, query, sort, place, limit + 1)
        if len(rows) > limit:
            shown = rows[limit - 1 :: -1]
            following = write_cursor(sort, shown[-1])
            return Page(shown, following, write_cursor(sort, shown[0], is_backward=True))
        place = None  # The beginning is reached: its page is a whole one.
    rows = await _behind(conn, query, sort, place, limit + 1)
    shown = rows[:limit]
    before = write_cursor(sort, shown[0], is_backward=True) if place is not None and shown else None
    return Page(shown, write_cursor(sort, shown[-1]) if len(rows) > limit else None, before)


async def _behind(
    conn: AsyncConnection, query: sa.Select[Any], sort: Sort, place: Place | None, most: int
) -> list[sa.RowMapping]:
    """Return the rows behind a place (None: from the first on): the filled ones, then the empty ones."""
    rows: list[sa.RowMapping] = []
    if place is None or not place.is_empty:
        filled = sort.filled(query)
        if place is not None:
            filled = filled.where(sort.behind(place.value, place.row_id))
        rows += (await conn.execute(filled.order_by(*sort.ordered()).limit(most))).mappings()
    if sort.is_filled is not None and len(rows) < most:
        empty = query.where(sort.is_empty)
        if place is not None and place.is_empty:
            empty = empty.where(sort.behind_id(place.row_id))
        rows += (await conn.execute(empty.order_by(*sort.ordered(by_id_only=True)).limit(most - len(rows)))).mappings()
    return rows


async def _before(
    conn: AsyncConnection, query: sa.Select[Any], sort: Sort, place: Place, most: int
) -> list[sa.RowMapping]:
    """Return the rows before a place, the nearest first: the empty ones, then the filled ones."""
    rows: list[sa.RowMapping] = []
    back = sort.back
    if place.is_empty:
        empty = query.where(sort.is_empty, back.behind_id(place.row_id))
        rows += (await conn.execute(empty.order_by(*back.ordered(by_id_only=True)).limit(most))).mappings()
    if len(rows) < most:
        filled = sort.filled(query)
        if not place.is_empty:
            filled = filled.where(back.behind(place.value, place.row_id))
        rows += (await conn.execute(filled.order_by(*back.ordered()).limit(most - len(rows)))).mappings()
    return rows


@dataclass(frozen=True, slots=True)
class Place:
    """A place in an order: beside a row with this value and id; `is_empty` in the second phase, where no value is."""

    is_backward: bool
    is_empty: bool
    value: Any
    row_id: int


def write_cursor(sort: Sort, row: sa.RowMapping, *, is_backward: bool = False) -> str:
    """Write the place beside a row, behind it or before it: opaque to the asker."""
    value = row.get(sort.key)
    is_empty = sort.is_filled is not None and (value is None if sort.column.nullable else value == "")
    parts = [sort.word, is_backward, is_empty, None if is_empty else value, row[sort.id.key]]
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def read_cursor(sort: Sort, text: str) -> Place:
    """Read a place. Raises Refused for what is no cursor of this order."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        kind = tuple[str, bool, bool, str | int | float | None, int]
        word, is_backward, is_empty, value, row_id = msgspec.json.decode(raw, type=kind)
        if word != sort.word or not 0 <= row_id < 2**63:
            raise ValueError("of another list")
        return Place(is_backward, is_empty, None if is_empty else _value_of(sort.column, value), row_id)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise Refused("bad_cursor", "not a cursor of this list", field="cursor") from None


def _value_of(column: sa.Column[Any], value: Any) -> Any:
    """Return a value of a cursor as its column takes it. Raises ValueError."""
    if isinstance(column.type, Moment):
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is None or not 1 < moment.year < 9999:
            raise ValueError("a moment without its offset, or one that cannot be told in UTC")
        return moment
    kind = column.type.python_type
    if kind is date:
        return date.fromisoformat(str(value))
    if not isinstance(value, kind) or (isinstance(value, str) and "\x00" in value):
        raise ValueError("of another type")
    is_large = isinstance(column.type, sa.BigInteger)
    if isinstance(value, int) and not -(2**63 if is_large else 2**31) <= value < (2**63 if is_large else 2**31):
        raise ValueError("too large")
    return value


async def count_up_to(conn: AsyncConnection, query: sa.Select[Any], most: int) -> int:
    """Count the rows of a query, up to `most` + 1."""
    some = query.limit(most + 1).subquery()
    return int((await conn.execute(sa.select(sa.func.count()).select_from(some))).scalar_one())


def ids_of(rows: Sequence[sa.RowMapping]) -> list[int]:
    return [row["id"] for row in rows]
