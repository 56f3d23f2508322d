"""The card of any kind: identity, properties, history; what `templates/base/record.html` shows.

Decides nothing about rights: `records.possible` says what may be offered. Invariant: a page offers only what the
asker may do with this record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import applicable, history, records
from hub.crm.base.characteristics import Characteristic
from hub.crm.base.field import Field
from hub.crm.base.history import Entry
from hub.crm.base.labels import FieldError
from hub.crm.base.permissions import Action
from hub.crm.base.writing import ARCHIVED
from hub.web.base.kind import WebKind
from hub.web.base.kind_fields import fields_of, values_of
from hub.web.request_context import RequestContext, read_cursor, write_cursor

EDITS = 30


@dataclass(frozen=True, slots=True)
class Card:
    """One record with everything that its frame shows."""

    web: WebKind
    row: Any
    names: Mapping[tuple[str, int], str]
    may: frozenset[Action]
    fields: Sequence[Field]
    """Every field, characteristics too, as the reader sees it."""
    values: Mapping[str, Any]
    """The typed value of each field."""

    @property
    def path(self) -> str:
        return f"{self.web.path}/{self.row.id}"

    @property
    def title(self) -> str:
        """The name of the record."""
        entity = self.web.entity
        named = next((field for field in entity.fields if field.column is entity.name), None)
        return str(entity.value(self.row, named)) if named else f"#{self.row.id}"

    @property
    def subtitle(self) -> Field | None:
        """The field under the name, where the record has it."""
        found = (field for field in self.fields if field.name == self.web.subtitle)
        return next((field for field in found if not field.is_empty(self.values[field.name])), None)

    @property
    def archived_at(self) -> Any:
        column = self.web.entity.archived_column
        return None if column is None else getattr(self.row, column.key, None)

    @property
    def can_edit(self) -> bool:
        return self.web.entity.is_editable and "edit" in self.may and self.archived_at is None

    @property
    def can_archive(self) -> bool:
        return self.web.entity.is_editable and "delete" in self.may

    @property
    def properties(self) -> list[Field]:
        """The fields of the side: all but the name, which stands in the head, and those that the kind's card draws."""
        name, own = self.web.entity.name, self.web.field_templates
        shown = [field for field in self.fields if not field.hidden and field.name not in own]
        shown = [field for field in shown if applicable.applies(field, self.values)]
        return [field for field in shown if field.column is not name]

    def group(self, field: Field) -> str:
        """The heading under which a characteristic stands."""
        return field.definition.group if isinstance(field, Characteristic) else ""


async def read_card(conn: AsyncConnection, ctx: RequestContext, web: WebKind, record_id: int) -> Card:
    """Return a record's card. Raises NotFound for a hidden one."""
    row = await records.get(conn, ctx.actor, web.entity, record_id)
    fields = await fields_of(conn, ctx, web.entity)
    values = await values_of(conn, web.entity, fields, row)
    names = await _names(conn, ctx, [(field, values[field.name]) for field in fields])
    return Card(web, row, names, await records.possible(conn, ctx.actor, web.entity, record_id), fields, values)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one edit: typed values from and to; the raw ones where the field is gone or reads them no more."""

    field: Field | None
    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ShownEdit:
    """One edit as a page shows it."""

    entry: Entry
    changes: tuple[Change, ...]

    @property
    def is_creation(self) -> bool:
        return self.entry.version == 1 and not self.entry.changes

    @property
    def archived(self) -> bool | None:
        """True where this archived the record, False where it restored it."""
        pair = self.entry.changes.get(ARCHIVED)
        return bool(pair[1]) if pair else None


@dataclass(frozen=True, slots=True)
class Edits:
    """A page of a record's history."""

    items: list[ShownEdit]
    names: Mapping[tuple[str, int], str]
    next: str | None


async def read_history(conn: AsyncConnection, ctx: RequestContext, web: WebKind, record_id: int, cursor: str) -> Edits:
    """Return a page of a record's history, newest first; whoever sees the record sees it."""
    await records.get(conn, ctx.actor, web.entity, record_id)
    before = read_cursor(cursor)[1] if cursor else None
    rows = await history.page(conn, web.entity.kind, record_id, before=before, limit=EDITS + 1)
    fields = {one.name: one for one in await fields_of(conn, ctx, web.entity, with_inactive=True)}
    items = [ShownEdit(row, tuple(_changes(fields, row))) for row in rows[:EDITS]]
    more = write_cursor("", rows[EDITS - 1].id) if len(rows) > EDITS else None
    changed = [change for edit in items for change in edit.changes if change.field is not None]
    told = [(one.field, value) for one in changed if one.field for value in (one.before, one.after)]
    return Edits(items, await _names(conn, ctx, told), more)


def _changes(fields: Mapping[str, Field], entry: Entry) -> list[Change]:
    found = []
    for name, (before, after) in entry.changes.items():
        if name == ARCHIVED:
            continue
        field = fields.get(name)
        try:
            values = (field.parse(before), field.parse(after)) if field is not None else (before, after)
        except FieldError:
            field, values = None, (before, after)
        found.append(Change(field, name, *values))
    return found


async def _names(
    conn: AsyncConnection, ctx: RequestContext, told: Iterable[tuple[Field, Any]]
) -> dict[tuple[str, int], str]:
    """Return the names of what these values refer to, as far as the reader may know them."""
    wanted: dict[str, set[int]] = {}
    for field, value in told:
        if field.kind is not None:
            wanted.setdefault(field.kind, set()).update(field.ids(value))
    return {
        (kind, record_id): name
        for kind, ids in wanted.items()
        for record_id, name in (await records.names(conn, ctx.actor, kind, ids)).items()
    }
