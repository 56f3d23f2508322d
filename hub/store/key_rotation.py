"""Rotation of the keys of the secrets: every sealed row gets a new key, and the old keys are forgotten.

Decides the order; which tables hold sealed rows is told by the caller, who must name all of them. Invariant: stopped
anywhere it leaves every secret readable, and the next run finishes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.errors import Unavailable
from hub.store.encryption import Sealed, Vault, lock
from hub.store.engine import Database

BATCH = 100


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table with the columns `key_id` and `sealed`; `place` is what a row was sealed for."""

    table: sa.Table
    place: Callable[[sa.Row[Any]], str]

    @property
    def id(self) -> sa.Column[Any]:
        return next(iter(self.table.primary_key.columns))


async def rotate(db: Database, vault: Vault, tables: Sequence[SealedTable]) -> int:
    """Seal every secret with a new key and forget the old ones; return how many were sealed anew.

    Killed at any point it leaves the old keys in the file, and the next run finishes. Raises Unavailable, and changes
    nothing, where a secret cannot be opened: its key may still be found in a backup.
    """
    vault.make_if_missing()
    async with db.read() as conn:
        for one in tables:
            await _require_readable(conn, vault, one)
    async with db.begin() as conn:
        await lock(conn, shared=False)
        vault.add_key()
    count = 0
    for one in tables:
        while sealed := await _seal_some(db, vault, one):
            count += sealed
            crash_points.point("vault.batch")
    async with db.begin() as conn:
        # Alone: whoever sealed with an old key has committed before, and who comes after reads the file anew.
        await lock(conn, shared=False)
        newest = vault.ring().newest
        if not any([await _has_others(conn, one, newest) for one in tables]):
            crash_points.point("vault.before_drop")
            vault.drop_keys(but=newest)
            crash_points.point("vault.dropped")
    return count


async def _require_readable(conn: AsyncConnection, vault: Vault, one: SealedTable) -> None:
    for row in (await conn.execute(sa.select(one.table).order_by(one.id))).all():
        try:
            vault.open(row.key_id, row.sealed, place=one.place(row))
        except Sealed as error:
            text = f"{error.message}; enter that secret anew, or bring the key back first"
            raise Unavailable("secret_sealed", text) from None


async def _has_others(conn: AsyncConnection, one: SealedTable, newest: str) -> bool:
    others = sa.select(one.id).where(one.table.c.key_id != newest).limit(1)
    return (await conn.execute(others)).first() is not None


async def _seal_some(db: Database, vault: Vault, one: SealedTable) -> int:
    async with db.begin() as conn:
        await lock(conn, shared=True)
        old = sa.select(one.table).where(one.table.c.key_id != vault.ring().newest)
        rows = (await conn.execute(old.order_by(one.id).limit(BATCH).with_for_update())).all()
        for row in rows:
            place = one.place(row)
            key_id, sealed = await vault.seal(conn, vault.open(row.key_id, row.sealed, place=place), place=place)
            same = sa.update(one.table).where(one.id == getattr(row, one.id.name))
            await conn.execute(same.values(key_id=key_id, sealed=sealed))
        crash_points.point("vault.batch_sealed")
    return len(rows)
