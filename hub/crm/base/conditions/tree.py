"""The tree of a condition as JSON and as types: groups, leaves, and their bounds.

    {"all": [{"field": "manager", "op": "is", "value": ["me"]}, {"not": {"field": "note", "op": "is_empty"}}]}

Decides the shape alone; whether a field, an operator or a value exists is decided by `binding`. An empty tree and
`{"all": []}` hold for every record, `{"any": []}` for none. Pure. Invariants: `parse(to_json(tree)) == tree`; a tree
is at most `MAX_DEPTH` groups deep and has at most `MAX_LEAVES` leaves, so whatever follows may recurse.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from hub.crm.base.conditions.problems import at, problem
from hub.crm.base.labels import _

MAX_DEPTH = 5
MAX_LEAVES = 50
MAX_JSON_CHARS = 64_000
MAX_COUNT = 1_000_000
_GROUPS = ("all", "any", "not", "has")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A question about one field. `place` is where it stands in the JSON, for error messages only."""

    field: str
    op: str
    value: Any
    place: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaf) and (self.field, self.op, self.value) == (other.field, other.op, other.value)

    def __hash__(self) -> int:
        return hash((self.field, self.op))


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Any_:
    """At least one part holds."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Tree


@dataclass(frozen=True, slots=True)
class Has:
    """The record has between `at_least` and `at_most` related records of a kind for which `where` holds."""

    kind: str
    where: Tree
    at_least: int = 1
    at_most: int | None = None
    place: str = ""

    def __eq__(self, other: object) -> bool:
        mine = (self.kind, self.where, self.at_least, self.at_most)
        return isinstance(other, Has) and mine == (other.kind, other.where, other.at_least, other.at_most)

    def __hash__(self) -> int:
        return hash((self.kind, self.at_least, self.at_most))


Tree = All | Any_ | Not | Has | Leaf

EVERYTHING = All(())


def loads(text: str) -> Tree:
    """Read a tree from the text of a URL, a file or a form. Raises Invalid that names the place."""
    if len(text) > MAX_JSON_CHARS:
        raise problem("where", "too_long", _("The condition is longer than %(max)s characters"), max=MAX_JSON_CHARS)
    if not text.strip():
        return EVERYTHING
    try:
        return parse(json.loads(text))
    except (ValueError, RecursionError):
        raise problem("where", "not_json", _("The condition is not JSON")) from None


def parse(data: Any) -> Tree:
    """Read a tree from decoded JSON. Raises Invalid that names the place."""
    if data is None or data == {}:
        return EVERYTHING
    left = [MAX_LEAVES]
    return _parse(data, "where", 0, left)


def to_json(tree: Tree) -> dict[str, Any]:
    """Return the JSON of a tree, in its normal form."""
    match tree:
        case All(parts):
            return {"all": [to_json(part) for part in parts]}
        case Any_(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
        case Has():
            count = {"at_least": tree.at_least}
            if tree.at_most is not None:
                count["at_most"] = tree.at_most
            return {"has": tree.kind, "where": to_json(tree.where), "count": count}
        case Leaf(op="is_empty"):
            return {"field": tree.field, "op": tree.op}
        case Leaf():
            return {"field": tree.field, "op": tree.op, "value": tree.value}


def dumps(tree: Tree) -> str:
    """Write a tree as compact JSON, e.g. for a URL."""
    return json.dumps(to_json(tree), ensure_ascii=False, separators=(",", ":"))


def every_leaf(tree: Tree) -> list[Leaf]:
    """Return the leaves in reading order, those about related records too."""
    match tree:
        case All(parts) | Any_(parts):
            return [leaf for part in parts for leaf in every_leaf(part)]
        case Not(part):
            return every_leaf(part)
        case Has():
            return every_leaf(tree.where)
        case Leaf():
            return [tree]


def parts_of(tree: Tree) -> tuple[Tree, ...]:
    """Return the parts that all hold where the tree does: the filters of a list."""
    return tree.parts if isinstance(tree, All) else (tree,)


def top_leaves(tree: Tree) -> list[Leaf]:
    """Return those parts that are about one field."""
    return [part for part in parts_of(tree) if isinstance(part, Leaf)]


def both(first: Tree, second: Tree) -> Tree:
    """Return the tree that holds where both hold, e.g. a saved view and the filters of the URL."""
    parts = [*parts_of(first), *parts_of(second)]
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _refuse_unstorable(data: Any, place: str, *, field: str = "", op: str = "") -> None:
    """Raise Invalid for a text, however deep it stands, that neither a database nor an answer can hold."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and _UNSTORABLE.search(one):
            told = _("Must not contain control characters")
            raise problem(place, "control_character", told, field=field[:80], op=op[:40])


