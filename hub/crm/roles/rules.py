"""The rules of roles: who may change them, which are delivered, what a word of a role means.

Invariants: nobody gives more than they may do themselves; the administrator's role always permits everything; a role
that somebody has is not archived.
"""

from __future__ import annotations

import sqlalchemy as sa
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base import records
from hub.crm.base.fields import fold
from hub.crm.base.history import Edit
from hub.crm.base.registry import Writers
from hub.crm.models import roles, users
from hub.crm.roles import rights
from hub.crm.roles.table import ROLES, RoleInput, RoleRecord
from hub.errors import Conflict, Forbidden, Refused


async def create(conn: AsyncConnection, given: RoleInput, *, edit: Edit) -> RoleRecord:
    """Make a role. Raises Forbidden, Invalid."""
    made = await records.create(conn, ROLES, given, edit=edit)
    await _require_covered(conn, made.id, edit)
    await _audit(conn, "role.created", made.id, edit)
    return made


async def update(
    conn: AsyncConnection, record_id: int, given: RoleInput, *, edit: Edit, version: int | None = None
) -> RoleRecord:
    """Change a role; it holds from each person's next request on.

    Of the administrator's role only the second step of the sign-in can be changed. Raises Forbidden otherwise.
    """
    before = await records.get(conn, edit.actor, ROLES, record_id)
    if _changed(given, before) <= {"requires_two_factor"}:
        await _require_covered(conn, record_id, edit)
    else:
        await _require_changeable(conn, record_id, edit)
    changed = await records.update(conn, ROLES, record_id, given, edit=edit, version=version)
    await _require_covered(conn, record_id, edit)
    await _audit(conn, "role.changed", record_id, edit)
    return changed


async def archive(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> RoleRecord:
    """Archive a role that nobody has. Raises Conflict (`in_use`) otherwise, Forbidden for the administrator's."""
    await _require_changeable(conn, record_id, edit)
    held = sa.select(sa.func.count()).select_from(users).where(users.c.role_id == record_id)
    if uses := (await conn.execute(held)).scalar_one():
        raise Conflict("in_use", "people have this role: give them another one first", uses=uses)
    archived = await records.archive(conn, ROLES, record_id, edit=edit, version=version)
    await _audit(conn, "role.archived", record_id, edit)
    return archived


async def restore(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> RoleRecord:
    """Bring an archived role back."""
    await _require_changeable(conn, record_id, edit)
    restored = await records.restore(conn, ROLES, record_id, edit=edit, version=version)
    await _audit(conn, "role.restored", record_id, edit)
    return restored


WRITERS = Writers(create, update, archive, restore)


async def id_of(conn: AsyncConnection, word: str) -> int:
    """Return the role of a key ("manager") or a name. Raises Refused that names those there are."""
    is_meant = sa.or_(roles.c.key == word, roles.c.name_folded == fold(word))
    query = sa.select(roles.c.id).where(is_meant, roles.c.archived_at.is_(None)).order_by(roles.c.key == word)
    found = (await conn.execute(query)).scalars().all()
    if not found:
        known = (
            await conn.execute(sa.select(sa.func.coalesce(roles.c.key, roles.c.name)).order_by(roles.c.id))
        ).scalars()
        text = f"{sanitize.shown(word)!r} is no role: {', '.join(known)}"
        raise Refused("bad_role", text, field="role")
    return int(found[-1])


async def is_admin(conn: AsyncConnection, role_id: int) -> bool:
    """Tell whether a role is the administrator's."""
    return (await conn.execute(sa.select(roles.c.key).where(roles.c.id == role_id))).scalar() == "admin"


def _changed(given: RoleInput, before: RoleRecord) -> set[str]:
    """Return the fields that an input would change."""
    sent = {name: getattr(given, name) for name in given.__struct_fields__}
    return {name for name, value in sent.items() if value is not UNSET and value != getattr(before, name)}


async def _require_changeable(conn: AsyncConnection, role_id: int, edit: Edit) -> None:
    """Raise NotFound for a hidden role, Forbidden for the administrator's and one beyond the actor's rights."""
    await records.get(conn, edit.actor, ROLES, role_id)
    if await is_admin(conn, role_id):
        raise Forbidden("fixed_role", "the administrator's role permits everything and cannot be changed")
    await _require_covered(conn, role_id, edit)


async def _require_covered(conn: AsyncConnection, role_id: int, edit: Edit) -> None:
    if isinstance(edit.actor, Actor):
        await rights.require_covers_role(conn, edit.actor, role_id)


async def _audit(conn: AsyncConnection, action: str, role_id: int, edit: Edit) -> None:
    by = edit.actor.user_id if edit.actor else None
    await record(conn, action, at=edit.now, user_id=by, object_kind="role", object_id=role_id)
