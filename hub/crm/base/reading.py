"""Reading the records of any kind: a page, a count, one, the names of what they refer to, the answer of the API.

Everything is asked through `permitted`. Writing is in `writing`, paging in `keyset`. Invariant: a hidden record is
not found, not counted, and its name is not told.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm.base import characteristics, keyset, registry
from hub.crm.base.collections import load_all
from hub.crm.base.entity import Entity, attributes
from hub.crm.base.fields import Text, fold
from hub.crm.base.keyset import Page
from hub.crm.base.permissions import ACTIONS, Action, Asker, permitted
from hub.errors import NotFound

RowT = TypeVar("RowT")
InputT = TypeVar("InputT", bound=msgspec.Struct)
COUNTED = 10_000
"""A count stops here: the whole of a large table is nobody's business."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number of records; `capped` where there are more."""

    count: int
    capped: bool


def visible(actor: Asker | None, entity: Entity[Any, Any]) -> sa.Select[Any]:
    """Select the kind's table, as far as the actor may see it."""
    return sa.select(entity.table).where(permitted(actor, entity, "see"))


def listed(
    actor: Asker | None, entity: Entity[Any, Any], where: sa.ColumnElement[bool] | None, *, archived: bool
) -> sa.Select[Any]:
    """Select what a list shows of what the actor may see: archived or living records where the condition holds."""
    query = visible(actor, entity).with_only_columns(*entity.columns)
    if entity.archived_column is not None:
        query = query.where(entity.archived_column.is_not(None) if archived else entity.archived_column.is_(None))
    if entity.in_lists is not None:
        query = query.where(entity.in_lists)
    return query if where is None else query.where(where)


async def page(
    conn: AsyncConnection,
    actor: Asker | None,
    entity: Entity[RowT, InputT],
    *,
    where: sa.ColumnElement[bool] | None = None,
    sort: str = "",
    cursor: str | None = None,
    limit: int = 50,
    archived: bool = False,
    only: Several[str] | None = None,
) -> Page[RowT]:
    """Return a page of the records that the actor may see. Raises Invalid for an unknown sort, Refused for a cursor.

    `only`: the collections to load, all by default; the others stay empty.
    """
    query = listed(actor, entity, where, archived=archived)
    order = await characteristics.read_sort(conn, entity, sort)
    if permitted(actor, entity, "see") is sa.false():
        return Page([], None)
    key = entity.walked_by.get(order.column)
    if key is not None and key.table in query.get_final_froms():
        query, order = query.add_columns(key), replace(order, column=key, id=key)
    found = await keyset.read_page(conn, query, order, cursor=cursor, limit=limit)
    return Page(await read_rows(conn, entity, found.items, only=only), found.next, found.previous)


async def count(
    conn: AsyncConnection,
    actor: Asker | None,
    entity: Entity[Any, Any],
    *,
    where: sa.ColumnElement[bool] | None = None,
    archived: bool = False,
) -> Count:
    """Count what `page` would list, up to 10,000."""
    query = listed(actor, entity, where, archived=archived).with_only_columns(entity.id)
    found = await keyset.count_up_to(conn, query, COUNTED)
    return Count(min(found, COUNTED), found > COUNTED)


def matching(conn: AsyncConnection, entity: Entity[Any, Any], text: str, *, region: str) -> sa.ColumnElement[bool]:
    """Return the condition of a search for what a person typed: the kind's own, else in its searchable texts."""
    if entity.full_text is not None:
        return entity.full_text(text, conn.dialect.name)
    text = text.strip()
    if entity.search is not None:
        return entity.search(text, region)
    folded = fold(text)
    found: list[sa.ColumnElement[bool]] = []
    for field in entity.fields:
        if field.searchable and isinstance(field, Text):
            has_twin = field.folded is not None
            found.append(field.order_column.contains(folded if has_twin else text, autoescape=True))
    return sa.or_(sa.false(), *found)


async def get(conn: AsyncConnection, actor: Asker | None, entity: Entity[RowT, InputT], record_id: int) -> RowT:
    """Return a record, an archived one too. Raises NotFound where there is none that the actor may see."""
    found = await get_many(conn, actor, entity, [record_id])
    if record_id not in found:
        raise missing(entity)
    return found[record_id]


