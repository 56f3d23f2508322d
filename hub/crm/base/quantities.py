"""Types of a field that are counted or ordered: numbers, money, dates, moments, yes and no. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Unpack

import sqlalchemy as sa

from hub.clock import rfc3339
from hub.crm.base.field import Field, Options, Reading
from hub.crm.base.labels import FieldError, _

_TRUE, _FALSE = {"true", "1", "on", "yes"}, {"false", "0", "off", "no"}
MINOR_UNITS = 100
"""Money is stored as whole hundredths of its currency: SQLite has no decimals."""


class Integer(Field):
    """A whole number between `least` and `most`."""

    type = "integer"
    is_quantity = True

    def __init__(
        self,
        column: sa.Column[Any],
        label: str,
        *,
        least: int = -(2**31),
        most: int = 2**31 - 1,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(column, label, **options)
        self.least = least
        self.most = most

    def convert(self, value: object, reading: Reading) -> int:
        if reading.is_form and isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise FieldError("not_a_number", _("Must be a whole number"))

    def check(self, value: int | None) -> int | None:
        if value is not None and not self.least <= value <= self.most:
            text = _("Must be between %(least)s and %(most)s")
            raise FieldError("out_of_range", text, least=self.least, most=self.most)
        return value


class Json(Field):
    """Facts of any shape, read by people as they are: of no list's order or condition."""

    type = "json"

    def __init__(self, column: sa.Column[Any], label: str, **options: Unpack[Options]) -> None:
        options.setdefault("sortable", False)
        options.setdefault("filterable", False)
        super().__init__(column, label, **options)

    def is_empty(self, value: Any) -> bool:
        return not value

    def convert(self, value: object, reading: Reading) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise FieldError("not_an_object", _("Must be a JSON object"))
        return dict(value)


class Duration(Integer):
    """Seconds, with their fractions, as a column of floats has them: read and compared as a number."""

    type = "duration"

    def dump(self, value: float | None) -> float | None:
        return None if value is None else round(value, 3)


class Number(Field):
    """A decimal with `places` behind the point: a Decimal in Python, a text in JSON, a whole number in its column."""

    type = "number"
    is_quantity = True

    def __init__(self, column: sa.Column[Any], label: str, *, places: int = 2, **options: Unpack[Options]) -> None:
        super().__init__(column, label, **options)
        self.places = places

    def convert(self, value: object, reading: Reading) -> Decimal:
        return parse_decimal(value)

    def check(self, value: Decimal | None) -> Decimal | None:
        return None if value is None else check_decimal(value, self.places)

    def store(self, value: Decimal | None) -> dict[str, Any]:
        return {self.column.key: None if value is None else int(value.scaleb(self.places))}

    def load(self, row: Mapping[str, Any]) -> Decimal | None:
        stored = row[self.column.key]
        return None if stored is None else Decimal(stored).scaleb(-self.places)

    def dump(self, value: Decimal | None) -> str | None:
        return None if value is None else f"{value:f}"


def parse_decimal(value: object) -> Decimal:
    """Read "1 234,50", "1234.5" or a JSON number. Raises FieldError."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        text = str(value)
    elif isinstance(value, str):
        text = re.sub(r"[\s\u00a0\u202f]", "", value).replace(",", ".")
    else:
        raise FieldError("not_a_number", _("Must be a number"))
    try:
        number = Decimal(text) if len(text) <= 40 else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise FieldError("not_a_number", _("Must be a number"))
    return number


def check_decimal(value: Decimal, places: int) -> Decimal:
    """Return the number with exactly so many places. Raises FieldError for more, and for what no column holds."""
    if value and value.adjusted() > 14:
        raise FieldError("out_of_range", _("The number is too large"))
    exact = value.quantize(Decimal(1).scaleb(-places))
    if exact != value:
        raise FieldError("too_precise", _("At most %(places)s decimal places"), places=places)
    return exact


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money: `{"value": "1234.50", "currency": "RUB"}` in JSON."""

    value: Decimal
    currency: str


class Money(Field):
    """An amount and its currency, in two columns: whole hundredths, and the ISO 4217 code."""

    type = "money"
    is_quantity = True

    def __init__(
        self, column: sa.Column[Any], currency: sa.Column[Any], label: str, **options: Unpack[Options]
    ) -> None:
        super().__init__(column, label, **options)
        self.currency = currency

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        return self.column, self.currency

    def convert(self, value: object, reading: Reading) -> Amount:
        if reading.is_form and isinstance(value, str):
            number, _space, currency = value.strip().rpartition(" ")
            if not currency.isalpha():
                raise FieldError("not_money", _("Write an amount and a currency, as in 1234.50 RUB"))
            return Amount(parse_decimal(number), currency.upper())
        if not isinstance(value, Mapping) or set(value) != {"value", "currency"}:
            raise FieldError("not_money", _("Write an amount and a currency, as in 1234.50 RUB"))
        if not isinstance(value["currency"], str) or not isinstance(value["value"], str):
            raise FieldError("not_money", _("Write an amount and a currency, as in 1234.50 RUB"))
        return Amount(parse_decimal(value["value"]), value["currency"])

    def check(self, value: Amount | None) -> Amount | None:
        if value is None:
            return None
        if not re.fullmatch(r"[A-Z]{3}", value.currency):
            raise FieldError("bad_currency", _("A currency has three letters, as in RUB"))
        return Amount(check_decimal(value.value, 2), value.currency)

    def store(self, value: Amount | None) -> dict[str, Any]:
        minor = None if value is None else int(value.value * MINOR_UNITS)
        return {self.column.key: minor, self.currency.key: None if value is None else value.currency}

    def load(self, row: Mapping[str, Any]) -> Amount | None:
        minor = row[self.column.key]
        return None if minor is None else Amount(Decimal(minor).scaleb(-2), row[self.currency.key])

    def dump(self, value: Amount | None) -> dict[str, str] | None:
        return None if value is None else {"value": f"{value.value:f}", "currency": value.currency}


class Date(Field):
    """A day of the calendar: `YYYY-MM-DD`."""

    type = "date"
    is_quantity = True

    def convert(self, value: object, reading: Reading) -> date:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value.strip()):
            try:
                return date.fromisoformat(value.strip())
            except ValueError:
                pass
        raise FieldError("not_a_date", _("Must be a date, as in 2026-11-24"))

    def dump(self, value: date | None) -> str | None:
        return None if value is None else value.isoformat()


class Moment(Field):
    """A moment: RFC 3339 with its offset in JSON, the reader's local minute in a form."""

    type = "moment"
    is_quantity = True

    def convert(self, value: object, reading: Reading) -> datetime:
        try:
            at = datetime.fromisoformat(value.strip()) if isinstance(value, str) and "T" in value else None
        except ValueError:
            at = None
        if at is not None and at.tzinfo is None and reading.is_form:
            at = at.replace(tzinfo=reading.zone)
        if at is None or at.tzinfo is None or not 1 < at.year < 9999:
            raise FieldError("not_a_moment", _("Must be a date and time, as in 2026-11-24T09:00:00+03:00"))
        return at.astimezone(UTC)

    def dump(self, value: datetime | None) -> str | None:
        return rfc3339(value)


class YesNo(Field):
    """Yes or no; in a form a checkbox."""

    type = "yes_no"

    @property
    def empty(self) -> bool | None:
        return None if self.column.nullable else False

    def convert(self, value: object, reading: Reading) -> bool:
        if isinstance(value, bool):
            return value
        if reading.is_form and isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
            return value.strip().lower() in _TRUE
        raise FieldError("not_yes_or_no", _("Must be yes or no"))
