"""Characteristics: to the base they are fields like any other, and the 301st costs what the first did."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from hub.clock import utc_now
from hub.crm.access import Actor
from hub.crm.base import bulk_edit, characteristic_definitions, characteristics, dictionaries, operations, records
from hub.crm.base.bulk_selection import Selection
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.characteristic_types import CharacteristicType
from hub.crm.base.conditions import query, tree
from hub.crm.base.dictionaries import ValueInput
from hub.crm.base.history import Edit, history
from hub.crm.base.labels import Invalid
from hub.crm.clients.table import CLIENTS
from hub.errors import Conflict, NotFound
from hub.store.engine import Database
from tests.integration.test_operations import finish
from tests.integration.test_queue import actor

OF_EACH_TYPE: dict[str, tuple[Any, Any, list[tuple[str, Any]]]] = {
    "text": ("Ёлки", "Пихты", [("is", ["ЕЛКИ"]), ("starts_with", "ёл"), ("contains", "лк")]),
    "long_text": ("строка\nвторая", "x", []),
    "number": ("12.5", "13", [("is", ["12.5"]), ("less", 13), ("between", ["12.5", 12.6])]),
    "integer": (7, 8, [("is", [7]), ("less", 7.5)]),
    "yes_no": (False, True, [("is", [False])]),
    "date": ("2026-11-30", "2026-12-01", [("is", ["2026-11-30"]), ("less", "2026-12-01")]),
    "moment": ("2026-11-30T09:00:00.000Z", "2026-11-30T10:00:00.000Z", [("less", "2026-11-30T09:30:00Z")]),
    "choice": ("small", "large", [("is", ["small"]), ("under", ["small"])]),
    "many_choice": (["large", "small"], ["large"], [("is", ["small"])]),
    "person": (1, None, [("is", [1]), ("is", ["me"])]),
    "email": ("ann@b.example", "bob@b.example", [("is", ["ANN@b.example"]), ("contains", "ann")]),
    "phone": ("+74951234567", "+74951234568", [("is", ["8 495 123-45-67"]), ("contains", "4567")]),
}


async def define(db: Database, who: Actor, type_: str, **given: Any) -> characteristics.Definition:
    sent = {"label": {"ru": f"Поле {type_}", "en": type_}, "type": type_, "key": f"k_{type_}"} | given
    if type_ in ("choice", "many_choice"):
        sent.setdefault("choices", [{"en": "Small"}, {"en": "Large"}])
    async with db.begin() as conn:
        return await characteristic_definitions.create(
            conn, CLIENTS, DefinitionInput(**sent), edit=Edit(who, "api", utc_now())
        )


async def make(db: Database, who: Actor, name: str, **values: Any) -> int:
    given = CLIENTS.read({"name": name, "characteristics": values}, is_new=True)
    async with db.begin() as conn:
        return (await records.create(conn, CLIENTS, given, edit=Edit(who, "api", utc_now()))).id


async def change(db: Database, who: Actor, record_id: int, **values: Any) -> Any:
    given = CLIENTS.read({"characteristics": values}, is_new=False)
    async with db.begin() as conn:
        return await records.update(conn, CLIENTS, record_id, given, edit=Edit(who, "api", utc_now()))


async def answer(db: Database, who: Actor, record_id: int) -> dict[str, Any]:
    async with db.read() as conn:
        row = await records.get(conn, who, CLIENTS, record_id)
        found: dict[str, Any] = (await records.answers(conn, who, CLIENTS, [row]))[0]["characteristics"]
        return found


async def found(db: Database, who: Actor, data: dict[str, Any]) -> list[int]:
    async with db.read() as conn:
        where = await query.where(conn, who, CLIENTS, tree.parse(data), now=utc_now())
        return sorted(row.id for row in (await records.page(conn, who, CLIENTS, where=where)).items)


async def test_a_value_of_each_type_is_kept_found_and_in_the_history(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    assert boss.user_id == 1
    for type_ in CharacteristicType:
        await define(db, boss, type_)
    first = {f"k_{type_}": one for type_, (one, _, _) in OF_EACH_TYPE.items()}
    one = await make(db, boss, "Первый", **first)
    other = await make(db, boss, "Второй", **{f"k_{t}": value for t, (_, value, _) in OF_EACH_TYPE.items()})
    bare = await make(db, boss, "Третий")
    assert await answer(db, boss, one) == first
    assert await answer(db, boss, bare) == {}
    for type_, (_, _, asked) in OF_EACH_TYPE.items():
        name = f"c.k_{type_}"
        for op, value in asked:
            assert await found(db, boss, {"field": name, "op": op, "value": value}) == [one], (type_, op)
        filled = [one] if type_ == "person" else [one, other]
        assert await found(db, boss, {"not": {"field": name, "op": "is_empty"}}) == filled
        assert bare in await found(db, boss, {"field": name, "op": "is_empty"})
        row = await change(db, boss, one, **{f"k_{type_}": OF_EACH_TYPE[type_][1]})
        async with db.read() as conn:
            query_ = sa.select(history.c.changes).where(history.c.record_id == one, history.c.version == row.version)
            assert (await conn.execute(query_)).scalar_one() == {name: list(OF_EACH_TYPE[type_][:2])}
    version = (await change(db, boss, other, k_text="Пихты", k_many_choice=["large"])).version
    assert version == 1, "what is equal is no change"


async def test_the_301st_field_is_there_in_a_second_and_without_ddl(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    for number in range(300):
        await define(db, boss, "number" if number % 2 else "text", key=f"f{number}")
    one = await make(db, boss, "Полный", **{f"f{n}": str(n) for n in range(300)})
    statements: list[str] = []
    event.listen(db.writer.sync_engine, "before_cursor_execute", lambda c, cu, text, *_: statements.append(text))
    began = time.process_time()
    await define(db, boss, "integer", key="f300")
    await change(db, boss, one, f300=301)
    assert await found(db, boss, {"field": "c.f300", "op": "is", "value": [301]}) == [one]
    assert time.process_time() - began < 1
    assert not [text for text in statements if text.lstrip().upper().startswith(("ALTER", "CREATE", "DROP"))]
    assert len(await answer(db, boss, one)) == 301
    async with db.read() as conn:
        where = await query.where(
            conn, boss, CLIENTS, tree.parse({"field": "c.f299", "op": "is", "value": ["299"]}), now=utc_now()
        )
        assert [row.id for row in (await records.page(conn, boss, CLIENTS, where=where)).items] == [one]


async def test_bad_values_are_refused_by_their_field_and_nothing_is_kept(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    await define(db, boss, "integer")
    await define(db, boss, "choice")
    await define(db, boss, "text", required=True)
    for values, named in (
        ({}, "c.k_text"),
        ({"k_text": " "}, "c.k_text"),
        ({"k_text": "x" * 201}, "c.k_text"),
        ({"k_text": "a\x00"}, "c.k_text"),
        ({"k_text": "x", "k_integer": "seven"}, "c.k_integer"),
        ({"k_text": "x", "k_choice": "huge"}, "c.k_choice"),
        ({"k_text": "x", "nonsense": 1}, "c.nonsense"),
    ):
        with pytest.raises(Invalid) as caught:
            await make(db, boss, "Никто", **values)
        assert list(caught.value.details["fields"]) == [named]
    assert await found(db, boss, {}) == []
    one = await make(db, boss, "Кто-то", k_text="x")
    with pytest.raises(Invalid):
        await change(db, boss, one, k_text=None)
    with pytest.raises(Invalid, match=r"no field c\.nonsense"):
        await found(db, boss, {"field": "c.nonsense", "op": "is_empty"})


async def test_an_option_is_renamed_everywhere_and_one_that_is_off_stays_where_it_is(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    definition = await define(db, boss, "choice")
    one = await make(db, boss, "Первый", k_choice="small")
    edit = Edit(boss, "api", utc_now())
    async with db.begin() as conn:
        small = (await dictionaries.load(conn, [definition.dictionary]))[definition.dictionary][0]
        given = ValueInput(label={"en": "Tiny"}, active=False)
        await dictionaries.update(conn, definition.dictionary, small.id, given, edit=edit)
    assert await answer(db, boss, one) == {"k_choice": "small"}
    assert await found(db, boss, {"field": "c.k_choice", "op": "is", "value": ["small"]}) == [one]
    with pytest.raises(Invalid, match="switched off"):
        await make(db, boss, "Второй", k_choice="small")


async def test_a_field_that_is_off_is_unknown_and_keeps_its_values(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    definition = await define(db, boss, "text")
    one = await make(db, boss, "Первый", k_text="x")
    edit = Edit(boss, "api", utc_now())
    async with db.begin() as conn:
        off = await characteristic_definitions.update(conn, definition.id, DefinitionInput(active=False), edit=edit)
    assert await answer(db, boss, one) == {}
    with pytest.raises(Invalid):
        await found(db, boss, {"field": "c.k_text", "op": "is_empty"})
    async with db.begin() as conn:
        with pytest.raises(Conflict):
            await characteristic_definitions.update(
                conn, definition.id, DefinitionInput(active=True), edit=edit, version=1
            )
        await characteristic_definitions.update(
            conn, definition.id, DefinitionInput(active=True), edit=edit, version=off.version
        )
    assert await answer(db, boss, one) == {"k_text": "x"}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"label": {}}, "label"),
        ({"type": "money"}, "type"),
        ({"key": "Ключ"}, "key"),
        ({"key": "a.b"}, "key"),
        ({"key": "1st"}, "key"),
        ({"group": "x" * 101}, "group"),
        ({"order": -1}, "order"),
        ({"choices": [{"ru": "x"}]}, "choices"),
    ],
)
async def test_a_bad_definition_is_refused_by_its_field(db: Database, given: dict[str, Any], field: str) -> None:
    boss = await actor(db, "boss", role="admin")
    with pytest.raises(Invalid) as caught:
        await define(db, boss, "text", **given)
    assert list(caught.value.details["fields"]) == [field]


async def test_a_type_and_a_key_never_change(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    definition = await define(db, boss, "text")
    edit = Edit(boss, "api", utc_now())
    with pytest.raises(Invalid, match="taken"):
        await define(db, boss, "text")
    async with db.begin() as conn:
        for given in (DefinitionInput(type="number"), DefinitionInput(key="other")):
            with pytest.raises(Invalid, match="Cannot be changed"):
                await characteristic_definitions.update(conn, definition.id, given, edit=edit)
        with pytest.raises(NotFound):
            await characteristic_definitions.update(conn, 99, DefinitionInput(order=0), edit=edit)
        renamed = await characteristic_definitions.update(
            conn, definition.id, DefinitionInput(label={"ru": "Имя"}, type="text"), edit=edit
        )
    assert (renamed.label, renamed.version) == ({"ru": "Имя"}, 2)


async def test_a_bulk_edit_sets_a_characteristic_and_its_undo_takes_it_back(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    await define(db, boss, "many_choice")
    await define(db, boss, "number")
    one = await make(db, boss, "Первый", k_number="1.5")
    other = await make(db, boss, "Второй")
    edit = Edit(boss, "api", utc_now())
    async with db.begin() as conn:
        values = {"c.k_number": "2", "characteristics": {"k_many_choice": ["small"]}}
        number = await bulk_edit.begin(conn, CLIENTS, values, Selection(where=tree.EVERYTHING), edit=edit)
    await finish(db)
    assert await answer(db, boss, one) == {"k_number": "2", "k_many_choice": ["small"]}
    await change(db, boss, other, k_number="3")
    async with db.begin() as conn:
        work = bulk_edit.BulkEdit()
        await operations.undo(conn, await operations.get(conn, boss, number), work, edit=edit)
    await finish(db)
    assert await answer(db, boss, one) == {"k_number": "1.5"}
    assert await answer(db, boss, other) == {"k_number": "3"}
    async with db.read() as conn:
        assert await operations.counts(conn, number) == {"reversed": 1, "kept": 1}


SORTED: dict[str, tuple[Any, ...]] = {
    "text": ("Ёж", "ель", "Сосна"),
    "number": ("-2.5", "0", "10"),
    "integer": (-3, 0, 12),
    "yes_no": (False, True, True),
    "date": ("2025-12-31", "2026-01-01", "2026-11-30"),
    "moment": ("2026-11-30T09:00:00Z", "2026-11-30T10:00:00Z", "2026-12-01T00:00:00Z"),
    "choice": ("large", "small", "small"),
    "email": ("ann@b.example", "bob@b.example", "eve@b.example"),
    "phone": ("+74951234567", "+74951234568", "+79161234567"),
}


async def test_a_list_is_walked_by_a_characteristic_both_ways_with_empty_values_last(db: Database) -> None:
    ann = await actor(db, "ann")
    for type_ in SORTED:
        await define(db, ann, type_)
    for n in (2, 0, None, 1, None):  # as they are made is none of the orders
        values = {} if n is None else {f"k_{type_}": several[n] for type_, several in SORTED.items()}
        await make(db, ann, f"Клиент {n}", **values)
    first, middle, last, *empty = 2, 4, 1, 3, 5

    async def walk(word: str, limit: int) -> tuple[list[int], list[int]]:
        async with db.read() as conn:
            forth: list[int] = []
            back: list[int] = []
            page = await records.page(conn, ann, CLIENTS, sort=word, limit=limit)
            while True:
                forth += [row.id for row in page.items]
                if page.next is None:
                    break
                page = await records.page(conn, ann, CLIENTS, sort=word, limit=limit, cursor=page.next)
            while True:
                back += [row.id for row in reversed(page.items)]
                if page.previous is None:
                    return forth, back
                page = await records.page(conn, ann, CLIENTS, sort=word, limit=limit, cursor=page.previous)

    for type_, values in SORTED.items():
        filled = [first, middle, last]
        back = filled[::-1]
        if values[1] == values[2]:  # equal values go by id
            filled, back = [first, last, middle], [middle, last, first]
        for word, wanted in ((f"c.k_{type_}", filled + empty), (f"-c.k_{type_}", back + empty[::-1])):
            for limit in (2, 3, 50):
                forth, backward = await walk(word, limit)
                assert forth == wanted, (word, limit)
                assert set(backward) == set(wanted), (word, limit)


async def test_what_says_no_order_or_is_switched_off_sorts_nothing(db: Database) -> None:
    ann = await actor(db, "ann")
    for type_ in (*characteristics.UNSORTED, "text"):
        await define(db, ann, type_)
    async with db.begin() as conn:
        (text,) = [one for one in await characteristics.definitions(conn, ["client"]) if one.type == "text"]
        off = DefinitionInput(active=False)
        await characteristic_definitions.update(conn, text.id, off, edit=Edit(ann, "api", utc_now()))
    async with db.read() as conn:
        for word in (*(f"c.k_{type_}" for type_ in characteristics.UNSORTED), "-c.k_text", "c.none", "c."):
            with pytest.raises(Invalid) as caught:
                await records.page(conn, ann, CLIENTS, sort=word)
            assert caught.value.problems["sort"].code == "unknown_field"
