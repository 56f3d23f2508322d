"""The company's changes of the typical data: per list, role and characteristic, item by item.

Only reads. A role is compared by what it permits on each kind, not by how its grants are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import dictionaries, records, registry
from hub.crm.base.characteristics import Definition, definitions
from hub.crm.base.dictionaries import Value, ValueInput
from hub.crm.base.labels import _
from hub.crm.base.permissions import ACTIONS, EVERY_KIND, Action, Grants, Scope
from hub.crm.models import roles
from hub.crm.roles.presets import PRESETS, Preset
from hub.crm.roles.table import ACTION_LABELS, PAGE_OPTIONS, RIGHT_OPTIONS, ROLES, SCOPE_LABELS, RoleRecord
from hub.crm.typical_data.content import CHARACTERISTICS, values_of

ItemState = Literal["delivered", "changed", "switched_off", "missing"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as delivered. `name` and marked texts are to be translated; a label is by language."""

    name: str
    was: str | Mapping[str, str]
    now: str | Mapping[str, str]
    of: str = ""
    """The kind of record that a grant is on, marked for translation."""


@dataclass(frozen=True, slots=True)
class Item:
    """One delivered value, characteristic or role. `label` is by language, or a text to translate."""

    key: str
    label: Mapping[str, str] | str
    state: ItemState
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the typical data. `own` counts what the company added beside it."""

    name: str
    title: str
    href: str
    items: tuple[Item, ...]
    own: int

    def count(self, *states: ItemState) -> int:
        return sum(item.state in states for item in self.items)

    @property
    def to_restore(self) -> int:
        return len(self.items) - self.count("delivered")


async def compare(conn: AsyncConnection) -> list[Part]:
    """Return every part of the typical data with the state of each item."""
    declared = dictionaries.declared()
    there = await dictionaries.load(conn, [one.name for one in declared])
    parts = [
        _part(
            f"list.{one.name}",
            one.title,
            f"/dictionaries/{one.name}",
            [_value(given, {value.key: value for value in there[one.name]}) for given in delivered],
            len(there[one.name]),
        )
        for one in declared
        if (delivered := values_of(one.name))
    ]
    for kind, fields in CHARACTERISTICS.items():
        known = {one.key: one for one in await definitions(conn, [kind])}
        items = [_characteristic(str(field.key), _labels(field.label), known.get(str(field.key))) for field in fields]
        title = registry.kind(kind).titles
        parts.append(_part(f"characteristics.{kind}", title, f"/characteristics?kind={kind}", items, len(known)))
    return [*parts, await _roles(conn)]


def _part(name: str, title: str, href: str, items: Sequence[Item], there: int) -> Part:
    kept = sum(item.state != "missing" for item in items)
    return Part(name, title, href, tuple(items), there - kept)


def _labels(label: object) -> dict[str, str]:
    assert isinstance(label, dict)
    return label


def _value(given: ValueInput, there: Mapping[str, Value]) -> Item:
    key, label = str(given.key), _labels(given.label)
    value = there.get(key)
    if value is None:
        return Item(key, label, "missing")
    compared: tuple[tuple[str, Any, Any], ...] = (
        (_("Name"), label, dict(value.label)),
        (_("Colour"), given.color, value.color),
        (_("Icon"), given.icon, value.icon),
        (_("Stands below"), given.parent or "", value.parent or ""),
    )
    return _item(key, label, compared, is_active=value.active)


def _characteristic(key: str, label: dict[str, str], found: Definition | None) -> Item:
    if found is None:
        return Item(key, label, "missing")
    return _item(key, label, ((_("Name"), label, dict(found.label)),), is_active=found.active)


def _item(key: str, label: dict[str, str], compared: Sequence[tuple[str, Any, Any]], *, is_active: bool) -> Item:
    differences = tuple(Difference(name, was, now) for name, was, now in compared if was != now)
    state: ItemState = "changed" if differences else "delivered"
    return Item(key, label, state if is_active else "switched_off", differences)


async def _roles(conn: AsyncConnection) -> Part:
    query = sa.select(roles.c.id).order_by(roles.c.id)
    ids = (await conn.execute(query)).scalars().all()
    found = {one.key: one for one in (await records.get_many(conn, None, ROLES, ids)).values() if one.key}
    items = [_role(preset, found.get(preset.key)) for preset in PRESETS]
    return _part("roles", ROLES.titles, "/roles", items, len(ids))


def _role(preset: Preset, role: RoleRecord | None) -> Item:
    if role is None:
        return Item(preset.key, preset.name, "missing")
    now: Grants = {(one.kind, one.action): one.scope for one in role.grants}
    differences = [
        Difference(ACTION_LABELS[action], SCOPE_LABELS[was], SCOPE_LABELS[has], of=title)
        for kind, title in _kinds()
        for action in ACTIONS
        if (was := _scope(preset.grants, kind, action)) != (has := _scope(now, kind, action))
    ]
    for options, was_held, held in (
        (RIGHT_OPTIONS, preset.rights, frozenset(role.rights)),
        (PAGE_OPTIONS, frozenset(preset.pages), frozenset(role.pages)),
    ):
        labels: dict[str, str] = {one.value: one.label for one in options}
        for word in labels:
            if (word in was_held) != (word in held):
                yes = (_("no"), _("yes"))
                differences.append(Difference(labels[word], yes[word in was_held], yes[word in held]))
    if role.name != preset.name:
        differences.append(Difference(_("Name"), preset.name, role.name))
    state: ItemState = "changed" if differences else "delivered"
    if role.archived_at is not None:
        state = "switched_off"
    return Item(preset.key, preset.name, state, tuple(differences))


def _kinds() -> list[tuple[str, str]]:
    return [(kind, one.titles) for kind, one in registry.kinds().items()]


def _scope(grants: Grants, kind: str, action: Action) -> Scope:
    return grants.get((kind, action)) or grants.get((EVERY_KIND, action)) or "none"
