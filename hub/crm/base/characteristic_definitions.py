"""Definitions of characteristics, as an administrator edits them: add, rename, order, switch off.

A definition is one row: the 301st costs what the first did, and no DDL. A type never changes; nothing is deleted, for
records hold values. Invariant: a key is once in its kind, and is no word that a condition or an input could confuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.audit import record
from hub.crm.base import dictionaries
from hub.crm.base.characteristic_types import CharacteristicType
from hub.crm.base.characteristics import Definition, characteristics, definitions
from hub.crm.base.dictionaries import ValueInput, key_of, label_problem, tidy_label
from hub.crm.base.entity import Entity
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.errors import Conflict, NotFound
from hub.store.changes import publish

CHANGE = "characteristic"
MAX_OF_A_KIND = 500
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


class DefinitionInput(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The input of a characteristic. `choices` are the labels of the first options of a choice."""

    key: str | UnsetType = UNSET
    label: dict[str, str] | UnsetType = UNSET
    type: str | UnsetType = UNSET
    help: dict[str, str] | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    group: str | UnsetType = UNSET
    order: int | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    choices: list[dict[str, str]] | UnsetType = UNSET


async def get(conn: AsyncConnection, definition_id: int) -> Definition:
    """Return a definition. Raises NotFound."""
    for one in await definitions(conn):
        if one.id == definition_id:
            return one
    raise NotFound("characteristic_missing", "no such characteristic")


async def create(conn: AsyncConnection, entity: Entity[Any, Any], given: DefinitionInput, *, edit: Edit) -> Definition:
    """Define a characteristic of a kind. Raises Invalid."""
    there = await _lock(conn, entity.kind)
    problems = _problems(given)
    for name in ("label", "type"):
        if getattr(given, name) is UNSET:
            problems.setdefault(name, Problem("required", _("Fill in this field")))
    if len(there) >= MAX_OF_A_KIND:
        problems["key"] = Problem("too_many", _("At most %(max)s values"), {"max": MAX_OF_A_KIND})
    label = {} if given.label is UNSET else given.label
    taken = {one.key for one in there}
    key = key_of(label, taken) if given.key is UNSET else given.key
    if not _KEY.fullmatch(key):
        key = f"c_{key}"[:40] if given.key is UNSET else key
    if key in taken:
        problems["key"] = Problem("taken", _("Already taken"))
    if problems:
        raise Invalid(problems)
    row = {"kind": entity.kind, "key": key, "type": given.type, "position": len(there)}
    row |= {"created_at": edit.now, "changed_at": edit.now} | _row(given)
    made = (await conn.execute(characteristics.insert().values(row).returning(characteristics.c.id))).scalar_one()
    await _place(conn, [one.id for one in there], made, given)
    await _told(conn, made, "characteristic.created", edit, {"kind": entity.kind, "key": key, "type": given.type})
    definition = await get(conn, made)
    await add_options(conn, definition, given.choices if given.choices is not UNSET else (), edit=edit)
    return definition


async def add_options(
    conn: AsyncConnection, definition: Definition, labels: Iterable[dict[str, str]], *, edit: Edit
) -> None:
    """Add options to a choice by their labels. Raises Invalid, with the problem at `choices`."""
    for label in labels:
        try:
            await dictionaries.create(conn, definition.dictionary, ValueInput(label=label), edit=edit)
        except Invalid as error:
            raise Invalid({"choices": next(iter(error.problems.values()))}) from None


