"""The time zone of a person: what they read, export, type and ask by "today" is by their own clock."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients
from hub.crm.models import clients as table
from hub.crm.models import users
from tests.factories import got
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database
FAR = {"east": "Pacific/Kiritimati", "west": "Pacific/Pago_Pago"}
"""25 hours apart: at no moment is it the same day in both."""
SHOWN = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)


async def two_people(site: Site) -> None:
    for name, zone in FAR.items():
        user_id = (await site.person(name, role="admin")).user_id
        async with site.db.begin() as conn:
            await conn.execute(sa.update(users).where(users.c.id == user_id).values(time_zone=zone))


async def client_at(site: Site, at: datetime) -> int:
    async with site.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
        await conn.execute(sa.update(table).where(table.c.id == client_id).values(created_at=at))
    return client_id


@pytest.mark.parametrize("name", FAR)
async def test_today_is_the_askers_day(site: Site, name: str) -> None:
    await two_people(site)
    now, zone = utc_now(), ZoneInfo(FAR[name])
    made = {await client_at(site, now - timedelta(hours=hours)): hours for hours in range(0, 30, 3)}
    where = json.dumps({"all": [{"field": "created_at", "op": "within", "value": {"this": "day"}}]})
    api = await site.api(name)
    found = {one["id"] for one in (await got(api, "clients", where=where))["items"]}
    today = now.astimezone(zone).date()
    assert found == {
        one for one, hours in made.items() if (now - timedelta(hours=hours)).astimezone(zone).date() == today
    }
    assert (await got(api, "clients/count", where=where))["count"] == len(found)


@pytest.mark.parametrize("name", FAR)
async def test_pages_exports_and_forms_have_the_readers_clock(site: Site, name: str) -> None:
    await two_people(site)
    client_id = await client_at(site, SHOWN)
    local = SHOWN.astimezone(ZoneInfo(FAR[name]))
    browser = await site.browser(name)
    async with browser.get(f"/clients/{client_id}") as answer:
        card = await answer.text()
    assert f"{local:%-d March 2026, %H:%M:%S}" in card
    async with browser.get("/clients/export", params={"format": "csv", "columns": "name,created_at"}) as answer:
        rows = list(csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig")), delimiter=";"))
    assert f"{local:%H:%M}" in " ".join(rows[1]), rows
    other = (await site.person("olga")).user_id
    async with browser.get(f"/users/{other}/edit") as answer:
        version = (await answer.text()).split('name="version" value="')[1].split('"')[0]
    data = {"version": version, "substitute": site.actors[name].user_id, "substitute_from": "2030-01-01T09:00"}
    async with browser.post(f"/users/{other}", data=data, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
    async with site.db.read() as conn:
        stored = (await conn.execute(sa.select(users.c.substitute_from).where(users.c.id == other))).scalar_one()
    assert stored == datetime(2030, 1, 1, 9, tzinfo=ZoneInfo(FAR[name]))


async def test_a_zone_that_is_none_is_refused_and_known_ones_are_offered(site: Site) -> None:
    await site.person("irina", role="admin")
    api, browser = await site.api("irina"), await site.browser("irina")
    olga = (await site.person("olga")).user_id
    for wrong in ("Mars/Olympus", "../../etc/passwd", "MSK+3"):
        async with api.patch(f"users/{olga}", json={"time_zone": wrong}) as answer:
            told = await answer.json()
        assert (answer.status, told["error"]["details"]["fields"]["time_zone"]["code"]) == (422, "bad_time_zone")
    async with api.patch(f"users/{olga}", json={"time_zone": "Asia/Omsk"}) as answer:
        assert (await answer.json())["time_zone"] == "Asia/Omsk"
    async with browser.get(f"/users/{olga}/edit") as answer:
        form = await answer.text()
    assert '<option value="Asia/Vladivostok">' in form
    assert 'value="Asia/Omsk" maxlength="40"' in form
