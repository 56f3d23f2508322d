"""A made-up kind with a field of every type, its references and related records, random records and random trees."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.conditions.asker import Asker, Scope
from hub.crm.base.conditions.operators import operators_of
from hub.crm.base.dictionaries import dictionary_values
from hub.crm.base.field import Field
from hub.crm.base.fields import (
    Amount,
    Choice,
    Date,
    Email,
    Integer,
    Link,
    Moment,
    Money,
    Number,
    Option,
    Person,
    Phone,
    Team,
    Text,
    YesNo,
)
from hub.crm.models import team_members, teams, users
from hub.store.schema import BigId, folded
from hub.store.schema import Moment as StoredMoment
from tests.integration.condition_oracle import Oracle

NOW = datetime(2026, 11, 29, 21, 30, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Moscow")
ME, MATE, STRANGER = 1, 2, 3
MY_TEAM, OTHER_TEAM = 1, 2
PARENTS = {"moscow": "russia", "arbat": "moscow", "tver": "russia"}
KEYS = ("russia", "moscow", "arbat", "tver", "peru")

made_up = sa.MetaData()
places = sa.Table(
    "places",
    made_up,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("name", sa.String(60)),
    folded("name_folded", 60),
    sa.Column("size", sa.Integer()),
    sa.Column("secret", sa.Boolean()),
)
things = sa.Table(
    "things",
    made_up,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    folded("name_folded", 200),
    sa.Column("nick", sa.String(200)),
    folded("nick_folded", 200),
    sa.Column("email", sa.String(200)),
    sa.Column("phone", sa.String(20)),
    sa.Column("count", sa.Integer()),
    sa.Column("ratio", sa.BigInteger()),
    sa.Column("amount", sa.BigInteger()),
    sa.Column("currency", sa.String(3)),
    sa.Column("born", sa.Date()),
    sa.Column("at", StoredMoment()),
    sa.Column("active", sa.Boolean()),
    sa.Column("state", sa.String(20)),
    sa.Column("region", sa.String(20)),
    sa.Column("manager_id", BigId),
    sa.Column("team_id", BigId),
    sa.Column("place_id", BigId),
)
tags = sa.Table(
    "tags", made_up, sa.Column("thing_id", BigId, primary_key=True), sa.Column("tag", sa.String(20), primary_key=True)
)
helpers = sa.Table(
    "helpers", made_up, sa.Column("thing_id", BigId, primary_key=True), sa.Column("user_id", BigId, primary_key=True)
)
events = sa.Table(
    "events",
    made_up,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("thing_id", BigId),
    sa.Column("size", sa.Integer()),
)

PLACE_FIELDS: tuple[Field, ...] = (Text(places.c.name, "Name"), Integer(places.c.size, "Size"))
EVENT_FIELDS: tuple[Field, ...] = (Link(events.c.thing_id, "Thing", to="thing"), Integer(events.c.size, "Size"))
FIELDS: tuple[Field, ...] = (
    Text(things.c.name, "Name"),
    Text(things.c.nick, "Nick"),
    Email(things.c.email, "E-mail"),
    Phone(things.c.phone, "Phone"),
    Integer(things.c.count, "Count"),
    Number(things.c.ratio, "Ratio", places=3),
    Money(things.c.amount, things.c.currency, "Amount"),
    Date(things.c.born, "Born"),
    Moment(things.c.at, "At"),
    YesNo(things.c.active, "Active"),
    Choice(things.c.state, "State", options=(Option("new", "New"), Option("old", "Old"), Option("lost", "Lost"))),
    Choice(things.c.region, "Region", dictionary="region"),
    Person(things.c.manager_id, "Manager"),
    Team(things.c.team_id, "Team"),
    Link(things.c.place_id, "Place", to="place"),
    Collection(
        Choice(tags.c.tag, "Tag", options=tuple(Option(t, t) for t in "abc")),
        "Tags",
        store=Pairs(tags.c.thing_id, tags.c.tag),
        name="tags",
    ),
    Collection(
        Person(helpers.c.user_id, "Helper"),
        "Helpers",
        store=Pairs(helpers.c.thing_id, helpers.c.user_id),
        name="helpers",
    ),
)
TYPES = {field.name: getattr(field, "item", field).type for field in FIELDS}


def _scopes() -> dict[str, Scope]:
    found: dict[str, Scope] = {}
    for kind, table, fields, permitted in (
        ("thing", things, FIELDS, None),
        ("place", places, PLACE_FIELDS, places.c.secret.is_(False)),
        ("event", events, EVENT_FIELDS, None),
    ):
        by_name = {field.name: field for field in fields}
        found[kind] = Scope(kind=kind, table=table, fields=by_name, permitted=permitted, related=found.get)
    return found


SCOPE = _scopes()["thing"]
ASKER = Asker(now=NOW, user_id=ME, team_ids=frozenset({MY_TEAM}), zone=ZONE)

WORDS = (
    "Ёлка",
    "елка",
    "ЕЛКА №5",
    "100%",
    "100 процентов",
    "a_b",
    "aXb",
    "a\\b",
    "a/b",
    "'; DROP TABLE things; --",
    "Straße",
    "STRASSE",
    "İstanbul",
    "é",
    "e\u0301",
    "\U0001f600 смех",
    "\U0010fffftail",
    "ООО «Ромашка»",
    "ромашка",
    "\u202eabc",
    "%",
    "_",
    "[a-z]",
    "*",
    "''",
    '"',
    "null",
    "ß",
    "ŉ",
    "\ud7ff",
    "\ue000",
    "x" * 190,
)
PARTS = (*WORDS, "е", "Ё", "a", "/", "\\", "1", "100", "  ёлка ", "ромаш", "ss", "\U0010ffff", "\ud7ff", "№", "?")
NUMBERS = (-7, 0, 1, 2, 3, 500, 2**31 - 1)
BOUNDS: tuple[Any, ...] = (*NUMBERS, "1.5", 2.5, "-0.001", 10**12, "0", "499.999")
MOMENTS = tuple(
    NOW + timedelta(hours=hours, microseconds=extra)
    for hours in (-9000, -700, -48, -26, -22, -3, 0, 2, 3, 26, 800)
    for extra in (0, 1)
) + tuple(datetime(2026, 11, day, 21, 0, tzinfo=UTC) for day in (27, 28, 29, 30))
DAYS = tuple(date(2026, 11, 30) + timedelta(days=days) for days in (-400, -40, -30, -29, -2, -1, 0, 1, 2, 7, 60))
PERIODS: tuple[Any, ...] = (
    "overdue",
    "today",
    "yesterday",
    "tomorrow",
    {"last": {"days": 30}},
    {"next": {"weeks": 1}},
    {"last": {"months": 14}},
    {"this": "week"},
    {"this": "quarter"},
    {"previous": "month"},
    {"next": "year"},
)


def random_record(chance: random.Random, record_id: int) -> dict[str, Any]:
    def some(*values: Any) -> Any:
        return None if chance.random() < 0.25 else chance.choice(values)

    return {
        "id": record_id,
        "name": chance.choice(WORDS),
        "nick": some("", *WORDS),
        "email": some("", "a@b.example", "ann_1@b.example", "x%y@b.example"),
        "phone": some("+74951234567", "+79161234567", "+4930123456"),
        "count": some(*NUMBERS),
        "ratio": some(*(Decimal(number) / 1000 for number in (-1, 0, 1, 1500, 2500, 499_999))),
        "amount": some(*(Amount(Decimal(n) / 100, c) for n in (-100, 0, 150, 50_000) for c in ("RUB", "EUR"))),
        "born": some(*DAYS),
        "at": some(*MOMENTS),
        "active": some(True, False),
        "state": some("", "new", "old", "lost"),
        "region": some(*KEYS),
        "manager": some(ME, MATE, STRANGER),
        "team": some(MY_TEAM, OTHER_TEAM),
        "place": some(1, 2, 3, 4),
        "tags": chance.sample(["a", "b", "c"], chance.randrange(4)),
        "helpers": chance.sample([ME, MATE, STRANGER], chance.randrange(3)),
    }


PLACES = {
    number: {"id": number, "name": name, "size": size, "secret": number == 4}
    for number, (name, size) in enumerate((("Ёлка", 1), ("", None), ("100%", 500), ("Ёлка", 2)), 1)
}


@dataclass(frozen=True)
class World:
    records: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def oracle(self) -> Oracle:
        seen = {number: place for number, place in PLACES.items() if not place["secret"]}
        return Oracle(
            types=TYPES,
            now=NOW,
            zone=ZONE,
            me=ME,
            my_teams=frozenset({MY_TEAM}),
            mates=frozenset({ME, MATE}),
            links={"place": (seen, {"name": "text", "size": "integer"})},
            related={"event": self._events},
            tree_of=PARENTS,
        )

    def _events(self, record: Any) -> tuple[list[Any], dict[str, str]]:
        return [event for event in self.events if event["thing"] == record["id"]], {"thing": "link", "size": "integer"}


def random_world(chance: random.Random, records: int) -> World:
    made = [random_record(chance, number) for number in range(1, records + 1)]
    told = [
        {"id": number, "thing": chance.choice([None, *range(1, records + 1)]), "size": chance.choice([None, 1, 2, 3])}
        for number in range(1, records * 2)
    ]
    return World(made, told)


def random_tree(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    shape = chance.random()
    if depth < 4 and shape < (0.75 if depth == 0 else 0.4):
        parts = [random_tree(chance, depth + 1) for _ in range(chance.randrange(4))]
        return {chance.choice(["all", "any"]): parts}
    if depth < 4 and shape < 0.85 - depth * 0.1:
        return {"not": random_tree(chance, depth + 1)}
    if depth < 4 and shape > 0.95:
        count = chance.choice([{}, {"at_least": 2}, {"at_most": 1}, {"at_least": 1, "at_most": 2}, {"at_least": 0}])
        where = chance.choice([{}, {"field": "size", "op": "more", "value": 1}, {"field": "size", "op": "is_empty"}])
        return {"has": "event", "where": where, "count": count}
    return random_leaf(chance)


def random_leaf(chance: random.Random) -> dict[str, Any]:
    field = chance.choice([*FIELDS, *PLACE_FIELDS])
    name = field.name if field in FIELDS else f"place.{field.name}"
    op = chance.choice(operators_of(field))
    if op == "is_empty":
        return {"field": name, "op": op}
    return {"field": name, "op": op, "value": random_value(chance, getattr(field, "item", field).type, op, name)}


def random_value(chance: random.Random, kind: str, op: str, name: str) -> Any:
    if op == "within":
        hours: tuple[Any, ...] = ({"last": {"hours": 3}}, {"next": {"hours": 30}}) if kind == "moment" else ()
        return chance.choice([*PERIODS, *hours])
    if op == "under":
        return chance.sample(KEYS, chance.randrange(1, 3))
    if op in ("contains", "starts_with"):
        return chance.choice(("495", "+7 (495)", "9161") if kind == "phone" else PARTS)
    one = {
        "text": lambda: chance.choice(WORDS),
        "email": lambda: chance.choice(["A@b.example", "ann_1@b.example", "nobody"]),
        "phone": lambda: chance.choice(["+74951234567", "8 (916) 123-45-67"]),
        "integer": lambda: chance.choice(NUMBERS if op in ("is", "is_not") else BOUNDS),
        "number": lambda: chance.choice(("1.5", 0, "-0.001", 2.5) if op in ("is", "is_not") else BOUNDS),
        "money": lambda: chance.choice(
            ("1.5", 0, 500, "1.555", {"value": "1.50", "currency": "RUB"}, {"value": "0", "currency": "EUR"})
        ),
        "date": lambda: chance.choice(DAYS).isoformat(),
        "moment": lambda: chance.choice([*(day.isoformat() for day in DAYS), *(at.isoformat() for at in MOMENTS)]),
        "yes_no": lambda: chance.choice([True, False]),
        "choice": lambda: chance.choice(
            KEYS if name == "region" else ("a", "b", "c") if name == "tags" else ("new", "old", "lost")
        ),
        "person": lambda: chance.choice(["me", "my_teams", ME, MATE, STRANGER, 99]),
        "team": lambda: chance.choice(["my_teams", MY_TEAM, OTHER_TEAM]),
        "link": lambda: chance.choice([1, 2, 3, 4, 99]),
    }[kind]
    if op in ("is", "is_not"):
        return [one() for _ in range(chance.randrange(1, 4))]
    if op == "between":
        low = one()
        high = one()
        if isinstance(low, dict) or isinstance(high, dict):
            return [{"value": "-1", "currency": "EUR"}, {"value": "2", "currency": "EUR"}]
        return [low, high]
    return one()


async def store(conn: AsyncConnection, world: World) -> None:
    """Make the tables and put a world into a migrated database."""
    await conn.run_sync(made_up.create_all)
    person = {"role": "manager", "password_hash": "", "created_at": NOW}
    await conn.execute(
        teams.insert(), [{"id": n, "name": f"team{n}", "created_at": NOW} for n in (MY_TEAM, OTHER_TEAM)]
    )
    await conn.execute(
        users.insert(), [{"id": n, "email": f"{n}@x.example", "name": str(n), **person} for n in (ME, MATE, STRANGER)]
    )
    members = [(MY_TEAM, ME), (MY_TEAM, MATE), (OTHER_TEAM, STRANGER)]
    await conn.execute(team_members.insert(), [{"team_id": team, "user_id": user} for team, user in members])
    ids = {key: number for number, key in enumerate(KEYS, 1)}
    for key in KEYS:
        row = {
            "id": ids[key],
            "dictionary": "region",
            "key": key,
            "label": {"ru": key},
            "position": ids[key],
            "data": {},
        }
        row |= {"parent_id": ids.get(PARENTS.get(key, "")), "created_at": NOW, "changed_at": NOW}
        await conn.execute(dictionary_values.insert().values(row))
    folds = Text(places.c.name, "Name")
    await conn.execute(places.insert(), [{**place, **folds.store(place["name"])} for place in PLACES.values()])
    rows = [
        {"id": one["id"], **{k: v for f in FIELDS for k, v in f.store(one[f.name]).items()}} for one in world.records
    ]
    await conn.execute(things.insert(), rows)
    await conn.execute(
        tags.insert(), [{"thing_id": one["id"], "tag": tag} for one in world.records for tag in one["tags"]]
    )
    await conn.execute(
        helpers.insert(), [{"thing_id": one["id"], "user_id": h} for one in world.records for h in one["helpers"]]
    )
    await conn.execute(
        events.insert(), [{"id": e["id"], "thing_id": e["thing"], "size": e["size"]} for e in world.events]
    )
