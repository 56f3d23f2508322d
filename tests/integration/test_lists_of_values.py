"""Lists of values on pages and over the API: renamed everywhere, merged with undo, deleted only if unused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.crm.access import Actor, load_actor
from hub.crm.base import merge_values, operations
from hub.crm.base.history import Edit
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.operation_kinds import WORKS
from tests.factories import got, made, post
from tests.integration.test_kind_fields import HOSTILE
from tests.integration.test_record_pages import page, posted
from tests.testbed.site import Site

SOURCES = "dictionaries/client_source"


async def finish(site: Site) -> None:
    runs = OperationRuns(site.db, WORKS, load_actor)
    while await runs.step():
        pass


async def boss(site: Site) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
    await site.person("boss", role="admin")
    browser = await site.browser("boss")
    browser.headers["Cookie"] = "lang=ru"
    return browser, await site.api("boss")


async def send(api: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with api.request(method, path, json=body) as answer:
        return answer.status, await answer.json()


async def problems(api: aiohttp.ClientSession, method: str, path: str, body: Any) -> dict[str, str]:
    status, answer = await send(api, method, path, body)
    assert status == 422, answer
    return {name: one["code"] for name, one in answer["error"]["details"]["fields"].items()}


async def test_a_merge_touches_and_names_only_records_that_its_person_sees(site: Site) -> None:
    _, api = await boss(site)
    body = {"kind": "client", "key": "tags", "type": "many_choice", "label": {"ru": "Метки"}}
    _, field = await post(api, "characteristics", json=body | {"choices": [{"en": "a"}, {"en": "b"}]})
    name = f"dictionaries/{field['dictionary']}"
    key = {one["key"]: one["id"] for one in (await got(api, name))["items"]}["a"]
    keeper = await site.person("keeper")
    mine, hidden = [
        (await made(api, {"name": title, "manager": owner, "characteristics": {"tags": ["a"]}}))["id"]
        for title, owner in (("Моя", keeper.user_id), ("Чужая", None))
    ]
    sees_own = replace(keeper, granted={("client", "see"): "own", ("client", "edit"): "own"})
    edit = Edit(sees_own, "api", utc_now())
    async with site.db.begin() as conn:
        (number,) = await merge_values.begin(conn, field["dictionary"], key, "b", edit=edit)

    async def load(_conn: AsyncConnection, _user_id: int) -> Actor:
        return sees_own

    runs = OperationRuns(site.db, WORKS, load)
    while await runs.step():
        pass
    async with site.db.read() as conn:
        found = await operations.results(conn, number)
        operation = await operations.get(conn, None, number)
    assert [(one.record_id, one.outcome) for one in found.items] == [(mine, "updated")]
    assert operation.total == 1
    assert (await got(api, f"clients/{hidden}"))["characteristics"]["tags"] == ["a"]


async def test_a_renamed_value_shows_everywhere_and_nothing_is_rewritten(site: Site) -> None:
    """crm.md §7, case 3: renaming an option orphaned rows elsewhere."""
    browser, api = await boss(site)
    status, value = await post(api, SOURCES, json={"label": {"ru": "Выставка"}, "color": "red", "icon": "megaphone"})
    assert (status, value["key"], value["order"]) == (201, "vystavka", 0)
    client = await made(api, {"name": "Ромашка", "source": "vystavka"})
    path = f"/{SOURCES}/{value['id']}"
    form = await page(browser, path)
    assert 'value="Выставка"' in form
    assert quote('{"field":"source","op":"is","value":["vystavka"]}') in form
    sent = {"label_ru": "Ярмарка", "label_en": "", "color": "blue", "icon": "", "active": "on", "version": "1"}
    assert (await posted(browser, path, **sent))[0] == 303
    after = await got(api, f"clients/{client['id']}")
    assert (after["source"], after["version"]) == ("vystavka", 1), "the record itself is untouched"
    card = await page(browser, f"/clients/{client['id']}")
    assert "Ярмарка" in card
    assert "Выставка" not in card
    assert "Ярмарка" in await page(browser, f"/clients/{client['id']}/edit")
    assert "Ярмарка" in await page(browser, "/dictionaries")


async def test_what_is_used_is_not_deleted_and_the_page_says_where(site: Site) -> None:
    browser, api = await boss(site)
    _, used = await post(api, SOURCES, json={"label": {"ru": "Сайт"}})
    _, free = await post(api, SOURCES, json={"label": {"ru": "Звонок"}})
    await made(api, {"name": "Ромашка", "source": used["key"]})
    status, answer = await send(api, "DELETE", f"{SOURCES}/{used['id']}")
    assert (status, answer["error"]["code"]) == (409, "in_use")
    assert answer["error"]["details"]["uses"] == {"client": 1}
    status, text, _ = await posted(browser, f"/{SOURCES}/{used['id']}/delete")
    assert status == 409
    assert "удалить его нельзя" in text
    assert "Клиенты: Источник" in text
    assert (await posted(browser, f"/{SOURCES}/{free['id']}/delete"))[0] == 303
    assert [one["id"] for one in (await got(api, SOURCES))["items"]] == [used["id"]]


async def test_an_option_of_a_characteristic_is_used_as_well(site: Site) -> None:
    browser, api = await boss(site)
    body = {"kind": "client", "key": "size", "type": "many_choice", "label": {"ru": "Размер"}}
    status, field = await post(api, "characteristics", json=body | {"choices": [{"ru": "Малый"}, {"ru": "Большой"}]})
    assert status == 201
    assert [one["key"] for one in field["choices"]] == ["malyy", "bolshoy"]
    await made(api, {"name": "Ромашка", "characteristics": {"size": ["malyy"]}})
    options = (await got(api, f"dictionaries/{field['dictionary']}"))["items"]
    status, answer = await send(api, "DELETE", f"dictionaries/{field['dictionary']}/{options[0]['id']}")
    assert (status, answer["error"]["details"]["uses"]) == (409, {"client": 1})
    assert (await send(api, "DELETE", f"dictionaries/{field['dictionary']}/{options[1]['id']}"))[0] == 200
    assert "Размер" in await page(browser, "/dictionaries")
    assert "Малый" in await page(browser, f"/dictionaries/{field['dictionary']}")


async def test_two_values_are_merged_in_every_record_and_parted_again(site: Site) -> None:
    browser, api = await boss(site)
    body = {"kind": "client", "key": "tags", "type": "many_choice", "label": {"ru": "Метки"}}
    _, field = await post(api, "characteristics", json=body | {"choices": [{"en": "a"}, {"en": "b"}, {"en": "c"}]})
    name = f"dictionaries/{field['dictionary']}"
    options = {one["key"]: one["id"] for one in (await got(api, name))["items"]}
    given = (["a"], ["a", "b"], ["c"], [])
    ids = [
        (await made(api, {"name": f"К{n}", "characteristics": {"tags": tags}}))["id"] for n, tags in enumerate(given)
    ]

    async def tags() -> list[Any]:
        return [(await got(api, f"clients/{one}"))["characteristics"].get("tags", []) for one in ids]

    assert await problems(api, "POST", f"{name}/{options['a']}/merge", {"into": "a"}) == {"into": "not_a_choice"}
    assert await problems(api, "POST", f"{name}/{options['a']}/merge", {"into": "zzz"}) == {"into": "not_a_choice"}
    status, begun = await send(api, "POST", f"{name}/{options['a']}/merge", {"into": "b"})
    assert status == 202
    await finish(site)
    assert await tags() == [["b"], ["b"], ["c"], []]
    merged = await got(api, f"{name}/{options['a']}")
    assert merged["active"] is False
    shown = await page(browser, f"/operations/{begun['operation']}")
    assert "Объединение двух значений" in shown
    async with api.patch(f"clients/{ids[1]}", json={"characteristics": {"tags": ["b", "c"]}}) as answer:
        assert answer.status == 200
    assert (await posted(browser, f"/operations/{begun['operation']}/undo"))[0] == 303
    await finish(site)
    assert await tags() == [["a"], ["b", "c"], ["c"], []], "what somebody changed since is kept"
    assert (await got(api, f"{name}/{options['a']}"))["active"] is True
    undone = await page(browser, f"/operations/{begun['operation']}")
    assert "К1" in undone and "Изменено позже, поэтому оставлено как есть" in undone


async def test_values_are_added_and_moved_on_the_page(site: Site) -> None:
    browser, api = await boss(site)
    for label in ("Один", "Два", "Три"):
        assert (await posted(browser, f"/{SOURCES}", label_ru=label, label_en=""))[0] == 303
    values = (await got(api, SOURCES))["items"]
    assert (await posted(browser, f"/{SOURCES}/{values[2]['id']}/move", to="up"))[0] == 303
    assert (await posted(browser, f"/{SOURCES}/{values[0]['id']}/move", to="up"))[0] == 303, "the first stays"
    assert [one["label"]["ru"] for one in (await got(api, SOURCES))["items"]] == ["Один", "Три", "Два"]
    status, text, _ = await posted(browser, f"/{SOURCES}", label_ru=" ", label_en="")
    assert status == 422
    assert 'id="e-label_ru"' in text
    assert "русск" in text, "in the asker's language"
    status, text, _ = await posted(browser, f"/{SOURCES}", label_ru=HOSTILE, label_en="")
    assert status == 303
    for path in ("/dictionaries", f"/{SOURCES}", f"/{SOURCES}/{(await got(api, SOURCES))['items'][3]['id']}"):
        assert "<script>alert" not in await page(browser, path)
    first = await got(api, SOURCES, limit="2")
    rest = await got(api, SOURCES, limit="2", cursor=first["next"])
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (2, 2, None)


async def test_bad_input_is_refused_by_field(site: Site) -> None:
    browser, api = await boss(site)
    _, value = await post(api, SOURCES, json={"label": {"ru": "Сайт"}})
    path = f"{SOURCES}/{value['id']}"
    for body, wanted in (
        ({}, {"label": "required"}),
        ({"label": {"ru": "x" * 201}}, {"label": "too_long"}),
        ({"label": {"de": "x"}}, {"label": "bad_label"}),
        ({"label": "x", "nonsense": 1}, {"label": "bad_value", "nonsense": "unknown_field"}),
        ({"label": {"ru": "x"}, "color": "#fff"}, {"color": "not_a_choice"}),
        ({"label": {"ru": "x"}, "icon": "skull"}, {"icon": "not_a_choice"}),
        ({"label": {"ru": "x"}, "parent": "site"}, {"parent": "not_a_tree"}),
        ({"label": {"ru": "x"}, "key": "sayt"}, {"key": "taken"}),
    ):
        assert await problems(api, "POST", SOURCES, body) == wanted, body
    assert await problems(api, "PATCH", path, {"key": "other"}) == {"key": "read_only"}
    assert (await send(api, "PATCH", path, {"version": 1, "active": False}))[0] == 200
    status, answer = await send(api, "PATCH", path, {"version": 1, "active": True})
    assert (status, answer["error"]["code"]) == (409, "record_changed")
    status, text, _ = await posted(browser, f"/{path}", label_ru="Моё", label_en="", version="1", active="on")
    assert status == 409
    assert 'value="Моё"' in text
    for unknown in ("dictionaries/nonsense", f"{SOURCES}/999", "dictionaries/c.client.nonsense"):
        assert (await send(api, "GET", unknown))[0] == 404


async def test_only_who_keeps_the_lists_changes_them(site: Site) -> None:
    _, api = await boss(site)
    await post(api, SOURCES, json={"label": {"ru": "Сайт"}})
    olga, browser = await site.api("olga"), await site.browser("olga")
    assert [one["key"] for one in (await got(olga, SOURCES))["items"]] == ["sayt"]
    assert (await send(olga, "POST", SOURCES, {"label": {"ru": "x"}}))[0] == 403
    async with browser.get("/desk") as answer:
        assert "/dictionaries" not in await answer.text()
