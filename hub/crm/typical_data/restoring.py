"""Typical data brought back: what the company changed, switched off or deleted becomes as it was delivered.

What the company added of its own is not touched, and what records hold stays: a value comes back under its old key.
Invariant: everything is written through the doors of its kind, so that rights, audit and feed hold.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from msgspec import UNSET, structs
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristic_definitions, dictionaries, records, registry
from hub.crm.base.characteristics import definitions
from hub.crm.base.history import Edit
from hub.crm.models import roles
from hub.crm.roles import rules as role_rules
from hub.crm.roles.presets import PRESET
from hub.crm.roles.table import ROLES, Grant, RoleInput
from hub.crm.typical_data.comparing import Item, Part, compare
from hub.crm.typical_data.content import CHARACTERISTICS, GROUP, values_of
from hub.errors import NotFound


async def restore(
    conn: AsyncConnection, name: str, keys: Collection[str] | None, *, language: str, edit: Edit
) -> list[Item]:
    """Bring items of a part back (None: all of it); return those that were not as delivered. Raises NotFound."""
    part = find(await compare(conn), name)
    chosen = [one for one in part.items if one.state != "delivered" and (keys is None or one.key in keys)]
    area, _dot, of = name.partition(".")
    wanted = {one.key for one in chosen}
    if area == "list":
        await _values(conn, of, wanted, edit)
    elif area == "characteristics":
        await _characteristics(conn, of, wanted, language, edit)
    else:
        await _roles(conn, wanted, edit)
    return chosen


def find(parts: Collection[Part], name: str) -> Part:
    """Return a part by its name. Raises NotFound."""
    for part in parts:
        if part.name == name:
            return part
    raise NotFound("part_missing", "no such part of the typical data")


async def _values(conn: AsyncConnection, dictionary: str, keys: Collection[str], edit: Edit) -> None:
    for given in values_of(dictionary):
        if given.key not in keys:
            continue
        there = {one.key: one for one in await dictionaries.lock(conn, dictionary)}
        if value := there.get(str(given.key)):
            changed = structs.replace(given, key=UNSET, active=True)
            await dictionaries.update(conn, dictionary, value.id, _below_known(changed, there), edit=edit)
        else:
            await dictionaries.create(conn, dictionary, _below_known(given, there), edit=edit)


def _below_known(given: dictionaries.ValueInput, there: Collection[str]) -> dictionaries.ValueInput:
    """Leave out a value above that the company deleted: this one then stands at the top until that is restored too."""
    return given if given.parent in there else structs.replace(given, parent=None)


async def _characteristics(conn: AsyncConnection, kind: str, keys: Collection[str], language: str, edit: Edit) -> None:
    known = {one.key: one for one in await definitions(conn, [kind])}
    for given in CHARACTERISTICS[kind]:
        if given.key not in keys:
            continue
        if found := known.get(str(given.key)):
            changed = structs.replace(given, key=UNSET, type=UNSET, active=True)
            await characteristic_definitions.update(conn, found.id, changed, edit=edit)
        else:
            made = structs.replace(given, group=GROUP[language])
            await characteristic_definitions.create(conn, registry.kind(kind), made, edit=edit)


async def _roles(conn: AsyncConnection, keys: Collection[str], edit: Edit) -> None:
    query = sa.select(roles.c.id, roles.c.key).where(roles.c.key.in_(keys))
    for role_id, key in (await conn.execute(query)).all():
        preset = PRESET[str(key)]
        role = await records.get(conn, edit.actor, ROLES, role_id)
        if role.archived_at is not None:
            await role_rules.restore(conn, role_id, edit=edit)
        grants = tuple(Grant(kind, action, scope) for (kind, action), scope in preset.grants.items())
        given = RoleInput(
            name=preset.name,
            grants=tuple(sorted(grants, key=lambda one: (one.kind, one.action))),
            rights=tuple(sorted(preset.rights)),
            pages=preset.pages,
        )
        await role_rules.update(conn, role_id, given, edit=edit)
