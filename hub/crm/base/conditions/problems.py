"""Refusals of a condition: 422 `invalid`, with the place in the JSON, and the field and operator where one is named.

The problem stands under the field `where`, so that a form shows it at the filter; `details.place` says where inside.
"""

from __future__ import annotations

from typing import Any

from hub.crm.base.labels import Invalid, Problem


class InvalidCondition(Invalid):
    """A condition that cannot be asked. `details` may hold `place`, `field`, `op`."""

    def __init__(self, told: Problem, named: dict[str, Any]) -> None:
        super().__init__({"where": told})
        field = named.get("field", "")
        self.message = told.message if field in told.message else f"{field}: {told.message}"
        self.told, self.named = told, named
        self.details |= named

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.told, self.named)


def problem(place: str, code: str, text: str, *, field: str = "", op: str = "", **params: object) -> InvalidCondition:
    """Return the error to raise. `text` is a marked template for `params`, `place`, `field` and `op`."""
    named = {name: value for name, value in (("place", place), ("field", field), ("op", op)) if value}
    return InvalidCondition(Problem(code, text, {**params, **named}), named)


def at(place: str, key: str) -> str:
    """Return the place of a key inside a place."""
    return f"{place}.{key}"
