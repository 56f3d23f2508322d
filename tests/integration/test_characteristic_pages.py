"""Characteristics that an administrator defines, on pages and over the API: hundreds of them, and a change of type."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from hub.clock import utc_now
from hub.crm.base.characteristics import characteristics
from hub.crm.base.operations import operation_rows
from tests.factories import got, made, post
from tests.integration.test_kind_fields import HOSTILE
from tests.integration.test_lists_of_values import boss, finish, problems, send
from tests.integration.test_record_pages import page, posted
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def test_the_301st_field_comes_in_under_a_second_without_ddl(site: Site) -> None:
    """crm.md §7, case 1: about 150 fields of one's own were too many elsewhere."""
    browser, api = await boss(site)
    rows = [
        {"kind": "client", "key": f"f{n}", "label": {"ru": f"Поле {n}"}, "type": "text", "position": n}
        | {"required": False, "group": "", "active": True, "version": 1}
        | {"created_at": utc_now(), "changed_at": utc_now()}
        for n in range(300)
    ]
    async with site.db.begin() as conn:
        await conn.execute(characteristics.insert(), rows)
    told: list[str] = []
    listen = site.db.writer.sync_engine
    event.listen(listen, "before_cursor_execute", lambda _c, _k, text, *_: told.append(text.split()[0].upper()))
    began = time.perf_counter()
    status, made_field = await post(
        api, "characteristics", json={"kind": "client", "type": "number", "label": {"ru": "Площадь"}, "key": "area"}
    )
    took_s = time.perf_counter() - began
    assert status == 201
    assert made_field["order"] == 300
    assert took_s < 1, f"{took_s:.2f} s"
    assert not {"CREATE", "ALTER", "DROP"} & set(told)
    values = {f"f{n}": f"значение {n}" for n in range(0, 300, 10)}
    client = await made(api, {"name": "Ромашка", "characteristics": values | {"area": "12.5"}})
    assert client["characteristics"] == values | {"area": "12.5"}
    for path in (f"/clients/{client['id']}", f"/clients/{client['id']}/edit"):
        began = time.perf_counter()
        shown = await page(browser, path)
        assert time.perf_counter() - began < 3
        assert "Площадь" in shown
        assert "значение 290" in shown
    found = await got(api, "clients", where='{"field": "c.area", "op": "is", "value": ["12.5"]}')
    assert [one["id"] for one in found["items"]] == [client["id"]]


async def test_a_change_of_type_keeps_the_old_values_lists_what_does_not_fit_and_is_undone(site: Site) -> None:
    """crm.md §7, case 2: a change of a field's type lost data elsewhere."""
    browser, api = await boss(site)
    body = {"kind": "client", "key": "area", "type": "text", "label": {"ru": "Площадь", "en": "Area"}, "required": True}
    _, old = await post(api, "characteristics", json=body)
    texts = ("12,5", " 7 ", "много", "1 000", None)
    ids = []
    for n, text in enumerate(texts):
        given = {"name": f"К{n}", "characteristics": {"area": text or "x"}}
        ids.append((await made(api, given))["id"])
    status, begun = await send(api, "POST", f"characteristics/{old['id']}/change-type", {"type": "number"})
    assert status == 202
    new = begun["characteristic"]
    assert (new["type"], new["label"], new["required"]) == ("number", {"ru": "Площадь", "en": "Area"}, True)
    await finish(site)
    after = [(await got(api, f"clients/{one}"))["characteristics"] for one in ids]
    assert [one["area"] for one in after] == ["12,5", "7", "много", "1 000", "x"], "nothing is lost"
    assert [one.get(new["key"]) for one in after] == ["12.5", "7", None, "1000", None]
    kept = await got(api, f"characteristics/{old['id']}")
    assert (kept["label"]["ru"], kept["type"], kept["required"]) == ("Площадь (до изменения типа)", "text", False)
    failed = (await got(api, f"operations/{begun['operation']}/rows", outcome="refused"))["items"]
    assert [one["record"] for one in failed] == [ids[2], ids[4]]
    assert "много" in failed[0]["reason"]
    assert "К2" in await page(browser, f"/operations/{begun['operation']}")
    assert (await send(api, "POST", f"operations/{begun['operation']}/undo", {}))[0] == 202
    await finish(site)
    after = [(await got(api, f"clients/{one}"))["characteristics"] for one in ids]
    assert [one.get(new["key"]) for one in after] == [None] * 5
    async with site.db.read() as conn:
        outcomes = sa.select(operation_rows.c.outcome).where(operation_rows.c.operation_id == begun["operation"])
        assert sorted((await conn.execute(outcomes)).scalars()) == ["refused"] * 2 + ["reversed"] * 3


