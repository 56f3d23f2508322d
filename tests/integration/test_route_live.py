"""From a real Asterisk's question to what stands on the page: Hub answers, and hears what became of the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.crm.linking import Linker
from hub.crm.models import clients
from hub.settings import HubSection, Secret, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import pbx_states
from hub.telephony.service import PbxService
from hub.web import pbx as question
from tests.factories import got
from tests.integration.test_route_dialplan import press, speak
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.record import HUNG_UP, Ami
from tests.testbed.sipp import caller, phone
from tests.testbed.site import Site, running_site
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

pytestmark = [pytest.mark.asterisk, pytest.mark.either_database]
CLIENT, STRANGER = "84951234567", "89161234567"


class Office:
    """A PBX, Hub beside it, and an administrator with a token."""

    def __init__(self, asterisk: Asterisk, site: Site, api: aiohttp.ClientSession) -> None:
        self.asterisk, self.site, self.api = asterisk, site, api

    async def rule(self, **rules: Any) -> None:
        sales = next(t["id"] for t in (await got(self.api, "teams"))["items"] if t["name"] == "sales")
        async with self.api.post(f"teams/{sales}/rules", json=rules) as answer:
            assert answer.status == 200, await answer.text()

    async def call(self, number: str, **wanted: Any) -> dict[str, Any]:
        """Return the latest call of a number, once it is as wanted."""

        async def found() -> dict[str, Any] | None:
            rows = (await got(self.api, "calls", **{"from": number}))["items"]
            return rows[0] if rows and all(rows[0][name] == value for name, value in wanted.items()) else None

        return await wait_for(found, what=f"the call of {number} is {wanted}", deadline_s=20)  # type: ignore[arg-type]

    async def items(self, **wanted: Any) -> list[dict[str, Any]]:
        async def found() -> list[dict[str, Any]]:
            rows = (await got(self.api, "queue"))["items"]
            return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

        return await wait_for(found, what=f"a queue item with {wanted}", deadline_s=20)


@pytest.fixture
async def office(db: Database, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    # What is held here is what the answer does; a busy machine must not turn it into "no answer".
    monkeypatch.setattr(question, "DEADLINE_S", 5)
    port = free_port()
    settings = f"HUB_URL = http://127.0.0.1:{port}\nHUB_PBX = office\nHUB_ASK_S = 5"
    async with running_asterisk(ring_s=2, wait_s=20, settings=settings) as asterisk:
        pbx = msgspec.structs.replace(asterisk.pbx_settings(), dialplan_secret=Secret(Asterisk.ASK_SECRET))
        hub = Settings(hub=HubSection(language="en"), web=WebSection(port=port), pbx=(pbx,))
        async with db.begin() as conn:
            for name in ("sales", "support"):
                await people.ensure_team(conn, name, now=utc_now())
            queues = {f"hub-{name}": team_id for team_id, name in (await people.team_names(conn)).items()}
        service = asyncio.ensure_future(PbxService(db, pbx, CallIntake(db, Linker("RU"), queues)).run())
        async with running_site(db, blobs, settings=hub, port=port) as site:
            await site.person("boss", role="admin", team=None)
            anna = await site.person("anna", extension="101")
            api = await site.api("boss")
            async with api.post("clients", json={"name": "Ромашка", "phones": [CLIENT]}) as made:
                assert made.status == 201
            async with db.begin() as conn:
                await conn.execute(sa.update(clients).values(owner_id=anna.user_id))

            async def is_up() -> bool:
                async with db.read() as conn:
                    return (await conn.execute(sa.select(pbx_states.c.state))).scalar() == "up"

            await wait_for(is_up, what="the PBX is up", deadline_s=20)
            yield Office(asterisk, site, api)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)


async def test_rules_said_on_the_page_are_what_callers_meet_and_hub_hears_what_became_of_them(office: Office) -> None:
    asterisk, api = office.asterisk, office.api
    support = next(t["id"] for t in (await got(api, "teams"))["items"] if t["name"] == "support")
    await office.rule(personal_s=6, overflow_team_id=support, overflow_s=1, when_closed="voicemail", record_calls=True)

    # the client's own manager is rung first, sees the call on the desk, and has it
    async with phone(asterisk, "101", "no_answer") as own, caller(asterisk, CLIENT) as client:
        await office.call("+74951234567", state="ringing")
        anna = await office.site.browser("anna")

        async def on_desk() -> bool:
            async with anna.get("/desk/call") as answer:
                return "Ромашка" in await answer.text()

        await wait_for(on_desk, what="the call is on the manager's desk")
        assert (await got(api, "queue"))["items"] == [], "the team is not asked yet"
        await client.hang_up()
        ended = await office.call("+74951234567", state="ended")
        assert ended["outcome"] == "missed" and ended["team"]["name"] == "sales"
        assert any(line.startswith("INVITE") for line in own.first_lines("received"))
    assert [item["kind"] for item in await office.items(kind="lead")] == ["lead"], "a call-back for the team"

    async def would_ring() -> bool:
        found = await got(api, "route", team=str(ended["team"]["id"]), **{"from": CLIENT})
        return any(step["name"] == "personal" and step["why"] == "rings" for step in found["steps"])

    await wait_for(would_ring, what="the manager's phone is known to be free again")
    async with phone(asterisk, "101", talk_ms=300), caller(asterisk, CLIENT):
        answered = await office.call("+74951234567", outcome="answered")
        assert answered["answered_by"]["extension"] == "101"
        assert {leg["result"] for leg in answered["legs"]} == {"answered"}

    await wait_for(would_ring, what="the manager's phone is known to be free again")
    # a manager who rejects is not rung again: the team has the call, then the other team
    async with phone(asterisk, "101", "reject", calls=5) as own, caller(asterisk, CLIENT) as client:
        (item,) = await office.items(kind="call")
        (moved,) = await office.items(kind="call", team=support)
        assert moved["id"] == item["id"], "one item, handed on"
        assert sum(line.startswith("INVITE") for line in own.first_lines("received")) == 1
        await client.hang_up()
        ended = await office.call("+74951234567", state="ended", outcome="abandoned")
        assert ended["team"]["name"] == "support"

    # closed: a voicemail is an outcome and one call-back, not two
    await office.rule(hours={"mon": []}, personal_s=6)
    async with phone(asterisk, "101") as own:
        async with caller(asterisk, STRANGER) as stranger:
            monitor = asterisk.home / "spool" / "monitor"

            async def is_recorded() -> bool:
                speak(stranger)
                files = list(monitor.rglob("*-voicemail.wav"))
                return bool(files) and files[0].stat().st_size > 3 * 16_000

            await wait_for(is_recorded, what="three seconds are recorded", deadline_s=40)
            await stranger.hang_up()
        await office.call("+79161234567", state="ended", outcome="voicemail")
        assert own.first_lines("received") == [], "nobody is rung while the team is closed"
    (lead,) = [one for one in (await got(api, "leads"))["items"] if one["address"] == "+79161234567"]
    assert (lead["reason"], lead["times"]) == ("callback", 1)

    # closed: pressing 1 is one more call of the same lead, again once
    await office.rule(when_closed="callback")
    ami = await Ami.open(asterisk)
    async with caller(asterisk, STRANGER):
        await ami.count(b"UserEvent: HubClosed", 1)
        channel = ami.header(b"UserEvent: HubClosed", b"Channel")
        await press(ami, channel, "1", until=b"UserEvent: HubCallback")
        await ami.count(HUNG_UP, 1)
    await office.call("+79161234567", state="ended", outcome="missed")
    (lead,) = [one for one in (await got(api, "leads"))["items"] if one["address"] == "+79161234567"]
    assert (lead["reason"], lead["times"]) == ("callback", 2)

    # blocked: rejected, marked, and nobody owes them a call
    async with api.post("blocked", json={"kind": "pattern", "pattern": "+7495*"}) as answer:
        assert answer.status == 201
    leads_before = (await got(api, "leads"))["items"]
    async with caller(asterisk, CLIENT) as client:
        await client.ended()
    blocked = await office.call("+74951234567", state="ended", outcome="rejected")
    assert blocked["blocked"] is True
    assert (await got(api, "leads"))["items"] == leads_before
    async with (await office.site.browser("boss")).get("/calls") as answer:
        assert "badge--bad" in await answer.text()
    ami.close()


async def test_the_clients_name_stands_on_the_phone_of_who_takes_the_call(office: Office) -> None:
    asterisk = office.asterisk
    async with office.api.post("clients", json={"name": 'ООО "Лютик" <Юг>', "phones": ["84957654321"]}) as made:
        assert made.status == 201
    for number, shown in (("84957654321", '"ООО Лютик Юг"'), (CLIENT, '"Ромашка"')):
        async with phone(asterisk, "101", talk_ms=300) as desk, caller(asterisk, number, name="WRONG NAME"):
            (item,) = await office.items(kind="call", state="waiting")
            anna = await office.site.api("anna")
            async with anna.post(f"calls/{item['ref']}/take", json={}) as answer:
                assert answer.status in (200, 202), await answer.text()
            await office.call(f"+7{number[1:]}", state="ended", outcome="answered")
            assert f"From: {shown} <sip:{number}@" in desk.received()
