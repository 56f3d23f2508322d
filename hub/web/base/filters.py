"""Filters of a list as people see and edit them: one chip for each part of its condition, and the form of one leaf.

A chip is a leaf or "is filled"; a deeper part is one chip that can only be removed. Pure but for names and options.
Invariant: what a form writes is a leaf of the condition language, read and refused by `conditions` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.collections import item_of
from hub.crm.base.conditions.operators import operators_of
from hub.crm.base.conditions.problems import InvalidCondition
from hub.crm.base.conditions.tree import All, Leaf, Not, Tree, parts_of
from hub.crm.base.field import Field
from hub.crm.base.labels import Invalid, Problem
from hub.web.base.list_fields import Choices, names_of, read_choices, record_options
from hub.web.i18n import N_, Translator
from hub.web.request_context import Form, RequestContext

IS_FILLED = "is_filled"
"""Offered beside `is_empty`; the condition language writes it as its `not`."""
MINE = {"me": N_("Me"), "my_teams": N_("My teams")}
WORDS = {
    "is": N_("is"),
    "is_not": N_("is not"),
    "contains": N_("contains"),
    "starts_with": N_("begins with"),
    "is_empty": N_("is empty"),
    IS_FILLED: N_("is filled in"),
    "less": N_("less than"),
    "more": N_("more than"),
    "between": N_("between"),
    "within": N_("in the period"),
    "under": N_("is, or lies below"),
}
_OF_TIME = {"less": N_("before"), "more": N_("after"), "is": N_("is on")}
PERIODS: tuple[tuple[Any, str], ...] = (
    ("today", N_("Today")),
    ("yesterday", N_("Yesterday")),
    ({"last": {"days": 7}}, N_("Last 7 days")),
    ({"last": {"days": 30}}, N_("Last 30 days")),
    ({"last": {"days": 90}}, N_("Last 90 days")),
    ({"this": "week"}, N_("This week")),
    ({"this": "month"}, N_("This month")),
    ({"this": "quarter"}, N_("This quarter")),
    ({"this": "year"}, N_("This year")),
    ({"previous": "week"}, N_("Previous week")),
    ({"previous": "month"}, N_("Previous month")),
    ({"previous": "quarter"}, N_("Previous quarter")),
    ({"previous": "year"}, N_("Previous year")),
    ("tomorrow", N_("Tomorrow")),
    ({"next": {"days": 7}}, N_("Next 7 days")),
    ({"next": {"days": 30}}, N_("Next 30 days")),
    ("overdue", N_("In the past")),
)
SHOWN_VALUES = 3


@dataclass(frozen=True, slots=True)
class Chip:
    """One part of a condition. `place` is its number; `label` is empty for a part that has no form."""

    place: int
    label: str
    text: str
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The form of one leaf. `place` is the part that it replaces, None for a new one; `values` stand in the inputs."""

    field: Field
    op: str
    ops: tuple[tuple[str, str], ...]
    widget: str
    options: tuple[tuple[str, str], ...]
    values: tuple[str, ...]
    names: Mapping[str, str]
    """Of records that are found by typing: the name of each chosen id."""
    place: int | None
    problem: Problem | None = None


def without(tree: Tree, place: int) -> Tree:
    """Return the condition without one of its parts."""
    return All(tuple(part for n, part in enumerate(parts_of(tree)) if n != place))


def replaced(tree: Tree, place: int | None, part: Tree) -> Tree:
    """Return the condition with a part in the place of another, at the end where there is none."""
    parts = list(parts_of(tree))
    if place is not None and place < len(parts):
        parts[place] = part
    else:
        parts.append(part)
    return All(tuple(parts))


def leaf_of(part: Tree) -> Leaf | None:
    """Return a part as a leaf with `is_filled` among its operators; None where it is deeper than that."""
    if isinstance(part, Not) and isinstance(part.part, Leaf) and part.part.op == "is_empty":
        return Leaf(part.part.field, IS_FILLED, None)
    return part if isinstance(part, Leaf) else None


