"""The reasons for which a record of an operation was not simply done: the problem, its field, the value it is about.

Stored as JSON beside the English `reason`, so that a page says it in the reader's language. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.crm.base.labels import Invalid, Problem, _
from hub.errors import HubError

CHANGED_SINCE = Problem("changed_since", _("Changed since, so it was kept"))


@dataclass(frozen=True, slots=True)
class Reason:
    """A problem; `field` is the name of its field, `value` the text it is about, each "" where it concerns none."""

    problem: Problem
    field: str = ""
    value: str = ""


def of_error(error: HubError) -> tuple[Reason, ...]:
    """Return the reasons for which a record could not be written."""
    if isinstance(error, Invalid):
        return tuple(Reason(problem, name) for name, problem in error.problems.items())
    return (Reason(Problem(error.code, error.message)),)


def in_english(reasons: Iterable[Reason]) -> str:
    """Return the reasons as the API and the log have them: "name: 'x': At most 20 characters"."""
    parts = (
        (one.field, repr(one.value) if one.value else "", f"{one.problem.code}: {one.problem.message}")
        for one in reasons
    )
    return "; ".join(": ".join(filter(None, part)) for part in parts)


def dump(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    """Return what `load` reads. Parameters are numbers or texts, else their text is kept."""
    return [
        {
            "code": one.problem.code,
            "text": one.problem.text,
            "params": {
                name: value if isinstance(value, int | float) else str(value)
                for name, value in one.problem.params.items()
            },
            "field": one.field,
            "value": one.value,
        }
        for one in reasons
    ]


def load(stored: Iterable[Mapping[str, Any]] | None) -> tuple[Reason, ...]:
    """Read what `dump` returned; nothing where nothing is stored."""
    return tuple(
        Reason(Problem(one["code"], one["text"], one["params"]), one["field"], one["value"]) for one in stored or ()
    )
