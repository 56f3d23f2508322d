"""Bulk edits from a list: of ticked records and of all that the list shows, their progress, undo and refusals."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from hub.clock import utc_now
from hub.crm.access import load_actor
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.operation_kinds import WORKS
from tests.factories import got, made
from tests.integration.test_lists import contains, page, where
from tests.integration.test_saved_views import sent
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def finish(site: Site) -> None:
    """Run what is queued to its end, as the jobs of a Hub do."""
    runs = OperationRuns(site.db, WORKS, load_actor, now=utc_now)
    while await runs.step():
        pass


async def notes(api: aiohttp.ClientSession) -> dict[str, Any]:
    return {one["name"]: one["note"] for one in (await got(api, "clients"))["items"]}


async def test_ticked_records_get_a_value_and_get_it_back(site: Site) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    ids = [(await made(api, {"name": name, "note": "Было"}))["id"] for name in ("Ёлка", "Сосна", "Ива")]
    text = await page(browser, "/clients")
    assert text.count("data-tick ") + text.count("data-tick\n") == 3
    assert 'name="note"' in await page(browser, "/clients/bulk?field=note")
    location = await sent(browser, "/clients/bulk", field="note", note="Стало <b>", ids=[str(one) for one in ids[:2]])
    assert "/cancel" in await page(browser, location)
    await finish(site)
    assert await notes(api) == {"Ёлка": "Стало <b>", "Сосна": "Стало <b>", "Ива": "Было"}
    assert "/undo" in await page(browser, location)
    assert location in await page(browser, "/operations")
    async with api.patch(f"clients/{ids[0]}", json={"note": "Сама"}) as answer:
        assert answer.status == 200
    await sent(browser, f"{location}/undo")
    await finish(site)
    assert await notes(api) == {"Ёлка": "Сама", "Сосна": "Было", "Ива": "Было"}
    text = await page(browser, location)
    assert "Ёлка" in text
    assert "Сосна" not in text
    assert "/undo" not in text


async def test_all_that_the_filters_show_are_changed_and_no_other(site: Site) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    for name in ("Ёлка 1", "Ёлка 2", "Сосна"):
        await made(api, {"name": name})
    async with browser.post(
        "/clients/bulk", params={"where": where(contains("елка"))}, data={"field": "note", "note": "x", "all": "yes"},
        allow_redirects=False,
    ) as answer:  # fmt: skip
        assert answer.status == 303, await answer.text()
    await finish(site)
    assert await notes(api) == {"Ёлка 1": "x", "Ёлка 2": "x", "Сосна": ""}


async def test_a_wrong_bulk_edit_begins_nothing(site: Site) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    browser.headers["Cookie"] = "lang=ru"
    client = await made(api)
    one = str(client["id"])
    assert 'class="field__error"' in await sent(browser, "/clients/bulk", 200, field="phones", phones="<abc>", ids=one)
    await sent(browser, "/clients/bulk", 422, field="nonsense", nonsense="1", ids=one)
    await sent(browser, "/clients/bulk", 400, field="note", note="1", ids="x")
    await sent(await site.browser("olga"), "/clients/bulk", 403, field="note", note="1", ids=one)
    assert (await got(api, "operations"))["items"] == []
    assert "data-tick" not in await page(await site.browser("olga"), "/clients")


async def test_all_that_a_search_finds_are_archived_brought_back_and_the_archiving_is_undone(site: Site) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    for name in ("Ёлка 1", "Ёлка 2", "Сосна"):
        await made(api, {"name": name})
    assert "/clients/bulk/archive?q=" in await page(browser, "/clients?q=Ёлка")
    location = await sent(browser, "/clients/bulk/archive?q=Ёлка", all="yes")
    await finish(site)
    assert list(await notes(api)) == ["Сосна"]
    assert "/clients/bulk/restore?archived=" in await page(browser, "/clients?archived=true")
    await sent(browser, "/clients/bulk/restore?archived=true&q=Ёлка 2", all="yes")
    await finish(site)
    assert list(await notes(api)) == ["Ёлка 2", "Сосна"]
    await sent(browser, f"{location}/undo")
    await finish(site)
    assert list(await notes(api)) == ["Ёлка 1", "Ёлка 2", "Сосна"]
    counts = (await got(api, f"{location[1:]}/rows"))["items"]
    assert [(one["outcome"], one["reason"]) for one in counts] == [
        ("reversed", ""),
        ("kept", "archived: changed_since: Changed since, so it was kept"),
    ]


async def test_all_of_a_list_is_no_more_than_its_page_shows(site: Site) -> None:
    """The list of a client's contacts is narrowed by the page, not by a filter."""
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    ids = [(await made(api, {"name": name, "contacts": [{"name": f"У {name}"}]}))["id"] for name in ("Ёлка", "Сосна")]
    await sent(browser, f"/contacts/bulk?client={ids[0]}", field="position", position="сторож", all="yes")
    await finish(site)
    found = (await got(api, "contacts"))["items"]
    assert {one["name"]: one["position"] for one in found} == {"У Ёлка": "сторож", "У Сосна": ""}
