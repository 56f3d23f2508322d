"""API tokens: made, used, listed, revoked. Only the SHA-256 of a token is stored.

Decides whose a token is and whether it still holds. Invariants: a token that is revoked or expired, or whose owner is
disabled, opens nothing, and its streams end with its revocation; its last use is written once a minute at most.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import endings
from hub.crm.access import Actor, load_actor
from hub.crm.audit import record
from hub.crm.models import tokens, users
from hub.crm.people import account_key
from hub.errors import NotFound, Refused

MAX_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class Bearer:
    """The person that a token acts for, and the token's id."""

    token_id: int
    actor: Actor


@dataclass(frozen=True, slots=True)
class Token:
    """A token as lists show it; the token itself cannot be read again."""

    id: int
    user_id: int
    email: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


async def make(
    conn: AsyncConnection,
    email: str,
    *,
    name: str = "",
    expires_at: datetime | None = None,
    by: int | None = None,
    now: datetime,
) -> str:
    """Make a token for an enabled person; return it. `by` is who did it, None for the command.

    Raises NotFound, Refused.
    """
    query = sa.select(users.c.id).where(users.c.email == account_key(email), users.c.disabled_at.is_(None))
    user_id = (await conn.execute(query.with_for_update(read=True))).scalar()
    if user_id is None:
        raise NotFound("user_missing", f"no user {sanitize.shown(email)}")
    if expires_at is not None and expires_at <= now:
        raise Refused("bad_time", "a token must expire later than now", field="expires_at")
    token = f"hub_{secrets.token_urlsafe(32)}"
    shown = sanitize.shown(name, max_chars=MAX_NAME_CHARS)
    row = {"token_hash": _digest(token), "user_id": user_id, "name": shown, "created_at": now, "expires_at": expires_at}
    token_id = (await conn.execute(tokens.insert().values(**row).returning(tokens.c.id))).scalar_one()
    details = {"for": user_id, "name": shown}
    await record(conn, "token.created", at=now, user_id=by, object_kind="token", object_id=token_id, details=details)
    return token


async def find_bearer(conn: AsyncConnection, token: str, *, now: datetime) -> Bearer | None:
    """Return whose token this is, None where it is unknown, revoked or expired, or its owner disabled."""
    query = sa.select(tokens.c.id, tokens.c.user_id).where(
        tokens.c.token_hash == _digest(token),
        tokens.c.revoked_at.is_(None),
        sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
    )
    row = (await conn.execute(query)).first()
    actor = await load_actor(conn, row.user_id) if row else None
    return Bearer(row.id, actor) if row and actor else None


async def listed(
    conn: AsyncConnection, *, user_id: int | None = None, after: int = 0, limit: int | None = None
) -> list[Token]:
    """Return the tokens that are not revoked, of one person or of all, in the order they were made."""
    query = (
        sa.select(tokens, users.c.email)
        .join(users, users.c.id == tokens.c.user_id)
        .where(tokens.c.revoked_at.is_(None), tokens.c.id > after)
        .order_by(tokens.c.id)
        .limit(limit)
    )
    if user_id is not None:
        query = query.where(tokens.c.user_id == user_id)
    rows = (await conn.execute(query)).mappings()
    return [Token(**{name: row[name] for name in Token.__slots__}) for row in rows]


async def revoke(conn: AsyncConnection, token_id: int, *, of: int | None = None, by: int | None, now: datetime) -> None:
    """Revoke a token; its streams end. `of` is whose it must be. Raises NotFound; twice is once."""
    query = sa.select(tokens.c.user_id).where(tokens.c.id == token_id)
    if of is not None:
        query = query.where(tokens.c.user_id == of)
    user_id = (await conn.execute(query)).scalar()
    if user_id is None:
        raise NotFound("token_missing", f"no token {token_id}")
    await endings.revoke(conn, "token", tokens.c.id == token_id, user_id=user_id, by=by, now=now)


async def revoke_all(conn: AsyncConnection, user_id: int, *, by: int | None, now: datetime) -> int:
    """Revoke every token of a person; return how many."""
    return await endings.revoke(conn, "token", sa.true(), user_id=user_id, by=by, now=now)


async def note_uses(conn: AsyncConnection, uses: Mapping[int, datetime]) -> None:
    """Write when tokens were last used; an older moment changes nothing."""
    for token_id, at in sorted(uses.items()):
        older = sa.or_(tokens.c.used_at.is_(None), tokens.c.used_at < at)
        await conn.execute(sa.update(tokens).where(tokens.c.id == token_id, older).values(used_at=at))
