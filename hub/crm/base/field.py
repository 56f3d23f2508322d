"""The base of all types of field: name, label and purpose, and the reading of input.

Decides nothing about a type: those are in `fields` and `quantities`. Pure. Invariant: `parse(dump(value))`
gives `value`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, ClassVar, TypedDict, Unpack

import sqlalchemy as sa

_SPACES = re.compile(r"\s+")


def fold(text: str) -> str:
    """The form in which texts are compared: case and ё/е do not count, spaces count once, punctuation stays."""
    return _SPACES.sub(" ", text.casefold().replace("ё", "е")).strip()


@dataclass(frozen=True, slots=True)
class Reading:
    """The way to read input: a form sends texts only; phones without a country code are of `region`."""

    is_form: bool = False
    region: str = "RU"
    zone: tzinfo = UTC
    """The zone of a form's moments, which have no offset of their own."""


JSON_INPUT = Reading()
Names = Mapping[tuple[str, int], str]
"""Names of records that the asker may know, by kind and id."""


def reference(kind: str, record_id: int | None, names: Names) -> dict[str, Any] | None:
    """Return a reference as the API answers it; a hidden record's name is null."""
    return None if record_id is None else {"id": record_id, "name": names.get((kind, record_id))}


class Options(TypedDict, total=False):
    """The options of any field."""

    name: str
    required: bool
    shown: bool
    searchable: bool
    filterable: bool
    sortable: bool
    measure: bool
    read_only: bool
    hidden: bool
    help: str
    default: Any
    when: tuple[str, tuple[str, ...]]
    follows: bool


class Field(ABC):
    """One field of a kind. `name` is its word in the API: the column's, without `_id` for references.

    `shown`: a column of the list by default. `searchable`: `?q=` looks into it. `measure`: reports add it up.
    `read_only`: never in an input. `hidden`: in no list and no form, the API answers it. `default`: of a new
    record that does not say. `when`: the records that have the field at all, by the name of a choice and its values.
    `follows`: a rule of the kind fills in what a new record was not given, though it is required.
    """

    type: ClassVar[str] = ""
    is_reference: ClassVar[bool] = False
    is_quantity: ClassVar[bool] = False
    """Whether values are read down a column: numbers, money, dates."""
    kind: str | None = None
    """Of a reference: the kind that its ids are of."""

    def __init__(self, column: sa.Column[Any], label: str, **options: Unpack[Options]) -> None:
        self.column = column
        self.label = label
        self.name = options.get("name") or self._default_name()
        self.required = options.get("required", False)
        self.shown = options.get("shown", False)
        self.searchable = options.get("searchable", False)
        self.filterable = options.get("filterable", True)
        self.sortable = options.get("sortable", True)
        self.measure = options.get("measure", False)
        self.read_only = options.get("read_only", False)
        self.hidden = options.get("hidden", False)
        self.help = options.get("help", "")
        self.default = options.get("default")
        self.when = options.get("when")
        self.follows = options.get("follows", False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _default_name(self) -> str:
        return self.column.key.removesuffix("_id") if self.is_reference else self.column.key

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        """Every column the field writes, its own first."""
        return (self.column,)

    @property
    def is_required(self) -> bool:
        """Whether the field must not be empty: by its declaration, or because its column takes nothing for "empty"."""
        return self.required or (bool(self.columns) and not self.column.nullable and self.empty is None)

    @property
    def order_column(self) -> sa.Column[Any]:
        """The column that lists sort by."""
        return self.column

    @property
    def empty(self) -> Any:
        """The typed value that means "nothing": None, or an empty text in a column that takes no NULL."""
        return None

    def is_empty(self, value: Any) -> bool:
        return value is None or value == ""

    def parse(self, value: object, reading: Reading = JSON_INPUT) -> Any:
        """Return the typed, checked value of what was sent. Raises FieldError."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return self.empty
        return self.check(self.convert(value, reading))

    @abstractmethod
    def convert(self, value: object, reading: Reading) -> Any:
        """Return the typed value of something that is not empty. Raises FieldError."""

    def check(self, value: Any) -> Any:
        """Return a typed value in its normal form where it keeps the field's bounds. Raises FieldError."""
        return value

    def store(self, value: Any) -> dict[str, Any]:
        """Return the values of `columns`, by their keys."""
        return {self.column.key: value}

    def load(self, row: Mapping[str, Any]) -> Any:
        """Return the typed value of a row of the table."""
        return row[self.column.key]

    def dump(self, value: Any) -> Any:
        """Return the typed value as JSON, in the form it is sent in; history and forms keep this form."""
        return value

    def form_text(self, value: Any) -> str:
        """Return a typed value as a form's field holds it: what `parse` reads back."""
        return str(self.dump(value))

    def ids(self, value: Any) -> tuple[int, ...]:
        """Return the ids of the records of `kind` that a typed value refers to."""
        return () if value is None or self.kind is None else (value,)

    def answer(self, value: Any, names: Names) -> Any:
        """Return the typed value as the API answers it; `names` has what references need."""
        return self.dump(value)
