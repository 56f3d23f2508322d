"""The history of records: one row per edit, with author, time, way, and each field from and to.

Rows are written by `records` in the transaction of the edit, and only ever added. A creation is a row without values;
acts that change no field (a sign-in, an export) are in `audit`. Invariant: the rows of a record, read backwards from
its present values, give the values it had at each version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.permissions import Asker
from hub.store.schema import Json, id_column, link, metadata, moment

Way = Literal["page", "api", "import", "merge", "bulk", "undo", "command", "call", "mail", "rule", "hub"]
WAYS: tuple[Way, ...] = get_args(Way)
Changes = Mapping[str, Sequence[Any]]
"""`{field: [from, to]}`, values as `Field.dump` writes them."""

history = sa.Table(
    "history",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("record_id", sa.BigInteger(), nullable=False),
    sa.Column("version", sa.Integer(), nullable=False),
    moment("at", nullable=False),
    link("user_id", "users"),
    sa.Column("way", sa.String(10), nullable=False),
    sa.Column("operation_id", sa.BigInteger(), index=True),
    sa.Column("changes", Json, nullable=False),
    sa.Index("ix_history_record", "kind", "record_id", "id"),
)


@dataclass(frozen=True, slots=True)
class Edit:
    """The author, way, time and operation of a write. Without an actor it is Hub itself."""

    actor: Asker | None
    way: Way
    now: datetime
    operation: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One edit; `changes` is empty for the creation."""

    id: int
    at: datetime
    user_id: int | None
    user_name: str | None
    way: Way
    operation_id: int | None
    version: int
    changes: dict[str, list[Any]]


def row(kind: str, record_id: int, *, version: int, changes: Changes, edit: Edit) -> dict[str, Any]:
    """Return a row for `write_all`."""
    return {
        "kind": kind,
        "record_id": record_id,
        "version": version,
        "at": edit.now,
        "user_id": edit.actor.user_id if edit.actor else None,
        "way": edit.way,
        "operation_id": edit.operation,
        "changes": {name: list(pair) for name, pair in changes.items()},
    }


async def write(
    conn: AsyncConnection, kind: str, record_id: int, *, version: int, changes: Changes, edit: Edit
) -> None:
    """Add the row of one edit; `version` is the record's after it, 0 of a kind that has none, as calls."""
    await write_all(conn, [row(kind, record_id, version=version, changes=changes, edit=edit)])


async def write_all(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Add the rows of many edits, made by `row`."""
    if rows:
        await conn.execute(history.insert(), list(rows))


async def page(
    conn: AsyncConnection, kind: str, record_id: int, *, before: int | None = None, limit: int = 50
) -> list[Entry]:
    """Return a record's edits, newest first; `before` is the id of the last entry of the page before."""
    users = metadata.tables["users"]
    query = (
        sa.select(history, users.c.name.label("user_name"))
        .outerjoin(users, users.c.id == history.c.user_id)
        .where(history.c.kind == kind, history.c.record_id == record_id)
        .order_by(history.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(history.c.id < before)
    rows = (await conn.execute(query)).mappings()
    return [Entry(**{name: one[name] for name in Entry.__slots__}) for one in rows]


async def since(conn: AsyncConnection, kind: str, record_id: int, *, version: int) -> list[Entry]:
    """Return the edits that came after a version, newest first, 500 at most."""
    return [entry for entry in await page(conn, kind, record_id, limit=500) if entry.version > version]


async def of_operation(conn: AsyncConnection, kind: str, record_id: int, operation_id: int) -> dict[str, list[Any]]:
    """Return what an operation changed of a record: `{field: [before it, what it wrote]}`, its undo left out."""
    here = sa.and_(history.c.kind == kind, history.c.record_id == record_id, history.c.operation_id == operation_id)
    query = sa.select(history.c.changes).where(here, history.c.way != "undo").order_by(history.c.id)
    found: dict[str, list[Any]] = {}
    for changes in (await conn.execute(query)).scalars():
        for name, (before, wrote) in changes.items():
            found[name] = [found.get(name, [before])[0], wrote]
    return found


def originals(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what each field that these edits (newest first) changed was before them."""
    return {name: pair[0] for entry in entries for name, pair in entry.changes.items()}
