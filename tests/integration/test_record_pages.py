"""The pages that every kind of record has: list, form, card, history; and how a form that is refused comes back."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.factories import got, made
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def posted(browser: aiohttp.ClientSession, path: str, **fields: Any) -> tuple[int, str, str]:
    async with browser.post(path, data=fields, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def page(browser: aiohttp.ClientSession, path: str, **headers: str) -> str:
    async with browser.get(path, headers=headers) as answer:
        assert answer.status == 200, path
        return await answer.text()


async def test_a_client_is_made_with_a_form_with_its_contact(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    status, _, location = await posted(
        browser, "/clients", name="Ромашка", kind="organisation", phones="8 495 123-45-67\n8 495 123-45-68 доб. 5",
        emails="", domains="", manager="", team="", note="", contact="Анна",
    )  # fmt: skip
    assert status == 303
    client = await got(api, location.removeprefix("/"))
    assert [one["value"] for one in client["phones"]] == ["+74951234567", "+74951234568"]
    assert [one["name"] for one in client["contacts"]] == ["Анна"]


async def test_a_refused_form_keeps_what_was_typed_and_says_what_is_wrong_at_the_field(site: Site) -> None:
    browser = await site.browser("olga")
    browser.headers["Cookie"] = "lang=ru"
    status, text, _ = await posted(browser, "/clients", name="", phones="<abc>", note="Долгий текст", contact="Анна")
    assert status == 422
    assert "&lt;abc&gt;" in text
    assert "Долгий текст" in text
    assert 'value="Анна"' in text
    assert text.count('class="field__error"') == 2
    assert 'id="e-phones"' in text


async def test_a_property_is_edited_in_its_place(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    client = await made(api)
    path = f"/clients/{client['id']}"
    form = await page(browser, f"{path}/edit?field=note", **{"HX-Request": "true"})
    assert 'name="note"' in form
    assert 'name="name"' not in form
    browser.headers["HX-Request"] = "true"
    status, text, _ = await posted(browser, path, version="1", note="Важный")
    assert status == 200
    assert 'id="properties"' in text
    assert "Важный" in text
    assert (await got(api, f"clients/{client['id']}"))["version"] == 2


async def test_the_second_of_two_editors_sees_both_values_and_may_save_again(site: Site) -> None:
    olga, pavel, api = await site.browser("olga"), await site.browser("pavel"), await site.api("olga")
    client = await made(api, {"name": "Ромашка", "note": "Было"})
    path = f"/clients/{client['id']}"
    assert (await posted(pavel, path, version="1", note="Его"))[0] == 303
    status, text, _ = await posted(olga, path, version="1", note="Её")
    assert status == 409
    assert "Pavel changed this first" in text
    assert "<dd>Его</dd>" in text
    assert "<dd>Было</dd>" in text
    assert ">Её</textarea>" in text
    assert 'name="version" value="2"' in text
    assert (await posted(olga, path, version="2", note="Её"))[0] == 303
    assert (await got(api, f"clients/{client['id']}"))["note"] == "Её"


async def test_history_tells_who_changed_what(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    client = await made(api, {"name": "Ромашка"})
    me = str(site.actors["olga"].user_id)
    assert (await posted(browser, f"/clients/{client['id']}", version="1", manager=me, kind="person"))[0] == 303
    text = await page(browser, f"/clients/{client['id']}/history")
    assert text.count('class="edit"') == 2
    assert "created the record" in text
    assert text.count("Olga") >= 3


async def test_archive_and_restore_on_the_card(site: Site) -> None:
    await site.person("boss", role="admin")
    boss, api = await site.browser("boss"), await site.api("olga")
    client = await made(api)
    path = f"/clients/{client['id']}"
    assert (await posted(boss, f"{path}/archive"))[0] == 303
    assert "It is in no list" in await page(boss, path)
    assert path not in await page(boss, "/clients")
    assert path in await page(boss, "/clients?archived=true")
    assert (await posted(boss, f"{path}/restore"))[0] == 303
    assert path in await page(boss, "/clients")


async def test_the_list_is_sorted_by_its_heads_and_counted_after_it(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    for name in ("Астра", "Василёк"):
        await made(api, {"name": name})
    text = await page(browser, "/clients?sort=-name")
    assert text.index("Василёк") < text.index("Астра")
    assert 'aria-sort="descending"' in text
    assert "/clients/count?sort=-name" in text
    assert (await page(browser, "/clients/count?q=астра")).strip() == "1"


async def test_a_contact_is_added_to_a_client_that_is_found_by_typing(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    client = await made(api, {"name": "Ромашка"})
    form = await page(browser, f"/contacts/new?client={client['id']}")
    assert 'data-pick="/clients/names"' in form
    assert 'data-pick-name="Ромашка"' in form
    async with browser.get("/clients/names?q=ром") as answer:
        assert await answer.json() == {"items": [{"id": client["id"], "name": "Ромашка"}]}
    status, _, location = await posted(browser, "/contacts", name="Анна", client=str(client["id"]), phones="")
    assert status == 303
    assert (await got(api, location.removeprefix("/")))["client"]["id"] == client["id"]


async def test_the_form_of_a_new_client_begins_with_the_type_that_its_name_tells(site: Site) -> None:
    browser = await site.browser("olga")
    for name, kind in (("ООО Ромашка", "organisation"), ("Иванов Иван Иванович", "person"), ("Ромашка", None)):
        async with browser.get("/clients/kind", params={"name": name}) as answer:
            assert await answer.json() == {"kind": kind}
    for query, chosen in (
        ("name=Иванов Иван Иванович", "person"),
        ("name=Иванов Иван Иванович&kind=organisation", "organisation"),
    ):
        assert f'<option value="{chosen}" selected' in await page(browser, f"/clients/new?{query}")
