"""The feed of changes: what happened, in an order that nobody can miss a piece of.

A writer tells a change in its own transaction; a reader asks for all after its position. On PostgreSQL rows
become visible in another order than their ids were drawn, so a position is (transaction, id), and only rows of
transactions below the oldest one still running are read: what appears later always sorts later. On SQLite
writers come one after another and the transaction part is 0.
Invariant: reading from a position until nothing is left, over and over, yields every committed change once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import Refused
from hub.store.engine import Database, hint_after_commit, write_before_commit
from hub.store.schema import BigId, Json, metadata, moment

TOPIC = "changes"
KEPT = timedelta(hours=24)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("tx", sa.BigInteger(), nullable=False),
    moment("at", nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("object_id", sa.BigInteger(), nullable=False),
    sa.Column("team_id", sa.BigInteger()),
    sa.Column("user_id", sa.BigInteger()),
    sa.Column("client_id", sa.BigInteger()),
    sa.Column("data", Json, nullable=False),
    sa.Index("ix_changes_tx_id", "tx", "id"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the feed; everything at or before it has been read."""

    tx: int
    id: int

    def __str__(self) -> str:
        return f"{self.tx}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `str` wrote. Raises Refused."""
        if not (match := re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,18})", text)):
            raise Refused("bad_position", "not a position of this feed")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Change:
    """One committed change. `kind` says of what (`queue_item`, `call`, `message`, …), `object_id` which one."""

    position: Position
    at: datetime
    kind: str
    object_id: int
    team_id: int | None
    user_id: int | None
    client_id: int | None
    data: dict[str, Any]

    @property
    def ids(self) -> list[int]:
        """The records that it is about: those of a batch, else the one."""
        found: list[int] = self.data.get("ids") or [self.object_id]
        return found


async def publish(
    conn: AsyncConnection,
    kind: str,
    object_id: int,
    *,
    at: datetime,
    team_id: int | None = None,
    user_id: int | None = None,
    client_id: int | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Add a change to the transaction of `conn`; subscribers hear of it after the commit.

    `team_id`, `user_id` and `client_id` say whom it concerns; who may see it is decided by `crm.access`. All changes
    of a transaction are written at once, at its end, in the order they were told.
    """
    row = {"at": at, "kind": kind, "object_id": object_id, "data": data or {}}
    row |= {"team_id": team_id, "user_id": user_id, "client_id": client_id}
    write_before_commit(conn, TOPIC, row, _write)
    hint_after_commit(conn, TOPIC)


_WRITING = {
    "postgresql": changes.insert().values(tx=sa.text("pg_current_xact_id()::text::bigint")),
    "sqlite": changes.insert().values(tx=sa.literal(0)),
}


async def _write(conn: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    await conn.execute(_WRITING[conn.dialect.name], rows)


def _settled() -> sa.ColumnElement[bool]:
    """Rows that no running transaction can slip in front of any more (PostgreSQL)."""
    return changes.c.tx < sa.text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


async def held_for(conn: AsyncConnection, *, now: datetime) -> timedelta:
    """Return for how long the oldest committed change has been held back by a transaction that still runs."""
    if conn.dialect.name != "postgresql":
        return timedelta(0)
    oldest = (await conn.execute(sa.select(sa.func.min(changes.c.at)).where(sa.not_(_settled())))).scalar()
    return max(now - oldest, timedelta(0)) if oldest is not None else timedelta(0)


async def read_after(conn: AsyncConnection, position: Position, *, limit: int = 500) -> list[Change]:
    """Return up to `limit` settled changes after `position`, oldest first."""
    after = sa.tuple_(changes.c.tx, changes.c.id) > sa.tuple_(position.tx, position.id)
    query = sa.select(changes).where(after).order_by(changes.c.tx, changes.c.id).limit(limit)
    if conn.dialect.name == "postgresql":
        query = query.where(_settled())
    return [_change(row) for row in (await conn.execute(query)).mappings()]


async def head(conn: AsyncConnection) -> Position:
    """Return the newest settled position: where a subscriber that has just drawn its page begins."""
    query = sa.select(changes.c.tx, changes.c.id).order_by(changes.c.tx.desc(), changes.c.id.desc()).limit(1)
    if conn.dialect.name == "postgresql":
        query = query.where(_settled())
    row = (await conn.execute(query)).first()
    return Position(row[0], row[1]) if row else Position(0, 0)


async def can_resume(conn: AsyncConnection, position: Position) -> bool:
    """Tell whether everything after `position` is still here; False means the subscriber needs a reset.

    A position that is older than the kept rows, or newer than the newest (a restored backup), cannot.
    """
    if position == Position(0, 0):
        return not await _was_trimmed(conn)
    same = sa.and_(changes.c.tx == position.tx, changes.c.id == position.id)
    return (await conn.execute(sa.select(sa.literal(1)).where(same))).first() is not None


async def _was_trimmed(conn: AsyncConnection) -> bool:
    row = (await conn.execute(sa.select(changes.c.id).order_by(changes.c.tx, changes.c.id).limit(1))).first()
    return row is not None and row[0] > 1


async def trim(db: Database, *, now: datetime) -> int:
    """Drop changes older than `KEPT`, the newest always excepted; return how many."""
    async with db.begin() as conn:
        newest = await head(conn)
        old = sa.and_(
            changes.c.at < now - KEPT, sa.tuple_(changes.c.tx, changes.c.id) < sa.tuple_(newest.tx, newest.id)
        )
        return (await conn.execute(changes.delete().where(old))).rowcount


def _change(row: sa.RowMapping) -> Change:
    return Change(
        Position(row["tx"], row["id"]),
        row["at"],
        row["kind"],
        row["object_id"],
        row["team_id"],
        row["user_id"],
        row["client_id"],
        row["data"],
    )


def newest_of(found: Sequence[Change], start: Position) -> Position:
    """Return the position behind `found`, or `start` where there is none."""
    return found[-1].position if found else start