async def test_texts_become_the_options_of_a_choice_and_days_are_read_day_first(site: Site) -> None:
    _, api = await boss(site)
    for key, type_, new_type, values, wanted in (
        ("city", "text", "choice", ("Москва", "москва", "Тверь"), ("moskva", "moskva", "tver")),
        ("since", "text", "date", ("31.12.2025", "2025-01-02", "завтра"), ("2025-12-31", "2025-01-02", None)),
        ("stock", "text", "yes_no", ("да", "Нет", "наверное"), (True, False, None)),
        ("floor", "integer", "text", (1, 2, 3), ("1", "2", "3")),
    ):
        body = {"kind": "client", "key": key, "type": type_, "label": {"ru": key}}
        _, old = await post(api, "characteristics", json=body)
        ids = [(await made(api, {"name": "К", "characteristics": {key: value}}))["id"] for value in values]
        _, begun = await send(api, "POST", f"characteristics/{old['id']}/change-type", {"type": new_type})
        await finish(site)
        new = begun["characteristic"]["key"]
        assert [(await got(api, f"clients/{one}"))["characteristics"].get(new) for one in ids] == list(wanted), key


async def test_a_characteristic_is_defined_renamed_moved_and_switched_off_on_pages(site: Site) -> None:
    browser, api = await boss(site)
    assert "Характеристик пока нет" in await page(browser, "/characteristics")
    form = await page(browser, "/characteristics/new?kind=contact")
    assert "Несколько из списка" in form
    sent = {"kind": "contact", "label_ru": "Роль", "label_en": "", "type": "choice", "choices": "Директор\n\nБухгалтер"}
    sent |= {"help_ru": "Кто это", "help_en": "", "group": "О человеке", "required": "off"}
    assert (await posted(browser, "/characteristics", **sent))[0] == 303
    hostile = sent | {"label_ru": HOSTILE, "type": "text", "choices": ""}
    assert (await posted(browser, "/characteristics", **hostile))[0] == 303
    fields = (await got(api, "characteristics", kind="contact"))["items"]
    assert fields[0]["key"] == "rol"
    assert [one["label"]["ru"] for one in fields[0]["choices"]] == ["Директор", "Бухгалтер"]
    assert "<script>alert" not in await page(browser, "/characteristics?kind=contact")
    contact = await page(browser, "/contacts/new")
    assert "Кто это" in contact
    assert "О человеке" in contact
    assert (await posted(browser, f"/characteristics/{fields[1]['id']}/move", to="up"))[0] == 303
    assert (await got(api, "characteristics", kind="contact"))["items"][0]["id"] == fields[1]["id"]
    path = f"/characteristics/{fields[0]['id']}"
    changed = {
        "label_ru": "Роль тут",
        "label_en": "",
        "help_ru": "",
        "help_en": "",
        "group": "",
        "required": "off",
    }
    assert (await posted(browser, path, **changed, active="off", version="1"))[0] == 303
    assert "Роль тут" not in await page(browser, "/contacts/new")
    status, text, _ = await posted(browser, path, **changed | {"label_ru": "Моё"}, active="on", version="1")
    assert status == 409
    assert 'value="Моё"' in text
    status, text, _ = await posted(browser, "/characteristics", **sent | {"label_ru": "", "type": "nonsense"})
    assert status == 422
    assert 'id="e-type"' in text


async def test_bad_definitions_are_refused_by_field(site: Site) -> None:
    _, api = await boss(site)
    await got(api, "characteristics", 422, kind="robot")
    good = {"kind": "client", "type": "text", "label": {"ru": "Поле"}}
    for body, wanted in (
        ({}, {"kind": "not_a_choice"}),
        ({"kind": "client"}, {"label": "required", "type": "required"}),
        (good | {"kind": "user"}, {"kind": "not_a_choice"}),
        (good | {"type": "blob"}, {"type": "not_a_choice"}),
        (good | {"key": "Поле"}, {"key": "bad_key"}),
        (good | {"choices": [{"ru": "x"}]}, {"choices": "bad_value"}),
        (good | {"type": "choice", "choices": [{}]}, {"choices": "bad_label"}),
        (good | {"group": "x" * 101}, {"group": "bad_value"}),
        (good | {"required": "yes"}, {"required": "bad_value"}),
        (good | {"nonsense": 1}, {"nonsense": "unknown_field"}),
    ):
        assert await problems(api, "POST", "characteristics", body) == wanted, body
    _, field = await post(api, "characteristics", json=good)
    path = f"characteristics/{field['id']}"
    assert await problems(api, "PATCH", path, {"type": "number"}) == {"type": "read_only"}
    assert await problems(api, "POST", f"{path}/change-type", {"type": "text"}) == {"type": "same_type"}
    assert await problems(api, "POST", f"{path}/change-type", {"type": "person"}) == {"type": "no_conversion"}
    assert (await send(api, "PATCH", path, {"version": 9}))[0] == 409
    status, off = await send(api, "DELETE", path)
    assert (status, off["active"]) == (200, False)
    assert (await send(api, "GET", "characteristics/999"))[0] == 404
