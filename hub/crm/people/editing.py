"""Changing the people of the company as records: what only they decide beyond the base.

Invariants: nobody gives a role or a team beyond their own rights, or changes a person who may do more; there is always
an enabled administrator; whoever is disabled has no session and holds nothing that waits for an answer (`accounts`).
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import accounts, password_resets, two_factor
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.base.registry import Writers
from hub.crm.people import substitutes
from hub.crm.people.table import USERS, UserInput, UserRecord
from hub.crm.roles import rights
from hub.crm.roles import rules as roles
from hub.errors import Conflict, Forbidden, Refused


async def create(conn: AsyncConnection, given: UserInput, *, edit: Edit) -> UserRecord:
    """Make a person without a password; an invitation lets them in. Raises Forbidden, Invalid."""
    await _require_within(conn, given, (), edit)
    given = await substitutes.checked(conn, None, given, now=edit.now)
    columns = {"password_hash": password_resets.NO_PASSWORD, "role": "manager"} | await _role(conn, given)
    made = await records.create(conn, USERS, given, edit=edit, columns=columns)
    await substitutes.publish_change(conn, None, made, now=edit.now)
    await _audit(conn, "user.created", made.id, edit)
    return made


async def update(
    conn: AsyncConnection, record_id: int, given: UserInput, *, edit: Edit, version: int | None = None
) -> UserRecord:
    """Change a person. Raises Refused where no administrator would be left."""
    before = await records.get(conn, edit.actor, USERS, record_id)
    await require_over(conn, record_id, edit)
    await _require_within(conn, given, before.teams, edit)
    given = await substitutes.checked(conn, before, given, now=edit.now)
    is_new_role = given.role is not UNSET and given.role != before.role_id
    if is_new_role:
        await accounts.lock_admins(conn)
    columns = await _role(conn, given) if is_new_role else {}
    changed = await records.update(conn, USERS, record_id, given, edit=edit, version=version, columns=columns)
    await substitutes.publish_change(conn, before, changed, now=edit.now)
    if is_new_role:
        if before.role_id is None or await roles.is_admin(conn, before.role_id):
            await accounts.require_an_admin(conn)
        await _audit(conn, "user.role_changed", record_id, edit, {"role": changed.role_id})
    return changed


async def archive(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> UserRecord:
    """Disable a person at once. Raises Refused for the last administrator."""
    await require_over(conn, record_id, edit)
    await accounts.disable(conn, record_id, edit=edit, version=version)
    return await records.get(conn, None, USERS, record_id)


async def restore(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> UserRecord:
    """Let a disabled person sign in again."""
    await require_over(conn, record_id, edit)
    await accounts.enable(conn, record_id, edit=edit, version=version)
    return await records.get(conn, None, USERS, record_id)


WRITERS = Writers(create, update, archive, restore)


async def require_over(conn: AsyncConnection, user_id: int, edit: Edit) -> None:
    """Raise NotFound for a hidden person, Forbidden for one who may do more than the actor."""
    await records.get(conn, edit.actor, USERS, user_id)
    if isinstance(edit.actor, Actor):
        await rights.require_covers_person(conn, edit.actor, user_id)


async def _require_within(conn: AsyncConnection, given: UserInput, teams: tuple[int, ...], edit: Edit) -> None:
    """Raise Forbidden for a role or a new team beyond the actor's own rights."""
    if not isinstance(edit.actor, Actor) or edit.actor.is_admin:
        return
    if isinstance(given.role, int):
        await rights.require_covers_role(conn, edit.actor, given.role)
    if isinstance(given.teams, tuple) and not set(given.teams) - set(teams) <= edit.actor.team_ids:
        raise rights.beyond()


async def _role(conn: AsyncConnection, given: UserInput) -> dict[str, Any]:
    """Return the column that versions before roles read."""
    if not isinstance(given.role, int):
        return {}
    return {"role": "admin" if await roles.is_admin(conn, given.role) else "manager"}


async def reset_link(conn: AsyncConnection, user_id: int, *, edit: Edit) -> str:
    """Return the token of a new link by which a person sets a password. Raises NotFound, Forbidden."""
    await _require_edit(conn, user_id, edit)
    return await password_resets.make(conn, user_id, by=_by(edit), now=edit.now)


async def invite(conn: AsyncConnection, user_id: int, *, edit: Edit) -> str:
    """Return the token of a new invitation; the one before stops working.

    Raises NotFound, Forbidden, Conflict where the person has set a password already.
    """
    await _require_edit(conn, user_id, edit)
    if await password_resets.has_password(conn, user_id):
        raise Conflict("joined", "this person has set a password already")
    lasts = password_resets.INVITATION_LASTS
    return await password_resets.make(conn, user_id, lasts=lasts, by=_by(edit), now=edit.now)


async def withdraw_invitation(conn: AsyncConnection, user_id: int, *, edit: Edit) -> None:
    """Withdraw a person's invitation. Raises NotFound, Forbidden, Conflict where there is none."""
    await _require_edit(conn, user_id, edit)
    await password_resets.withdraw(conn, user_id, by=_by(edit), now=edit.now)


async def _require_edit(conn: AsyncConnection, user_id: int, edit: Edit) -> None:
    await require_over(conn, user_id, edit)
    if "edit" not in await records.possible(conn, edit.actor, USERS, user_id):
        raise Forbidden("forbidden", "you may not make a link for this person")


def _by(edit: Edit) -> int | None:
    return edit.actor.user_id if edit.actor else None


async def reset_two_factor(conn: AsyncConnection, user_id: int, *, edit: Edit) -> None:
    """Take the second step of the sign-in from somebody else. Raises NotFound, Forbidden, Refused for oneself."""
    await require_over(conn, user_id, edit)
    by = _by(edit)
    if by == user_id:
        raise Refused("two_factor_own", "switch off your own second step in your settings, by your password")
    await two_factor.reset(conn, user_id, by=by, now=edit.now)


async def _audit(
    conn: AsyncConnection, action: str, user_id: int, edit: Edit, details: dict[str, Any] | None = None
) -> None:
    by = _by(edit)
    await record(conn, action, at=edit.now, user_id=by, object_kind="user", object_id=user_id, details=details)
