"""The operators of each type of field, and the reading of a leaf's value into a typed `Test`.

Decides which operator a type knows and what its value must be; what a Test means in SQL is `compile`'s. Pure.
Invariant: a Test holds values in the form of the field's own column, folded and scaled, so that comparing is all
that is left to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import Any

from hub.crm.base.conditions import periods
from hub.crm.base.conditions.asker import Asker
from hub.crm.base.field import Field, Reading, fold
from hub.crm.base.fields import Choice, Email, Phone, Text
from hub.crm.base.labels import FieldError, _
from hub.crm.base.quantities import MINOR_UNITS, Amount, parse_decimal

MAX_VALUES = 1_000
MAX_TEXT_CHARS = 500
_SURROGATE = re.compile(r"[\x00\ud800-\udfff]")

_EQUALITY = ("is", "is_not", "is_empty")
_ORDERED = (*_EQUALITY, "less", "more", "between")
_TEXT = (*_EQUALITY, "contains", "starts_with")
OPERATORS: dict[str, tuple[str, ...]] = {
    "text": _TEXT,
    "long_text": ("is_empty",),
    "email": _TEXT,
    "phone": _TEXT,
    "address": _TEXT,
    "integer": _ORDERED,
    "duration": _ORDERED,
    "number": _ORDERED,
    "money": _ORDERED,
    "date": (*_ORDERED, "within"),
    "moment": (*_ORDERED, "within"),
    "yes_no": _EQUALITY,
    "choice": _EQUALITY,
    "link": _EQUALITY,
    "person": _EQUALITY,
    "team": _EQUALITY,
}
"""The operators of each type of field, in the order in which a form offers them."""


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """The record has no value."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these. `my_teams`: or, of a person, one of the asker's teams' members."""

    values: tuple[Any, ...]
    my_teams: bool = False


@dataclass(frozen=True, slots=True)
class Under:
    """The value is one of these keys of a dictionary, or below one of them."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Values between two bounds; None has no bound. `currency`: of money in this currency alone."""

    low: Any = None
    high: Any = None
    has_low: bool = True
    has_high: bool = True
    """Whether the bound itself lies inside."""
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class InRanges:
    """The value lies in one of these ranges."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Contains:
    """The folded text contains this, which is folded too and not empty."""

    text: str


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The folded text begins with this, which is folded too and not empty."""

    text: str


Positive = OneOf | Under | InRanges | Contains | StartsWith


@dataclass(frozen=True, slots=True)
class NoneOf:
    """The record has a value, and none for which the test holds."""

    test: Positive


Test = Positive | NoneOf | IsEmpty


def operators_of(field: Field) -> tuple[str, ...]:
    """Return the operators that may be asked of a field."""
    item: Field = getattr(field, "item", field)
    known = OPERATORS.get(item.type, ())
    if isinstance(item, Text) and not isinstance(item, Email | Phone) and item.folded is None:
        return ("is_empty",)
    if isinstance(item, Choice) and item.dictionary is not None:
        return (*known, "under")
    return known


def read(field: Field, op: str, value: Any, asker: Asker) -> Test:
    """Return the test of a leaf. `op` is one of `operators_of(field)`. Raises FieldError for a value that is none."""
    item: Field = getattr(field, "item", field)
    match op:
        case "is_empty":
            if value not in (None, True):
                raise FieldError("bad_value", _("is_empty takes no value"))
            return IsEmpty()
        case "is":
            return _one_of(item, value, asker)
        case "is_not":
            return NoneOf(_one_of(item, value, asker))
        case "under":
            return Under(tuple(_one(item, one, asker) for one in _listed(value)))
        case "contains":
            return Contains(_part(item, value))
        case "starts_with":
            return StartsWith(_part(item, value))
        case "within":
            return InRanges((_period(item, value, asker),))
        case _:
            return InRanges((_range(item, op, value, asker),))


def _listed(value: Any) -> list[Any]:
    listed = value if isinstance(value, list) else [value]
    if not listed or len(listed) > MAX_VALUES:
        raise FieldError("bad_value", _("Give 1 to %(max)s values"), max=MAX_VALUES)
    return listed


def _one_of(item: Field, value: Any, asker: Asker) -> OneOf | InRanges:
    listed = _listed(value)
    if item.type in ("moment", "money"):
        return InRanges(tuple(_point(item, one, asker) for one in listed))
    values: list[Any] = []
    for one in listed:
        if item.type == "team" and one == "my_teams":
            values += sorted(asker.team_ids)
        elif not (item.type == "person" and one == "my_teams"):
            values.append(_one(item, one, asker))
    return OneOf(tuple(dict.fromkeys(values)), my_teams=item.type == "person" and "my_teams" in listed)


