"""Lists of any kind over page and API: conditions in the address, pages forward and back."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp

from tests.factories import got, made
from tests.testbed.site import Site

BAD_CONDITIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"field": "nonsense", "op": "is", "value": ["x"]}, "unknown_field", "nonsense"),
    ({"field": "name", "op": "less", "value": 5}, "unknown_operator", "name"),
    ({"field": "manager", "op": "is", "value": ["Ольга"]}, "not_an_id", "manager"),
    ({"field": "created_at", "op": "within", "value": "never"}, "bad_period", "created_at"),
]


def where(*leaves: dict[str, Any]) -> str:
    """Write a condition as the address of a list has it."""
    return json.dumps({"all": list(leaves)}, ensure_ascii=False, separators=(",", ":"))


def contains(text: str) -> dict[str, Any]:
    return {"field": "name", "op": "contains", "value": text}


async def test_a_condition_narrows_list_and_count_alike(site: Site) -> None:
    api = await site.api("olga")
    mine = await made(api, {"name": "Ёлка «100%»", "manager": site.actors["olga"].user_id})
    await made(api, {"name": "Сосна", "kind": "person"})
    for condition in (
        where(contains("елка")),
        where(contains("100%")),
        where({"field": "manager", "op": "is", "value": ["me"]}),
        where({"field": "created_at", "op": "within", "value": "today"}, contains("Ёл")),
        where({"not": {"field": "kind", "op": "is", "value": ["person"]}}),
        where({"field": "manager.name", "op": "contains", "value": "olg"}),
    ):
        assert [one["id"] for one in (await got(api, "clients", where=condition))["items"]] == [mine["id"]], condition
        assert await got(api, "clients/count", where=condition) == {"count": 1, "capped": False}


async def test_a_wrong_condition_is_refused_with_its_place(site: Site) -> None:
    api = await site.api("olga")
    for leaf, code, field in BAD_CONDITIONS:
        for path in ("clients", "clients/count"):
            error = (await got(api, path, 422, where=where(leaf)))["error"]
            assert error["code"] == "invalid"
            assert error["details"]["fields"]["where"]["code"] == code
            assert error["details"]["field"] == field
            assert error["details"]["place"].startswith("where.all[0]")
    for text in ("{", "[]", '{"all": 5}', "x" * 70_000):
        assert (await site_status(api, text)) in (400, 422), text[:20]


async def site_status(api: Any, text: str) -> int:
    async with api.get("clients", params={"where": text}) as answer:
        status: int = answer.status
        return status


# Pages


async def page(browser: aiohttp.ClientSession, path: str, status: int = 200, **params: str) -> str:
    async with browser.get(path, params=params) as answer:
        assert answer.status == status, path
        return await answer.text()


async def filtered(browser: aiohttp.ClientSession, at: str, status: int = 303, **fields: Any) -> str:
    """Send the form of a filter of the list of clients at an address; return where it leads, or its text."""
    async with browser.post(f"/clients/filter{at}", data=fields, allow_redirects=False) as answer:
        assert answer.status == status, await answer.text()
        return answer.headers["Location"] if status == 303 else await answer.text()


async def test_filters_are_added_shown_as_chips_opened_and_removed(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    browser.headers["Cookie"] = "lang=ru"
    await made(api, {"name": "<b>Ёлка</b>", "manager": site.actors["olga"].user_id})
    await made(api, {"name": "Сосна"})
    assert 'href="/clients/filter?field=manager"' in await page(browser, "/clients")
    assert 'name="value" value="me"' in await page(browser, "/clients/filter?field=manager")
    address = await filtered(browser, "", field="manager", op="is", value="me")
    address = await filtered(browser, address.removeprefix("/clients"), field="name", op="contains", value="елка")
    assert tree_of(address) == {"all": [{"field": "manager", "op": "is", "value": ["me"]}, contains("елка")]}
    text = await page(browser, address)
    assert "&lt;b&gt;Ёлка&lt;/b&gt;" in text
    assert "Сосна" not in text
    assert "Менеджер: <b>Я</b>" in text
    assert "Название или имя: <b>содержит елка</b>" in text
    form = await page(browser, "/clients/filter", where=where(contains("елка")), place="0")
    assert 'value="елка"' in form
    at = f"?{urlencode({'where': where(contains('елка'))})}"
    changed = await filtered(browser, at, field="name", op="is_filled", place="0")
    assert tree_of(changed) == {"all": [{"not": {"field": "name", "op": "is_empty"}}]}
    removed = re.search(r'chip__remove" href="([^"]+)"', text)
    assert removed
    assert tree_of(html.unescape(removed[1])) == {"all": [contains("елка")]}


def tree_of(address: str) -> Any:
    """Return the condition in the address of a list."""
    return json.loads(parse_qs(urlsplit(address).query)["where"][0])


async def test_each_type_of_field_has_a_filter_that_can_be_sent_as_it_is_typed(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    client = await made(api, {"name": "Ромашка", "manager": site.actors["olga"].user_id})
    (team,) = site.actors["olga"].team_ids
    await made(api, {"name": "Ива", "kind": "person"})
    typed: list[dict[str, Any]] = [
        {"field": "kind", "op": "is", "value": "organisation"},
        {"field": "manager", "op": "is", "value": ["me", str(site.actors["olga"].user_id)]},
        {"field": "manager", "op": "is_filled"},
        {"field": "team", "op": "is", "value": [str(team), "my_teams"]},
        {"field": "created_at", "op": "within", "value": '{"last":{"days":7}}', "also": contains("ромаш")},
        {"field": "created_at", "op": "between", "value": ["2020-01-01", "2999-01-01"], "also": contains("ромаш")},
        {"field": "created_at", "op": "more", "value": "2020-01-01", "also": contains("ромаш")},
        {"field": "name", "op": "starts_with", "value": "ром"},
    ]
    for fields in typed:
        also = fields.pop("also", None)
        at = f"?{urlencode({'where': where(also)})}" if also else ""
        data = [
            (name, one) for name, value in fields.items() for one in (value if isinstance(value, list) else [value])
        ]
        async with browser.post(f"/clients/filter{at}", data=data, allow_redirects=False) as answer:
            assert answer.status == 303, (fields, await answer.text())
            address = answer.headers["Location"]
        text = await page(browser, address)
        assert f'/clients/{client["id"]}"' in text, fields
        assert "Ива" not in text, fields


async def test_a_wrong_value_comes_back_at_the_filter_in_the_reader_s_language(site: Site) -> None:
    browser = await site.browser("olga")
    browser.headers["Cookie"] = "lang=ru"
    text = await filtered(browser, "", 422, field="name", op="is", value="  ")
    assert "Укажите от 1 до 1000 значений" in text
    text = await filtered(browser, "", 422, field="created_at", op="less", value="<вчера>")
    assert "&lt;вчера&gt;" in text
    assert 'id="e-filter"' in text
    await filtered(browser, "", 422, field="nonsense", op="is", value="1")


async def test_a_list_with_a_wrong_condition_says_why_and_shows_nothing(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    browser.headers["Cookie"] = "lang=ru"
    await made(api, {"name": "Ромашка"})
    for leaf, _code, field in BAD_CONDITIONS:
        text = await page(browser, "/clients", 422, where=where(contains("ром"), leaf))
        assert "Ромашка" not in text
        assert 'class="chip chip--bad"' in text
        assert 'role="alert"' in text
        assert field in text
    assert "Условие записано не в формате JSON" in await page(browser, "/clients", 422, where="{")


async def test_a_deeper_condition_is_one_chip_that_can_be_removed(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    await made(api, {"name": "Ромашка"})
    deep = json.dumps({"any": [contains("ром"), {"all": [contains("x"), contains("y")]}]})
    text = await page(browser, "/clients", where=deep)
    assert "Ромашка" in text
    assert "Complex condition" in text
    removed = re.search(r'chip__remove" href="([^"]+)"', text)
    assert removed
    assert "where" not in removed[1]


async def test_pages_go_back_to_where_they_came_from(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    for number in range(120):
        await made(api, {"name": f"Клиент {number:03}"})
    first = await page(browser, "/clients")
    assert 'rel="prev"' not in first
    second = await page(browser, _link(first, "next"))
    third = await page(browser, _link(second, "next"))
    assert _names(third) == [f"Клиент {number:03}" for number in range(100, 120)]
    assert 'rel="next"' not in third
    back = await page(browser, _link(third, "prev"))
    assert _names(back) == _names(second)
    again = await page(browser, _link(back, "prev"))
    assert _names(again) == _names(first)
    assert 'rel="prev"' not in again


def _link(text: str, rel: str) -> str:
    found = re.search(rf'href="([^"]+)" rel="{rel}"', text)
    assert found, rel
    return html.unescape(found[1])


def _names(text: str) -> list[str]:
    return re.findall(r'table__link clip" href="[^"]+">([^<]+)<', text)
