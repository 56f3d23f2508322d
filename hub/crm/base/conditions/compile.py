"""A bound tree as one SQL condition on the kind's table: set algebra of indexed parts, never a correlated sub-select.

A `Part` is a conjunction: `own` columns of the kind's table, and sets of ids that a record is `inside` or `outside`.
Columns of one table meet in its WHERE; whatever lies elsewhere (values of a collection, a hop, related records) is a
set of ids, and sets meet in INTERSECT, UNION and EXCEPT. Each compound is a sub-select of its own: SQLite reads
`A UNION B INTERSECT C` from the left and takes no brackets. Pure. Invariant: a record whose field has no value is in
no leaf but `is_empty`, and so in that leaf's `not`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from hub.crm.base.collections import JoinedField
from hub.crm.base.conditions.asker import Asker, Scope
from hub.crm.base.conditions.binding import Bound, BoundAll, BoundAny, BoundNot, Question, Related
from hub.crm.base.conditions.operators import (
    Contains,
    InRanges,
    IsEmpty,
    NoneOf,
    OneOf,
    Positive,
    Range,
    StartsWith,
    Test,
    Under,
)
from hub.crm.base.dictionaries import keys_under
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice, Text
from hub.crm.base.quantities import Money
from hub.crm.models import team_members

Set = sa.Select[Any] | sa.CompoundSelect[Any]
Predicate = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Part:
    """Records for which `own` holds, in every set of `inside` and in none of `outside`."""

    own: tuple[Predicate, ...] = ()
    inside: tuple[Set, ...] = ()
    outside: tuple[Set, ...] = ()

    @property
    def is_own(self) -> bool:
        return not self.inside and not self.outside


def where(bound: Bound, scope: Scope, asker: Asker) -> Predicate:
    """Return the condition for the WHERE of a statement that selects from `scope.table`."""
    return _predicate(_compile(bound, scope, asker), scope)


def _compile(bound: Bound, scope: Scope, asker: Asker) -> Part:
    match bound:
        case BoundAll(parts):
            return _all([_compile(part, scope, asker) for part in parts])
        case BoundAny(parts):
            return _any([_compile(part, scope, asker) for part in parts], scope)
        case BoundNot(part):
            return _not(_compile(part, scope, asker), scope)
        case Related():
            return _related(bound, asker)
        case Question(via=None):
            return _question(bound.field, bound.test, asker)
        case Question():
            return _hop(bound, scope, asker)


def _all(parts: Sequence[Part]) -> Part:
    own = tuple(one for part in parts for one in part.own)
    inside = tuple(one for part in parts for one in part.inside)
    return Part(own, inside, tuple(one for part in parts for one in part.outside))


def _any(parts: Sequence[Part], scope: Scope) -> Part:
    own = [_predicate(part, scope) for part in parts if part.is_own]
    sets = [_set(part, scope) for part in parts if not part.is_own]
    if not sets:
        return Part(own=(sa.or_(sa.false(), *own),))
    if own:
        sets.append(_select(scope.id).where(sa.or_(*own)))
    return Part(inside=(_compound(sa.union, sets),))


def _not(part: Part, scope: Scope) -> Part:
    if part.is_own:
        return Part(own=(_predicate(part, scope).is_not(sa.true()),))
    if not part.own and not part.outside and len(part.inside) == 1:
        return Part(outside=part.inside)
    if not part.own and not part.inside:
        return Part(inside=(_compound(sa.union, part.outside),))
    return Part(outside=(_set(part, scope),))


def _predicate(part: Part, scope: Scope) -> Predicate:
    both = list(part.own)
    if part.inside:
        found = _compound(sa.intersect, part.inside)
        both.append(scope.id.in_(_compound(sa.except_, [found, *part.outside])))
    elif part.outside:
        both.append(scope.id.not_in(_compound(sa.union, part.outside)))
    return sa.and_(sa.true(), *both)


def _set(part: Part, scope: Scope) -> Set:
    if part.inside and not part.own:
        return _compound(sa.except_, [_compound(sa.intersect, part.inside), *part.outside])
    return _select(scope.id).where(_predicate(part, scope))


def _compound(combine: Any, sets: Sequence[Set]) -> Set:
    """Combine sets of ids; each that is a compound itself becomes a sub-select first."""
    if len(sets) == 1:
        return sets[0]
    combined: Set = combine(*(_plain(one) for one in sets))
    return combined


def _select(column: Any) -> sa.Select[Any]:
    """Start a sub-select that reads its own table, also where the statement around it reads the same one."""
    return sa.select(column).correlate(None)


def _plain(one: Set) -> Set:
    if isinstance(one, sa.CompoundSelect):
        within = one.subquery()
        return _select(within.c[0])
    return one


def _question(field: Field, test: Test, asker: Asker) -> Part:
    if isinstance(field, JoinedField):
        return _of_collection(field, test, asker)
    match test:
        case IsEmpty():
            return Part(own=(sa.not_(_has_value(field)),))
        case NoneOf(positive):
            return Part(own=(_has_value(field), _holds(field, field.order_column, positive, asker).is_not(sa.true())))
        case _:
            return Part(own=(_holds(field, field.order_column, test, asker),))


def _of_collection(field: JoinedField, test: Test, asker: Asker) -> Part:
    everyone = field.source.owners(lambda column: column.is_not(None))
    match test:
        case IsEmpty():
            return Part(outside=(everyone,))
        case NoneOf(positive):
            matching = field.source.owners(lambda column: _holds(field.item, column, positive, asker))
            return Part(inside=(everyone,), outside=(matching,))
        case _:
            return Part(inside=(field.source.owners(lambda column: _holds(field.item, column, test, asker)),))


def _hop(question: Question, scope: Scope, asker: Asker) -> Part:
    """Through a reference: the records that refer to one of those where the test holds.

    Empty is also a record without a reference, or with one that the asker may not see.
    """
    via, target = question.via, question.scope
    assert via is not None and target is not None
    if isinstance(question.test, IsEmpty):
        filled = _all([_not(_question(question.field, question.test, asker), target), _permitted(target)])
        return Part(outside=(_referring(via, _set(filled, target), scope),))
    found = _all([_question(question.field, question.test, asker), _permitted(target)])
    return Part(inside=(_referring(via, _set(found, target), scope),))


def _referring(via: Field, targets: Set, scope: Scope) -> Set:
    if isinstance(via, JoinedField):
        return via.source.owners(lambda column: column.in_(targets))
    return _select(scope.id).where(via.column.in_(targets))


def _permitted(scope: Scope) -> Part:
    return Part(own=() if scope.permitted is None else (scope.permitted,))


def _related(bound: Related, asker: Asker) -> Part:
    scope = bound.scope
    found = _predicate(_all([_compile(bound.where, scope, asker), _permitted(scope)]), scope)
    link = bound.link.column
    counted = _select(link).where(link.is_not(None), found).group_by(link)
    few = bound.at_least
    if bound.at_most is None:
        if few == 0:
            return Part()
        return Part(inside=(counted if few == 1 else counted.having(sa.func.count() >= few),))
    too_many = counted.having(sa.func.count() > bound.at_most)
    if few == 0:
        return Part(outside=(too_many,))
    return Part(inside=(counted.having(sa.func.count().between(few, bound.at_most)),))


def _has_value(field: Field) -> Predicate:
    column = field.column
    if isinstance(field, Text | Choice):
        return sa.and_(column.is_not(None), column != "")
    return column.is_not(None)


def _holds(field: Field, column: sa.ColumnElement[Any], test: Positive | Test, asker: Asker) -> Predicate:
    """Return the predicate of a positive test on the column that is compared. NULL where that is NULL."""
    match test:
        case OneOf(values, my_teams):
            found: list[Predicate] = [column == values[0]] if len(values) == 1 else [column.in_(values)]
            if my_teams:
                mine = _select(team_members.c.user_id).where(team_members.c.team_id.in_(sorted(asker.team_ids)))
                found = [*(found if values else []), column.in_(mine)]
            return sa.or_(*found)
        case Under(keys):
            assert isinstance(field, Choice) and field.dictionary is not None
            return column.in_(keys_under(field.dictionary, keys))
        case InRanges(ranges):
            return sa.or_(*(_in_range(field, column, one) for one in ranges))
        case StartsWith(text):
            return _starts_with(column, text)
        case Contains(text):
            return column.contains(text, autoescape=True)
        case _:
            raise AssertionError(f"{test} is no positive test")


def _in_range(field: Field, column: sa.ColumnElement[Any], bounds: Range) -> Predicate:
    found: list[Predicate] = []
    if bounds.low is not None:
        low = _literal(bounds.low)
        found.append(column >= low if bounds.has_low else column > low)
    if bounds.high is not None:
        high = _literal(bounds.high)
        found.append(column <= high if bounds.has_high else column < high)
    if bounds.currency is not None and isinstance(field, Money):
        found.append(field.currency == bounds.currency)
    return sa.and_(column.is_not(None), *found)


def _literal(value: Any) -> Any:
    """Return a whole number as 64 bits: a bound may lie outside of what the column holds."""
    is_moment = isinstance(value, date | datetime)
    return value if is_moment else sa.literal(value, sa.BigInteger())


def _starts_with(column: sa.ColumnElement[Any], text: str) -> Predicate:
    """A range of the folded twin, which its index serves: bytes on both databases."""
    above = _successor(text)
    return sa.and_(column >= text, column < above) if above else column >= text


def _successor(text: str) -> str:
    """Return the least text that sorts after every text that begins with `text`."""
    for end in range(len(text) - 1, -1, -1):
        code = ord(text[end]) + 1
        if code <= 0x10FFFF:
            return text[:end] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)
    return ""
