"""The tree of a condition: JSON in, types out, and back; what is refused says where it stands."""

from __future__ import annotations

import json
import pickle
import random
from typing import Any

import pytest

from hub.crm.base.conditions.problems import InvalidCondition
from hub.crm.base.conditions.tree import (
    EVERYTHING,
    MAX_DEPTH,
    MAX_LEAVES,
    All,
    Any_,
    Has,
    Leaf,
    Not,
    Tree,
    both,
    dumps,
    every_leaf,
    loads,
    parse,
    to_json,
)

NAME = {"field": "name", "op": "is", "value": ["a"]}


def nested(depth: int) -> dict[str, Any]:
    data: dict[str, Any] = dict(NAME)
    for _ in range(depth):
        data = {"not": data}
    return data


def test_a_tree_of_every_shape_is_read() -> None:
    data = {
        "all": [
            {"field": "manager", "op": "is", "value": [5]},
            {"any": [NAME, {"field": "note", "op": "is_empty"}]},
            {"not": NAME},
            {"has": "call", "where": {"all": []}, "count": {"at_least": 1}},
        ]
    }
    tree = parse(data)
    assert isinstance(tree, All)
    manager, either, neither, call = tree.parts
    assert manager == Leaf("manager", "is", [5])
    assert either == Any_((Leaf("name", "is", ["a"]), Leaf("note", "is_empty", None)))
    assert neither == Not(Leaf("name", "is", ["a"]))
    assert call == Has("call", EVERYTHING, 1)
    assert to_json(tree) == data


def test_nothing_is_everything() -> None:
    assert parse(None) == parse({}) == loads("") == loads(" ") == loads("{}") == EVERYTHING


def test_reading_what_was_written_gives_the_same_tree() -> None:
    chance = random.Random(1)

    def some(depth: int) -> Tree:
        shape = chance.randrange(5 if depth < 4 else 1)
        if shape == 0:
            return Leaf(chance.choice(["a", "b.c", "c.k"]), "is", [chance.randrange(9), "ё", None])
        if shape == 1:
            return Not(some(depth + 1))
        if shape == 2:
            return Has("call", some(depth + 1), chance.randrange(3), chance.choice([None, 4]))
        parts = tuple(some(depth + 1) for _ in range(chance.randrange(3)))
        return All(parts) if shape == 3 else Any_(parts)

    for _ in range(500):
        tree = some(0)
        assert loads(dumps(tree)) == tree


def test_five_groups_are_read_and_a_sixth_is_refused() -> None:
    parse(nested(MAX_DEPTH))
    with pytest.raises(InvalidCondition, match="more than 5 groups") as caught:
        parse(nested(MAX_DEPTH + 1))
    assert caught.value.details["place"] == "where.not.not.not.not.not"
    assert caught.value.status == 422
    assert caught.value.code == "invalid"


def test_fifty_leaves_are_read_and_one_more_is_refused() -> None:
    half = [NAME] * (MAX_LEAVES // 2)
    parse({"any": [{"all": half}, {"all": half}]})
    with pytest.raises(InvalidCondition, match="at most 50") as caught:
        parse({"any": [{"all": half}, {"all": half}, NAME]})
    assert caught.value.details["place"] == "where.any[2]"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([], "where"),
        ("x", "where"),
        (7, "where"),
        ({"all": NAME}, "where.all"),
        ({"all": [7]}, "where.all[0]"),
        ({"all": [], "any": []}, "where"),
        ({"all": [NAME], "field": "name"}, "where"),
        ({"any": [NAME, {"not": {"all": [{"op": "is"}]}}]}, "where.any[1].not.all[0]"),
        ({"field": 7, "op": "is"}, "where.field"),
        ({"field": "", "op": "is"}, "where.field"),
        ({"field": "n" * 201, "op": "is"}, "where.field"),
        ({"field": "name"}, "where.op"),
        ({"field": "name", "op": ["is"]}, "where.op"),
        ({"field": "name", "op": "is", "value": 1, "values": 2}, "where"),
        ({"has": "", "where": {}}, "where.has"),
        ({"has": "call", "count": 1}, "where.count"),
        ({"has": "call", "count": {"at_least": True}}, "where.count.at_least"),
        ({"has": "call", "count": {"at_most": -1}}, "where.count.at_most"),
        ({"has": "call", "where": {"field": "x"}}, "where.where.op"),
    ],
)
def test_what_is_no_condition_is_refused_by_its_place(data: Any, place: str) -> None:
    with pytest.raises(InvalidCondition) as caught:
        parse(data)
    assert caught.value.details["place"] == place
    assert caught.value.details["fields"]["where"]["message"] in caught.value.message


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "NaN", '{"all": ' * 40_000, "x" * 70_000, "1" * 6_000, "\x00"])
def test_hostile_text_is_no_condition(text: str) -> None:
    with pytest.raises(InvalidCondition):
        loads(text)


def test_the_error_survives_a_process() -> None:
    with pytest.raises(InvalidCondition) as caught:
        parse({"all": 1})
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.details, again.message) == (caught.value.details, caught.value.message)


def test_filters_of_the_url_join_a_saved_view() -> None:
    view, filters = parse({"all": [NAME]}), parse({"field": "note", "op": "is_empty"})
    assert both(view, filters) == parse({"all": [NAME, {"field": "note", "op": "is_empty"}]})
    assert both(view, EVERYTHING) == parse(NAME)
    assert both(EVERYTHING, EVERYTHING) == EVERYTHING


def test_leaves_are_found_in_reading_order() -> None:
    tree = parse({"all": [NAME, {"not": {"any": [{"field": "b", "op": "is_empty"}, {"has": "call", "where": NAME}]}}]})
    assert [leaf.field for leaf in every_leaf(tree)] == ["name", "b", "name"]
    assert json.loads(dumps(tree)) == to_json(tree)
