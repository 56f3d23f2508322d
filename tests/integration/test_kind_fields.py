"""Dictionaries and characteristics before people: on form, card and history, and refused at the field."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec
import pytest

from hub.clock import utc_now
from hub.crm import clients
from hub.crm.base import characteristic_definitions, dictionaries
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.dictionaries import ValueInput
from hub.crm.base.history import Edit
from hub.crm.clients.table import CLIENTS, SOURCES
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import got, made
from tests.integration.test_record_pages import page, posted
from tests.testbed.site import SETTINGS, Site, running_site

pytestmark = pytest.mark.either_database

EDIT = Edit(None, "api", utc_now())
HOSTILE = "<script>alert(1)</script>{{7*7}}"


async def define(db: Database, type_: str, key: str, ru: str, **given: Any) -> None:
    sent = {"type": type_, "key": key, "label": {"ru": ru, "en": f"{key} in English"}} | given
    async with db.begin() as conn:
        await characteristic_definitions.create(conn, CLIENTS, DefinitionInput(**sent), edit=EDIT)


async def source(db: Database, key: str, ru: str, **given: Any) -> int:
    async with db.begin() as conn:
        return (
            await dictionaries.create(conn, SOURCES.name, ValueInput(key=key, label={"ru": ru}, **given), edit=EDIT)
        ).id


async def russian(site: Site, name: str = "olga") -> aiohttp.ClientSession:
    browser = await site.browser(name)
    browser.headers["Cookie"] = "lang=ru"
    return browser


async def test_a_value_of_a_dictionary_is_checked_and_one_that_was_switched_off_is_kept(site: Site) -> None:
    api = await site.api("olga")
    fair, site_value = await source(site.db, "fair", "Выставка"), await source(site.db, "site", "Сайт")
    client = await made(api, {"name": "Ромашка", "source": "fair"})
    assert client["source"] == "fair"
    async with site.db.begin() as conn:
        await dictionaries.update(conn, SOURCES.name, fair, ValueInput(active=False), edit=EDIT)
    for sent, code in (("fair", "switched_off"), ("mud", "not_a_choice"), (7, "not_text")):
        async with api.post("clients", json={"name": "Лютик", "source": sent}) as answer:
            assert answer.status == 422
            assert (await answer.json())["error"]["details"]["fields"]["source"]["code"] == code
    async with api.patch(f"clients/{client['id']}", json={"source": "fair", "note": "x"}) as answer:
        assert answer.status == 200, "what a record holds it keeps"
    async with api.patch(f"clients/{client['id']}", json={"source": "site"}) as answer:
        assert (await answer.json())["source"] == "site"
    async with api.patch(f"clients/{client['id']}", json={"source": "fair"}) as answer:
        assert answer.status == 422, "once it is gone it does not come back"
    browser = await russian(site)
    form = await page(browser, f"/clients/{client['id']}/edit")
    assert "Сайт" in form
    assert "Выставка" not in form
    async with site.db.begin() as conn:
        await dictionaries.update(conn, SOURCES.name, site_value, ValueInput(label={"ru": "Наш сайт"}), edit=EDIT)
    assert "Наш сайт" in await page(browser, f"/clients/{client['id']}")
    told = await page(browser, f"/clients/{client['id']}/history")
    assert "Выставка" in told
    assert "Наш сайт" in told


async def test_each_type_of_characteristic_is_typed_in_a_form_and_stands_on_card_and_history(site: Site) -> None:
    olga = await site.person("olga")
    fields = {
        "k_text": ("text", "Девиз", "Вперёд"),
        "k_long": ("long_text", "Описание", "раз\nдва"),
        "k_number": ("number", "Площадь", "12,5"),
        "k_integer": ("integer", "Этажей", "7"),
        "k_yes": ("yes_no", "Есть склад", "off"),
        "k_date": ("date", "Открыты с", "2026-11-30"),
        "k_choice": ("choice", "Размер", "small"),
        "k_many": ("many_choice", "Языки", ["ru_2", "en_2"]),
        "k_person": ("person", "Куратор", str(olga.user_id)),
        "k_email": ("email", "Почта склада", "Store@B.example"),
        "k_phone": ("phone", "Телефон склада", "8 495 123-45-67"),
    }
    for key, (type_, label, _) in fields.items():
        choices = {
            "choice": [{"ru": "Малый", "en": "Small"}],
            "many_choice": [{"ru": "Русский", "en": "ru 2"}, {"en": "en 2"}],
        }
        await define(site.db, type_, key, label, group="Склад", choices=choices.get(type_, msgspec.UNSET))
    browser, api = await russian(site), await site.api("olga")
    form = await page(browser, "/clients/new")
    assert form.count(">Склад</h2>") == 1
    assert all(label in form for _, label, _ in fields.values())
    sent = {f"c.{key}": value for key, (_, _, value) in fields.items()}
    status, text, where = await posted(browser, "/clients", name="Ромашка", contact="", **sent)
    assert status == 303, text
    client = await got(api, where.removeprefix("/"))
    assert client["characteristics"] == {
        "k_text": "Вперёд", "k_long": "раз\nдва", "k_number": "12.5", "k_integer": 7, "k_yes": False,
        "k_date": "2026-11-30", "k_choice": "small", "k_many": ["ru_2", "en_2"], "k_person": olga.user_id,
        "k_email": "store@b.example", "k_phone": "+74951234567",
    }  # fmt: skip
    card = await page(browser, where)
    for shown in ("Девиз", "Вперёд", "12,5", "Малый", "Русский", "en 2", "Olga", "+7 495 123-45-67", ">Склад</h3>"):
        assert shown in card, shown
    browser.headers["HX-Request"] = "true"
    part = await page(browser, f"{where}/edit?field=c.k_choice")
    assert 'value="small" selected' in part
    assert "Девиз" not in part
    assert (await posted(browser, where, version="1", **{"c.k_choice": "", "c.k_yes": "on"}))[0] == 200
    del browser.headers["HX-Request"]
    told = await page(browser, f"{where}/history")
    assert "Размер" in told
    assert "Малый" in told
    assert (await got(api, where.removeprefix("/")))["characteristics"]["k_yes"] is True


async def test_what_is_wrong_with_a_characteristic_stands_at_it_and_what_was_typed_stays(site: Site) -> None:
    await define(site.db, "integer", "floors", "Этажей", required=True, help={"ru": "Вместе с подвалом"})
    await define(site.db, "person", "curator", "Куратор")
    await define(site.db, "text", "motto", HOSTILE)
    browser, api = await russian(site), await site.api("olga")
    status, text, _ = await posted(
        browser, "/clients", name="", contact="", **{"c.floors": "семь", "c.curator": "999", "c.motto": HOSTILE}
    )
    assert status == 422
    assert 'id="e-c.floors"' in text
    assert 'id="e-name"' in text, "all problems at once"
    assert 'value="семь"' in text
    assert "<script>alert" not in text
    assert "Вместе с подвалом" in await page(browser, "/clients/new")
    for values, field, code in (
        ({}, "c.floors", "required"),
        ({"floors": "x"}, "c.floors", "not_a_number"),
        ({"floors": 1, "curator": 999}, "c.curator", "not_found"),
        ({"floors": 1, "motto": "x" * 201}, "c.motto", "too_long"),
        ({"floors": 1, "nonsense": 1}, "c.nonsense", "unknown_field"),
    ):
        async with api.post("clients", json={"name": "Лютик", "characteristics": values}) as answer:
            assert answer.status == 422
            assert (await answer.json())["error"]["details"]["fields"][field]["code"] == code, values
    client = await made(api, {"name": "Лютик", "characteristics": {"floors": 1, "motto": HOSTILE}})
    for path in (f"/clients/{client['id']}", f"/clients/{client['id']}/history", f"/clients/{client['id']}/edit"):
        assert "<script>alert" not in await page(browser, path)


async def test_the_second_of_two_editors_of_a_characteristic_sees_both_values(site: Site) -> None:
    await define(site.db, "text", "motto", "Девиз")
    api, browser = await site.api("pavel"), await russian(site)
    client = await made(api, {"name": "Ромашка", "characteristics": {"motto": "Было"}})
    path = f"clients/{client['id']}"
    async with api.patch(path, json={"version": 1, "characteristics": {"motto": "Его"}}) as answer:
        assert answer.status == 200
    status, text, _ = await posted(browser, f"/{path}", version="1", **{"c.motto": "Её"})
    assert status == 409
    assert "<dd>Его</dd>" in text
    assert "<dd>Было</dd>" in text
    assert 'value="Её"' in text


async def test_a_lead_becomes_a_client_although_a_characteristic_is_required(site: Site) -> None:
    await define(site.db, "text", "motto", "Девиз", required=True)
    olga = await site.person("olga")
    async with site.db.begin() as conn:
        assert await clients.create(conn, olga, kind="person", name="Иван", now=utc_now())


@pytest.mark.parametrize(("zone", "shown"), [("Asia/Vladivostok", "10:30"), ("Europe/Kaliningrad", "02:30")])
async def test_moments_of_forms_and_cards_are_of_the_company_s_zone(
    db: Database, blobs: BlobStore, zone: str, shown: str
) -> None:
    settings = msgspec.structs.replace(SETTINGS, hub=msgspec.structs.replace(SETTINGS.hub, time_zone=zone))
    async with running_site(db, blobs, settings=settings) as site:
        await define(db, "moment", "meeting", "Встреча")
        browser, api = await site.browser("olga"), await site.api("olga")
        client = await made(api, {"name": "А", "characteristics": {"meeting": "2026-01-15T00:30:00Z"}})
        path = f"/clients/{client['id']}"
        assert f'value="2026-01-15T{shown}"' in await page(browser, f"{path}/edit")
        assert f"{shown}</time>" in await page(browser, path)
        assert (await posted(browser, path, version="1", **{"c.meeting": "2026-01-16T00:30"}))[0] == 303
        kept = (await got(api, path.removeprefix("/")))["characteristics"]["meeting"]
        assert kept == {"10:30": "2026-01-15T14:30:00.000Z", "02:30": "2026-01-15T22:30:00.000Z"}[shown]
