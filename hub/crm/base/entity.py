"""A kind of record: its table, row, input and fields, who owns a record.

`Entity` is read by everything in the base and generates nothing. Whatever a declaration says wrong raises
`DeclarationError` while the module is imported, so that a process with a wrong declaration cannot start. Knows no
kind. Invariant: a declared kind has every common column, one field per name, and an input that fits its fields.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.field import JSON_INPUT, Field, Reading
from hub.crm.base.labels import FieldError, Invalid, Problem, _

RowT = TypeVar("RowT")
InputT = TypeVar("InputT", bound=msgspec.Struct)
COMMON = ("id", "version", "created_at", "changed_at", "archived_at")
"""Columns of every kind that people edit."""


class DeclarationError(Exception):
    """A kind is declared wrongly: a bug, found at import."""


class RecordInput(msgspec.Struct, kw_only=True, frozen=True):
    """The root of every kind's input: whatever the kind, people may write its characteristics, by their keys."""

    characteristics: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    """Values in the form in which they are sent."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Entity(Generic[RowT, InputT]):
    """One kind of record. `row` is a class with an attribute per field (or per column); `input` one with a default
    `msgspec.UNSET` per field that people write."""

    kind: str
    """The word in the API of one record, in rights, history and the feed: "deal"."""
    title: str
    """One record, marked for translation: _("Deal")."""
    titles: str
    """Several: _("Deals")."""
    path: str = ""
    """The word in addresses: "deals" in `/deals` and `/api/v1/deals`. Empty: the kind with an "s"."""
    table: sa.Table
    row: type[RowT]
    input: type[InputT] | None = None
    """None: nobody edits these through the base."""
    fields: tuple[Field, ...]
    order: str = ""
    """The default sort: the name of a field, with "-" for descending: "name", "-changed_at". Empty: newest first."""
    name: sa.Column[Any]
    """The column that a record is called by where it is referred to."""
    owner: sa.Column[Any] | None = None
    """Scope `own`: the person whose record it is."""
    participants: Pairs | None = None
    """Scope `own` too: those who take part (record, person)."""
    team: sa.Column[Any] | None = None
    """Scope `team`: the team whose record it is."""
    teams: Pairs | None = None
    """Scope `team` where a record has several (record, team)."""
    through: sa.Column[Any] | None = None
    """A link to the record whose rights decide for `own` and `team`, as a contact's client."""
    rule: Callable[[Any, Any], sa.ColumnElement[bool]] | None = None
    """The condition under which a person may do an action, where columns cannot say it, as of calls and messages:
    it stands in the place of owner, team and through."""
    actions: tuple[str, ...] | None = None
    """The actions that a role may grant on this kind; None: all."""
    client: sa.Column[Any] | None = None
    """The client on whose card a change is told."""
    archived: sa.Column[Any] | None = None
    """When a record was archived; `archived_at` unless said."""
    in_lists: sa.ColumnElement[bool] | None = None
    """The records that lists, counts, exports and bulk operations show at all, as contacts of living clients."""
    search: Callable[[str, str], sa.ColumnElement[bool]] | None = None
    """The condition for `?q=` of a text and the region of its phones; without one, the searchable texts."""
    full_text: Callable[[str, str], sa.ColumnElement[bool]] | None = None
    """The same of a text and the database's dialect, for an index that each database has in its own form. A condition
    that names another table joins it."""
    walked_by: Mapping[sa.Column[Any], sa.Column[Any]] = dataclasses.field(default_factory=dict)
    """By a sort's column, the key of a table that `full_text` joins and that brings the records in the same order: a
    list that joins it walks that key, with nothing to sort."""
    is_short: bool = False
    """Whether there are few enough to choose one from a list, as of roles."""
    names_are_marked: bool = False
    """Whether names of delivered records are marked for translation, as of roles."""
    names_are_open: bool = False
    """Whether everybody may know the names of records they may not open, as of people and teams."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def plural(self) -> str:
        return self.path or f"{self.kind}s"

    @property
    def id(self) -> sa.Column[Any]:
        return self.table.c.id

    @functools.cached_property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        """The columns that a row and its place in any order are read from; a column of neither, as the body of a
        message, stays where it is."""
        needed = {*attributes(self.row), *(column.key for field in self.fields for column in field.columns)}
        needed |= {order_column(self, name).key for name in sortable(self)}
        return tuple(column for column in self.table.c if column.key in needed)

    @property
    def archived_column(self) -> sa.Column[Any] | None:
        return self.archived if self.archived is not None else self.table.c.get("archived_at")

    @property
    def is_editable(self) -> bool:
        return self.input is not None

    @property
    def has_characteristics(self) -> bool:
        return self.input is not None and issubclass(self.input, RecordInput)

    @property
    def by_name(self) -> Mapping[str, Field]:
        return {field.name: field for field in self.fields}

    def field(self, name: str) -> Field:
        """Return a field. Raises Invalid that names an unknown one."""
        for field in self.fields:
            if field.name == name:
                return field
        raise Invalid({name: Problem("unknown_field", _("There is no such field"))})

    @property
    def input_fields(self) -> tuple[Field, ...]:
        """Fields that people write, in the order of the declaration."""
        return tuple(field for field in self.fields if not field.read_only) if self.input else ()

    @property
    def required_of_new(self) -> tuple[Field, ...]:
        """Fields that a new record has to be given: a team may follow from the owner, and what `follows`."""
        team = None if self.owner is None else self.team
        needed = (field for field in self.input_fields if field.is_required and field.default is None)
        return tuple(field for field in needed if not field.follows and (team is None or field.column is not team))

    def required_fields(self, given: Iterable[str], *, is_new: bool) -> tuple[Field, ...]:
        """Return the fields that may not be empty, where these were given."""
        needed = {field.name for field in self.required_of_new} if is_new else set()
        names = needed | set(given)
        return tuple(field for field in self.input_fields if field.name in names)

    @property
    def collections(self) -> tuple[Collection, ...]:
        return tuple(field for field in self.fields if isinstance(field, Collection))

    def value(self, row: RowT, field: Field) -> Any:
        """Return the typed value of a field of a row."""
        return getattr(row, field.name if field.name in attributes(self.row) else field.column.key)

    def read(self, given: Mapping[str, object], *, is_new: bool, reading: Reading = JSON_INPUT) -> InputT:
        """Return the typed input of what was sent (JSON or form). Raises Invalid with every field's problem."""
        assert self.input is not None
        writable = {field.name: field for field in self.input_fields}
        problems: dict[str, Problem] = {}
        values: dict[str, Any] = {}
        extra: dict[str, object] = {}
        for name, sent in given.items():
            if self.has_characteristics and name == "characteristics" and isinstance(sent, Mapping):
                extra.update(sent)
                continue
            if self.has_characteristics and name.startswith("c."):
                extra[name.removeprefix("c.")] = sent
                continue
            if (field := writable.get(name)) is None:
                problems[name] = self._not_writable(name)
                continue
            try:
                values[name] = field.parse(sent, reading)
            except FieldError as error:
                problems[name] = error.problem
        problems |= missing_values(self.required_fields(values, is_new=is_new), values, is_new=is_new, but=problems)
        if problems:
            raise Invalid(problems)
        return self.input(**values, **({"characteristics": extra} if extra else {}))

    def _not_writable(self, name: str) -> Problem:
        if name in self.by_name or name in COMMON:
            return Problem("read_only", _("Cannot be changed"))
        return Problem("unknown_field", _("There is no such field"))


