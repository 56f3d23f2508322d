"""The rights of one person, with the reason for each, and whether they cover those of a role or another person.

Decides nothing about a record: `permissions` and `access` do. Invariant: whoever gives a right has it, as far and on
each kind, so that nobody rises by making a role or a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor, load_actor
from hub.crm.base import registry
from hub.crm.base.entity import Entity
from hub.crm.base.permissions import ACTIONS, EVERY_KIND, SCOPES, Action, Grants, Scope, scope
from hub.crm.models import role_grants, role_rights, roles, user_privileges, users
from hub.crm.roles.presets import PRESET, RIGHTS, Right
from hub.errors import Forbidden


@dataclass(frozen=True, slots=True)
class OnKind:
    """The scopes of a role on one kind, by the actions that it knows. `is_named`: by a grant for this kind, not by that
    for every kind."""

    kind: str
    scopes: Mapping[Action, Scope]
    is_named: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """The rights of a person, each with its reason."""

    role_id: int | None
    role_name: str
    is_admin: bool
    on_kinds: tuple[OnKind, ...]
    of_role: tuple[Right, ...]
    of_person: tuple[Right, ...]
    """Rights that the person holds beside the role, which the role does not hold."""
    substitutes: tuple[tuple[int, str], ...] = ()
    """Id and name of those whom the person substitutes now: their records are own ones too."""


async def explain(conn: AsyncConnection, user_id: int) -> Explanation | None:
    """Return what a person may do, and why; None for a disabled one, who may do nothing."""
    actor = await load_actor(conn, user_id)
    if actor is None:
        return None
    absent = sa.select(users.c.id, users.c.name).where(users.c.id.in_(sorted(actor.substitutes))).order_by(users.c.name)
    substituted = (await conn.execute(absent)).all() if actor.substitutes else []
    of_role = set(await _rights_of_role(conn, actor.role_id, actor.role))
    return Explanation(
        actor.role_id,
        actor.role_name,
        actor.is_admin,
        tuple(on_kinds(actor.grants)),
        tuple(right for right in RIGHTS if actor.is_admin or right in of_role),
        tuple(right for right in RIGHTS if not actor.is_admin and right in actor.privileges and right not in of_role),
        tuple((row.id, row.name) for row in substituted),
    )


def on_kinds(grants: Grants) -> list[OnKind]:
    """Return what grants permit on each kind that they decide about."""
    found = []
    for kind, entity in granted_kinds().items():
        named = any((kind, action) in grants for action in ACTIONS)
        found.append(OnKind(kind, {one: scope_in(grants, kind, one) for one in actions_on(entity)}, named))
    return found


def actions_on(entity: Entity[Any, Any]) -> tuple[Action, ...]:
    """Return the actions that a role may grant on a kind."""
    return tuple(action for action in ACTIONS if entity.actions is None or action in entity.actions)


def granted_kinds() -> dict[str, Entity[Any, Any]]:
    """Return the kinds that grants decide about: all but the audit, which is the administrators'."""
    return {word: entity for word, entity in registry.kinds().items() if entity.actions != ()}


def scope_in(grants: Grants, kind: str, action: Action) -> Scope:
    """Return how far grants reach for an action on a kind."""
    return grants.get((kind, action)) or grants.get((EVERY_KIND, action)) or "none"


def covers(actor: Actor, grants: Grants, rights: Collection[str]) -> bool:
    """Tell whether the actor may do all that these grants and rights permit."""
    if actor.is_admin:
        return True
    kinds = {*granted_kinds(), EVERY_KIND}
    reaches = (
        SCOPES.index(scope_in(grants, kind, action)) <= SCOPES.index(scope(actor, kind, action))
        for kind in kinds
        for action in ACTIONS
    )
    return all(reaches) and all(actor.has(right) for right in RIGHTS if right in rights)


async def require_covers_role(conn: AsyncConnection, actor: Actor, role_id: int) -> None:
    """Raise Forbidden for a role that permits more than the actor may do."""
    key = (await conn.execute(sa.select(roles.c.key).where(roles.c.id == role_id))).scalar()
    grants = await _grants_of_role(conn, role_id)
    if not actor.is_admin and (key == "admin" or not covers(actor, grants, await _rights_of_role(conn, role_id))):
        raise beyond()


async def require_covers_person(conn: AsyncConnection, actor: Actor, user_id: int) -> None:
    """Raise Forbidden for a person who may do more than the actor: such a one is not theirs to change."""
    if actor.is_admin or actor.user_id == user_id:
        return
    row = (await conn.execute(sa.select(users.c.role, users.c.role_id).where(users.c.id == user_id))).first()
    if row is None:
        return
    held = sa.select(user_privileges.c.privilege).where(user_privileges.c.user_id == user_id)
    rights = {*(await conn.execute(held)).scalars(), *await _rights_of_role(conn, row.role_id, row.role)}
    grants = PRESET[row.role].grants if row.role_id is None else await _grants_of_role(conn, row.role_id)
    if row.role == "admin" or not covers(actor, grants, rights):
        raise beyond()


def beyond() -> Forbidden:
    """The error of whoever would give more than they have."""
    return Forbidden("beyond_your_rights", "you cannot give or change rights that you do not have yourself")


async def _grants_of_role(conn: AsyncConnection, role_id: int) -> Grants:
    rows = await conn.execute(sa.select(role_grants).where(role_grants.c.role_id == role_id))
    return {(row.kind, row.action): row.scope for row in rows}


async def _rights_of_role(conn: AsyncConnection, role_id: int | None, word: str = "") -> Collection[str]:
    if role_id is None:
        return PRESET[word].rights
    return (await conn.execute(sa.select(role_rights.c.right).where(role_rights.c.role_id == role_id))).scalars().all()
