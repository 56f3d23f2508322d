"""Call rules as data: stored with their checks and audit rows, by page and by API, and tried out on a caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.crm.models import audit, clients, phones, presence
from hub.settings import HubSection, Pbx, PbxTeam, Settings
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.models import device_states, pbx_states
from tests.factories import got
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

NUMBER = "+7 495 123-45-67"
SETTINGS = Settings(
    hub=HubSection(language="en"),
    pbx=(
        Pbx(
            name="office",
            username="hub",
            team=(PbxTeam(queue="hub-sales", team="sales"), PbxTeam(queue="hub-support", team="support")),
        ),
    ),
)


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs, settings=SETTINGS) as running:
        await running.person("boss", role="admin", team=None)
        await running.person("anna", extension="101")
        async with db.begin() as conn:
            for name in ("sales", "support", "press"):
                await people.ensure_team(conn, name, now=utc_now())
        yield running


@pytest.fixture
async def api(site: Site) -> aiohttp.ClientSession:
    return await site.api("boss")


async def team_id(site: Site, name: str = "sales") -> int:
    async with site.db.read() as conn:
        return next(key for key, value in (await people.team_names(conn)).items() if value == name)


async def say(api: aiohttp.ClientSession, path: str, body: dict[str, Any], *, status: int = 200) -> Any:
    async with api.post(path, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def a_client_of(site: Site, api: aiohttp.ClientSession, name: str = "anna", number: str = NUMBER) -> int:
    made = await say(api, "clients", {"name": "Ромашка", "phones": [number]}, status=201)
    async with site.db.begin() as conn:
        owner = sa.update(clients).where(clients.c.id == made["id"]).values(owner_id=site.actors[name].user_id)
        await conn.execute(owner)
    return int(made["id"])


async def audited(site: Site, action: str) -> list[Any]:
    async with site.db.read() as conn:
        query = sa.select(audit.c.details).where(audit.c.action == action).order_by(audit.c.id)
        return list((await conn.execute(query)).scalars())


async def test_rules_that_nobody_said_are_the_plain_ones(site: Site, api: aiohttp.ClientSession) -> None:
    rules = await got(api, f"teams/{await team_id(site)}/rules")
    assert (rules["hours"], rules["personal_s"], rules["when_closed"], rules["service_level_s"]) == (
        {},
        0,
        "fallback",
        20,
    )


async def test_a_change_keeps_what_it_does_not_name_and_is_audited_once(site: Site, api: aiohttp.ClientSession) -> None:
    path = f"teams/{await team_id(site)}/rules"
    await say(api, path, {"personal_s": 15, "time_zone": "Europe/Berlin"})
    await say(api, path, {"hours": {"mon": [["14:00", "18:00"], ["09:00", "13:00"]]}})
    await say(api, path, {"personal_s": 15})
    rules = await got(api, path)
    assert (rules["personal_s"], rules["time_zone"]) == (15, "Europe/Berlin")
    assert rules["hours"] == {"mon": [["09:00", "13:00"], ["14:00", "18:00"]]}
    changes = await audited(site, "team_rules.changed")
    assert changes == [
        {"personal_s": [0, 15], "time_zone": ["", "Europe/Berlin"]},
        {"hours": [{}, {"mon": [["09:00", "13:00"], ["14:00", "18:00"]]}]},
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"hours": {"mon": [["9", "18"]]}}, "bad_hours"),
        ({"holidays": [{"date": "2027-02-30"}]}, "bad_holidays"),
        ({"time_zone": "Mars/Base"}, "bad_zone"),
        ({"overflow_team_id": 1}, "overflow_to_itself"),
        ({"overflow_team_id": 2}, "overflow_seconds_missing"),
        ({"overflow_team_id": 99, "overflow_s": 9}, "team_missing"),
        ({"personal_s": 121}, "bad_request"),
        ({"personal_s": -1}, "bad_request"),
        ({"when_closed": "shout"}, "bad_request"),
        ({"keep_recordings_days": 0}, "bad_request"),
        ({"nonsense": 1}, "bad_request"),
    ],
)
async def test_rules_that_cannot_be_are_refused_and_nothing_is_stored(
    site: Site, api: aiohttp.ClientSession, change: dict[str, Any], code: str
) -> None:
    sales, support = await team_id(site), await team_id(site, "support")
    change = {k: {1: sales, 2: support}.get(v, v) if k == "overflow_team_id" else v for k, v in change.items()}
    async with api.post(f"teams/{sales}/rules", json={"record_calls": True, **change}) as answer:
        assert answer.status in (400, 404)
        assert (await answer.json())["error"]["code"] == code
    assert (await got(api, f"teams/{sales}/rules"))["record_calls"] is False
    assert await audited(site, "team_rules.changed") == []


async def test_a_caller_is_blocked_once_listed_and_let_in_again(site: Site, api: aiohttp.ClientSession) -> None:
    first = await say(api, "blocked", {"kind": "number", "pattern": "8 (495) 123-45-67", "note": "spam"}, status=201)
    again = await say(api, "blocked", {"kind": "number", "pattern": "+74951234567"}, status=201)
    assert first == again and first["pattern"] == "+74951234567" and first["created_by"] == "Boss"
    await say(api, "blocked", {"kind": "pattern", "pattern": "+7 900*"}, status=201)
    await say(api, "blocked", {"kind": "hidden"}, status=201)
    assert [row["kind"] for row in (await got(api, "blocked"))["items"]] == ["hidden", "pattern", "number"]
    page = await got(api, "blocked", limit="2")
    assert [row["kind"] for row in (await got(api, "blocked", cursor=page["next"]))["items"]] == ["number"]
    await say(api, f"blocked/{first['id']}/remove", {})
    await say(api, f"blocked/{first['id']}/remove", {}, status=404)
    assert len((await got(api, "blocked"))["items"]) == 2
    assert len(await audited(site, "blocked_caller.added")) == 3
    assert await audited(site, "blocked_caller.removed") == [{"kind": "number", "pattern": "+74951234567"}]


async def route(api: aiohttp.ClientSession, team: int, **query: str) -> tuple[str, dict[str, str]]:
    """Return the dialplan's line and the reason of each step."""
    found = await got(api, "route", team=str(team), **{"from": NUMBER, **query})
    return found["answer"], {step["name"]: step["why"] for step in found["steps"]}


