"""Browsers that a person has signed in with: a stranger's tries do not count for them.

A browser holds a random secret in a long-lived cookie, and only its SHA-256 is stored, for each person who signed in
there. It proves no one's identity and replaces no password: it decides only which limit the next try counts for.
Invariant: the secret changes with each sign-in, so that one which was planted or copied is worth nothing afterwards.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.models import known_devices, users
from hub.crm.people import AccountKey

LASTS = timedelta(days=365)
MAX_SECRET_CHARS = 100


def digest(secret: str) -> str:
    """Return what a device is stored and counted under."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


async def is_known(conn: AsyncConnection, secret: str, account: AccountKey, *, now: datetime) -> bool:
    """Tell whether the browser with this secret is one that this account signed in with."""
    if not secret or len(secret) > MAX_SECRET_CHARS:
        return False
    query = (
        sa.select(known_devices.c.user_id)
        .join(users, users.c.id == known_devices.c.user_id)
        .where(known_devices.c.token_hash == digest(secret), users.c.email == account)
        .where(known_devices.c.expires_at > now, users.c.disabled_at.is_(None))
    )
    return (await conn.execute(query)).first() is not None


async def remember(conn: AsyncConnection, user_id: int, secret: str, *, now: datetime) -> str:
    """Remember the browser for this person, beside whom else it is known for; return its new secret."""
    fresh = secrets.token_urlsafe(32)
    this = known_devices.c.token_hash == digest(secret)
    over = sa.and_(known_devices.c.user_id == user_id, known_devices.c.expires_at <= now)
    await conn.execute(known_devices.delete().where(sa.or_(over, sa.and_(this, known_devices.c.user_id == user_id))))
    await conn.execute(sa.update(known_devices).where(this).values(token_hash=digest(fresh)))
    row = {"token_hash": digest(fresh), "user_id": user_id, "seen_at": now, "expires_at": now + LASTS}
    await conn.execute(known_devices.insert().values(**row))
    return fresh


async def forget_all(conn: AsyncConnection, user_id: int) -> None:
    """Forget every browser of a person."""
    await conn.execute(known_devices.delete().where(known_devices.c.user_id == user_id))
