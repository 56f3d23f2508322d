"""A form of any kind: its fields with what was typed and what is wrong, and reading it back.

The same `Entity.read` reads a form and JSON, so both refuse the same with the same words; a form shows each at its
field and keeps what was typed. Invariant: a form that was refused comes back with every character that was typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import applicable, records, registry
from hub.crm.base.characteristics import Characteristic
from hub.crm.base.collections import JoinedField, item_of
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Amount, Choice
from hub.crm.base.labels import FieldError, Invalid, Problem, _
from hub.web.base.kind import reading
from hub.web.request_context import RequestContext

MOST_OPTIONS = 500
"""People and teams to choose from; of larger kinds one is found by typing."""
_WIDGETS = {
    "text": "text", "long_text": "lines", "email": "email", "phone": "tel", "integer": "number", "number": "text",
    "money": "text", "date": "date", "moment": "datetime-local", "yes_no": "check", "choice": "select",
    "person": "select", "team": "select", "link": "record", "address": "lines", "bank_account": "lines",
}  # fmt: skip
_SEVERAL = ("choice", "person", "team")


@dataclass(frozen=True, slots=True)
class FormField:
    """One field as a form shows it. `text` is what stands in it, `options` are (value, label, whether translated)."""

    field: Field
    widget: str
    text: str
    problem: Problem | None = None
    options: tuple[tuple[str, str, bool], ...] = ()
    shown: str = ""
    """Of a record that is found by typing: its name."""
    conflict: Conflict | None = None
    applies: bool = True
    """Whether the record as it stands in the form has the field."""

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def group(self) -> str:
        """The heading under which a characteristic stands."""
        return self.field.definition.group if isinstance(self.field, Characteristic) else ""

    @property
    def max_chars(self) -> int | None:
        """The most characters that a text takes."""
        found: int | None = getattr(item_of(self.field), "max_chars", None)
        return found

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Values that the field offers while one types."""
        found: tuple[str, ...] = getattr(item_of(self.field), "suggestions", ())
        return found

    @property
    def chosen(self) -> frozenset[str]:
        """The chosen values of several."""
        return frozenset(self.text.split("\n"))


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field when the form was opened, and as somebody else has changed it since, as texts."""

    theirs: str
    original: str


@dataclass(frozen=True, slots=True)
class RecordForm:
    """A whole form. `version` is the record's that it was made from; None for a new record."""

    fields: tuple[FormField, ...]
    version: int | None = None
    changed_by: str = ""
    """The person who changed the record first, where that is why the form came back."""

    @property
    def has_problems(self) -> bool:
        return any(one.problem for one in self.fields)


def is_list(field: Field) -> bool:
    """Tell whether a field has several values."""
    return field.is_many if isinstance(field, Characteristic) else isinstance(field, JoinedField)


def text_of(field: Field, value: Any, zone: tzinfo) -> str:
    """Return a typed value as a form's field holds it: what `parse` reads back."""
    if field.is_empty(value):
        return ""
    if isinstance(field, JoinedField):
        several = value if is_list(field) else (value,)
        return "\n".join(text_of(field.item, one, zone) for one in several)
    if isinstance(value, Amount):
        return f"{value.value:f} {value.currency}"
    if isinstance(value, bool):
        return "on" if value else "off"
    if field.type == "moment":
        return str(value.astimezone(zone).strftime("%Y-%m-%dT%H:%M"))
    return field.form_text(value)


def texts_of(fields: Iterable[Field], values: Mapping[str, Any], ctx: RequestContext) -> dict[str, str]:
    """Return the texts of a form of a record."""
    zone = reading(ctx).zone
    return {field.name: text_of(field, values[field.name], zone) for field in fields if not field.read_only}


def sent_texts(fields: Iterable[Field], ctx: RequestContext) -> dict[str, str]:
    """Return what a form sent of the kind's fields and of those that the kind does not have, but no page's own."""
    ours = ("csrf", "version")
    several = {field.name for field in fields if is_list(field)}
    return {
        name: "\n".join(ctx.form.texts(name)) if name in several else text
        for name, text in ctx.form.fields.items()
        if name not in ours
    }


def read_input(
    entity: Entity[Any, Any], fields: Iterable[Field], texts: Mapping[str, str], ctx: RequestContext, *, is_new: bool
) -> Any:
    """Return the input that a form's texts mean. Raises Invalid with every field's problem.

    A characteristic is read here as a form has it, and goes on in the form in which the API sends it.
    """
    of_form = reading(ctx, is_form=True)
    extra = {field.name: field for field in fields if isinstance(field, Characteristic)}
    sent: dict[str, Any] = {name: text for name, text in texts.items() if name not in extra}
    problems: dict[str, Problem] = {}
    for name in texts.keys() & extra.keys():
        try:
            sent[name] = extra[name].dump(extra[name].parse(texts[name], of_form))
        except FieldError as error:
            problems[name] = error.problem
    try:
        given = entity.read(sent, is_new=is_new, reading=of_form)
    except Invalid as error:
        raise Invalid(problems | error.problems) from None
    if problems:
        raise Invalid(problems)
    return given