async def test_a_trial_tells_each_step_and_why(site: Site, api: aiohttp.ClientSession) -> None:
    sales = await team_id(site)
    path = f"teams/{sales}/rules"
    rules = {"personal_s": 15, "overflow_team_id": await team_id(site, "support"), "overflow_s": 60}
    await say(api, path, rules | {"when_tired": "callback"})
    assert await route(api, sales) == (
        "hub:open:-:0:hub-support:60:callback:no:end",
        {
            "blacklist": "not_blocked",
            "hours": "always",
            "personal": "stranger",
            "team": "waits",
            "overflow": "waits",
            "last": "callback",
        },
    )
    await a_client_of(site, api)
    assert (await route(api, sales))[0] == "hub:open:101:15:hub-support:60:callback:no:end"
    await say(api, path, {"hours": {"mon": []}, "when_closed": "voicemail"})
    assert (await route(api, sales))[0] == "hub:closed:-:0:-:0:voicemail:no:end"
    await say(api, "blocked", {"kind": "pattern", "pattern": "+7495*"}, status=201)
    assert (await route(api, sales))[0] == "hub:blocked:-:0:-:0:fallback:no:end"
    async with api.get("route", params={"team": str(await team_id(site, "press"))}) as answer:
        assert (await answer.json())["error"]["code"] == "team_without_queue"


async def test_the_own_manager_is_passed_over_while_they_cannot_take_it(site: Site, api: aiohttp.ClientSession) -> None:
    sales, now = await team_id(site), utc_now()
    anna = site.actors["anna"].user_id
    await say(api, f"teams/{sales}/rules", {"personal_s": 15})
    await a_client_of(site, api)

    async def why() -> str:
        return (await route(api, sales))[1]["personal"]

    async def write(statement: Any) -> None:
        async with site.db.begin() as conn:
            await conn.execute(statement)

    assert await why() == "rings", "a phone rings without an open page too"
    await write(presence.insert().values(user_id=anna, state="dnd", since=now))
    assert await why() == "dnd"
    await write(sa.update(presence).values(state="after_call", until=now - timedelta(seconds=1)))
    assert await why() == "rings", "what ran out does not count"
    await write(pbx_states.insert().values(pbx="office", state="up", since=now, seen_at=now))
    device = {"pbx": "office", "device": "PJSIP/101", "extension": "101"}
    await write(device_states.insert().values(**device, state="in_use", since=now))
    assert await why() == "busy"
    await write(sa.update(device_states).values(state="unavailable"))
    assert await why() == "offline"
    await write(sa.update(device_states).values(state="idle"))
    assert await why() == "rings"
    await write(sa.update(pbx_states).values(state="down"))
    await write(sa.update(device_states).values(state="in_use"))
    assert await why() == "rings", "what is known of a PBX that is down counts for nothing"
    await write(phones.insert().values(pbx="office", extension="177", user_id=anna))
    assert (await route(api, sales))[0].startswith("hub:open:177:15:"), "their phone on this PBX is another one"
    await write(sa.update(clients).values(owner_id=None))
    assert await why() == "no_owner"


