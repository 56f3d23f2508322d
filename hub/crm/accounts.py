"""Acts on a person's account: a new password, disabling, enabling.

Each is one transaction with its audit row. Invariants: a new password ends every session but the one it was set in,
forgets the browsers and voids the links; a disabled account has no session, no token, no link, no known browser, and
holds nothing that waits for an answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import known_devices, password_resets, presence, queue, sessions, tokens
from hub.crm.access import Actor, load_actor
from hub.crm.audit import record
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.models import users
from hub.crm.people.table import USERS
from hub.errors import Refused

MAX_HELD = 10_000
_ADMINS = sa.select(users.c.id).where(users.c.role == "admin", users.c.disabled_at.is_(None)).order_by(users.c.id)
PasswordBy = Literal["command", "link"]


async def set_password(
    conn: AsyncConnection, user_id: int, password_hash: str, *, way: PasswordBy, now: datetime
) -> None:
    """Give an account a new password. API tokens stay: they were never the password's."""
    by = user_id if way == "link" else None
    await conn.execute(sa.update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    await sessions.end_all(conn, user_id, by=by, now=now)
    await known_devices.forget_all(conn, user_id)
    await password_resets.void_all(conn, user_id, now=now)
    details = {"way": way}
    await record(conn, "user.password_set", at=now, user_id=by, object_kind="user", object_id=user_id, details=details)


async def disable(conn: AsyncConnection, user_id: int, *, edit: Edit, version: int | None = None) -> int:
    """Disable an account at once; return how many queue items went back to their teams. Twice changes nothing.

    A call that they are talking in stays theirs until it ends. Drafts, what is being sent, clients and history stay
    as they are. Raises Refused for the last administrator, and what `records.archive` raises.
    """
    await lock_admins(conn)
    actor = await load_actor(conn, user_id)
    await records.archive(conn, USERS, user_id, edit=edit, version=version)
    if actor is None:
        return 0
    if actor.is_admin:
        await require_an_admin(conn)
    by, now = edit.actor.user_id if edit.actor else None, edit.now
    await sessions.end_all(conn, user_id, by=by, now=now)
    await tokens.revoke_all(conn, user_id, by=by, now=now)
    await known_devices.forget_all(conn, user_id)
    await password_resets.void_all(conn, user_id, now=now)
    returned = await _return_items(conn, actor, now=now)
    await presence.leave(conn, user_id, now=now)
    details = {"returned": returned}
    await record(conn, "user.disabled", at=now, user_id=by, object_kind="user", object_id=user_id, details=details)
    return returned


async def _return_items(conn: AsyncConnection, actor: Actor, *, now: datetime) -> int:
    """Release what a person holds of the queue, but a call that they are talking in; return how many."""
    held = await queue.listed(conn, actor, state="claimed", mine=True, limit=MAX_HELD)
    returned = [item for item in held if item.kind != "call" or item.lease_until is not None]
    for item in returned:
        await queue.release(conn, actor, item.id, now=now)
    return len(returned)


async def lock_admins(conn: AsyncConnection) -> None:
    """Let of two changes that each take an administrator away the second wait, and find who is left."""
    await conn.execute(_ADMINS.with_for_update())


async def require_an_admin(conn: AsyncConnection) -> None:
    """Raise Refused where no enabled administrator is left."""
    if (await conn.execute(_ADMINS.limit(1))).first() is None:
        raise Refused("last_admin", "this is the only administrator: make another one first")


async def enable(conn: AsyncConnection, user_id: int, *, edit: Edit, version: int | None = None) -> None:
    """Let a disabled account sign in again, with the password it had. Its sessions and tokens stay ended."""
    was_disabled = (await records.get(conn, edit.actor, USERS, user_id)).disabled_at is not None
    await records.restore(conn, USERS, user_id, edit=edit, version=version)
    if was_disabled:
        by = edit.actor.user_id if edit.actor else None
        await record(conn, "user.enabled", at=edit.now, user_id=by, object_kind="user", object_id=user_id)
