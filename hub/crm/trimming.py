"""Drop what the sign-in and the API leave behind: sessions, devices, links and keys whose time is over.

Decides only for how long each is kept. Invariant: nothing that still opens anything, or answers a repeated request
within `KEYS_KEPT`, is dropped; and no transaction takes more than `AT_ONCE` rows, so that nobody waits for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.crm.models import idempotency_keys, known_devices, password_resets, sessions
from hub.store.engine import Database

SESSIONS_KEPT = timedelta(days=30)
"""After their end, so that an administrator can still see where somebody was signed in."""
KEYS_KEPT = timedelta(days=3)
AT_ONCE = 1000


async def trim(db: Database, *, now: datetime) -> dict[str, int]:
    """Drop everything that is over; return how many rows of each table."""
    ended = now - SESSIONS_KEPT
    over: dict[sa.Table, sa.ColumnElement[bool]] = {
        sessions: sa.or_(sessions.c.expires_at < ended, sessions.c.revoked_at < ended),
        known_devices: known_devices.c.expires_at < now,
        password_resets: sa.or_(password_resets.c.expires_at < ended, password_resets.c.used_at < ended),
        idempotency_keys: idempotency_keys.c.created_at < now - KEYS_KEPT,
    }
    return {table.name: await _drop(db, table, which) for table, which in over.items()}


async def _drop(db: Database, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    key = sa.tuple_(*table.primary_key.columns)
    some = sa.select(*table.primary_key.columns).where(which).limit(AT_ONCE)
    total = 0
    while True:
        async with db.begin() as conn:
            dropped = (await conn.execute(table.delete().where(key.in_(some)))).rowcount
        total += dropped
        if dropped < AT_ONCE:
            return total
