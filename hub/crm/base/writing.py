"""Writing the records of any kind: create, update, archive, restore.

A write is one transaction with its history row and its change in the feed; rights stand in the statement that
writes. What only a kind decides is a plain function of that kind which calls these (`registry.Writers`). Invariants:
an accepted change is in the history, an older version changes nothing and learns what it met, and what is not
accepted leaves no trace.
"""

from __future__ import annotations

import functools
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import applicable, characteristics, checks, history, publishing, reading, registry
from hub.crm.base.collections import Collection, load_all
from hub.crm.base.entity import Entity, missing_values
from hub.crm.base.field import Field
from hub.crm.base.history import Edit
from hub.crm.base.labels import FieldError, Invalid, Problem
from hub.crm.base.permissions import Action, Asker, permitted, require, scope
from hub.crm.base.registry import Writers
from hub.errors import Conflict, Forbidden
from hub.store.unique import looked_for

RowT = TypeVar("RowT")
InputT = TypeVar("InputT", bound=msgspec.Struct)
ARCHIVED = "archived"
"""The word in the history of what archiving changes."""


@dataclass(frozen=True, slots=True)
class _Before:
    """A record as it stood when the write began, locked until its end."""

    row: Mapping[Any, Any]
    values: dict[str, Any]
    """The typed value of every field, by name."""


@dataclass(frozen=True, slots=True)
class _Mine:
    """A value that is to be written, beside the one that the record has now."""

    field: Field
    value: Any
    theirs: Any


async def create(
    conn: AsyncConnection,
    entity: Entity[RowT, InputT],
    given: InputT,
    *,
    edit: Edit,
    columns: Mapping[str, Any] | None = None,
) -> RowT:
    """Make a record. Raises Invalid, Forbidden.

    `columns` are values of columns that are no fields, which a rule of the kind decides.
    """
    require(edit.actor, entity.kind, "create")
    values = _checked(entity, given, is_new=True)
    values |= _owned_by_its_maker(entity, values, edit)
    values |= await _team_of_owner(conn, entity, values)
    applicable.emptied(entity, values, {})
    if lacking := missing_values(entity.input_fields, values, is_new=True):
        raise Invalid(lacking)
    await checks.references(conn, entity.by_name, values, edit)
    await checks.choices(conn, entity.by_name, values, {})
    extra = await characteristics.given_values(conn, entity, given, edit=edit, record_id=None)
    stored = _stored(entity, values) | {"version": 1, "created_at": edit.now, "changed_at": edit.now}
    stored |= dict(columns or {})
    async with looked_for(conn, functools.partial(checks.unique, conn, entity, values, record_id=None)):
        written = await conn.execute(sa.insert(entity.table).values(**stored).returning(*entity.table.c))
        made: Mapping[Any, Any] = written.mappings().one()
    await _replace_collections(conn, entity, made["id"], values, edit)
    await characteristics.store(conn, entity, extra.fields, {made["id"]: extra.values})
    await _require_created(conn, entity, made, edit)
    await history.write(conn, entity.kind, made["id"], version=1, changes={}, edit=edit)
    await publishing.publish_write(conn, entity, None, made, edit)
    return (await reading.read_rows(conn, entity, [made]))[0]


async def update(
    conn: AsyncConnection,
    entity: Entity[RowT, InputT],
    record_id: int,
    given: InputT,
    *,
    edit: Edit,
    version: int | None = None,
    columns: Mapping[str, Any] | None = None,
) -> RowT:
    """Change what was given of a record; what stays equal is no change. `version` is what the asker had seen.

    `columns` are values of columns that are no fields, written where a field changed.

    Raises NotFound for a hidden record, Forbidden, Invalid, Conflict (`record_changed`) for an older version.
    """
    before = await _lock(conn, entity, record_id, edit)
    values = _checked(entity, given, is_new=False)
    values |= applicable.emptied(entity, values, before.values)
    changed = {name: value for name, value in values.items() if value != before.values[name]}
    changed |= {n: v for n, v in (await _team_of_owner(conn, entity, changed)).items() if v != before.values[n]}
    extra = await characteristics.given_values(conn, entity, given, edit=edit, record_id=record_id)
    mine = [_Mine(entity.by_name[name], value, before.values[name]) for name, value in values.items()]
    mine += [_Mine(one, extra.values[one.name], extra.held(one)) for one in extra.fields if one.name in extra.values]
    await _check_version(conn, entity, before, mine, edit, version=version)
    if _is_archived(entity, before):
        raise Conflict("record_archived", "restore it first: an archived record cannot be changed")
    if not changed and not extra.values:
        await require_on(conn, entity, record_id, ["edit"], edit.actor)
        return await _typed(conn, entity, before.row, before)
    await checks.references(conn, entity.by_name, changed, edit)
    await checks.choices(conn, entity.by_name, changed, before.values)
    stored = _stored(entity, changed) | dict(columns or {})
    assigned = {column.key for column in (entity.owner, entity.team) if column is not None} & set(stored)
    actions: list[Action] = ["edit", "assign"] if assigned else ["edit"]
    seen_by = await publishing.principals_of_row(conn, entity, before.row)
    async with looked_for(conn, functools.partial(checks.unique, conn, entity, changed, record_id=record_id)):
        after = await _write_version(conn, entity, before, stored, actions, edit)
    await _replace_collections(conn, entity, record_id, changed, edit)
    await characteristics.store(conn, entity, extra.fields, {record_id: extra.values})
    fields = entity.by_name
    changes = {name: [fields[name].dump(before.values[name]), fields[name].dump(new)] for name, new in changed.items()}
    changes |= extra.changes()
    await history.write(conn, entity.kind, record_id, version=after["version"], changes=changes, edit=edit)
    await publishing.publish_write(conn, entity, seen_by, after, edit)
    return await _typed(conn, entity, after, before, changed)