async def test_a_number_of_two_clients_rings_nobody_first(site: Site, api: aiohttp.ClientSession) -> None:
    sales = await team_id(site)
    await say(api, f"teams/{sales}/rules", {"personal_s": 15})
    await a_client_of(site, api)
    await say(api, "clients", {"name": "Василёк", "phones": [NUMBER]}, status=201)
    assert (await route(api, sales))[1]["personal"] == "stranger"


FORM = {
    "open": "hours",
    "hours_mon": "9-13, 14:00–18:30",
    "hours_tue": "22:00-6:00",
    "time_zone": "Europe/Berlin",
    "holidays": "2027-01-01 New Year\n24.12.2026 9:00-12:00 Heiligabend\n",
    "personal_s": "15",
    "overflow_team_id": "",
    "overflow_s": "0",
    "when_closed": "voicemail",
    "when_tired": "callback",
    "record_calls": "yes",
    "keep_recordings_days": "90",
    "service_level_s": "30",
    "after_call_s": "",
}


async def test_the_page_stores_what_it_shows(site: Site, api: aiohttp.ClientSession) -> None:
    boss = await site.browser("boss")
    path = f"/admin/teams/{await team_id(site)}/rules"
    async with boss.post(path, data=FORM, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"{path}?saved=1")
    rules = await got(api, f"teams/{await team_id(site)}/rules")
    assert rules["hours"]["mon"] == [["09:00", "13:00"], ["14:00", "18:30"]]
    assert rules["hours"]["tue"] == [["22:00", "06:00"]] and rules["hours"]["wed"] == []
    assert rules["holidays"] == [
        {"date": "2026-12-24", "name": "Heiligabend", "hours": [["09:00", "12:00"]]},
        {"date": "2027-01-01", "name": "New Year", "hours": []},
    ]
    assert (rules["record_calls"], rules["keep_recordings_days"], rules["after_call_s"]) == (True, 90, 0)
    async with boss.get(path) as answer:
        page = await answer.text()
    assert 'value="09:00–13:00, 14:00–18:30"' in page and "2026-12-24 09:00–12:00 Heiligabend" in page


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("hours_mon", "9 to 5", "These are no hours."),
        ("hours_mon", "09:00–09:00", "These are no hours."),
        ("holidays", "New Year", "Each holiday is a line"),
        ("time_zone", "Berlin", "There is no such time zone."),
        ("personal_s", "500", "too large or too small"),
        ("overflow_s", "x", "too large or too small"),
        ("keep_recordings_days", "-1", "too large or too small"),
    ],
)
async def test_a_form_that_is_refused_comes_back_with_what_was_typed(
    site: Site, api: aiohttp.ClientSession, field: str, text: str, said: str
) -> None:
    boss = await site.browser("boss")
    path = f"/admin/teams/{await team_id(site)}/rules"
    async with boss.post(path, data=FORM | {field: text}) as answer:
        page = await answer.text()
        assert answer.status == 400
    assert said in page and f"{text}" in page and 'value="30"' in page
    assert (await got(api, f"teams/{await team_id(site)}/rules"))["service_level_s"] == 20


async def test_the_pages_block_try_and_let_in(site: Site, api: aiohttp.ClientSession) -> None:
    boss = await site.browser("boss")
    sales = await team_id(site)
    for data in ({"kind": "number", "pattern": "8495123*", "note": "<b>x"}, {"kind": "hidden", "pattern": ""}):
        async with boss.post("/admin/blocked", data=data, allow_redirects=False) as answer:
            assert answer.status == 303
    rows = (await got(api, "blocked"))["items"]
    assert [(row["kind"], row["pattern"]) for row in rows] == [("hidden", ""), ("pattern", "8495123*")]
    async with boss.get("/admin/blocked", params={"test": "84951234567"}) as answer:
        page = await answer.text()
    assert "turned away" in page and "&lt;b&gt;x" in page
    async with boss.get("/admin/blocked", params={"test": "84951240000"}) as answer:
        assert "let in" in await answer.text()
    for params, said in (
        ({"number": "84951234567"}, "Turned away by the rule 8495123*."),
        ({"hidden": "yes"}, "is hidden"),
    ):
        async with boss.get(f"/admin/teams/{sales}/rules", params=params) as answer:
            assert said in await answer.text()
    async with boss.post("/admin/blocked", data={"kind": "number", "pattern": "*"}) as answer:
        assert answer.status == 400 and "keep out everybody" in await answer.text()
    async with boss.post(f"/admin/blocked/{rows[0]['id']}/remove", allow_redirects=False) as answer:
        assert answer.status == 303
    assert len((await got(api, "blocked"))["items"]) == 1
    async with boss.get("/admin/teams") as answer:
        assert answer.status == 200 and "sales" in await answer.text()
