"""The fields of a kind as its lists offer them: declared ones and characteristics, with options to choose from.

Decides no rights: `conditions.query.scope_of` says what a person may ask about. Invariant: a list offers no field as a
filter, a column or an edit that its own condition would not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristics, dictionaries, records
from hub.crm.base.collections import item_of
from hub.crm.base.conditions import query as asking
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice
from hub.web.base.forms import reference_options
from hub.web.i18n import Translator, translator
from hub.web.request_context import RequestContext


async def every_field(conn: AsyncConnection, ctx: RequestContext, entity: Entity[Any, Any]) -> Mapping[str, Field]:
    """Return the fields that a person may list and ask about, by name: declared ones first, then characteristics."""
    extra = await characteristics.fields(conn, entity) if entity.has_characteristics else ()
    known = asking.scope_of(ctx.actor, entity, {entity.kind: extra}).fields
    order = [*entity.by_name, *known]
    return {name: known[name] for name in dict.fromkeys(order) if not known[name].hidden}


@dataclass(frozen=True, slots=True)
class Choices:
    """Options and names of the fields of a page, read once for all of them."""

    words: Translator
    values: Mapping[str, Mapping[str, str]]
    """Labels of dictionaries' values, by dictionary and key."""

    def told(self, field: Field, value: Any) -> str:
        """Return the labels of a value of a dictionary; empty for a field that has none."""
        item = item_of(field)
        if not isinstance(item, Choice) or item.dictionary is None:
            return ""
        labels = self.values.get(item.dictionary, {})
        return ", ".join(labels.get(key, key) for key in (value if isinstance(value, tuple) else (value,)))

    def options(self, field: Field) -> list[tuple[str, str]]:
        """Return the (value, label) pairs of a choice."""
        item = item_of(field)
        if not isinstance(item, Choice):
            return []
        if item.dictionary is not None:
            return list(self.values.get(item.dictionary, {}).items())
        return [(one.value, self.words.gettext(one.label)) for one in item.options]


async def read_choices(conn: AsyncConnection, ctx: RequestContext, fields: Iterable[Field]) -> Choices:
    """Return the options of these fields: one statement for all dictionaries, none where there is none."""
    items = [item_of(field) for field in fields]
    named = sorted({item.dictionary for item in items if isinstance(item, Choice) and item.dictionary is not None})
    found = await dictionaries.load(conn, named) if named else {}
    texts = {name: {value.key: value.text(ctx.language) for value in values} for name, values in found.items()}
    return Choices(translator(ctx.language), texts)


async def record_options(conn: AsyncConnection, field: Field) -> list[tuple[str, str]]:
    """Return the people or teams to choose from; of other references one is found by typing."""
    item = item_of(field)
    if item.kind is None or item.type not in ("person", "team"):
        return []
    return [(value, name) for value, name, _is_ours in await reference_options(conn, item.kind)]


async def names_of(
    conn: AsyncConnection, ctx: RequestContext, wanted: Mapping[str, Iterable[int]]
) -> dict[tuple[str, int], str]:
    """Return the names of records by kind and id, as far as the reader may know them: one statement for each kind."""
    return {
        (kind, record_id): name
        for kind, ids in wanted.items()
        for record_id, name in (await records.names(conn, ctx.actor, kind, set(ids))).items()
    }