async def archive(
    conn: AsyncConnection, entity: Entity[RowT, Any], record_id: int, *, edit: Edit, version: int | None = None
) -> RowT:
    """Take a record out of the lists; twice changes nothing. Raises as `update`."""
    return await _set_archived(conn, entity, record_id, True, edit=edit, version=version)


async def restore(
    conn: AsyncConnection, entity: Entity[RowT, Any], record_id: int, *, edit: Edit, version: int | None = None
) -> RowT:
    """Bring an archived record back; twice changes nothing. Raises as `update`."""
    return await _set_archived(conn, entity, record_id, False, edit=edit, version=version)


def writers(entity: Entity[Any, Any]) -> Writers:
    """Return the functions that write this kind: its own where it has some. Forms, API, bulk and undo use these."""
    own = registry.own_writers(entity)
    return Writers(
        own.create or _of_base(create, entity),
        own.update or _of_base(update, entity),
        own.archive or _of_base(archive, entity),
        own.restore or _of_base(restore, entity),
    )


def _of_base(function: Any, entity: Entity[Any, Any]) -> Any:
    @functools.wraps(function)
    async def write(conn: AsyncConnection, *args: Any, **named: Any) -> Any:
        return await function(conn, entity, *args, **named)

    return write


async def _set_archived(
    conn: AsyncConnection, entity: Entity[RowT, Any], record_id: int, is_so: bool, *, edit: Edit, version: int | None
) -> RowT:
    column = entity.archived_column
    assert column is not None
    before = await _lock(conn, entity, record_id, edit)
    await _check_version(conn, entity, before, [], edit, version=version)
    if _is_archived(entity, before) == is_so:
        await require_on(conn, entity, record_id, ["delete"], edit.actor)
        return await _typed(conn, entity, before.row, before)
    stored = {column.key: edit.now if is_so else None}
    after = await _write_version(conn, entity, before, stored, ["delete"], edit)
    changes = {ARCHIVED: [not is_so, is_so]}
    await history.write(conn, entity.kind, record_id, version=after["version"], changes=changes, edit=edit)
    seen_by = await publishing.principals_of_row(conn, entity, before.row)
    await publishing.publish_write(conn, entity, seen_by, after, edit)
    return await _typed(conn, entity, after, before)


async def _lock(conn: AsyncConnection, entity: Entity[Any, Any], record_id: int, edit: Edit) -> _Before:
    """Return a record that the actor may see and keep others from writing it. Raises NotFound."""
    query = reading.visible(edit.actor, entity).where(entity.id == record_id)
    row = (await conn.execute(query.with_for_update(of=entity.table))).mappings().first()
    if row is None:
        raise reading.missing(entity)
    values = {field.name: field.load(row) for field in entity.fields if field.columns}
    for name, found in (await load_all(conn, entity.collections, [record_id])).items():
        values[name] = found.get(record_id, ())
    return _Before(row, values)


async def _typed(
    conn: AsyncConnection,
    entity: Entity[RowT, Any],
    row: Mapping[Any, Any],
    before: _Before,
    changed: Several[str] = (),
) -> RowT:
    """Return the row of a locked record as a row of its kind; only the collections that changed are read again."""
    record_id = row["id"]
    same = {one.name: {record_id: before.values[one.name]} for one in entity.collections if one.name not in changed}
    return (await reading.read_rows(conn, entity, [row], known=same))[0]


def _is_archived(entity: Entity[Any, Any], before: _Before) -> bool:
    column = entity.archived_column
    return column is not None and before.row[column.key] is not None


def _checked(entity: Entity[Any, Any], given: msgspec.Struct, *, is_new: bool) -> dict[str, Any]:
    """Return the typed values that were given, in their normal form. Raises Invalid."""
    values: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    for field in entity.input_fields:
        if (value := getattr(given, field.name)) is msgspec.UNSET:
            continue
        try:
            values[field.name] = field.check(field.empty if value is None else value)
        except FieldError as error:
            problems[field.name] = error.problem
    if is_new:
        defaults = {field.name: field.default for field in entity.input_fields if field.default is not None}
        values = defaults | values
    required = entity.required_fields(values, is_new=is_new)
    problems |= missing_values(required, values, is_new=is_new, but=problems)
    if problems:
        raise Invalid(problems)
    return values


