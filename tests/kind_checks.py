"""What the kind of `docs/add-a-kind.md` has with no further line; run by `test_add_a_kind` in a copy of the project."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import aiohttp
import pytest

from hub.clock import utc_now
from hub.crm.access import load_actor
from hub.crm.base import characteristic_definitions, records, registry
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.history import Edit
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.operation_kinds import WORKS
from hub.crm.roles.presets import PRESETS
from hub.crm.roles.table import ROLES
from hub.web.guide.screens import page_of
from tests.factories import got, made, post
from tests.integration.test_saved_views import heads
from tests.testbed.events import listening
from tests.testbed.site import Site

CONTRACTS = registry.kind("contract")


async def contract(api: aiohttp.ClientSession, **sent: Any) -> dict[str, Any]:
    client = await made(api, {"name": "ООО «Ромашка»"})
    status, answer = await post(api, "contracts", json={"number": "Д-17", "client": client["id"]} | sent)
    assert status == 201, answer
    return answer


async def page(browser: aiohttp.ClientSession, path: str, status: int = 200, **params: str) -> str:
    async with browser.get(path, params=params) as answer:
        text = await answer.text()
        assert answer.status == status, (path, answer.status)
        return text


async def test_the_list_has_filters_sorting_and_a_place_in_the_menu(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    for number in ("Д-1", "Ж-2", "Ё-3"):
        await contract(api, number=number, until=f"2027-0{number[-1]}-01")
    text = await page(browser, "/contracts", sort="-until")
    assert 'href="/contracts"' in text
    assert text.index("Ё-3") < text.index("Ж-2") < text.index("Д-1")
    where = json.dumps({"all": [{"field": "number", "op": "starts_with", "value": "е"}]})
    found = (await got(api, "contracts", where=where))["items"]
    assert [one["number"] for one in found] == ["Ё-3"]
    assert "Ж-2" not in await page(browser, "/contracts", where=where)
    assert await got(api, "contracts/count", where=where) == {"count": 1, "capped": False}
    assert page_of("/contracts/{id}") == "lists"


async def test_columns_are_chosen_and_a_list_is_saved(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    await contract(api, until="2027-01-31")
    assert heads(await page(browser, "/contracts", columns="until,client")) == ["Number", "Valid until", "Client"]
    where = {"all": [{"field": "until", "op": "less", "value": "2027-02-01"}]}
    sent = {"kind": "contract", "name": "Скоро кончаются", "where": where, "columns": ["until"], "pinned": True}
    status, view = await post(api, "views", json=sent)
    assert status == 201, view
    assert "Скоро кончаются" in await page(browser, "/contracts")
    assert heads(await page(browser, "/contracts", view=str(view["id"]))) == ["Number", "Valid until"]


async def test_a_list_is_a_file(site: Site) -> None:
    await site.person("boss", role="admin")
    api, browser = await site.api("boss"), await site.browser("boss")
    await contract(api, number="=1+1", amount={"value": "10.50", "currency": "RUB"})
    async with browser.get("/contracts/export", params={"format": "csv"}) as answer:
        assert "Amount" in (text := await answer.text())
        assert "'=1+1" in text
    async with api.get("contracts/export", params={"format": "xlsx"}) as answer:
        assert answer.status == 200, await answer.text()
        assert zipfile.is_zipfile(io.BytesIO(await answer.read()))


async def test_many_are_edited_at_once_and_the_edit_is_undone(site: Site) -> None:
    await site.person("boss", role="admin")
    api = await site.api("boss")
    ids = [(await contract(api, number=f"Д-{n}"))["id"] for n in range(3)]
    status, begun = await post(api, "contracts/bulk", json={"ids": ids, "set": {"until": "2028-01-01"}})
    assert status == 202, begun
    runs = OperationRuns(site.db, WORKS, load_actor, batch_s=60)
    while await runs.step():
        pass
    assert {one["until"] for one in (await got(api, "contracts"))["items"]} == {"2028-01-01"}
    assert (await post(api, f"operations/{begun['operation']}/undo"))[0] == 202
    while await runs.step():
        pass
    assert {one["until"] for one in (await got(api, "contracts"))["items"]} == {None}


async def test_an_open_page_follows_a_change(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    one = await contract(api, manager=site.actors["olga"].user_id)
    assert 'data-live="contract' in await page(browser, "/contracts")
    async with listening(api, "events") as events:
        async with api.patch(f"contracts/{one['id']}", json={"number": "Д-18"}) as answer:
            assert answer.status == 200
        told = await events.until("contract")
    assert told.data["id"] == one["id"]


async def test_the_words_are_russian_and_english(site: Site) -> None:
    browser = await site.browser("olga")
    for language, word, until in (("ru", "Договоры", "Действует до"), ("en", "Contracts", "Valid until")):
        async with browser.get("/contracts/new", headers={"Cookie": f"lang={language}"}) as answer:
            assert answer.status == 200
        async with site.db.begin() as conn:
            await conn.exec_driver_sql(f"UPDATE users SET language = '{language}'")
        text = await page(browser, "/contracts/new")
        assert until in text
        assert word in await page(browser, "/contracts")


async def test_a_form_keeps_what_was_typed_and_says_what_is_wrong_at_its_field(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    client = await made(api)
    sent = {"number": "<b>Д-9</b>", "client": str(client["id"]), "amount": "много", "until": "31.02.2027"}
    async with browser.post("/contracts", data=sent) as answer:
        text = await answer.text()
        assert answer.status == 422, text
    assert "&lt;b&gt;Д-9&lt;/b&gt;" in text
    assert "много" in text
    assert text.count('aria-invalid="true"') == 2
    assert (await got(api, "contracts/count"))["count"] == 0


async def test_an_edit_stands_on_the_card_and_in_the_history(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    made_one = await contract(api)
    path = f"contracts/{made_one['id']}"
    amount = {"value": "1500.00", "currency": "RUB"}
    async with api.patch(path, json={"version": 1, "amount": amount}) as answer:
        assert (await answer.json())["amount"] == amount
    async with api.patch(path, json={"version": 1, "number": "x"}) as answer:
        assert answer.status == 409
    assert "Д-17" in await page(browser, f"/{path}")
    assert (await got(api, f"{path}/history"))["items"][0]["changes"] == {"amount": [None, amount]}
    assert "1" in await page(browser, f"/{path}/history")
    async with api.delete(path) as answer:
        assert (await answer.json())["archived_at"]
    assert (await got(api, "contracts"))["items"] == []


async def test_the_document_of_the_api_has_the_calls(site: Site) -> None:
    paths = (await got(await site.api("olga"), "openapi.json"))["paths"]
    ours = {path: set(calls) for path, calls in paths.items() if "contracts" in path}
    one = next(calls for path, calls in ours.items() if path.endswith("/contracts/{id}"))
    assert {"get", "patch", "delete"} <= one
    assert any(path.endswith("/contracts") and {"get", "post"} <= calls for path, calls in ours.items())


async def test_a_role_reaches_as_far_as_it_grants(site: Site) -> None:
    olga, pavel = await site.api("olga"), await site.api("pavel")
    await site.person("olga")
    hers = await contract(olga, manager=site.actors["olga"].user_id)
    preset = next(preset for preset in PRESETS if preset.key == "manager")
    assert preset.grants[("*", "see")] == "team"
    async with site.db.begin() as conn:
        role = next(one for one in (await records.page(conn, None, ROLES, limit=20)).items if one.key == "manager")
        changed = [{"kind": "contract", "action": "see", "scope": "own"}]
        grants = [{"kind": g.kind, "action": g.action, "scope": g.scope} for g in role.grants] + changed
        given = ROLES.read({"grants": grants}, is_new=False)
        write = records.writers(ROLES).update
        assert write is not None
        await write(conn, role.id, given, edit=Edit(None, "api", utc_now()))
    assert [one["id"] for one in (await got(olga, "contracts"))["items"]] == [hers["id"]]
    assert (await got(pavel, "contracts"))["items"] == []
    await got(pavel, f"contracts/{hers['id']}", 404)
    async with pavel.patch(f"contracts/{hers['id']}", json={"number": "x"}) as answer:
        assert answer.status == 404


async def test_a_characteristic_is_a_field_like_any_other(site: Site) -> None:
    api = await site.api("olga")
    async with site.db.begin() as conn:
        given = DefinitionInput(label={"ru": "Основание", "en": "Grounds"}, type="text", key="grounds")
        edit = Edit(None, "api", utc_now())
        await characteristic_definitions.create(conn, CONTRACTS, given, edit=edit)
    one = await contract(api, characteristics={"grounds": "Устав"})
    assert one["characteristics"] == {"grounds": "Устав"}
    where = json.dumps({"all": [{"field": "c.grounds", "op": "is", "value": ["устав"]}]})
    assert [found["id"] for found in (await got(api, "contracts", where=where))["items"]] == [one["id"]]


@pytest.mark.parametrize("sent", [{"numbr": "x"}, {"number": 5}, {"number": ""}, {"client": 999_999}, {"until": "x"}])
async def test_bad_input_is_refused_at_its_field(site: Site, sent: dict[str, Any]) -> None:
    api = await site.api("olga")
    client = await made(api)
    status, answer = await post(api, "contracts", json={"number": "Д-1", "client": client["id"]} | sent)
    assert status == 422
    assert set(answer["error"]["details"]["fields"]) == set(sent)
    assert (await got(api, "contracts/count"))["count"] == 0