def _parse(data: Any, place: str, depth: int, left: list[int]) -> Tree:
    if not isinstance(data, dict):
        raise problem(place, "bad_condition", _("%(place)s must be an object with field and op"))
    _refuse_unstorable([*data, data.get("has"), data.get("field"), data.get("op")], place)
    kinds = [key for key in (*_GROUPS, "field") if key in data]
    if len(kinds) != 1:
        raise problem(place, "bad_condition", _("%(place)s must have exactly one of all, any, not, has and field"))
    kind = kinds[0]
    if kind == "field":
        return _leaf(data, place, left)
    if depth >= MAX_DEPTH:
        raise problem(place, "too_deep", _("%(place)s is more than %(max)s groups deep"), max=MAX_DEPTH)
    if kind == "has":
        return _has(data, place, depth, left)
    _only(data, place, (kind,))
    if kind == "not":
        return Not(_parse(data["not"], at(place, "not"), depth + 1, left))
    parts = data[kind]
    if not isinstance(parts, list):
        raise problem(at(place, kind), "bad_condition", _("%(place)s must be a list of conditions"))
    if len(parts) > MAX_LEAVES:
        raise problem(place, "too_many", _("A condition has at most %(max)s parts"), max=MAX_LEAVES)
    read = tuple(_parse(part, f"{at(place, kind)}[{n}]", depth + 1, left) for n, part in enumerate(parts))
    return All(read) if kind == "all" else Any_(read)


def _leaf(data: dict[str, Any], place: str, left: list[int]) -> Leaf:
    left[0] -= 1
    if left[0] < 0:
        raise problem(place, "too_many", _("A condition has at most %(max)s parts"), max=MAX_LEAVES)
    _only(data, place, ("field", "op", "value"))
    field, op = data["field"], data.get("op")
    if not isinstance(field, str) or not field or len(field) > 200:
        raise problem(at(place, "field"), "bad_condition", _("%(place)s must be the name of a field"))
    if not isinstance(op, str) or not op:
        raise problem(at(place, "op"), "bad_condition", _("%(place)s must be the name of an operator"), field=field)
    _refuse_unstorable(data.get("value"), f"{place}.value", field=field, op=op)
    return Leaf(field, op, data.get("value"), place)


def _has(data: dict[str, Any], place: str, depth: int, left: list[int]) -> Has:
    _only(data, place, ("has", "where", "count"))
    kind, count = data["has"], data.get("count", {})
    if not isinstance(kind, str) or not kind or len(kind) > 40:
        raise problem(at(place, "has"), "bad_condition", _("%(place)s must be the name of a kind of record"))
    if not isinstance(count, dict) or set(count) - {"at_least", "at_most"}:
        raise problem(at(place, "count"), "bad_condition", _("%(place)s must be an object with at_least and at_most"))
    for name, number in count.items():
        if type(number) is not int or not 0 <= number <= MAX_COUNT:
            told = _("%(place)s must be a whole number from 0 to %(max)s")
            raise problem(f"{place}.count.{name}", "bad_condition", told, max=MAX_COUNT)
    where = data.get("where")
    read = EVERYTHING if where in (None, {}) else _parse(where, at(place, "where"), depth + 1, left)
    left[0] -= 1
    if left[0] < 0:
        raise problem(place, "too_many", _("A condition has at most %(max)s parts"), max=MAX_LEAVES)
    return Has(kind, read, count.get("at_least", 1 if "at_most" not in count else 0), count.get("at_most"), place)


def _only(data: dict[str, Any], place: str, known: tuple[str, ...]) -> None:
    for key in data:
        if key not in known:
            raise problem(place, "bad_condition", _("%(place)s has an unknown key: %(key)s"), key=str(key)[:60])
