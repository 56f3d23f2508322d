"""Lists of records against hostile addresses, bodies and roles: refused by name, never an error of Hub's own."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import got, made, post
from tests.integration.test_bulk_pages import finish
from tests.testbed.site import Site, running_site


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        await running.person("boss", role="admin")
        yield running


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
async def test_text_that_no_database_holds_is_refused_wherever_a_condition_has_it(site: Site, text: str) -> None:
    api, browser = await site.api("boss"), await site.browser("boss")
    conditions: list[dict[str, Any]] = [
        {"field": "source", "op": "is", "value": text},
        {"field": "source", "op": "under", "value": [text]},
        {"not": {"field": text, "op": "is", "value": 1}},
        {"field": "name", "op": text, "value": 1},
        {"has": text},
        {"field": "name", "op": "is", "value": "x", text: 1},
        {"field": "created_at", "op": "within", "value": {"last": {text: 1}}},
    ]
    for condition in conditions:
        where = json.dumps(condition)
        error = (await got(api, "clients/count", 422, where=where))["error"]
        assert error["details"]["fields"]["where"]["code"] == "control_character", condition
    where = json.dumps(conditions[0])
    async with browser.get("/clients", params={"where": where}) as answer:
        assert answer.status == 422, await answer.text()
    # JSON of a body cannot hold half a character; it can hold U+0000.
    body = {"set": {"note": "x"}, "where": {"field": "source", "op": "is", "value": "a\x00b"}}
    assert (await post(api, "clients/bulk", json=body))[0] == 400


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("created_at", "0001-01-01T00:00:00+14:00"),
        ("changed_at", "9999-12-31T23:59:59-14:00"),
        ("id", 2**63),
    ],
)
async def test_a_made_up_cursor_is_refused(site: Site, sort: str, value: Any) -> None:
    api = await site.api("boss")
    await made(api)
    for word in (sort, f"-{sort}"):
        parts = [word, False, False, value, 1]
        cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
        error = (await got(api, "clients", 400, sort=word, cursor=cursor))["error"]
        assert error["code"] == "bad_cursor"


async def test_a_view_of_a_team_that_there_is_not_is_refused(site: Site) -> None:
    api = await site.api("boss")
    status, answer = await post(
        api, "views", json={"kind": "client", "name": "x", "shared_with": "team", "team": 2**63 - 1}
    )
    assert status == 422, answer
    assert answer["error"]["details"]["fields"]["team"]["code"] == "not_found"


async def test_a_list_that_is_far_too_long_is_refused_before_it_is_read(site: Site) -> None:
    api = await site.api("boss")
    body = {"name": "x", "phones": ["no number at all"] * 1000}
    status, answer = await post(api, "clients", json=body)
    assert status == 422, answer
    assert answer["error"]["details"]["fields"]["phones"]["code"] == "too_many"


async def test_json_lines_hold_whole_records_whichever_columns_are_shown(site: Site) -> None:
    api = await site.api("boss")
    client = await made(api)
    async with api.get("clients/export", params={"format": "jsonl", "columns": "name"}) as answer:
        exported = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert exported == [await got(api, f"clients/{client['id']}")]


async def test_an_undo_is_the_work_of_who_asked_for_it_and_outlives_who_began(site: Site) -> None:
    await site.person("chief", role="admin")
    boss, chief = await site.api("boss"), await site.api("chief")
    client = await made(boss)
    _status, begun = await post(boss, "clients/bulk", json={"set": {"note": "x"}, "ids": [client["id"]]})
    await finish(site)
    async with chief.delete(f"users/{site.actors['boss'].user_id}") as answer:
        assert answer.status == 200
    assert (await post(chief, f"operations/{begun['operation']}/undo"))[0] == 202
    await finish(site)
    assert (await got(chief, f"operations/{begun['operation']}"))["state"] == "undone"
    last = (await got(chief, f"clients/{client['id']}/history"))["items"][0]
    assert (last["way"], last["by"]["name"]) == ("undo", "Chief")


async def test_who_is_no_administrator_any_more_changes_no_list_of_all(site: Site) -> None:
    await site.person("chief", role="admin")
    boss, chief = await site.api("boss"), await site.api("chief")
    _status, view = await post(boss, "views", json={"kind": "client", "name": "A", "shared_with": "all"})
    manager = next(one for one in (await got(chief, "roles"))["items"] if one["name"] == "Manager")
    async with chief.patch(f"users/{site.actors['boss'].user_id}", json={"role": manager["id"]}) as answer:
        assert answer.status == 200
    async with boss.patch(f"views/{view['id']}", json={"name": "B"}) as answer:
        assert answer.status == 422
    async with boss.patch(f"views/{view['id']}", json={"shared_with": "me"}) as answer:
        assert answer.status == 200