def ops_of(field: Field, words: Translator) -> tuple[tuple[str, str], ...]:
    """Return the operators that a form offers, with their words."""
    known = operators_of(field)
    offered = [*known, *([IS_FILLED] if "is_empty" in known else [])]
    return tuple((op, words.gettext(_word(field, op))) for op in offered)


def _word(field: Field | None, op: str) -> str:
    if field is not None and item_of(field).type in ("date", "moment") and op in _OF_TIME:
        return _OF_TIME[op]
    return WORDS.get(op, op)


# Chips


async def read_chips(
    conn: AsyncConnection,
    ctx: RequestContext,
    tree: Tree,
    fields: Mapping[str, Field],
    error: Invalid | None,
    choices: Choices,
) -> tuple[Chip, ...]:
    """Return the chips of a condition, the one that the error is about with its problem."""
    parts = parts_of(tree)
    leaves = [leaf_of(part) for part in parts]
    names = await names_of(conn, ctx, _ids(leaves, fields))
    broken = _place(error)
    found = []
    for place, leaf in enumerate(leaves):
        problem = error.told if isinstance(error, InvalidCondition) and place == broken else None
        if leaf is None:
            found.append(Chip(place, "", choices.words.gettext(N_("Complex condition")), problem))
            continue
        field = fields.get(leaf.field)
        label = choices.words.label(field) if field is not None else leaf.field[:60]
        found.append(Chip(place, label, told(leaf, field, names, choices), problem))
    return tuple(found)


def _place(error: Invalid | None) -> int | None:
    if not isinstance(error, InvalidCondition):
        return None
    found = re.match(r"where(?:\.all\[(\d+)\])?", error.named.get("place", ""))
    return int(found[1] or 0) if found else None


def _ids(leaves: Sequence[Leaf | None], fields: Mapping[str, Field]) -> dict[str, set[int]]:
    """Return the ids that leaves name, by the kind that they are of."""
    wanted: dict[str, set[int]] = {}
    for leaf in leaves:
        field = fields.get(leaf.field) if leaf is not None else None
        kind = item_of(field).kind if field is not None else None
        if leaf is not None and kind is not None:
            ids = {one for one in _listed(leaf.value) if type(one) is int and 0 < one < 2**63}
            wanted.setdefault(kind, set()).update(sorted(ids)[:SHOWN_VALUES] if len(ids) > 200 else ids)
    return wanted


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def told(leaf: Leaf, field: Field | None, names: Mapping[tuple[str, int], str], choices: Choices) -> str:
    """Return what a chip says of a leaf, behind the name of its field."""
    words = choices.words
    op = words.gettext(_word(field, leaf.op))
    if leaf.op in ("is_empty", IS_FILLED):
        return op
    texts = [value_text(one, field, names, choices) for one in _listed(leaf.value)[:SHOWN_VALUES]]
    more = len(_listed(leaf.value)) - len(texts)
    shown = " – ".join(texts) if leaf.op == "between" else ", ".join(texts) + (f" +{more}" if more > 0 else "")
    return shown if leaf.op in ("is", "within", "between") else f"{op} {shown}"


def value_text(value: Any, field: Field | None, names: Mapping[tuple[str, int], str], choices: Choices) -> str:
    """Return one value of a leaf as people read it; what cannot be read as its field's is shown as it was sent."""
    item, words = (item_of(field) if field is not None else None), choices.words
    if isinstance(value, bool):
        return words.gettext(N_("Yes") if value else N_("No"))
    if isinstance(value, str) and value in MINE and item is not None and item.type in ("person", "team"):
        return words.gettext(MINE[value])
    if item is not None and item.kind is not None and type(value) is int:
        return names.get((item.kind, value)) or f"#{value}"
    if isinstance(value, str) and field is not None and item is not None and item.type == "choice":
        return dict(choices.options(field)).get(value, value)[:80]
    if item is not None and item.type in ("date", "moment"):
        return _time_text(value, words)
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:80]