async def get_many(
    conn: AsyncConnection, actor: Asker | None, entity: Entity[RowT, InputT], ids: Several[int] | sa.Select[tuple[int]]
) -> dict[int, RowT]:
    """Return those of these records that the actor may see, by id. `ids` may be a query for them."""
    rows = (await conn.execute(visible(actor, entity).where(entity.id.in_(ids)))).mappings().all()
    return dict(zip(keyset.ids_of(rows), await read_rows(conn, entity, rows), strict=True))


def missing(entity: Entity[Any, Any]) -> NotFound:
    """The error of a record that is not there, or hidden."""
    return NotFound(f"{entity.kind}_missing", f"no such {entity.kind.replace('_', ' ')}")


async def read_rows(
    conn: AsyncConnection,
    entity: Entity[RowT, InputT],
    found: Sequence[Mapping[Any, Any]],
    *,
    only: Several[str] | None = None,
    known: Mapping[str, Mapping[int, Any]] | None = None,
) -> list[RowT]:
    """Return rows of the table as rows of the kind, with their collections.

    `known` are collections that were read before, the values by record.
    """
    ids = [row["id"] for row in found]
    several: dict[str, Mapping[int, Any]] = {one.name: {} for one in entity.collections} | dict(known or {})
    wanted = [one for one in entity.collections if one.name not in (known or {}) and (only is None or one.name in only)]
    several |= await load_all(conn, wanted, ids) if ids else {}
    typed = [field for field in entity.fields if field.name in attributes(entity.row) and field.columns]
    plain = [name for name in attributes(entity.row) if name in entity.table.c]
    rows = []
    for row in found:
        values = {name: row[name] for name in plain} | {field.name: field.load(row) for field in typed}
        values |= {name: loaded.get(row["id"], ()) for name, loaded in several.items()}
        rows.append(entity.row(**values))
    return rows


async def names(conn: AsyncConnection, actor: Asker | None, kind: str, ids: Several[int]) -> dict[int, str]:
    """Return the names of those of these records whose names the actor may know."""
    entity = registry.kind(kind)
    query = sa.select(entity.id, entity.name).where(entity.id.in_(ids))
    if not entity.names_are_open:
        query = query.where(permitted(actor, entity, "see"))
    return {row[0]: row[1] for row in await conn.execute(query)} if ids else {}


async def names_for(
    conn: AsyncConnection, actor: Asker | None, entity: Entity[RowT, Any], rows: Sequence[RowT]
) -> dict[tuple[str, int], str]:
    """Return the names of whatever these records refer to: one statement for each kind."""
    wanted: dict[str, set[int]] = {}
    for field in entity.fields:
        if field.kind is not None:
            for row in rows:
                wanted.setdefault(field.kind, set()).update(field.ids(entity.value(row, field)))
    return {
        (kind, record_id): name
        for kind, ids in wanted.items()
        for record_id, name in (await names(conn, actor, kind, ids)).items()
    }


async def answers(
    conn: AsyncConnection, actor: Asker | None, entity: Entity[RowT, Any], rows: Sequence[RowT]
) -> list[dict[str, Any]]:
    """Return records as the API answers them: the common columns and every field, references with their names."""
    known = await names_for(conn, actor, entity, rows)
    extra = await _characteristics_of(conn, entity, rows)
    answered = []
    for row in rows:
        answer: dict[str, Any] = {name: getattr(row, name) for name in ("id", "version") if hasattr(row, name)}
        for name in ("created_at", "changed_at"):
            if hasattr(row, name):
                answer[name] = rfc3339(getattr(row, name))
        if entity.archived_column is not None:
            answer["archived_at"] = rfc3339(getattr(row, entity.archived_column.key))
        answer |= {field.name: field.answer(entity.value(row, field), known) for field in entity.fields}
        if entity.has_characteristics:
            answer["characteristics"] = extra.get(answer["id"], {})
        answered.append(answer)
    return answered


async def _characteristics_of(
    conn: AsyncConnection, entity: Entity[Any, Any], rows: Sequence[Any]
) -> dict[int, dict[str, Any]]:
    if not entity.has_characteristics:
        return {}
    return await characteristics.answers(conn, entity, [row.id for row in rows])


async def possible(
    conn: AsyncConnection, actor: Asker | None, entity: Entity[Any, Any], record_id: int
) -> frozenset[Action]:
    """Return what the actor may do with one record."""
    asked = [permitted(actor, entity, action).label(action) for action in ACTIONS]
    row = (await conn.execute(sa.select(*asked).select_from(entity.table).where(entity.id == record_id))).first()
    return frozenset(action for action, is_so in zip(ACTIONS, row or (), strict=False) if is_so)