async def update(
    conn: AsyncConnection, definition_id: int, given: DefinitionInput, *, edit: Edit, version: int | None = None
) -> Definition:
    """Rename a characteristic, move it, switch it on or off. Raises NotFound, Invalid, Conflict."""
    found = await get(conn, definition_id)
    there = await _lock(conn, found.kind)
    before = next(one for one in there if one.id == definition_id)
    if version is not None and version != before.version:
        raise Conflict("record_changed", "someone else changed this characteristic first", current=answer(before))
    problems = _problems(given)
    for name in ("key", "type"):
        if getattr(given, name) not in (UNSET, getattr(before, name)):
            problems[name] = Problem("read_only", _("Cannot be changed"))
    if given.choices is not UNSET:
        problems["choices"] = Problem("read_only", _("Change the options one by one"))
    if problems:
        raise Invalid(problems)
    row = _row(given) | {"version": before.version + 1, "changed_at": edit.now}
    await conn.execute(sa.update(characteristics).where(characteristics.c.id == definition_id).values(row))
    await _place(conn, [one.id for one in there if one.id != definition_id], definition_id, given)
    sent: Mapping[str, Any] = msgspec.to_builtins(given)
    await _told(conn, definition_id, "characteristic.changed", edit, {"kind": before.kind, **sent, "key": before.key})
    return await get(conn, definition_id)


def answer(one: Definition) -> dict[str, Any]:
    """Return a definition as the API answers it, without its options."""
    names = ("id", "kind", "key", "label", "type", "required", "group", "active", "version")
    return {name: getattr(one, name) for name in names} | {"help": dict(one.help or {}), "order": one.position}


async def _lock(conn: AsyncConnection, kind: str) -> list[Definition]:
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"characteristics {kind}"))))
    return await definitions(conn, [kind])


def _problems(given: DefinitionInput) -> dict[str, Problem]:
    problems: dict[str, Problem] = {}
    if given.key is not UNSET and not _KEY.fullmatch(given.key):
        problems["key"] = Problem("bad_key", _("A key is small Latin letters, digits and underscores"))
    if given.label is not UNSET and (problem := label_problem(given.label)):
        problems["label"] = problem
    is_filled = given.help is not UNSET and any(text.strip() for text in given.help.values())
    if given.help is not UNSET and is_filled and (problem := label_problem(given.help)):
        problems["help"] = problem
    if given.type is not UNSET and given.type not in CharacteristicType.words():
        problems["type"] = Problem(
            "not_a_choice", _("Must be one of: %(choices)s"), {"choices": ", ".join(CharacteristicType.words())}
        )
    if given.group is not UNSET and (len(given.group) > 100 or label_problem({"ru": given.group or "-"})):
        problems["group"] = Problem("bad_value", _("Write a name on one line"))
    if given.order is not UNSET and not 0 <= given.order <= MAX_OF_A_KIND:
        problems["order"] = Problem("out_of_range", _("The place is counted from 0"))
    if given.choices is not UNSET and given.type not in ("choice", "many_choice", UNSET):
        problems["choices"] = Problem("bad_value", _("Only a choice has options"))
    return problems


def _row(given: DefinitionInput) -> dict[str, Any]:
    row = {name: getattr(given, name) for name in ("required", "active") if getattr(given, name) is not UNSET}
    if given.label is not UNSET:
        row["label"] = tidy_label(given.label)
    if given.help is not UNSET:
        row["help"] = tidy_label(given.help)
    if given.group is not UNSET:
        row["group"] = " ".join(given.group.split())
    return row


async def _place(conn: AsyncConnection, others: Sequence[int], moved: int, given: DefinitionInput) -> None:
    if given.order is UNSET:
        return
    order = [*others[: given.order], moved, *others[given.order :]]
    table = characteristics
    write = sa.update(table).where(table.c.id == sa.bindparam("row")).values(position=sa.bindparam("place"))
    await conn.execute(write, [{"row": row, "place": place} for place, row in enumerate(order)])


async def _told(conn: AsyncConnection, definition_id: int, act: str, edit: Edit, details: Mapping[str, Any]) -> None:
    user_id = edit.actor.user_id if edit.actor else None
    await record(
        conn,
        act,
        at=edit.now,
        user_id=user_id,
        object_kind="characteristic",
        object_id=definition_id,
        details=dict(details),
    )
    await publish(conn, CHANGE, definition_id, at=edit.now, data={"kind": details["kind"]})