def _time_text(value: Any, words: Translator) -> str:
    for period, label in PERIODS:
        if value == period:
            return words.gettext(label)
    try:
        return words.calendar_day(date.fromisoformat(value))
    except (TypeError, ValueError):
        return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:80]


# The form of one leaf


async def make_form(
    conn: AsyncConnection,
    ctx: RequestContext,
    field: Field,
    op: str,
    value: Any = None,
    *,
    place: int | None = None,
    problem: Problem | None = None,
) -> FilterForm:
    """Return the form of a leaf; an operator that the field does not know becomes its first."""
    choices = await read_choices(conn, ctx, [field])
    ops = ops_of(field, choices.words)
    if op not in dict(ops):
        op, value = ops[0][0], None
    item = item_of(field)
    widget = _widget(item, op)
    options = choices.options(field) + await _options(conn, item, widget, choices.words)
    values = tuple(_text(one, op) for one in _listed(value) if one not in (None, ""))
    if widget == "period" and values and values[0] not in dict(options):
        options.append((values[0], _time_text(value, choices.words)))
    ids = {int(one) for one in values if one.isascii() and one.isdigit() and len(one) < 19}
    names = await names_of(conn, ctx, {item.kind: ids}) if widget == "record" and item.kind and ids else {}
    known = {str(record_id): name for (_kind, record_id), name in names.items()}
    return FilterForm(field, op, ops, widget, tuple(options), values, known, place, problem)


def _widget(item: Field, op: str) -> str:
    if op in ("is_empty", IS_FILLED):
        return ""
    if op == "within":
        return "period"
    if item.type in ("choice", "person", "team", "yes_no"):
        return "several" if item.type != "yes_no" else "select"
    if item.type == "link":
        return "record"
    kind = "date" if item.type in ("date", "moment") else "text"
    return f"{kind}s" if op == "between" else kind


async def _options(conn: AsyncConnection, item: Field, widget: str, words: Translator) -> list[tuple[str, str]]:
    if widget == "period":
        return [(_compact(value), words.gettext(label)) for value, label in PERIODS]
    if item.type == "yes_no":
        return [("true", words.gettext(N_("Yes"))), ("false", words.gettext(N_("No")))]
    mine = {"person": ("me", "my_teams"), "team": ("my_teams",)}.get(item.type, ())
    return [(one, words.gettext(MINE[one])) for one in mine] + await record_options(conn, item)


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _text(value: Any, op: str) -> str:
    """Return a value of a leaf as an input of the form holds it."""
    if isinstance(value, dict) and op != "within" and set(value) == {"value", "currency"}:
        return str(value["value"])
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def read_part(field: Field, op: str, form: Form) -> Tree:
    """Return the part that a form says; whether its values can be read is for `conditions` to say."""
    if op in ("is_empty", IS_FILLED):
        empty = Leaf(field.name, "is_empty", None)
        return Not(empty) if op == IS_FILLED else empty
    item = item_of(field)
    values = [_value(item, op, text) for text in form.texts("value")]
    if op in ("is", "is_not", "under"):
        values = [one for n, one in enumerate(values) if one not in values[:n]]
    if op in ("is", "is_not", "under", "between"):
        return Leaf(field.name, op, values)
    return Leaf(field.name, op, values[0] if values else "")


def _value(item: Field, op: str, text: str) -> Any:
    if op == "within":
        try:
            return json.loads(text) if text.startswith("{") else text
        except ValueError:
            return text
    if item.type == "yes_no" and text in ("true", "false"):
        return text == "true"
    is_number = item.type in ("integer", "link", "person", "team")
    return int(text) if is_number and re.fullmatch(r"-?[0-9]{1,18}", text) else text
