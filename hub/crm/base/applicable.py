"""Fields of some records alone, by the value of another field: a birth date is of persons (`Field.when`).

Forms and cards leave out what does not apply; writing refuses a value there. Pure. Invariant: a record holds nothing
in a field that does not apply to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.labels import Invalid, Problem, _


def applies(field: Field, values: Mapping[str, Any]) -> bool:
    """Tell whether a record with these values, typed or as a form's texts, has this field."""
    return field.when is None or values.get(field.when[0]) in field.when[1]


def emptied(entity: Entity[Any, Any], given: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that no longer apply after an edit, each with its empty value.

    `held` are the values before it, nothing of a new record. Raises Invalid for a value that was given to one of them.
    """
    values = {**held, **given}
    found: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    for field in entity.input_fields:
        if applies(field, values):
            continue
        if not field.is_empty(given.get(field.name)):
            problems[field.name] = Problem("not_applicable", _("A record of this type has no such field"))
        elif not field.is_empty(held.get(field.name)):
            found[field.name] = field.empty
    if problems:
        raise Invalid(problems)
    return found