def read_texts(fields: Iterable[Field], texts: Mapping[str, str], ctx: RequestContext) -> dict[str, Any]:
    """Return the typed values of a form that is no record's, of the fields that were sent. Raises Invalid."""
    values: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    for field in fields:
        if field.name in texts:
            try:
                values[field.name] = field.parse(texts[field.name], reading(ctx, is_form=True))
            except FieldError as error:
                problems[field.name] = error.problem
    if problems:
        raise Invalid(problems)
    return values


async def make_form(
    conn: AsyncConnection,
    ctx: RequestContext,
    fields: Iterable[Field],
    texts: Mapping[str, str],
    *,
    only: Iterable[str] | None = None,
    problems: Mapping[str, Problem] | None = None,
    conflicts: Mapping[str, Conflict] | None = None,
    version: int | None = None,
    changed_by: str = "",
) -> RecordForm:
    """Return the form of a kind's fields (`kind_fields`), with what is typed in it."""
    names_of_form = None if only is None else set(only)
    shown = [
        field
        for field in fields
        if not field.read_only and not field.hidden and (names_of_form is None or field.name in names_of_form)
    ]
    options = {kind: await reference_options(conn, kind) for kind in _listed_kinds(shown)}
    names = await _names(conn, ctx, shown, texts)
    found = []
    for field in shown:
        item = item_of(field)
        text = texts.get(field.name, "")
        found.append(
            FormField(
                field,
                _widget(field),
                text,
                (problems or {}).get(field.name),
                _choices(item, text) or options.get(item.kind or "", ()),
                names.get((item.kind or "", text), ""),
                (conflicts or {}).get(field.name),
                applicable.applies(field, texts),
            )
        )
    return RecordForm(tuple(found), version, changed_by)


def _widget(field: Field) -> str:
    item = item_of(field)
    if is_list(field):
        return "several" if item.type in _SEVERAL else "lines"
    if isinstance(field, Characteristic) and item.type == "yes_no":
        # A box is yes or no; a characteristic may have no value as well.
        return "yes_no"
    if item.type == "link" and item.kind is not None and registry.kind(item.kind).is_short:
        return "select"
    return _WIDGETS[item.type]


def _choices(item: Field, text: str) -> tuple[tuple[str, str, bool], ...]:
    """Return the options of a choice: those that are on, and what the record holds already."""
    if item.type == "yes_no":
        return (("on", _("Yes"), True), ("off", _("No"), True))
    if not isinstance(item, Choice):
        return ()
    held = text.split("\n")
    is_ours = item.dictionary is None
    return tuple((one.value, one.label, is_ours) for one in item.options if one.active or one.value in held)


def _listed_kinds(fields: Iterable[Field]) -> set[str]:
    """The kinds that are few enough to choose from a list."""
    kinds = {item.kind: item.type for item in map(item_of, fields) if item.kind is not None}
    return {kind for kind, of in kinds.items() if of in ("person", "team") or registry.kind(kind).is_short}


async def reference_options(conn: AsyncConnection, kind: str) -> tuple[tuple[str, str, bool], ...]:
    """Return the people or teams to choose from, as (id, name, False)."""
    entity = registry.kind(kind)
    query = sa.select(entity.id, entity.name).order_by(entity.name).limit(MOST_OPTIONS)
    if entity.archived_column is not None:
        query = query.where(entity.archived_column.is_(None))
    is_ours = entity.names_are_marked
    return tuple((str(record_id), name, is_ours) for record_id, name in await conn.execute(query))


async def _names(
    conn: AsyncConnection, ctx: RequestContext, fields: Iterable[Field], texts: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Return the names of the records that links of a form lead to, by kind and text of the id."""
    wanted: dict[str, set[int]] = {}
    for field in fields:
        text = texts.get(field.name, "")
        if field.type == "link" and field.kind is not None and text.isascii() and text.isdigit() and len(text) < 19:
            wanted.setdefault(field.kind, set()).add(int(text))
    return {
        (kind, str(record_id)): name
        for kind, ids in wanted.items()
        for record_id, name in (await records.names(conn, ctx.actor, kind, ids)).items()
    }


def conflicts_of(fields: Iterable[Field], details: Mapping[str, Any], ctx: RequestContext) -> dict[str, Conflict]:
    """Return the conflicts of an edit that came too late, as texts; values are in the form of the history."""
    zone = reading(ctx).zone
    by_name = {field.name: field for field in fields}
    return {
        name: Conflict(
            text_of(by_name[name], by_name[name].parse(one["theirs"]), zone),
            text_of(by_name[name], by_name[name].parse(one["original"]), zone),
        )
        for name, one in details["fields"].items()
    }
