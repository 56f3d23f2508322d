"""Columns and saved views of lists: on the page, in the menu and over the API."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from hub.clock import utc_now
from hub.crm.base import characteristic_definitions, dictionaries
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.history import Edit
from hub.crm.clients import CLIENTS
from tests.factories import got, made, post
from tests.integration.test_lists import contains, page, where
from tests.testbed.site import Site

HOSTILE = '"><script>alert(1)</script> & «Ёлки» %s {{ 7*7 }}'


async def sent(browser: aiohttp.ClientSession, path: str, status: int = 303, **fields: Any) -> str:
    """Send a form; return where it leads, or its text."""
    data = [(name, one) for name, value in fields.items() for one in (value if isinstance(value, list) else [value])]
    async with browser.post(path, data=data, allow_redirects=False) as answer:
        assert answer.status == status, await answer.text()
        return answer.headers["Location"] if status == 303 else await answer.text()


def heads(text: str) -> list[str]:
    table = re.search(r"<thead>.*?</thead>", text, re.S)
    assert table
    return [re.sub(r"<[^>]+>", "", one).strip() for one in re.findall(r"<th .*?</th>", table[0], re.S)]


async def test_chosen_columns_are_remembered_for_a_person_and_a_kind(site: Site) -> None:
    olga, pavel, api = await site.browser("olga"), await site.browser("pavel"), await site.api("olga")
    await made(api, {"name": "Ромашка", "note": "Заметка", "domains": ["romashka.example"]})
    usual = heads(await page(olga, "/clients"))
    form = await page(olga, "/clients/columns")
    assert 'value="note"' in form
    await sent(olga, "/clients/columns", column=["changed_at", "domains", "note"])
    text = await page(olga, "/clients")
    assert heads(text) == ["Name", "Changed", "Domains", "Note"]
    assert "Заметка" in text
    assert "romashka.example" in text
    assert heads(await page(pavel, "/clients")) == usual
    assert heads(await page(olga, "/clients", columns="team,name")) == ["Name", "Team"]
    await sent(olga, "/clients/columns", column=["note"], reset="yes")
    assert heads(await page(olga, "/clients")) == usual
    await sent(olga, "/clients/columns", 422, column=["nonsense"])
    await page(olga, "/clients", 422, columns="nonsense")


async def test_a_characteristic_is_a_column_and_a_filter_under_its_own_label(site: Site) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("olga"), await site.api("olga")
    browser.headers["Cookie"] = "lang=ru"
    boss = site.actors["boss"]
    edit = Edit(boss, "api", utc_now())
    async with site.db.begin() as conn:
        labels = {"floor": {"ru": "Этаж <1>", "en": "Floor"}, "mood": {"ru": "Настрой"}}
        for key, kind in (("floor", "integer"), ("mood", "choice")):
            given = DefinitionInput(key=key, label=labels[key], type=kind)
            await characteristic_definitions.create(conn, CLIENTS, given, edit=edit)
        value = dictionaries.ValueInput(key="good", label={"ru": "Хороший", "en": "Good"})
        await dictionaries.create(conn, "c.client.mood", value, edit=edit)
    client = await made(api, {"name": "Ромашка", "characteristics": {"floor": 7, "mood": "good"}})
    await made(api, {"name": "Сосна"})
    address = await sent(browser, "/clients/filter", field="c.floor", op="more", value="5")
    text = await page(browser, f"{address}&columns=c.floor,c.mood")
    assert "Этаж &lt;1&gt;: <b>больше 5</b>" in text
    assert ">7</span>" in text
    assert "Хороший" in text
    assert "Сосна" not in text
    assert 'value="good"' in await page(browser, "/clients/filter?field=c.mood")
    address = await sent(browser, "/clients/filter", field="c.mood", op="is", value="good")
    text = await page(browser, address)
    assert "Настрой: <b>Хороший</b>" in text
    assert f'/clients/{client["id"]}"' in text
    await made(api, {"name": "Берёза", "characteristics": {"floor": 9}})
    order = [one["name"] for one in (await got(api, "clients", sort="-c.floor"))["items"]]
    assert order == ["Берёза", "Ромашка", "Сосна"]
    text = await page(browser, "/clients?columns=c.floor,c.mood&sort=-c.floor")
    assert re.findall(r'aria-sort="(\w+)"', text) == ["descending"]
    assert "sort=c.floor" in html.unescape(text)
    location = await sent(browser, "/clients/views?sort=-c.floor", name="По этажам", shared="me")
    text = await page(browser, location)
    assert text.index("Берёза") < text.index("Ромашка") < text.index("Сосна")
    assert [one["sort"] for one in (await got(api, "views"))["items"]] == ["-c.floor"]


async def test_a_list_is_saved_opened_changed_renamed_and_deleted(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    await made(api, {"name": "Ёлка"})
    await made(api, {"name": "Сосна"})
    asked = urlencode({"where": where(contains("ёлка")), "sort": "-name", "columns": "name,note"})
    assert "Save as a view" in await page(browser, f"/clients?{asked}")
    location = await sent(browser, f"/clients/views?{asked}", name=HOSTILE, shared="me", pinned="on")
    text = await page(browser, location)
    assert html.escape(HOSTILE, quote=False).replace('"', "&#34;") in text
    assert "<script>alert" not in text
    assert heads(text) == ["Name", "Note"]
    assert "Сосна" not in text
    assert "Save the view" not in text
    # Without its filter it is another list: "changed", and the view is as it was until it is saved.
    removed = re.search(r'chip__remove" href="([^"]+)"', text)
    assert removed
    changed = html.unescape(removed[1])
    text = await page(browser, changed)
    assert "Сосна" in text
    assert "Save the view" in text
    assert "Сосна" not in await page(browser, location)
    view = location.partition("view=")[2]
    await sent(browser, f"/clients/views/{view}/list?{urlsplit(changed).query}")
    assert "Сосна" in await page(browser, location)
    await sent(browser, f"/clients/views/{view}", name="Леса", shared="me")
    assert "Леса" in await page(browser, "/clients/views")
    assert (
        "taken"
        in (await post(api, "views", json={"kind": "client", "name": "ЛЕСА"}))[1]["error"]["details"]["fields"]["name"][
            "code"
        ]
    )
    text = await sent(browser, "/clients/views", 422, name="  ", shared="all")
    assert text.count('class="field__error"') == 2
    await sent(browser, f"/clients/views/{view}/delete")
    await page(browser, location, 404)


async def test_a_view_narrows_list_count_and_api_alike_and_belongs_to_its_kind(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    await made(api, {"name": "Ёлка"})
    await made(api, {"name": "Сосна"})
    body = {"kind": "client", "name": "Мои", "where": json.loads(where(contains("о"))), "sort": "-name"}
    status, view = await post(api, "views", json=body)
    assert (status, view["where"], view["pinned"]) == (201, body["where"], False)
    number = str(view["id"])
    assert [one["name"] for one in (await got(api, "clients", view=number))["items"]] == ["Сосна"]
    assert (await got(api, "clients", view=number, where=where(contains("ёл"))))["items"] == []
    assert await got(api, "clients/count", view=number) == {"count": 1, "capped": False}
    assert (await page(browser, "/clients/count", view=number)).strip() == "1"
    await got(api, "contacts", 404, view=number)
    await page(browser, "/contacts", 404, view=number)
    await got(await site.api("pavel"), "clients", 404, view=number)
    async with api.patch(f"views/{number}", json={"version": 1, "name": "Наши", "columns": ["nonsense"]}) as answer:
        assert answer.status == 422
        assert set((await answer.json())["error"]["details"]["fields"]) == {"columns"}
    async with api.patch(f"views/{number}", json={"version": 1, "name": "Наши"}) as answer:
        assert (answer.status, (await answer.json())["version"]) == (200, 2)
    async with api.patch(f"views/{number}", json={"version": 1, "name": "Чьи"}) as answer:
        assert answer.status == 409
    assert [one["name"] for one in (await got(api, "views", kind="client"))["items"]] == ["Наши"]
    await got(api, "views", 422, kind="nonsense")
    async with api.delete(f"views/{number}") as answer:
        assert answer.status == 200
    await got(api, f"views/{number}", 404)


async def test_pinned_views_stand_in_the_menu_with_a_number_in_their_order(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    await made(api, {"name": "Ёлка"})
    for name, text in (("Альфа", "ёлка"), ("Бета", "сосна")):
        body = {"kind": "client", "name": name, "where": json.loads(where(contains(text))), "pinned": True}
        assert (await post(api, "views", json=body))[0] == 201
    assert (await post(api, "views", json={"kind": "client", "name": "Гамма"}))[0] == 201
    menu = await page(browser, "/views/pinned")
    entries = re.findall(r'nav__text">([^<]+)</span><span class="nav__number num">([^<]+)<', menu)
    assert entries == [("Альфа", "1"), ("Бета", "0")]
    second = (await got(api, "views", kind="client"))["items"][1]
    await sent(browser, f"/clients/views/{second['id']}/move", by="-1")
    assert re.findall(r'nav__text">([^<]+)<', await page(browser, "/views/pinned")) == ["Бета", "Альфа"]
    assert "Альфа" not in await page(await site.browser("pavel"), "/views/pinned")


async def test_the_form_of_a_view_over_a_newer_version_comes_back_as_typed_and_is_saved_when_sent_again(
    site: Site,
) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    _, view = await post(api, "views", json={"kind": "client", "name": "Ёлка"})
    path = f"/clients/views/{view['id']}"

    def version(text: str) -> str:
        found = re.search(r'name="version" value="([0-9]+)"', text)
        assert found
        return found[1]

    first = second = version(await page(browser, path))
    await sent(browser, path, version=first, name="Сосна", shared="me")
    text = await sent(browser, path, 409, version=second, name="Дуб", shared="me")
    assert 'value="Дуб"' in text
    assert "Someone else changed this first" in text
    assert [one["name"] for one in (await got(api, "views"))["items"]] == ["Сосна"]
    await sent(browser, path, version=version(text), name="Дуб", shared="me")
    assert [one["name"] for one in (await got(api, "views"))["items"]] == ["Дуб"]
    # The list that is saved over the view says which version it showed.
    asked = urlencode({"sort": "-name", "changed_view": view["id"]})
    await sent(browser, f"{path}/list?{asked}", 409, version=second)
    assert (await got(api, f"views/{view['id']}"))["sort"] == ""
    await sent(browser, f"{path}/list?{asked}", version=version(await page(browser, f"/clients?{asked}")))
    assert (await got(api, f"views/{view['id']}"))["sort"] == "-name"


async def test_a_view_keeps_what_the_kinds_own_parameters_said_of_the_list(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    client = await made(api, {"name": "Ёлка"})
    for name, of in (("Иван", client["id"]), ("Пётр", None)):
        status, _ = await post(api, "contacts", json={"name": name} | ({"client": of} if of else {}))
        assert status == 201
    await sent(browser, f"/contacts/views?client={client['id']}", name="Ёлки", pinned="on")
    (view,) = (await got(api, "views", kind="contact"))["items"]
    assert [one["name"] for one in (await got(api, "contacts", view=str(view["id"])))["items"]] == ["Иван"]
    assert re.findall(r'nav__number num">([^<]+)<', await page(browser, "/views/pinned")) == ["1"]
