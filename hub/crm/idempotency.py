"""One answer per Idempotency-Key: a repeated request gets what the first one got, and does nothing.

The key's row is written in the deed's own transaction, so that a deed that was rolled back leaves its key free.
Invariant: two requests with one key of one user never both act, on either database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.models import idempotency_keys
from hub.errors import Conflict, Refused
from hub.store.upsert import insert

KEY_PATTERN = "^[!-~]{1,200}$"
_KEY = re.compile(KEY_PATTERN)


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the first request with this key."""

    status: int
    answer: Any


async def first(conn: AsyncConnection, actor: Actor, key: str, *, request_hash: str, now: datetime) -> Answered | None:
    """Take the key, or return what its first request was answered.

    A second request waits here while the first is under way. Raises Conflict where the key stood for another request.
    """
    if not _KEY.fullmatch(key):
        message = "Idempotency-Key is 1 to 200 visible ASCII characters"
        raise Refused("bad_idempotency_key", message, field="Idempotency-Key")
    mine = {"user_id": actor.user_id, "key": key}
    taken = insert(conn, idempotency_keys).values(**mine, request_hash=request_hash, created_at=now)
    taken = taken.on_conflict_do_nothing(index_elements=["user_id", "key"]).returning(idempotency_keys.c.key)
    if (await conn.execute(taken)).first() is not None:
        return None
    table = idempotency_keys.c
    row = (
        await conn.execute(sa.select(idempotency_keys).where(table.user_id == actor.user_id, table.key == key))
    ).one()
    if row.request_hash != request_hash:
        raise Conflict("idempotency_key_reused", "this Idempotency-Key stood for another request")
    return Answered(row.status, row.answer)


async def keep(conn: AsyncConnection, actor: Actor, key: str, *, status: int, answer: Any) -> None:
    """Keep the answer of the request that took the key."""
    table = idempotency_keys.c
    mine = sa.update(idempotency_keys).where(table.user_id == actor.user_id, table.key == key)
    await conn.execute(mine.values(status=status, answer=answer))
