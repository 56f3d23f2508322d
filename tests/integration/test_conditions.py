"""Conditions against the databases: SQLite, PostgreSQL and the oracle in memory answer the same."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub.crm.base.conditions import compile as compiling
from hub.crm.base.conditions import query
from hub.crm.base.conditions.binding import bind
from hub.crm.base.conditions.problems import InvalidCondition
from hub.crm.base.conditions.tree import dumps, loads, parse
from hub.crm.teams.table import TEAMS
from hub.store.engine import Database, open_database
from tests.integration.condition_world import ASKER, SCOPE, World, random_tree, random_world, store, things
from tests.testbed.postgres import Postgres

TREES = 2_000
RECORDS = 150


@pytest.fixture
async def both(
    sqlite_template: Path, postgres: Postgres, postgres_template: str, tmp_path: Path
) -> AsyncIterator[tuple[Database, Database, World]]:
    """The same random records on either database."""
    path = tmp_path / "hub.db"
    shutil.copy(sqlite_template, path)
    databases = [
        open_database(f"sqlite:///{path}"),
        open_database(await postgres.new_database(template=postgres_template)),
    ]
    world = random_world(random.Random(20261130), RECORDS)
    for db in databases:
        async with db.begin() as conn:
            await store(conn, world)
    yield databases[0], databases[1], world
    for db in databases:
        await db.close()


def statement(data: Any) -> sa.Select[Any]:
    where = compiling.where(bind(parse(data), SCOPE, ASKER), SCOPE, ASKER)
    return sa.select(things.c.id).where(where).order_by(things.c.id)


async def test_2000_random_trees_are_the_same_on_sqlite_on_postgresql_and_in_memory(
    both: tuple[Database, Database, World],
) -> None:
    sqlite, postgresql, world = both
    oracle, chance = world.oracle(), random.Random(7)
    answers: set[tuple[int, ...]] = set()
    async with sqlite.read() as one, postgresql.read() as other:
        for number in range(TREES):
            data = random_tree(chance)
            assert loads(dumps(parse(data))) == parse(data)
            expected = [record["id"] for record in world.records if oracle.holds(data, record)]
            query = statement(data)
            assert list((await one.execute(query)).scalars()) == expected, (number, data)
            assert list((await other.execute(query)).scalars()) == expected, (number, data)
            answers.add(tuple(expected))
    assert len(answers) > 500, "the trees tell records apart"


@pytest.mark.parametrize(
    ("leaf", "code", "named"),
    [
        ({"field": "salary", "op": "is", "value": [1]}, "unknown_field", "salary"),
        ({"field": "place.secret", "op": "is", "value": [True]}, "unknown_field", "place.secret"),
        ({"field": "place.name.size", "op": "is", "value": [1]}, "unknown_field", "place.name.size"),
        ({"field": "manager.password_hash", "op": "is_empty"}, "unknown_field", "manager.password_hash"),
        ({"field": "name", "op": "less", "value": "a"}, "unknown_operator", "less"),
        ({"field": "count", "op": "contains", "value": "1"}, "unknown_operator", "contains"),
        ({"field": "state", "op": "under", "value": ["new"]}, "unknown_operator", "under"),
        ({"field": "born", "op": "within", "value": {"last": {"hours": 1}}}, "bad_period", "born"),
        ({"field": "born", "op": "is", "value": ["30.11.2026"]}, "not_a_date", "born"),
        ({"field": "count", "op": "less", "value": "seven"}, "not_a_number", "count"),
        ({"field": "count", "op": "less", "value": float("nan")}, "not_a_number", "count"),
        ({"field": "count", "op": "less", "value": "1e999999"}, "out_of_range", "count"),
        ({"field": "count", "op": "between", "value": [1]}, "bad_value", "count"),
        ({"field": "count", "op": "is", "value": [True]}, "not_a_number", "count"),
        ({"field": "name", "op": "is", "value": []}, "bad_value", "name"),
        ({"field": "name", "op": "is", "value": [None]}, "bad_value", "name"),
        ({"field": "name", "op": "is", "value": ["  "]}, "bad_value", "name"),
        ({"field": "name", "op": "contains", "value": " "}, "bad_value", "name"),
        ({"field": "name", "op": "contains", "value": "a\x00"}, "control_character", "name"),
        ({"field": "name", "op": "contains", "value": "\ud800"}, "control_character", "name"),
        ({"field": "name", "op": "contains", "value": "x" * 501}, "too_long", "name"),
        ({"field": "name", "op": "is_empty", "value": "no"}, "bad_value", "name"),
        ({"field": "state", "op": "is", "value": ["gone"]}, "not_a_choice", "state"),
        ({"field": "manager", "op": "is", "value": ["you"]}, "not_an_id", "manager"),
        ({"field": "manager", "op": "is", "value": [10**30]}, "not_an_id", "manager"),
        ({"field": "amount", "op": "less", "value": {"value": "1", "currency": "roubles"}}, "bad_currency", "amount"),
        ({"field": "amount", "op": "less", "value": {"value": 1}}, "not_money", "amount"),
        ({"has": "wedding", "where": {}}, "unknown_kind", "wedding"),
        ({"has": "place", "where": {}}, "unknown_kind", "place"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(leaf: dict[str, Any], code: str, named: str) -> None:
    with pytest.raises(InvalidCondition) as caught:
        bind(parse({"any": [{"all": []}, {"not": leaf}]}), SCOPE, ASKER)
    told = caught.value.details["fields"]["where"]
    assert told["code"] == code
    assert named in caught.value.message
    assert caught.value.details["place"].startswith("where.any[1].not")
    assert caught.value.details.get("field", named) == leaf.get("field", named)


def test_values_of_all_leaves_together_are_bounded() -> None:
    leaf = {"field": "count", "op": "is", "value": list(range(1000))}
    bind(parse({"all": [leaf] * 5}), SCOPE, ASKER)
    with pytest.raises(InvalidCondition, match="at most 5000 values"):
        bind(parse({"all": [leaf] * 6}), SCOPE, ASKER)
    with pytest.raises(InvalidCondition, match="1 to 1000 values"):
        bind(parse({**leaf, "value": list(range(1001))}), SCOPE, ASKER)


async def test_the_largest_tree_runs_on_both(both: tuple[Database, Database, World]) -> None:
    leaf = {"field": "helpers", "op": "is", "value": [*range(1, 100)]}
    tree = {"any": [{"all": [leaf, {"not": {"any": [leaf] * 8}}]}] * 5 + [leaf] * 5}
    for db in both[:2]:
        async with db.read() as conn:
            await conn.execute(statement(tree))


def test_related_records_that_refer_through_a_list_are_no_kind_to_ask_about() -> None:
    team = query.scope_of(None, TEAMS)
    with pytest.raises(InvalidCondition, match="no related records of the kind user"):
        bind(parse({"has": "user", "where": {}}), team, ASKER)
