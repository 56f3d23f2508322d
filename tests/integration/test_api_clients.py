"""Clients, contacts, leads, people and the document over the API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from hub.clock import utc_now
from hub.crm import leads
from hub.web.api.routes import ENDPOINTS
from tests.factories import got, made
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def test_a_client_is_made_with_contacts_and_found_however_its_number_is_written(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api)
    assert [a["value"] for a in client["addresses"]] == ["+74951234567", "info@romashka.example"]
    assert client["contacts"][0]["addresses"][0]["value"] == "+79161234567"
    for words in ("ромашка", "8 495 123 45 67", "info@romashka.example", "8(916)1234567"):
        found = (await got(api, "clients", q=words))["items"]
        assert [one["id"] for one in found] == [client["id"]], words
    assert (await got(api, f"clients/{client['id']}")) == client
    assert (await got(api, f"clients/{client['id']}/timeline")) == {"items": [], "next": None}
    contacts = await got(api, "contacts", q="иванова")
    assert [one["client"] for one in contacts["items"]] == [{"id": client["id"], "name": client["name"]}]
    assert (await got(api, f"contacts/{contacts['items'][0]['id']}")) == contacts["items"][0]


async def test_a_match_names_the_candidates_with_reason_and_confidence(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api)
    matched = await got(api, "match", phone="89161234567")
    assert matched["address"] == "+79161234567"
    assert matched["candidates"] == [
        {
            "client": {"id": client["id"], "name": client["name"]},
            "contact": {"id": client["contacts"][0]["id"], "name": "Иванова Анна"},
            "reason": "contact",
            "confidence": "exact",
        }
    ]
    assert (await got(api, "match", email="nobody@gmail.com"))["candidates"] == []
    assert (await got(api, "match", 400))["error"]["code"] == "address_missing"


async def test_a_list_is_walked_by_its_cursor_and_each_row_comes_once(site: Site) -> None:
    api = await site.api("olga")
    names = [f"Клиент {n}" for n in range(5)] + ["клиент 2"]
    for name in names:
        await made(api, {"name": name})
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await got(api, "clients", limit="2", **({"cursor": cursor} if cursor else {}))
        seen += [one["name"] for one in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert sorted(seen) == sorted(names)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("clients", {"limit": "0"}),
        ("clients", {"limit": "1000000"}),
        ("clients", {"cursor": "zz"}),
        ("clients", {"cursor": "5b2231222c2261225d"}),
        ("calls", {"state": "x' OR 1=1 --"}),
        ("calls", {"client": "99999999999999999999"}),
        ("calls", {"from": "2026-13-40"}),
        ("leads", {"cursor": "5b226e6f74696d65222c2231225d"}),
        ("queue", {"mine": "perhaps"}),
        ("clients", {"q": "a\x00b"}),
    ],
)
async def test_a_parameter_that_is_none_is_refused_and_named(site: Site, path: str, params: dict[str, str]) -> None:
    error = (await got(await site.api("olga"), path, 400, **params))["error"]
    assert error["code"].startswith("bad_") or error["code"] == "control_character"
    assert error["message"]


async def test_an_order_that_is_none_is_refused_by_its_name(site: Site) -> None:
    error = (await got(await site.api("olga"), "clients", 422, sort="name; DROP TABLE clients"))["error"]
    assert list(error["details"]["fields"]) == ["sort"]


async def test_a_repeated_request_with_its_key_makes_one_client_and_a_key_is_for_one_request(site: Site) -> None:
    api = await site.api("olga")
    headers = {"Idempotency-Key": "k1"}

    async def post(name: str) -> tuple[int, dict[str, Any]]:
        async with api.post("clients", json={"name": name}, headers=headers) as answer:
            return answer.status, await answer.json()

    answers = await asyncio.gather(*(post("Ромашка") for _ in range(10)))
    assert {status for status, _ in answers} == {201}
    assert len({body["id"] for _, body in answers}) == 1
    assert len((await got(api, "clients"))["items"]) == 1
    status, body = await post("Василёк")
    assert (status, body["error"]["code"]) == (409, "idempotency_key_reused")


async def test_a_refused_request_leaves_its_key_free(site: Site) -> None:
    api = await site.api("olga")
    headers = {"Idempotency-Key": "k1"}
    async with api.post("clients", json={"name": "Ромашка", "phones": ["12"]}, headers=headers) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (422, "invalid")
        assert error["details"]["fields"]["phones"]["code"] == "bad_phone"
    assert (await got(api, "clients"))["items"] == []
    async with api.post("clients", json={"name": "Ромашка"}, headers=headers) as answer:
        assert answer.status == 201


async def test_a_lead_becomes_a_client_once(site: Site) -> None:
    api, stranger = await site.api("olga"), await site.person("stranger", team="support")
    async with site.db.begin() as conn:
        lead_id = await leads.join_or_open(
            conn,
            team_id=min(site.actors["olga"].team_ids),
            reason="new",
            name="Пётр",
            address_kind="phone",
            address="+79161234567",
            now=utc_now(),
        )
    assert [one["id"] for one in (await got(api, "leads"))["items"]] == [lead_id]
    foreign = await site.api(stranger.name.lower())
    assert (await got(foreign, "leads"))["items"] == []
    async with foreign.post(f"leads/{lead_id}/convert", json={}) as answer:
        assert answer.status == 404
    async with api.post(f"leads/{lead_id}/convert", json={"name": "Пётр Петров"}) as answer:
        client = await answer.json()
        assert client["addresses"][0]["value"] == "+79161234567"
    async with api.post(f"leads/{lead_id}/convert", json={}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (409, "lead_not_open")


async def test_a_manager_knows_their_team_and_an_administrator_everybody(site: Site) -> None:
    olga = await site.api("olga")
    await site.person("stranger", team="support")
    await site.person("chief", team=None, role="admin")
    assert [one["name"] for one in (await got(olga, "users"))["items"]] == ["Olga"]
    assert [one["name"] for one in (await got(olga, "teams"))["items"]] == ["sales"]
    chief = await site.api("chief")
    assert [one["name"] for one in (await got(chief, "users"))["items"]] == ["Chief", "Olga", "Stranger"]
    assert [one["name"] for one in (await got(chief, "teams"))["items"]] == ["sales", "support"]


async def test_the_document_has_exactly_the_routes_that_answer(site: Site) -> None:
    async with aiohttp.ClientSession() as nobody, nobody.get(f"{site.url}/api/v1/openapi.json") as answer:
        document = await answer.json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    served = {
        (route.method, route.resource.canonical)
        for route in site.app.router.routes()
        if route.method != "HEAD" and route.resource is not None and route.resource.canonical.startswith("/api/v1/")
    }
    assert described == served
    assert len(served) == len(ENDPOINTS)
    calls = document["paths"]["/api/v1/calls"]["get"]["parameters"]
    wanted = "client user team pbx direction state outcome from to linked_id limit cursor".split()
    assert {one["name"] for one in calls} >= set(wanted)
    assert "from" in document["components"]["schemas"]["Call"]["properties"]


async def test_without_a_token_the_api_says_so_in_its_own_shape(site: Site) -> None:
    await site.person("olga")
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic b2xnYTp4"}):
        async with aiohttp.ClientSession(headers=headers) as client, client.get(f"{site.url}/api/v1/calls") as answer:
            body = await answer.json()
            assert (answer.status, body["error"]["code"]) == (401, "not_signed_in")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    browser = await site.browser("olga")
    async with browser.get("/api/v1/calls") as answer:
        assert answer.status == 401, "a page's cookie is no token"
    async with browser.get("/api/v1/nothing") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "page_missing")


async def test_requisites_are_checked_kept_found_sorted_and_answered(site: Site) -> None:
    api = await site.api("olga")
    given = {"inn": "7707 083 893", "ogrn": "1027700132195", "site": "sberbank.ru"}
    client = await made(api, {"name": "Сбербанк"} | given)
    other = await made(api, {"name": "Никто", "full_name": "ООО «Никто и звать никак»"})
    assert (client["inn"], client["kpp"], client["site"]) == ("7707083893", None, "https://sberbank.ru")
    for params in ({"q": "7707083893"}, {"where": '{"field": "inn", "op": "starts_with", "value": "7707"}'}):
        assert [one["id"] for one in (await got(api, "clients", **params))["items"]] == [client["id"]], params
    for sort in ("inn", "-inn"):
        found = (await got(api, "clients", sort=sort))["items"]
        assert [one["id"] for one in found] == [client["id"], other["id"]], "who has none comes last"
    for sort in ("full_name", "-full_name"):
        found = (await got(api, "clients", sort=sort))["items"]
        assert [one["id"] for one in found] == [other["id"], client["id"]], "who has none comes last"
    async with api.patch(f"clients/{client['id']}", json={"inn": "7707083894", "kpp": "1"}) as answer:
        assert answer.status == 422
        details = (await answer.json())["error"]["details"]
    assert {"inn", "kpp"} <= details["fields"].keys()
    async with api.patch(f"clients/{client['id']}", json={"inn": None}) as answer:
        assert (await answer.json())["inn"] is None


async def test_a_client_has_a_status_and_is_found_below_a_region_and_an_industry(site: Site) -> None:
    await site.person("boss", role="admin")
    api = await site.api("boss")
    for dictionary, key, parent in (
        ("client_state", "t_regular", None),
        ("region", "t_northwest", None),
        ("region", "t_petersburg", "t_northwest"),
        ("industry", "t_food", None),
        ("industry", "t_cafes", "t_food"),
    ):
        value = {"key": key, "label": {"ru": key}} | ({"parent": parent} if parent else {})
        async with api.post(f"dictionaries/{dictionary}", json=value) as answer:
            assert answer.status == 201, await answer.text()
    details = {"state": "t_regular", "region": "t_petersburg", "industry": "t_cafes", "external_id": "00-Ё17"}
    client = await made(api, {"name": "Кафе"} | details)
    await made(api, {"name": "Никто", "region": "t_northwest"})
    assert {name: client[name] for name in details} == details
    for field, op, value in (
        ("state", "is", ["t_regular"]),
        ("region", "is", ["t_petersburg"]),
        ("industry", "under", ["t_food"]),
        ("external_id", "is", ["00-е17"]),
    ):
        where = json.dumps({"field": field, "op": op, "value": value})
        assert [one["name"] for one in (await got(api, "clients", where=where))["items"]] == ["Кафе"], field
    below = json.dumps({"field": "region", "op": "under", "value": ["t_northwest"]})
    assert len((await got(api, "clients", where=below))["items"]) == 2
    async with api.patch(f"clients/{client['id']}", json={"state": None, "region": "nowhere"}) as answer:
        assert list((await answer.json())["error"]["details"]["fields"]) == ["region"]
    async with api.patch(f"clients/{client['id']}", json={"state": None}) as answer:
        assert (await answer.json())["state"] is None
    first = (await got(api, f"clients/{client['id']}/history"))["items"][0]
    assert first["changes"] == {"state": ["t_regular", None]}


async def problems(api: aiohttp.ClientSession, path: str, body: object, method: str = "PATCH") -> dict[str, str]:
    async with api.request(method, path, json=body) as answer:
        assert answer.status == 422, await answer.text()
        return {name: one["code"] for name, one in (await answer.json())["error"]["details"]["fields"].items()}


async def test_a_persons_name_is_made_of_its_parts_and_follows_them_until_it_is_another(site: Site) -> None:
    api = await site.api("olga")
    parts = {"last_name": "Белова", "first_name": "Татьяна", "middle_name": "Петровна"}
    person = await made(api, {"kind": "person", "birth_date": "1990-02-28", "sex": "female"} | parts)
    assert person["name"] == "Белова Татьяна Петровна"
    assert (person["birth_date"], person["sex"]) == ("1990-02-28", "female")
    path = f"clients/{person['id']}"
    async with api.patch(path, json={"last_name": "Орлова"}) as answer:
        assert (await answer.json())["name"] == "Орлова Татьяна Петровна"
    async with api.patch(path, json={"name": "Таня", "middle_name": None}) as answer:
        assert (await answer.json())["name"] == "Таня"
    async with api.patch(path, json={"last_name": "Белова"}) as answer:
        assert (await answer.json())["name"] == "Таня"
    where = json.dumps({"field": "last_name", "op": "starts_with", "value": "БЕЛ"})
    assert [one["id"] for one in (await got(api, "clients", where=where))["items"]] == [person["id"]]
    assert await problems(api, "clients", {"kind": "person"}, "POST") == {"name": "required"}
    assert await problems(api, path, {"birth_date": "2999-01-01"}) == {"birth_date": "in_the_future"}
    assert await problems(api, path, {"sex": "other"}) == {"sex": "not_a_choice"}


async def test_what_does_not_fit_the_type_of_a_client_is_refused_and_goes_when_the_type_changes(site: Site) -> None:
    api = await site.api("olga")
    assert await problems(api, "clients", {"name": "Завод", "birth_date": "1990-02-28"}, "POST") == {
        "birth_date": "not_applicable"
    }
    person = await made(api, {"kind": "person", "name": "Белова", "first_name": "Татьяна"})
    path = f"clients/{person['id']}"
    assert await problems(api, path, {"kpp": "773601001"}) == {"kpp": "not_applicable"}
    async with api.patch(path, json={"kpp": None, "kind": "organisation"}) as answer:
        changed = await answer.json()
    assert (changed["kind"], changed["first_name"]) == ("organisation", None)
    first = (await got(api, f"{path}/history"))["items"][0]
    assert first["changes"] == {"kind": ["person", "organisation"], "first_name": ["Татьяна", None]}


async def test_a_client_has_several_bank_accounts_and_a_wrong_one_is_named(site: Site) -> None:
    await site.person("boss", role="admin")
    api = await site.api("boss")
    accounts = [
        {"bic": "044525225", "account": "40702810200000000001", "correspondent_account": "30101810400000000225"},
        {"bic": "044525974", "account": "40702810500000000001", "bank": "Т-Банк"},
    ]
    client = await made(api, {"name": "Завод", "bank_accounts": accounts})
    assert client["bank_accounts"] == accounts
    wrong = [{"bic": "044525225", "account": "40702810200000000009"}]
    assert await problems(api, f"clients/{client['id']}", {"bank_accounts": wrong}) == {
        "bank_accounts": "bad_check_digit"
    }
    async with api.patch(f"clients/{client['id']}", json={"bank_accounts": accounts[1:]}) as answer:
        assert (await answer.json())["bank_accounts"] == accounts[1:]
    first = (await got(api, f"clients/{client['id']}/history"))["items"][0]
    assert first["changes"] == {"bank_accounts": [accounts, accounts[1:]]}
    async with api.get("clients/export", params={"format": "csv", "columns": "bank_accounts"}) as answer:
        assert "044525974 40702810500000000001 Т-Банк" in await answer.text()