def missing_values(
    fields: Iterable[Field], values: Mapping[str, Any], *, is_new: bool, but: Iterable[str] = ()
) -> dict[str, Problem]:
    """Return a problem for each required field that is empty: of a new record also where it was not given."""
    problem = Problem("required", _("Fill in this field"))
    found = {}
    for field in fields:
        is_asked = field.name in values or (is_new and field.default is None)
        if field.is_required and is_asked and field.name not in but and field.is_empty(values.get(field.name)):
            found[field.name] = problem
    return found


def attributes(row: type[Any]) -> tuple[str, ...]:
    """Return the names of a row class's attributes: a dataclass or a msgspec struct."""
    if dataclasses.is_dataclass(row):
        return tuple(one.name for one in dataclasses.fields(row))
    if issubclass(row, msgspec.Struct):
        return row.__struct_fields__
    raise DeclarationError(f"{row.__name__}: a row is a dataclass or a msgspec struct")


def check(entity: Entity[Any, Any]) -> None:
    """Raise DeclarationError that names everything that cannot work."""
    if problems := list(_problems(entity)):
        raise DeclarationError(f"{entity.kind}: {'; '.join(problems)}")


def _problems(entity: Entity[Any, Any]) -> Iterable[str]:
    table = entity.table
    if not entity.kind.replace("_", "").isalpha() or not entity.kind.islower() or len(entity.kind) > 40:
        yield "the kind is a word in small letters"
    if "id" not in table.c:
        yield f"table {table.name} has no column id"
    if entity.input is not None:
        lacking = [name for name in COMMON if name not in table.c and name != "archived_at"]
        if lacking:
            yield f"table {table.name} lacks {', '.join(lacking)}"
        if entity.archived_column is None:
            yield f"table {table.name} lacks archived_at"
    names = [field.name for field in entity.fields]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"two fields are called {', '.join(twice)}"
    if clash := sorted(set(names) & {"id", "version", "characteristics"}):
        yield f"{', '.join(clash)} belongs to every record, not to a field"
    for field in entity.fields:
        yield from _field_problems(entity, field)
    for place in ("name", "owner", "team", "through", "client", "archived"):
        column = getattr(entity, place)
        if column is not None and column.table is not table:
            yield f"{place}: {column} is not a column of {table.name}"
    if entity.order and entity.order.removeprefix("-") not in sortable(entity):
        yield f"order: {entity.order} is no field to sort by"
    yield from _without_index(entity)
    yield from _input_problems(entity)


