"""Participants of a client and its group of companies: over the API, in rights, in the history and on the card."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from tests.factories import got, made
from tests.integration.test_record_pages import page, posted
from tests.testbed.site import Site


async def changed(api: aiohttp.ClientSession, client_id: int, **fields: Any) -> tuple[int, Any]:
    async with api.patch(f"clients/{client_id}", json=fields) as answer:
        return answer.status, await answer.json()


async def people(site: Site) -> tuple[aiohttp.ClientSession, int, int]:
    await site.person("boss", role="admin")
    olga, anna = [(await site.person(name)).user_id for name in ("olga", "anna")]
    return await site.api("boss"), olga, anna


async def test_participants_have_a_role_each_and_stand_in_the_history(site: Site) -> None:
    api, olga, anna = await people(site)
    both = [{"user": anna, "role": "observer"}, {"user": olga, "role": "leader"}]
    client = await made(api, {"name": "Завод", "participants": both})
    assert [(one["user"]["id"], one["role"]) for one in client["participants"]] == [
        (olga, "leader"),
        (anna, "observer"),
    ]
    status, after = await changed(api, client["id"], participants=[{"user": anna}])
    assert (status, [(one["user"]["id"], one["role"]) for one in after["participants"]]) == (200, [(anna, "member")])
    first = (await got(api, f"clients/{client['id']}/history"))["items"][0]
    assert first["changes"]["participants"][1] == [{"user": anna, "role": "member"}]
    for value, code in (
        ([{"user": anna}, {"user": anna, "role": "leader"}], "named_twice"),
        ([{"user": anna, "role": "boss"}], "not_a_choice"),
        ([{"user": 10**9}], "not_found"),
        ([{"role": "leader"}], "not_a_participant"),
        (["anna"], "not_an_id"),
    ):
        status, answer = await changed(api, client["id"], participants=value)
        assert (status, answer["error"]["details"]["fields"]["participants"]["code"]) == (422, code)
    async with api.get("clients/export", params={"format": "csv", "columns": "participants"}) as answer:
        assert "Anna" in await answer.text()


async def test_who_takes_part_sees_the_client_by_scope_own_and_finds_it_by_the_filter(site: Site) -> None:
    api, olga, _anna = await people(site)
    grants = [{"kind": "client", "action": action, "scope": "own"} for action in ("see", "edit")]
    async with api.post("roles", json={"name": "Own", "grants": grants, "pages": ["clients"]}) as answer:
        role = (await answer.json())["id"]
    async with api.patch(f"users/{olga}", json={"role": role}) as answer:
        assert answer.status == 200, await answer.text()
    ours = await made(api, {"name": "Наш", "participants": [{"user": olga, "role": "observer"}]})
    other = await made(api, {"name": "Чужой"})
    mine = await site.api("olga")
    where = json.dumps({"field": "participants", "op": "is", "value": ["me"]})
    for params in ({}, {"where": where}):
        assert [one["id"] for one in (await got(mine, "clients", **params))["items"]] == [ours["id"]]
    await got(mine, f"clients/{other['id']}", 404)
    assert (await changed(api, ours["id"], participants=[]))[0] == 200
    await got(mine, f"clients/{ours['id']}", 404)


async def test_the_card_shows_participants_and_its_form_changes_them(site: Site) -> None:
    api, olga, anna = await people(site)
    client = await made(api, {"name": "Завод", "participants": [{"user": anna, "role": "observer"}]})
    browser = await site.browser("boss")
    path = f"/clients/{client['id']}"
    shown = await page(browser, path)
    assert "Observer" in shown and f"{path}/edit?field=participants" in shown
    form = await page(browser, f"{path}/edit?field=participants")
    assert f'<option value="{anna} observer" selected' in form
    await posted(browser, path, version=client["version"], participants=f"{olga} leader")
    after = await got(api, f"clients/{client['id']}")
    assert [(one["user"]["id"], one["role"]) for one in after["participants"]] == [(olga, "leader")]


async def test_a_group_of_companies_stands_on_the_card_and_has_no_circle(site: Site) -> None:
    api, _olga, _anna = await people(site)
    holding, parent, child = [(await made(api, {"name": name}))["id"] for name in ("Холдинг", "Завод", "Цех")]
    assert (await changed(api, parent, parent=holding))[0] == 200
    status, answer = await changed(api, child, parent=parent)
    assert (status, answer["parent"]) == (200, {"id": parent, "name": "Завод"})
    for client_id, above in ((holding, child), (parent, parent)):
        status, answer = await changed(api, client_id, parent=above)
        assert (status, answer["error"]["details"]["fields"]["parent"]["code"]) == (422, "circle")
    person = await made(api, {"name": "Белова", "kind": "person"})
    assert (await changed(api, person["id"], parent=holding))[1]["error"]["details"]["fields"]["parent"]["code"] == (
        "not_applicable"
    )
    where = json.dumps({"field": "parent", "op": "is", "value": [parent]})
    assert [one["id"] for one in (await got(api, "clients", where=where))["items"]] == [child]
    shown = await page(await site.browser("boss"), f"/clients/{child}")
    assert shown.index("Холдинг") < shown.index("Завод")
    assert "Цех" in await page(await site.browser("boss"), f"/clients/{parent}")
