"""A condition evaluated in memory, the plain way: what SQLite and PostgreSQL must agree with.

Records are dicts of plain values by the name of the field: a text, a Decimal, an Amount, a date, a moment, a bool, an
id, or a list of those. It reads the JSON of a tree itself and shares nothing with what compiles it but `fold`
and the days of a period.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from hub.crm.addresses import parse_phone
from hub.crm.base.conditions import periods
from hub.crm.base.field import fold

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """One kind's records in memory. `links`: the records that a reference leads to, those the asker may see alone."""

    types: Mapping[str, str]
    now: datetime
    zone: tzinfo
    me: int
    my_teams: frozenset[int]
    mates: frozenset[int]
    links: Mapping[str, tuple[Mapping[int, Record], Mapping[str, str]]] = field(default_factory=dict)
    related: Mapping[str, Callable[[Record], tuple[list[Record], Mapping[str, str]]]] = field(default_factory=dict)
    tree_of: Mapping[str, str] = field(default_factory=dict)
    """Of the keys of a dictionary: each key's parent."""

    def holds(self, tree: Any, record: Record) -> bool:
        if not tree:
            return True
        if "all" in tree:
            return all(self.holds(part, record) for part in tree["all"])
        if "any" in tree:
            return any(self.holds(part, record) for part in tree["any"])
        if "not" in tree:
            return not self.holds(tree["not"], record)
        if "has" in tree:
            return self._has(tree, record)
        values, kind = self._values(tree["field"], record)
        return self._leaf(tree["op"], tree.get("value"), values, kind)

    def _has(self, tree: Any, record: Record) -> bool:
        records, types = self.related[tree["has"]](record)
        inner = Oracle(types=types, now=self.now, zone=self.zone, me=self.me, my_teams=self.my_teams, mates=self.mates)
        number = sum(inner.holds(tree.get("where"), one) for one in records)
        count = tree.get("count", {})
        least = count.get("at_least", 0 if "at_most" in count else 1)
        return bool(least <= number <= count.get("at_most", number))

    def _values(self, name: str, record: Record) -> tuple[list[Any], str]:
        if name in self.types:
            value, kind = record[name], self.types[name]
        else:
            head, _, rest = name.partition(".")
            targets, types = self.links[head]
            ids = record[head] if isinstance(record[head], list) else [record[head]]
            kind = types[rest]
            value = [targets[one][rest] for one in ids if one in targets]
        listed = value if isinstance(value, list) else [value]
        return [one for one in listed if one is not None and one != ""], kind

    def _leaf(self, op: str, value: Any, values: list[Any], kind: str) -> bool:
        if op == "is_empty":
            return not values
        if op == "is_not":
            return bool(values) and not self._leaf("is", value, values, kind)
        return any(self._one(op, value, one, kind) for one in values)

    def _one(self, op: str, value: Any, one: Any, kind: str) -> bool:
        if kind in ("text", "email", "phone") and op in ("contains", "starts_with"):
            part = fold(value)
            if kind == "phone":
                part = "".join(c for c in part if c in "+0123456789")
            return part in fold(one) if op == "contains" else fold(one).startswith(part)
        if op == "under":
            return any(one == key or key in self._above(one) for key in value)
        if op == "is":
            return any(self._same(wanted, one, kind) for wanted in value)
        if op == "within":
            return self._within(value, one, kind)
        if op == "between":
            return (
                self._currency(one, value[0])
                and not self._before(one, value[0], kind)
                and not self._after(one, value[1], kind)
            )
        return self._before(one, value, kind) if op == "less" else self._after(one, value, kind)

    def _above(self, key: str) -> list[str]:
        found = []
        while key in self.tree_of:
            key = self.tree_of[key]
            found.append(key)
        return found

    def _same(self, wanted: Any, one: Any, kind: str) -> bool:
        if kind == "person":
            return bool(
                one == self.me if wanted == "me" else one in self.mates if wanted == "my_teams" else one == wanted
            )
        if kind == "team" and wanted == "my_teams":
            return one in self.my_teams
        if kind == "phone":
            number = parse_phone(wanted, "RU")
            return number is not None and number.value == one
        if kind in ("text", "email"):
            return fold(wanted) == fold(one)
        if kind in ("choice", "link", "team", "yes_no"):
            return bool(wanted == one)
        return (
            self._currency(one, wanted) and not self._before(one, wanted, kind) and not self._after(one, wanted, kind)
        )

    def _before(self, one: Any, bound: Any, kind: str) -> bool:
        if kind == "money":
            return self._currency(one, bound) and one.value < _decimal(bound)
        if kind == "date":
            return bool(one < date.fromisoformat(bound))
        if kind == "moment":
            return bool(one < self._day(bound)[0] if len(bound) == 10 else one < datetime.fromisoformat(bound))
        return bool(Decimal(one) < _decimal(bound))

    def _after(self, one: Any, bound: Any, kind: str) -> bool:
        if kind == "money":
            return self._currency(one, bound) and one.value > _decimal(bound)
        if kind == "date":
            return bool(one > date.fromisoformat(bound))
        if kind == "moment":
            return bool(one >= self._day(bound)[1] if len(bound) == 10 else one > datetime.fromisoformat(bound))
        return bool(Decimal(one) > _decimal(bound))

    @staticmethod
    def _currency(one: Any, bound: Any) -> bool:
        """Money named without a currency is of any; whatever is no money has none."""
        return not isinstance(bound, dict) or bool(bound["currency"] == one.currency)

    def _day(self, text: str) -> tuple[datetime, datetime]:
        day = date.fromisoformat(text)
        return (
            datetime.combine(day, time(), tzinfo=self.zone),
            datetime.combine(day + timedelta(days=1), time(), tzinfo=self.zone),
        )

    def _within(self, value: Any, one: Any, kind: str) -> bool:
        if kind == "date":
            days = periods.days(value, now=self.now, zone=self.zone)
            return (days.start is None or days.start <= one) and (days.end is None or one < days.end)
        found = periods.moments(value, now=self.now, zone=self.zone)
        return (found.start is None or found.start <= one) and (found.end is None or one < found.end)


def _decimal(bound: Any) -> Decimal:
    return Decimal(str(bound["value"] if isinstance(bound, dict) else bound))
