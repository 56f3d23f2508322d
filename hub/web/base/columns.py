"""The columns of a list: which of a kind's fields are shown, in which order, and their values for a page of rows.

The address says them, else the view, else what the person chose before, else the kind. Decides no rights. Invariant:
only what is shown is read: one statement for each collection, and one for each kind that a column refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristics, views
from hub.crm.base.characteristics import Characteristic
from hub.crm.base.collections import item_of
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.labels import Invalid, Problem, _
from hub.web.base.kind import WebKind
from hub.web.base.list_fields import names_of
from hub.web.request_context import RequestContext


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a page's rows in the columns that are shown, and the names of what they refer to."""

    entity: Entity[Any, Any]
    names: Mapping[tuple[str, int], str]
    characteristics: Mapping[int, Mapping[str, Any]]

    def of(self, row: Any, field: Field) -> Any:
        """Return the typed value of a row in a column."""
        if isinstance(field, Characteristic):
            return self.characteristics.get(row.id, {}).get(field.name, field.empty)
        if field.name not in self.entity.by_name:
            return getattr(row, field.name, None)
        return self.entity.value(row, field)


def name_of(entity: Entity[Any, Any]) -> Field | None:
    """Return the field that a record is called by; it always comes first and leads to the card."""
    return next((field for field in entity.fields if field.column is entity.name and not field.hidden), None)


def own(web: WebKind) -> list[str]:
    """Return the columns that a kind shows by itself."""
    return [one.name for one in web.entity.fields if one.shown and not one.hidden and one.name != web.subtitle]


async def shown(
    conn: AsyncConnection, ctx: RequestContext, web: WebKind, fields: Mapping[str, Field], names: Sequence[str]
) -> tuple[Field, ...]:
    """Return the fields to show, the name first. Raises Invalid for a name in the address that is none.

    A column that somebody chose earlier and that is gone since is left out.
    """
    if not names:
        remembered = await views.chosen_columns(conn, ctx.actor, web.entity.kind)
        names = [name for name in remembered if name in fields] or own(web)
    if unknown := [name for name in names if name not in fields]:
        problem = Problem("unknown_field", _("There is no field %(field)s"), {"field": unknown[0][:80]})
        raise Invalid({"columns": problem})
    first = name_of(web.entity)
    order = [*([first.name] if first is not None else []), *names]
    return tuple(fields[name] for name in dict.fromkeys(order))


def collections_of(web: WebKind, fields: Iterable[Field]) -> set[str]:
    """Return the collections to load for these columns and the second line."""
    return {field.name for field in fields} | {web.subtitle}


async def read_values(
    conn: AsyncConnection, ctx: RequestContext, web: WebKind, fields: Sequence[Field], rows: Sequence[Any]
) -> Values:
    """Return the values of rows in these columns."""
    entity = web.entity
    known = [field for field in fields if isinstance(field, Characteristic)]
    extra = await characteristics.load(conn, entity, known, [row.id for row in rows])
    values = Values(entity, {}, extra)
    subtitle = entity.by_name.get(web.subtitle)
    wanted: dict[str, set[int]] = {}
    for field in (*fields, *([subtitle] if subtitle is not None else [])):
        kind = item_of(field).kind
        for row in rows if kind is not None else ():
            wanted.setdefault(kind or "", set()).update(field.ids(values.of(row, field)))
    return Values(entity, await names_of(conn, ctx, wanted), extra)