def _field_problems(entity: Entity[Any, Any], field: Field) -> Iterable[str]:
    for column in field.columns:
        if column.table is not entity.table:
            yield f"{field.name}: {column} is not a column of {entity.table.name}"
    if not field.label:
        yield f"{field.name} has no label"
    known = attributes(entity.row)
    if field.name not in known and field.column.key not in known:
        yield f"{field.name}: the row {entity.row.__name__} has neither {field.name} nor {field.column.key}"
    if isinstance(field, Collection) and (field.sortable or field.name not in known):
        yield f"{field.name}: a collection is an attribute of the row and never sorted by"


def _input_problems(entity: Entity[Any, Any]) -> Iterable[str]:
    if entity.input is None:
        return
    writable = {field.name for field in entity.fields if not field.read_only}
    given = set(entity.input.__struct_fields__) - set(RecordInput.__struct_fields__)
    if extra := sorted(given - writable):
        yield f"the input {entity.input.__name__} has {', '.join(extra)}, which no writable field is"
    if lacking := sorted(writable - given):
        yield f"the input {entity.input.__name__} lacks {', '.join(lacking)}"
    for one in msgspec.structs.fields(entity.input):
        if one.default is not msgspec.UNSET:
            yield f"the input's {one.name} needs the default msgspec.UNSET"
        if msgspec.UnsetType not in typing.get_args(one.type):
            yield f"the input's {one.name} may be left out: add msgspec.UnsetType to its type"


def sortable(entity: Entity[Any, Any]) -> Mapping[str, Field | None]:
    """Return what lists of a kind may be sorted by; None stands for the common columns without a field."""
    common: dict[str, Field | None] = {
        name: None for name in ("id", "created_at", "changed_at") if name in entity.table.c
    }
    fields = {field.name: field for field in entity.fields}
    every = common | fields
    return {name: field for name, field in every.items() if field is None or field.sortable}


def order_column(entity: Entity[Any, Any], name: str) -> sa.Column[Any]:
    """Return the column that a sort is by."""
    field = sortable(entity)[name]
    return entity.table.c[name] if field is None else field.order_column


def _without_index(entity: Entity[Any, Any]) -> Iterable[str]:
    """Yield a problem for each sort that would read the whole table."""
    begins = {next(iter(one.columns)) for one in entity.table.indexes}
    for name in sortable(entity):
        column = order_column(entity, name)
        if not (column.primary_key or column.unique or column in begins):
            index = f"{entity.table.name} needs an index on ({column.key}, id)"
            yield f"{name}: to sort by it, {index}; else sortable=False"
