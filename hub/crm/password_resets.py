"""Links to set a new password: made by an administrator, used once, gone after a while.

The link of a person who has set no password yet is an invitation; `users.invited_until` says until when it works.

Only the SHA-256 of a link's token is stored. Invariants: a token sets one password, whoever else tries at the same
moment; a new link, a new password and disabling the account void the older links; reading the page uses nothing up.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.audit import record
from hub.crm.models import password_resets, users
from hub.errors import Conflict, Gone, NotFound
from hub.store.changes import publish

LASTS = timedelta(hours=24)
INVITATION_LASTS = timedelta(days=7)
LONGEST = timedelta(days=30)
MAX_TOKEN_CHARS = 100
NO_PASSWORD = "!"  # noqa: S105  (no hash at all: it fits no password until a link sets one)


@dataclass(frozen=True, slots=True)
class ResetLink:
    """A link that works now, and whose password it sets."""

    id: int
    user_id: int
    email: str
    name: str
    is_invitation: bool = False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


async def make(conn: AsyncConnection, user_id: int, *, lasts: timedelta = LASTS, by: int | None, now: datetime) -> str:
    """Make a link's token for an enabled person and void those before it; return the token. Raises NotFound."""
    query = sa.select(users.c.id).where(users.c.id == user_id, users.c.disabled_at.is_(None))
    if (await conn.execute(query.with_for_update(read=True))).first() is None:
        raise NotFound("user_missing", "this account is disabled: enable it first")
    await void_all(conn, user_id, now=now)
    token = secrets.token_urlsafe(32)
    row = {"token_hash": _digest(token), "user_id": user_id, "created_at": now, "expires_at": now + lasts}
    await conn.execute(password_resets.insert().values(**row))
    invited = sa.update(users).where(users.c.id == user_id, users.c.password_hash == NO_PASSWORD)
    is_invitation = (await conn.execute(invited.values(invited_until=now + lasts))).rowcount
    action = "user.invited" if is_invitation else "user.reset_link_created"
    await record(conn, action, at=now, user_id=by, object_kind="user", object_id=user_id)
    await publish(conn, "user", user_id, at=now, data={"owners": [user_id]})
    return token


async def has_password(conn: AsyncConnection, user_id: int) -> bool:
    """Tell whether a person has set a password; whoever has not is invited."""
    stored = (await conn.execute(sa.select(users.c.password_hash).where(users.c.id == user_id))).scalar()
    return stored != NO_PASSWORD


async def withdraw(conn: AsyncConnection, user_id: int, *, by: int | None, now: datetime) -> None:
    """Withdraw a person's invitation: its link stops working. Raises Conflict where there is none."""
    query = sa.select(users.c.invited_until).where(users.c.id == user_id)
    if (await conn.execute(query.with_for_update())).scalar() is None:
        raise Conflict("not_invited", "there is no invitation to withdraw")
    await void_all(conn, user_id, now=now)
    await record(conn, "user.invitation_withdrawn", at=now, user_id=by, object_kind="user", object_id=user_id)
    await publish(conn, "user", user_id, at=now, data={"owners": [user_id]})


async def find(conn: AsyncConnection, token: str, *, now: datetime) -> ResetLink:
    """Return the link of this token. Raises NotFound for an unknown one, Gone `link_used` or `link_expired`."""
    missing = NotFound("link_missing", "there is no such link")
    if not token or len(token) > MAX_TOKEN_CHARS:
        raise missing
    query = (
        sa.select(password_resets, users.c.email, users.c.name, users.c.password_hash)
        .join(users, users.c.id == password_resets.c.user_id)
        .where(password_resets.c.token_hash == _digest(token), users.c.disabled_at.is_(None))
    )
    row = (await conn.execute(query)).first()
    if row is None:
        raise missing
    if row.used_at is not None:
        raise Gone("link_used", "this link was used already, or a newer one replaced it")
    if row.expires_at <= now:
        raise Gone("link_expired", "this link has expired")
    return ResetLink(row.id, row.user_id, row.email, row.name, row.password_hash == NO_PASSWORD)


async def use(conn: AsyncConnection, link: ResetLink, *, now: datetime) -> None:
    """Use a link up. Raises Gone where it was used a moment ago: of two at once one wins."""
    mine = sa.and_(password_resets.c.id == link.id, password_resets.c.used_at.is_(None))
    if not (await conn.execute(sa.update(password_resets).where(mine).values(used_at=now))).rowcount:
        raise Gone("link_used", "this link was used already, or a newer one replaced it")


async def void_all(conn: AsyncConnection, user_id: int, *, now: datetime) -> None:
    """Void every link of a person that was not used, an invitation too."""
    unused = sa.and_(password_resets.c.user_id == user_id, password_resets.c.used_at.is_(None))
    await conn.execute(sa.update(password_resets).where(unused).values(used_at=now))
    invited = sa.and_(users.c.id == user_id, users.c.invited_until.is_not(None))
    await conn.execute(sa.update(users).where(invited).values(invited_until=None))
