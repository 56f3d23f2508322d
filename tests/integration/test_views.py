"""Saved lists: who sees one, who changes one, and what of it may be asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from hub.clock import utc_now
from hub.crm.access import Actor
from hub.crm.base import views
from hub.crm.base.conditions import tree
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid
from hub.crm.base.views import View, ViewInput
from hub.crm.clients.table import CLIENTS
from hub.errors import Conflict, Forbidden, NotFound
from hub.store.engine import Database
from tests.integration.test_queue import actor

MINE = {"all": [{"field": "manager", "op": "is", "value": ["me"]}]}


async def save(db: Database, who: Actor, **given: Any) -> View:
    async with db.begin() as conn:
        edit = Edit(who, "page", utc_now())
        return await views.create(conn, CLIENTS, who, ViewInput(**given), edit=edit, zone=UTC)


async def change(db: Database, who: Actor, view: View, *, version: int | None = None, **given: Any) -> View:
    async with db.begin() as conn:
        return await views.update(
            conn,
            CLIENTS,
            who,
            view.id,
            ViewInput(**given),
            edit=Edit(who, "page", utc_now()),
            zone=UTC,
            version=version,
        )


async def seen(db: Database, who: Actor) -> list[str]:
    async with db.read() as conn:
        return [view.name for view in await views.load(conn, who, "client")]


async def test_a_view_is_seen_by_those_it_is_shared_with(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    ann, bob, eve = await actor(db, "ann"), await actor(db, "bob"), await actor(db, "eve", team="support")
    (team,) = ann.team_ids
    await save(db, ann, name="Мои", where=MINE, columns=["name", "manager"], sort="-changed_at")
    shared = await save(db, ann, name="Наши", shared_with="team", team=team)
    await save(db, boss, name="Все", shared_with="all", pinned=True)
    assert await seen(db, ann) == ["Все", "Мои", "Наши"]
    assert await seen(db, bob) == ["Все", "Наши"]
    assert await seen(db, eve) == ["Все"]
    with pytest.raises(Forbidden):
        await change(db, bob, shared, name="Чужие")
    with pytest.raises(NotFound):
        await change(db, eve, shared, name="Чужие")
    assert (await change(db, boss, shared, shared_with="all")).team_id is None
    assert await seen(db, eve) == ["Все", "Наши"]


async def test_a_view_keeps_its_condition_columns_and_order(db: Database) -> None:
    ann = await actor(db, "ann")
    view = await save(db, ann, name="  Мои   клиенты ", where=MINE, columns=["name", "name", "phones"], sort="-name")
    assert (view.name, list(view.columns), view.sort, view.version) == ("Мои клиенты", ["name", "phones"], "-name", 1)
    assert views.condition(view) == tree.parse(MINE)
    changed = await change(db, ann, view, where=None, version=1)
    assert (views.condition(changed), changed.version) == (tree.EVERYTHING, 2)
    with pytest.raises(Conflict):
        await change(db, ann, view, sort="name", version=1)
    async with db.begin() as conn:
        await views.delete(conn, ann, view.id, edit=Edit(ann, "page", utc_now()))
    assert await seen(db, ann) == []


async def test_what_cannot_be_asked_or_shared_is_refused_by_its_field(db: Database) -> None:
    ann, eve = await actor(db, "ann"), await actor(db, "eve", team="support")
    (foreign,) = eve.team_ids
    await save(db, ann, name="Ёлки")
    for given, field in (
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "ЕЛКИ"}, "name"),
        ({"name": "x", "columns": ["password_hash"]}, "columns"),
        ({"name": "x", "sort": "password_hash"}, "sort"),
        ({"name": "x", "where": {"field": "password_hash", "op": "is_empty"}}, "where"),
        ({"name": "x", "shared_with": "team"}, "team"),
        ({"name": "x", "shared_with": "team", "team": foreign}, "team"),
        ({"name": "x", "shared_with": "all"}, "shared_with"),
    ):
        with pytest.raises(Invalid) as caught:
            await save(db, ann, **given)
        assert list(caught.value.details["fields"]) == [field], given
    assert await seen(db, ann) == ["Ёлки"]
    await save(db, eve, name="Ёлки")


async def test_two_who_save_one_name_at_once_are_told_at_the_field_as_if_one_came_later(db: Database) -> None:
    ann = await actor(db, "ann")

    async def save_at_once(name: str) -> str:
        try:
            return (await save(db, ann, name=name)).name
        except Invalid as error:
            return error.problems["name"].code

    names = [f"Ёлки {n}" for n in range(5)]
    for name in names:
        found = await asyncio.gather(*(save_at_once(name) for _ in range(4)))
        assert sorted(found) == sorted([name, "taken", "taken", "taken"])
    assert await seen(db, ann) == names


async def test_who_left_a_team_neither_sees_nor_changes_what_they_shared_with_it(db: Database) -> None:
    boss, ann = await actor(db, "boss", role="admin"), await actor(db, "ann")
    (team,) = ann.team_ids
    shared = await save(db, ann, name="Наши", shared_with="team", team=team, pinned=True)
    mine = await save(db, ann, name="Мои")
    gone = replace(ann, team_ids=frozenset())
    assert await seen(db, gone) == ["Мои"]
    for given in ({"name": "Чьи"}, {"shared_with": "me"}):
        with pytest.raises(NotFound):
            await change(db, gone, shared, **given)
    with pytest.raises(NotFound):
        async with db.begin() as conn:
            await views.delete(conn, gone, shared.id, edit=Edit(gone, "page", utc_now()))
    assert (await change(db, gone, mine, name="Свои")).name == "Свои"
    assert (await change(db, boss, shared, name="Командные")).name == "Командные"
    assert await seen(db, ann) == ["Командные", "Свои"]
