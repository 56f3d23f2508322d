"""Every type of a field, to declare a kind with: texts, choices and references here, the rest from `quantities`.

A field is declared once, on its column, and everything else (form, list, filter, export, API, history) is read off
it. `parse` takes what a stranger sent and returns the typed value or raises FieldError; `dump` writes the typed value
as JSON, the form that history and forms use too. Pure: nothing here asks the database. Fields whose values lie in
another table are in `collections`.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Unpack

import sqlalchemy as sa

from hub import sanitize
from hub.crm.addresses import parse_email, parse_phone
from hub.crm.base.choices import Option
from hub.crm.base.field import JSON_INPUT, Field, Names, Options, Reading, fold, reference
from hub.crm.base.labels import FieldError, _
from hub.crm.base.quantities import Amount, Date, Duration, Integer, Json, Moment, Money, Number, YesNo

__all__ = [
    "JSON_INPUT",
    "Amount",
    "Choice",
    "Date",
    "Duration",
    "Email",
    "Field",
    "Integer",
    "Json",
    "Link",
    "LongText",
    "Moment",
    "Money",
    "Number",
    "Option",
    "Person",
    "Phone",
    "Reading",
    "Team",
    "Text",
    "YesNo",
    "fold",
]
MAX_ID = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Text(Field):
    """One line of text. `folded` is the twin column that is compared, searched and sorted by (`<column>_folded`).

    The column itself stands there where its values have one form, as those of a register do.
    """

    type = "text"
    multiline: ClassVar[bool] = False

    def __init__(
        self,
        column: sa.Column[Any],
        label: str,
        *,
        max_chars: int | None = None,
        folded: sa.Column[Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(column, label, **options)
        self.max_chars: int = max_chars or getattr(column.type, "length", None) or 10_000
        twin = column.table.c.get(f"{column.key}_folded") if column.table is not None else None
        self.folded: sa.Column[Any] | None = folded if folded is not None else twin

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        if self.folded is None or self.folded is self.column:
            return (self.column,)
        return (self.column, self.folded)

    @property
    def order_column(self) -> sa.Column[Any]:
        return self.column if self.folded is None else self.folded

    @property
    def empty(self) -> str | None:
        return None if self.column.nullable else ""

    def convert(self, value: object, reading: Reading) -> str:
        if not isinstance(value, str):
            raise FieldError("not_text", _("Must be a text"))
        return value

    def check(self, value: str | None) -> str | None:
        if value is None:
            return self.empty
        if _CONTROL.search(value):
            raise FieldError("control_character", _("Must not contain control characters"))
        one_line = (
            value.replace("\r\n", "\n").strip() if self.multiline else sanitize.shown(value, max_chars=len(value))
        )
        clean = one_line.strip()
        if len(clean) > self.max_chars:
            raise FieldError("too_long", _("At most %(max)s characters"), max=self.max_chars)
        return clean or self.empty

    def store(self, value: str | None) -> dict[str, Any]:
        stored: dict[str, Any] = {self.column.key: value}
        if self.folded is not None:
            length = getattr(self.folded.type, "length", None) or 300
            # An empty text sorts last: the second phase of a list is where the twin is NULL.
            stored[self.folded.key] = fold(value)[:length] if value else (None if self.folded.nullable else "")
        return stored


class LongText(Text):
    """Several lines of text; no twin, so it is searched by no list."""

    type = "long_text"
    multiline = True

    def __init__(
        self,
        column: sa.Column[Any],
        label: str,
        *,
        max_chars: int | None = None,
        folded: sa.Column[Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        options.setdefault("sortable", False)
        super().__init__(column, label, max_chars=max_chars, folded=folded, **options)


class Email(Text):
    """One e-mail address, kept in its normal form."""

    type = "email"

    def check(self, value: str | None) -> str | None:
        clean = super().check(value)
        if not clean:
            return clean
        if (normal := parse_email(clean)) is None:
            raise FieldError("bad_email", _("Not an e-mail address"))
        return normal


class Phone(Text):
    """One phone number, kept as E.164. A number without a country code is of the reader's region."""

    type = "phone"

    def convert(self, value: object, reading: Reading) -> str:
        text = super().convert(value, reading)
        if (phone := parse_phone(text, reading.region)) is None:
            raise FieldError("bad_phone", _("Not a phone number"))
        return phone.value


class Choice(Field):
    """One of several values: fixed `options`, or the keys of a dictionary that an administrator edits.

    A dictionary's keys are checked where it lies (`checks`).
    """

    type = "choice"

    def __init__(
        self,
        column: sa.Column[Any],
        label: str,
        *,
        options: tuple[Option, ...] = (),
        dictionary: str | None = None,
        **others: Unpack[Options],
    ) -> None:
        super().__init__(column, label, **others)
        self.options = options
        self.dictionary = dictionary

    def convert(self, value: object, reading: Reading) -> str:
        if not isinstance(value, str):
            raise FieldError("not_text", _("Must be a text"))
        return value.strip()

    def check(self, value: str | None) -> str | None:
        known = {option.value for option in self.options}
        if value is not None and self.dictionary is None and value not in known:
            raise FieldError("not_a_choice", _("Must be one of: %(choices)s"), choices=", ".join(sorted(known)))
        return value


class Link(Field):
    """A record of another kind, by its id. Answers are `{"id", "name"}`, a hidden one's name is null."""

    type = "link"
    is_reference = True

    def __init__(self, column: sa.Column[Any], label: str, *, to: str, **options: Unpack[Options]) -> None:
        options.setdefault("sortable", False)
        super().__init__(column, label, **options)
        self.kind = to

    def convert(self, value: object, reading: Reading) -> int:
        if reading.is_form and isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value.strip()):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID:
            return value
        raise FieldError("not_an_id", _("Must be an id"))

    def answer(self, value: Any, names: Names) -> Any:
        return reference(self.kind or "", value, names)


class Person(Link):
    """A person of the company: who owns, leads or answers for a record."""

    type = "person"

    def __init__(self, column: sa.Column[Any], label: str, **options: Unpack[Options]) -> None:
        super().__init__(column, label, to="user", **options)


class Team(Link):
    """A team."""

    type = "team"

    def __init__(self, column: sa.Column[Any], label: str, **options: Unpack[Options]) -> None:
        super().__init__(column, label, to="team", **options)