def _one(item: Field, value: Any, asker: Asker) -> Any:
    """Return one value in the form of the column that is compared."""
    if item.type == "person" and value == "me":
        if asker.user_id is None:
            raise FieldError("bad_value", _("Nobody asks here: name a person instead of me"))
        return asker.user_id
    if item.type in ("text", "email") and isinstance(value, str):
        return _folded(item, _text(value))
    typed = item.parse(value, Reading(zone=asker.zone, region=asker.region))
    if item.is_empty(typed):
        raise FieldError("bad_value", _("A value must not be empty"))
    return typed.value if item.type == "address" else item.store(typed)[item.column.key]


def _folded(item: Field, text: str) -> str:
    folded = fold(text)
    length = getattr(item.order_column.type, "length", None)
    return folded[:length] if length else folded


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError("not_text", _("Must be a text"))
    if not fold(value):
        raise FieldError("bad_value", _("A value must not be empty"))
    if len(value) > MAX_TEXT_CHARS:
        raise FieldError("too_long", _("At most %(max)s characters"), max=MAX_TEXT_CHARS)
    if _SURROGATE.search(value):
        raise FieldError("control_character", _("Must not contain control characters"))
    return value


def _part(item: Field, value: Any) -> str:
    text = fold(_text(value))
    if isinstance(item, Phone) or getattr(item, "address_kind", "") == "phone":
        text = re.sub(r"[^+0-9]", "", text)
        if not text:
            raise FieldError("bad_phone", _("Not a phone number"))
    return text


def _number(item: Field, value: Any) -> Range:
    """Return the whole numbers of the column that a number stands for: itself, or none where it lies between two.

    Then the lower bound is above the upper one, and "less" and "more" still come out right.
    """
    number = parse_decimal(value)
    if number and number.adjusted() > 14:
        raise FieldError("out_of_range", _("The number is too large"))
    scaled = number.scaleb({"integer": 0, "money": 2}.get(item.type, getattr(item, "places", 0)))
    low = int(scaled.to_integral_value(ROUND_CEILING))
    return Range(low, int(scaled.to_integral_value(ROUND_FLOOR)))


def _point(item: Field, value: Any, asker: Asker) -> Range:
    """Return the range that one value of `is` stands for: a day of moments, an amount of money."""
    if item.type == "moment":
        return _day_or_moment(item, value, asker)
    if isinstance(value, dict):
        amount = item.parse(value)
        assert isinstance(amount, Amount)
        minor = int(amount.value * MINOR_UNITS)
        return Range(minor, minor, currency=amount.currency)
    return _number(item, value)


def _day_or_moment(item: Field, value: Any, asker: Asker) -> Range:
    if isinstance(value, str) and (day := _day(value)) is not None:
        start, end = periods.midnight(day, asker.zone), periods.midnight(day + timedelta(days=1), asker.zone)
        return Range(start, end, has_high=False)
    moment = _moment(item, value, asker)
    return Range(moment, moment)


def _moment(item: Field, value: Any, asker: Asker) -> datetime:
    if value is None or value == "":
        raise FieldError("bad_value", _("A value must not be empty"))
    moment: datetime = item.convert(value, Reading(zone=asker.zone))
    return moment


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return None
    return day if day is not None and 1 < day.year < 9999 else None


def _range(item: Field, op: str, value: Any, asker: Asker) -> Range:
    if op != "between":
        bound = _bound(item, value, asker)
        if op == "less":
            return Range(high=bound.low, has_high=False, currency=bound.currency)
        # After a day is from its end on; after a moment or a number is not that one itself.
        return Range(low=bound.high, has_low=not bound.has_high, currency=bound.currency)
    if not isinstance(value, list) or len(value) != 2:
        raise FieldError("bad_value", _("between takes two values"))
    low, high = (_bound(item, one, asker) for one in value)
    if low.currency != high.currency:
        raise FieldError("bad_value", _("Both amounts must have the same currency"))
    return Range(low.low, high.high, has_high=high.has_high, currency=low.currency)


def _bound(item: Field, value: Any, asker: Asker) -> Range:
    readers: dict[str, Callable[[], Range]] = {
        "moment": lambda: _day_or_moment(item, value, asker),
        "money": lambda: _point(item, value, asker),
        "date": lambda: Range(_one(item, value, asker), _one(item, value, asker)),
    }
    return readers[item.type]() if item.type in readers else _number(item, value)


def _period(item: Field, value: Any, asker: Asker) -> Range:
    try:
        if item.type == "date":
            days = periods.days(value, now=asker.now, zone=asker.zone)
            return Range(days.start, days.end, has_high=False)
        moments = periods.moments(value, now=asker.now, zone=asker.zone)
        return Range(moments.start, moments.end, has_high=False)
    except periods.NotAPeriod as error:
        raise FieldError("bad_period", _("Not a period: %(told)s"), told=str(error)) from None
