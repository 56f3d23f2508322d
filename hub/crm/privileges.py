"""Privileges of a person beyond their role: granted and taken away one at a time, each with an audit row.

What a privilege lets a person do is `access`'. Invariant: granting twice changes nothing and leaves one row.
"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.access import Privilege
from hub.crm.audit import record
from hub.crm.models import user_privileges, users
from hub.crm.people import account_key
from hub.errors import NotFound, Refused
from hub.store.changes import publish
from hub.store.upsert import insert

PRIVILEGES: tuple[Privilege, ...] = get_args(Privilege)


def read_privilege(text: str) -> Privilege:
    """Return a privilege by its name. Raises Refused that names those there are."""
    for privilege in PRIVILEGES:
        if text == privilege:
            return privilege
    raise Refused(
        "bad_privilege", f"{sanitize.shown(text)!r} is no privilege: {', '.join(PRIVILEGES)}", field="privilege"
    )


async def held_by(conn: AsyncConnection, user_id: int) -> list[Privilege]:
    """Return what a person holds, in the order of `PRIVILEGES`. Raises NotFound."""
    if (await conn.execute(sa.select(users.c.id).where(users.c.id == user_id))).first() is None:
        raise NotFound("user_missing", "no such user")
    held = sa.select(user_privileges.c.privilege).where(user_privileges.c.user_id == user_id)
    found = set((await conn.execute(held)).scalars())
    return [privilege for privilege in PRIVILEGES if privilege in found]


async def user_id_of(conn: AsyncConnection, email: str) -> int:
    """Return whose e-mail address this is. Raises NotFound."""
    user_id = (await conn.execute(sa.select(users.c.id).where(users.c.email == account_key(email)))).scalar()
    if user_id is None:
        raise NotFound("user_missing", f"no user {sanitize.shown(email)}")
    return int(user_id)


async def grant(conn: AsyncConnection, user_id: int, privilege: Privilege, *, by: int | None, now: datetime) -> None:
    """Give a person a privilege; `by` is the administrator, None for the command line. Raises NotFound."""
    await held_by(conn, user_id)
    fresh = insert(conn, user_privileges).values(user_id=user_id, privilege=privilege).on_conflict_do_nothing()
    if (await conn.execute(fresh)).rowcount:
        await _record(conn, "user.privilege_granted", user_id, privilege, by=by, now=now)


async def revoke(conn: AsyncConnection, user_id: int, privilege: Privilege, *, by: int | None, now: datetime) -> None:
    """Take a privilege away; it ends with the person's next request. Raises NotFound."""
    await held_by(conn, user_id)
    gone = user_privileges.delete().where(
        user_privileges.c.user_id == user_id, user_privileges.c.privilege == privilege
    )
    if (await conn.execute(gone)).rowcount:
        await _record(conn, "user.privilege_revoked", user_id, privilege, by=by, now=now)


async def _record(
    conn: AsyncConnection, action: str, user_id: int, privilege: Privilege, *, by: int | None, now: datetime
) -> None:
    details = {"privilege": privilege}
    await publish(conn, "user", user_id, at=now, data={"owners": [user_id]})
    await record(conn, action, at=now, user_id=by, object_kind="user", object_id=user_id, details=details)
