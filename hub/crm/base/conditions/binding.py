"""A tree's names and values looked up: each leaf becomes a `Question` with its field and its typed test.

Decides which fields, hops and operators there are for an asker, and refuses the rest by name. Pure. Invariants: an
unknown field and one that the asker may not see get the same answer; after `bind`, compiling cannot fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.crm.base.conditions import operators
from hub.crm.base.conditions.asker import Asker, Scope
from hub.crm.base.conditions.operators import OneOf, Test
from hub.crm.base.conditions.problems import InvalidCondition, problem
from hub.crm.base.conditions.tree import All, Any_, Has, Leaf, Not, Tree
from hub.crm.base.field import Field
from hub.crm.base.labels import FieldError, _

MAX_VALUES = 5_000
"""Of all leaves together: SQLite binds 32,766 parameters to a statement."""


@dataclass(frozen=True, slots=True)
class Question:
    """A leaf: a test of a field of this kind, or, through the reference `via`, of a field of the kind `scope`."""

    field: Field
    test: Test
    via: Field | None = None
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Related:
    """Records of `scope` that refer to this one by `link`: between `at_least` and `at_most` of those in `where`."""

    scope: Scope
    link: Field
    where: Bound
    at_least: int
    at_most: int | None


@dataclass(frozen=True, slots=True)
class BoundAll:
    parts: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class BoundAny:
    parts: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class BoundNot:
    part: Bound


Bound = BoundAll | BoundAny | BoundNot | Related | Question


def bind(tree: Tree, scope: Scope, asker: Asker) -> Bound:
    """Return the tree with its names and values looked up. Raises InvalidCondition naming place, field and operator."""
    left = [MAX_VALUES]
    return _bind(tree, scope, asker, left)


def _bind(tree: Tree, scope: Scope, asker: Asker, left: list[int]) -> Bound:
    match tree:
        case All(parts):
            return BoundAll(tuple(_bind(part, scope, asker, left) for part in parts))
        case Any_(parts):
            return BoundAny(tuple(_bind(part, scope, asker, left) for part in parts))
        case Not(part):
            return BoundNot(_bind(part, scope, asker, left))
        case Has():
            return _related(tree, scope, asker, left)
        case Leaf():
            return _question(tree, scope, asker, left)


def _question(leaf: Leaf, scope: Scope, asker: Asker, left: list[int]) -> Question:
    found = _find(scope, leaf.field)
    if found is None:
        raise _refused(leaf, "unknown_field", _("There is no field %(field)s"))
    field, via, target = found
    known = operators.operators_of(field)
    if leaf.op not in known:
        text = _("%(field)s has no operator %(op)s; it has: %(known)s")
        raise _refused(leaf, "unknown_operator", text, known=", ".join(known))
    try:
        test = operators.read(field, leaf.op, leaf.value, asker)
    except FieldError as error:
        told = error.problem
        raise problem(
            f"{leaf.place}.value", told.code, told.text, field=leaf.field, op=leaf.op, **told.params
        ) from None
    left[0] -= _count(test)
    if left[0] < 0:
        raise _refused(leaf, "too_many", _("A condition names at most %(max)s values"), max=MAX_VALUES)
    return Question(field, test, via, target)


def _refused(leaf: Leaf, code: str, text: str, **params: object) -> InvalidCondition:
    return problem(leaf.place, code, text, field=leaf.field[:80], op=leaf.op[:40], **params)


def _find(scope: Scope, name: str) -> tuple[Field, Field | None, Scope | None] | None:
    """Return the field of a name, and the reference and kind that one hop leads through."""
    if (field := scope.fields.get(name)) is not None and field.filterable:
        return field, None, None
    head, dot, rest = name.partition(".")
    via = scope.fields.get(head)
    if not dot or via is None or not via.filterable or via.kind is None:
        return None
    target = scope.related(via.kind)
    field = target.fields.get(rest) if target is not None else None
    return (field, via, target) if field is not None and field.filterable else None


def _related(has: Has, scope: Scope, asker: Asker, left: list[int]) -> Related:
    other = scope.related(has.kind)
    links = (
        [field for field in other.fields.values() if field.kind == scope.kind and field.columns]
        if other is not None
        else []
    )
    if other is None or not links:
        raise problem(has.place, "unknown_kind", _("There are no related records of the kind %(kind)s"), kind=has.kind)
    where = _bind(has.where, other, asker, left)
    return Related(other, links[0], where, has.at_least, has.at_most)


def _count(test: Any) -> int:
    inner = getattr(test, "test", test)
    return len(inner.values) if isinstance(inner, OneOf) else 1
