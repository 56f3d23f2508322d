"""People: users, teams, passwords, sessions and tokens.

Passwords are argon2id; sessions and tokens are random and only their SHA-256 is stored. Decides who somebody is,
never what they may do (`access`). Invariant: a wrong password and an unknown e-mail read and cost the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import endings
from hub.crm.access import Actor, load_actor
from hub.crm.addresses import parse_email
from hub.crm.audit import record
from hub.crm.base.fields import fold
from hub.crm.models import sessions, team_members, teams, users
from hub.crm.people.table import Role
from hub.crm.roles import rules as roles
from hub.errors import Conflict, Refused
from hub.store.upsert import insert

AccountKey = NewType("AccountKey", str)
SESSION_LASTS = timedelta(days=14)
SEEN_EVERY = timedelta(minutes=5)

_hasher = PasswordHasher()  # argon2id, 64 MiB, 3 passes: the library's defaults (RFC 9106, low-memory profile)
# Two at a time bound the memory that a flood of sign-ins can take to 128 MiB.
_hashing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
# The hash of a password that nobody kept: an unknown name takes as long to refuse as a known one.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$vhOZXXruMwEwQe6TBLFb5w$v4aDIdFc/m7qVMZtAaW198fRUC0awHszFVvGTdIb0IE"


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `csrf` is the token its forms carry."""

    id: int
    csrf: str
    actor: Actor


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


async def hash_password(password: str) -> str:
    """Return the argon2id hash. Raises Refused for a password under 8 or over 256 characters."""
    if not 8 <= len(password) <= 256:
        raise Refused("bad_password", "a password has 8 to 256 characters", field="password")
    return await asyncio.get_running_loop().run_in_executor(_hashing, _hasher.hash, password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def ensure_team(conn: AsyncConnection, name: str, *, now: datetime) -> int:
    """Return the id of the team of this name, making it where there is none."""
    await conn.execute(
        insert(conn, teams)
        .values(name=name, name_folded=fold(name), created_at=now, changed_at=now)
        .on_conflict_do_nothing()
    )
    return int((await conn.execute(sa.select(teams.c.id).where(teams.c.name == name))).scalar_one())


async def add_user(
    conn: AsyncConnection,
    *,
    email: str,
    name: str,
    role: Role,
    password_hash: str,
    team_names: Sequence[str] = (),
    extension: str | None = None,
    language: str | None = None,
    now: datetime,
) -> int:
    """Make a user; return the id. Raises Refused for bad input, Conflict where the e-mail or extension is taken."""
    normal = parse_email(email)
    if normal is None:
        raise Refused("bad_email", f"{sanitize.shown(email)!r} is not an e-mail address", field="email")
    clean = sanitize.shown(name)
    if not clean:
        raise Refused("name_missing", "a user needs a name", field="name")
    role_id = await roles.id_of(conn, role)
    values = {
        "email": normal,
        "name": clean,
        "name_folded": fold(clean),
        "role": "admin" if await roles.is_admin(conn, role_id) else "manager",
        "role_id": role_id,
        "password_hash": password_hash,
        "extension": sanitize.extension(extension) if extension else None,
        "language": language,
        "created_at": now,
        "changed_at": now,
    }
    try:
        async with conn.begin_nested():
            made = await conn.execute(users.insert().values(**values).returning(users.c.id))
            user_id: int = made.scalar_one()
    except IntegrityError:
        raise Conflict("user_exists", f"{normal} or extension {extension} is already taken") from None
    for team_name in team_names:
        team_id = await ensure_team(conn, team_name, now=now)
        await conn.execute(team_members.insert().values(team_id=team_id, user_id=user_id))
    await record(conn, "user.created", at=now, user_id=None, object_kind="user", object_id=user_id)
    return user_id


def account_key(raw: str) -> AccountKey:
    """Return the form of an e-mail that accounts are looked up by, and tries are counted by; empty for what is none."""
    return AccountKey(parse_email(raw) or "")


async def password_of(conn: AsyncConnection, account: AccountKey) -> tuple[int | None, str]:
    """Return the enabled user of this account and the hash to check; for no such user, a hash that nothing fits."""
    query = sa.select(users.c.id, users.c.password_hash).where(users.c.email == account, users.c.disabled_at.is_(None))
    row = (await conn.execute(query)).first()
    return (int(row.id), row.password_hash) if row else (None, _NOBODY)


async def password_now(conn: AsyncConnection, user_id: int) -> str | None:
    """Return the hash of an enabled person, None for a disabled one; neither changes before the transaction ends."""
    query = sa.select(users.c.password_hash).where(users.c.id == user_id, users.c.disabled_at.is_(None))
    return (await conn.execute(query.with_for_update(read=True))).scalar()


async def fits(stored: str, password: str) -> bool:
    """Tell whether a password is the one of this hash; takes 64 MiB and a tenth of a second. Holds no connection."""
    return await asyncio.get_running_loop().run_in_executor(_hashing, _verify, stored, password[:256])


async def open_session(
    conn: AsyncConnection, user_id: int, *, user_agent: str, address: str = "", now: datetime
) -> str:
    """Sign a user in from an address; return the secret for the cookie."""
    secret = secrets.token_urlsafe(32)
    values = {
        "token_hash": _digest(secret),
        "csrf": secrets.token_urlsafe(32),
        "user_id": user_id,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + SESSION_LASTS,
        "user_agent": sanitize.shown(user_agent, max_chars=300),
        "address": address[:45],
    }
    await conn.execute(sessions.insert().values(**values))
    await record(conn, "session.opened", at=now, user_id=user_id, object_kind="user", object_id=user_id)
    return secret


async def find_session(conn: AsyncConnection, secret: str, *, now: datetime) -> Session | None:
    """Return the live session of a cookie, None where it is unknown, revoked, expired or its user is disabled."""
    query = sa.select(sessions).where(
        sessions.c.token_hash == _digest(secret), sessions.c.revoked_at.is_(None), sessions.c.expires_at > now
    )
    row = (await conn.execute(query)).first()
    actor = await load_actor(conn, row.user_id) if row else None
    return Session(row.id, row.csrf, actor) if row and actor else None


async def revoke_session(conn: AsyncConnection, session_id: int, *, now: datetime) -> None:
    """Sign a browser out; its streams end in every process."""
    is_open = sa.and_(sessions.c.id == session_id, sessions.c.revoked_at.is_(None))
    ended = sa.update(sessions).where(is_open).values(revoked_at=now).returning(sessions.c.user_id)
    if (user_id := (await conn.execute(ended)).scalar()) is not None:
        await endings.publish(conn, user_id, session_ids=[session_id], now=now)


async def team_names(conn: AsyncConnection) -> dict[int, str]:
    """Return every team's name by id."""
    return {row.id: row.name for row in await conn.execute(sa.select(teams.c.id, teams.c.name).order_by(teams.c.name))}


async def team_mates(conn: AsyncConnection, actor: Actor) -> list[tuple[int, str, str | None]]:
    """Return (id, name, extension) of the enabled people of the actor's teams, by name."""
    query = (
        sa.select(users.c.id, users.c.name, users.c.extension)
        .where(users.c.disabled_at.is_(None))
        .where(
            users.c.id.in_(sa.select(team_members.c.user_id).where(team_members.c.team_id.in_(sorted(actor.team_ids))))
        )
        .order_by(users.c.name)
    )
    return [(row.id, row.name, row.extension) for row in await conn.execute(query)]