def _stored(entity: Entity[Any, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    fields = entity.by_name
    return {key: stored for name, value in values.items() for key, stored in fields[name].store(value).items()}


def _field_of(entity: Entity[Any, Any], column: sa.Column[Any] | None) -> Field | None:
    return next((field for field in entity.fields if column is not None and field.column is column), None)


def _owned_by_its_maker(entity: Entity[Any, Any], values: Mapping[str, Any], edit: Edit) -> dict[str, Any]:
    """Return the owner of a new record of a person who may only make their own, where none was given."""
    owner = _field_of(entity, entity.owner)
    is_bound = scope(edit.actor, entity.kind, "create") in ("own", "team")
    if edit.actor is None or owner is None or not is_bound or values.get(owner.name) is not None:
        return {}
    return {owner.name: edit.actor.user_id}


async def _team_of_owner(conn: AsyncConnection, entity: Entity[Any, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the team of a record that gets an owner and was given no team: the owner's first."""
    owner, team = _field_of(entity, entity.owner), _field_of(entity, entity.team)
    if owner is None or team is None or owner.kind is None or team.name in values or values.get(owner.name) is None:
        return {}
    membership = registry.kind(owner.kind).teams
    if membership is None:
        return {}
    teams = (await membership.load(conn, [values[owner.name]])).get(values[owner.name], ())
    if not teams and team.is_required:
        return {}
    return {team.name: teams[0] if teams else None}


async def _check_version(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    before: _Before,
    mine: Sequence[_Mine],
    edit: Edit,
    *,
    version: int | None,
) -> None:
    """Raise Conflict where the record has changed since the asker's version: mine, theirs, original by field."""
    if version is None or version == before.row["version"]:
        return
    later = await history.since(conn, entity.kind, before.row["id"], version=version)
    originals = history.originals(later)
    differing = {}
    for one in mine:
        sent, theirs = one.field.dump(one.value), one.field.dump(one.theirs)
        if sent != theirs:
            original = originals.get(one.field.name, theirs)
            differing[one.field.name] = {"mine": sent, "theirs": theirs, "original": original}
    row = await _typed(conn, entity, before.row, before)
    current = (await reading.answers(conn, edit.actor, entity, [row]))[0]
    by = {"id": later[0].user_id, "name": later[0].user_name} if later and later[0].user_id else None
    text = "someone else changed this record first"
    raise Conflict("record_changed", text, current=current, changed_by=by, fields=differing)


async def _write_version(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    before: _Before,
    stored: Mapping[str, Any],
    actions: list[Action],
    edit: Edit,
) -> Mapping[Any, Any]:
    """Write the next version of a locked record and return its row. Raises Forbidden."""
    table, version = entity.table, before.row["version"]
    statement = (
        sa.update(table)
        .where(table.c.id == before.row["id"], table.c.version == version)
        .where(*(permitted(edit.actor, entity, action) for action in actions))
        .values(**stored, version=version + 1, changed_at=edit.now)
        .returning(*table.c)
    )
    if (row := (await conn.execute(statement)).mappings().first()) is None:
        raise _forbidden(entity, actions[-1])
    return row


async def _require_created(
    conn: AsyncConnection, entity: Entity[Any, Any], made: Mapping[Any, Any], edit: Edit
) -> None:
    """Raise Forbidden for a record that its maker may not make, or not for this owner. Nothing of it stays."""
    actions: list[Action] = ["create"]
    # A person is their own owner: nobody is assigned.
    owner = None if entity.owner is None or entity.owner is entity.id else made[entity.owner.key]
    if edit.actor is not None and owner not in (None, edit.actor.user_id):
        actions.append("assign")
    await require_on(conn, entity, made["id"], actions, edit.actor)


async def require_on(
    conn: AsyncConnection, entity: Entity[Any, Any], record_id: int, actions: Sequence[Action], actor: Asker | None
) -> None:
    """Raise Forbidden unless the actor may do all of these with a record."""
    for action in actions:
        query = sa.select(entity.id).where(entity.id == record_id, permitted(actor, entity, action))
        if (await conn.execute(query)).first() is None:
            raise _forbidden(entity, action)


def _forbidden(entity: Entity[Any, Any], action: Action) -> Forbidden:
    return Forbidden("not_permitted", f"you do not have permission to {action} this", kind=entity.kind, action=action)


async def _replace_collections(
    conn: AsyncConnection, entity: Entity[Any, Any], record_id: int, values: Mapping[str, Any], edit: Edit
) -> None:
    for name, value in values.items():
        field = entity.by_name[name]
        if isinstance(field, Collection):
            await field.values.replace(conn, record_id, value, now=edit.now)
