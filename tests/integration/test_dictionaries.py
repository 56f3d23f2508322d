"""Dictionaries: ordered, renamed everywhere at once, switched off rather than deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.base import dictionaries, dictionary_uses
from hub.crm.base.dictionaries import Asked, Dictionary, Value, ValueInput
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid
from hub.crm.models import audit
from hub.errors import Conflict, NotFound
from hub.store.engine import Database

EDIT = Edit(None, "api", utc_now())
SEASONS, AREAS = "test_season", "test_area"


@pytest.fixture(autouse=True)
def known() -> None:
    dictionaries.declare(Dictionary(SEASONS, "Seasons"), Dictionary(AREAS, "Areas", is_tree=True))


async def add(db: Database, dictionary: str = SEASONS, **given: Any) -> Value:
    async with db.begin() as conn:
        return await dictionaries.create(conn, dictionary, ValueInput(**given), edit=EDIT)


async def change(db: Database, value: Value, *, version: int | None = None, **given: Any) -> Value:
    async with db.begin() as conn:
        return await dictionaries.update(
            conn, value.dictionary, value.id, ValueInput(**given), edit=EDIT, version=version
        )


async def keys(db: Database, dictionary: str = SEASONS) -> list[str]:
    async with db.read() as conn:
        return [value.key for value in (await dictionaries.load(conn, [dictionary]))[dictionary]]


async def test_values_stand_in_the_order_that_people_gave_them(db: Database) -> None:
    made = [await add(db, label={"ru": name}) for name in ("Весна", "Лето", "Осень")]
    assert await keys(db) == ["vesna", "leto", "osen"]
    await change(db, made[2], order=0)
    assert await keys(db) == ["osen", "vesna", "leto"]
    await add(db, label={"ru": "Зима"}, order=1)
    assert await keys(db) == ["osen", "zima", "vesna", "leto"]
    await change(db, made[0], order=99)
    assert await keys(db) == ["osen", "zima", "leto", "vesna"]


async def test_a_renamed_value_keeps_its_key_and_reads_in_either_language(db: Database) -> None:
    value = await add(db, label={"ru": " Весна  красна ", "en": "Spring"}, color="green")
    assert (value.key, value.text("ru"), value.text("en")) == ("spring", "Весна красна", "Spring")
    renamed = await change(db, value, label={"ru": "Весенний сезон"})
    assert (renamed.key, renamed.text("en"), renamed.version) == ("spring", "Весенний сезон", 2)
    with pytest.raises(Invalid, match="Cannot be changed"):
        await change(db, value, key="summer")


async def test_two_labels_of_one_spelling_get_keys_of_their_own(db: Database) -> None:
    for _ in range(3):
        await add(db, label={"ru": "ООО «Ёлка»!"})
    await add(db, label={"ru": "✂"})
    assert await keys(db) == ["ooo_elka", "ooo_elka_2", "ooo_elka_3", "value"]


async def test_a_value_that_is_off_is_refused_for_a_new_record_and_kept_by_an_old_one(db: Database) -> None:
    value = await add(db, label={"en": "Spring"})
    await change(db, value, active=False)
    async with db.read() as conn:
        problems = await dictionaries.problems_of(conn, {"a": Asked(SEASONS, ["spring"]), "b": Asked(SEASONS, ["mud"])})
        assert {name: one.code for name, one in problems.items()} == {"a": "switched_off", "b": "not_a_choice"}
        assert await dictionaries.problems_of(conn, {"a": Asked(SEASONS, ["spring"], ["spring"])}) == {}


async def test_a_tree_has_no_circles_and_a_flat_list_no_parents(db: Database) -> None:
    top = await add(db, AREAS, label={"en": "Russia"})
    below = await add(db, AREAS, label={"en": "Moscow"}, parent="russia")
    assert below.parent == "russia"
    with pytest.raises(Invalid, match="below itself"):
        await change(db, top, parent="moscow")
    with pytest.raises(Invalid, match="below itself"):
        await change(db, top, parent="russia")
    with pytest.raises(Invalid, match="no such value"):
        await change(db, top, parent="peru")
    with pytest.raises(Invalid, match="do not stand below"):
        await add(db, label={"en": "Spring"}, parent="russia")
    async with db.begin() as conn:
        with pytest.raises(Conflict) as caught:
            await dictionary_uses.delete(conn, AREAS, top.id, edit=EDIT)
        assert caught.value.details["uses"] == {"below": 1}
        await dictionary_uses.delete(conn, AREAS, below.id, edit=EDIT)
    assert await keys(db, AREAS) == ["russia"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "label"),
        ({"label": {}}, "label"),
        ({"label": {"ru": " "}}, "label"),
        ({"label": {"fr": "printemps"}}, "label"),
        ({"label": {"ru": "a\x00"}}, "label"),
        ({"label": {"ru": "x" * 201}}, "label"),
        ({"label": {"ru": "x"}, "key": "Весна"}, "key"),
        ({"label": {"ru": "x"}, "key": "a b"}, "key"),
        ({"label": {"ru": "x"}, "color": "#fff"}, "color"),
        ({"label": {"ru": "x"}, "order": -1}, "order"),
        ({"label": {"ru": "x"}, "data": {"x": "y" * 10_001}}, "data"),
    ],
)
async def test_bad_values_are_refused_by_their_field(db: Database, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        await add(db, **given)
    assert field in caught.value.details["fields"]


async def test_a_taken_key_an_old_version_and_a_foreign_id_are_refused(db: Database) -> None:
    value = await add(db, label={"en": "Spring"})
    with pytest.raises(Invalid, match="taken"):
        await add(db, label={"en": "x"}, key="spring")
    await change(db, value, color="green", version=1)
    with pytest.raises(Conflict) as caught:
        await change(db, value, color="red", version=1)
    assert caught.value.details["current"]["color"] == "green"
    with pytest.raises(NotFound):
        async with db.begin() as conn:
            await dictionaries.update(conn, AREAS, value.id, ValueInput(color="red"), edit=EDIT)
    with pytest.raises(NotFound):
        async with db.read() as conn:
            await dictionary_uses.find(conn, "nonsense")


async def test_of_ten_who_add_the_same_key_at_once_one_wins(db: Database) -> None:
    tries = await asyncio.gather(
        *(add(db, label={"en": "Spring"}, key="spring") for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(one, Value) for one in tries) == 1
    assert sum(isinstance(one, Invalid) for one in tries) == 9
    async with db.read() as conn:
        acts = sa.select(sa.func.count()).where(audit.c.action == "dictionary_value.created")
        assert (await conn.execute(acts)).scalar_one() == 1
