"""A list as a file: what stands in it, for whom, in which language, and the audit row of it."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from hub.crm.models import audit
from hub.sanitize import csv_cell
from tests.factories import made
from tests.integration.test_lists import contains, where
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database

FORMULA = '=HYPERLINK("http://evil.example";"x")'


async def file(
    browser: aiohttp.ClientSession, status: int = 200, path: str = "/clients/export", **params: str
) -> bytes:
    async with browser.get(path, params=params) as answer:
        assert answer.status == status, await answer.text()
        return await answer.read()


def table(content: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=delimiter))


async def boss(site: Site) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession, int]:
    actor = await site.person("boss", role="admin")
    return await site.browser("boss"), await site.api("boss"), actor.user_id


async def audited(site: Site) -> list[dict[str, Any]]:
    async with site.db.read() as conn:
        rows = await conn.execute(sa.select(audit.c.details).where(audit.c.action == "clients.exported"))
        return [row.details for row in rows]


async def test_a_csv_has_the_columns_and_the_rows_of_the_list(site: Site) -> None:
    browser, api, me = await boss(site)
    await made(api, {"name": "Ёлка; «1»", "manager": me, "phones": ["+74951234567", "+74951234568"], "kind": "person"})
    await made(api, {"name": FORMULA})
    await made(api, {"name": "Сосна"})
    asked: dict[str, Any] = {"where": where({"not": contains("сосна")}), "columns": "name,kind,manager,phones"}
    assert table(await file(browser, **asked)) == [
        ["ID", "Name", "Type", "Manager", "Phones"],
        ["1", "Ёлка; «1»", "Person", "Boss", csv_cell("+74951234567; +74951234568")],
        ["2", csv_cell(FORMULA), "Organisation", "", ""],
    ]
    browser.headers["Cookie"] = "lang=ru"
    rows = table(await file(browser, columns="name,kind,created_at", ids="3,1"), ";")
    assert [(row[0], row[2]) for row in rows[1:]] == [("1", "Физлицо"), ("3", "Организация")]
    assert rows[1][3].count(".") == 2


async def test_an_xlsx_has_text_that_is_no_formula(site: Site) -> None:
    browser, api, _me = await boss(site)
    await made(api, {"name": FORMULA})
    content = await file(browser, format="xlsx", columns="name,created_at")
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "HYPERLINK" in sheet
    assert '<c r="C2" s=' in sheet


async def test_an_xlsx_that_cannot_hold_every_row_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, api, _ = await boss(site)
    for name in ("Ромашка", "Сосна"):
        await made(api, {"name": name})
    monkeypatch.setattr("hub.web.base.export.MOST_ROWS_OF_XLSX", 2)
    await file(browser, format="xlsx")
    monkeypatch.setattr("hub.web.base.export.MOST_ROWS_OF_XLSX", 1)
    async with api.get("clients/export", params={"format": "xlsx"}) as answer:
        assert answer.status == 422
        assert (await answer.json())["error"]["details"]["fields"]["format"]["code"] == "too_many_rows"
    assert len((await file(browser, format="csv")).splitlines()) == 3


async def test_every_row_is_exported_by_page_and_api_with_one_audit_row_each(site: Site) -> None:
    browser, api, _me = await boss(site)
    for number in range(7):
        await made(api, {"name": f"Клиент {number}"})
    lines = (await file(browser, format="jsonl")).decode().splitlines()
    assert [json.loads(line)["name"] for line in lines] == [f"Клиент {number}" for number in range(7)]
    async with api.get("clients/export", params={"format": "csv", "sort": "-name"}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/csv"
        assert len(table(await answer.read())) == 8
    async with browser.head("/clients/export") as answer:
        assert answer.status == 200
    told = await audited(site)
    assert [one["format"] for one in told] == ["jsonl", "csv"]


async def test_a_wrong_export_is_refused_before_it_begins_and_audited_not(site: Site) -> None:
    browser, api, _me = await boss(site)
    await made(api)
    await file(browser, 422, where=where({"field": "nonsense", "op": "is", "value": 1}))
    await file(browser, 422, columns="nonsense")
    await file(browser, 422, ids="1,x")
    await file(browser, 400, format="pdf")
    await file(browser, 404, view="77")
    await file(await site.browser("olga"), 403)
    assert await audited(site) == []
