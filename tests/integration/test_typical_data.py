"""Typical data: delivered once, compared item by item, brought back on its page."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import typical_data
from hub.crm.base import dictionaries
from hub.crm.base.dictionaries import COLORS, ICONS, ValueInput
from hub.crm.base.history import Edit
from hub.crm.clients.table import CLIENTS
from hub.crm.models import audit
from hub.crm.typical_data import Part
from hub.crm.typical_data.content import CHARACTERISTICS, values_of
from hub.opening import opened
from hub.settings import HubSection, Settings
from hub.store.engine import Database
from tests.factories import got, made
from tests.integration.test_record_pages import page
from tests.testbed.site import Site

EDIT = Edit(None, "hub", utc_now())


async def deliver(db: Database) -> None:
    async with db.begin() as conn:
        await typical_data.deliver(conn, language="ru", now=utc_now())


async def part(db: Database, name: str) -> Part:
    async with db.read() as conn:
        return next(one for one in await typical_data.compare(conn) if one.name == name)


async def restored(browser: aiohttp.ClientSession, path: str, form: dict[str, str]) -> None:
    async with browser.post(path, data=form, allow_redirects=False) as answer:
        assert answer.status == 303


@pytest.mark.parametrize("dictionary", [one.name for one in dictionaries.declared()])
def test_each_list_of_the_product_has_values_in_both_languages(dictionary: str) -> None:
    values = values_of(dictionary)
    assert values
    keys = [str(one.key) for one in values]
    assert len(set(keys)) == len(keys)
    for at, one in enumerate(values):
        assert isinstance(one.label, dict)
        assert all(one.label[language].strip() for language in ("ru", "en"))
        assert one.color in COLORS
        assert one.icon in ICONS
        assert one.parent is None or one.parent in keys[:at]
    for language in ("ru", "en"):
        names = [one.label[language] for one in values if isinstance(one.label, dict)]
        assert len(set(names)) == len(names)


async def test_an_empty_database_gets_everything_once(db: Database) -> None:
    await asyncio.gather(deliver(db), deliver(db), deliver(db))
    async with db.read() as conn:
        parts = await typical_data.compare(conn)
    assert {one.name: (one.to_restore, one.own) for one in parts} == {one.name: (0, 0) for one in parts}
    assert {"list.client_source", "characteristics.client", "roles"} <= {one.name for one in parts}


async def test_a_deleted_value_stays_deleted_at_the_next_start(db: Database) -> None:
    await deliver(db)
    async with db.begin() as conn:
        there = {one.key: one for one in (await dictionaries.load(conn, ["client_source"]))["client_source"]}
        await dictionaries.delete_unused(conn, there["fair"], edit=EDIT)
    await deliver(db)
    sources = await part(db, "list.client_source")
    assert [one.key for one in sources.items if one.state == "missing"] == ["fair"]


async def test_a_list_that_the_company_began_itself_is_left_alone(db: Database) -> None:
    async with db.begin() as conn:
        await dictionaries.create(conn, "client_source", ValueInput(label={"ru": "Радио"}), edit=EDIT)
    await deliver(db)
    async with db.read() as conn:
        assert [one.key for one in (await dictionaries.load(conn, ["client_source"]))["client_source"]] == ["radio"]
    sources = await part(db, "list.client_source")
    assert (sources.own, sources.count("missing")) == (1, len(sources.items))


async def test_opening_an_installation_delivers(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("hub")
    hub = HubSection(data_dir=str(folder), database=f"sqlite:///{folder / 'hub.db'}")
    for _ in range(2):
        async with opened(Settings(hub=hub)) as parts:
            assert (await part(parts.db, "list.client_source")).to_restore == 0


async def test_what_was_changed_is_named_and_brought_back(site: Site) -> None:
    await deliver(site.db)
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    values = {one["key"]: one for one in (await got(api, "dictionaries/client_source"))["items"]}
    changed = {"label": {"ru": "Наш сайт", "en": "Our site"}, "color": "red"}
    for key, body in (("site", changed), ("call", {"active": False})):
        async with api.patch(f"dictionaries/client_source/{values[key]['id']}", json=body) as answer:
            assert answer.status == 200
    async with api.delete(f"dictionaries/client_source/{values['fair']['id']}") as answer:
        assert answer.status == 200
    record = await made(api, {"name": "ООО", "source": "site"})
    html = await page(browser, "/typical-data/list.client_source")
    assert "Наш сайт / Our site" in html
    assert html.index("Our site") < html.index("Recommendation")
    assert "Red" in html
    await restored(browser, "/typical-data/list.client_source", {"key": "fair"})
    left = await part(site.db, "list.client_source")
    assert (left.count("changed"), left.count("switched_off"), left.count("missing")) == (1, 1, 0)
    await restored(browser, "/typical-data/list.client_source", {})
    assert (await part(site.db, "list.client_source")).to_restore == 0
    assert (await got(api, f"clients/{record['id']}"))["source"] == "site"
    async with site.db.read() as conn:
        told = sa.select(sa.func.count()).where(
            audit.c.action.in_(("dictionary_value.created", "dictionary_value.changed"))
        )
        assert (await conn.execute(told)).scalar_one() == 5


async def test_a_role_is_compared_by_what_it_permits_and_brought_back(site: Site) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    roles = {one["key"]: one for one in (await got(api, "roles"))["items"]}
    assert (await part(site.db, "roles")).to_restore == 0
    body = {"grants": [{"kind": "client", "action": "see", "scope": "own"}], "rights": ["telephony"]}
    async with api.patch(f"roles/{roles['manager']['id']}", json=body) as answer:
        assert answer.status == 200
    html = await page(browser, "/typical-data/roles")
    assert "Clients: See:" in html
    await restored(browser, "/typical-data/roles", {"key": "manager"})
    assert (await part(site.db, "roles")).to_restore == 0


async def test_delivered_characteristics_are_fields_of_clients(site: Site) -> None:
    await deliver(site.db)
    await site.person("boss", role="admin")
    api = await site.api("boss")
    record = await made(api, {"name": "ООО", "characteristics": {"headcount": 250}})
    assert (await got(api, f"clients/{record['id']}"))["characteristics"]["headcount"] == 250
    assert {str(one.key) for one in CHARACTERISTICS[CLIENTS.kind]} >= {"turnover", "headcount"}


async def test_only_an_administrator_opens_it(site: Site) -> None:
    await site.person("anna")
    browser = await site.browser("anna")
    for path in ("/typical-data", "/typical-data/roles"):
        async with browser.get(path) as answer:
            assert answer.status in (403, 404)


async def test_an_unknown_part_is_not_found(site: Site) -> None:
    await site.person("boss", role="admin")
    browser = await site.browser("boss")
    async with browser.get("/typical-data/list.nothing") as answer:
        assert answer.status == 404
