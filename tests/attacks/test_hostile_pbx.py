"""What a caller or a PBX says against Hub: names that are markup or tricks, values no Asterisk would send, floods."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.crm.linking import Linker
from hub.demo.pbx import ScriptedPbx
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import calls, pbx_states
from hub.telephony.service import PbxService
from tests.testbed.site import Site, running_site
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database

NAMES = {
    "markup": '"><img src=x onerror=alert(1)>',
    "template": "{{ 7 * 191 }}{% raw %}",
    "right to left": "\u202egnp.exe \u2066x",
    "terminal": "\x1b[2J\x1b[31mred",
    "nul": "a\x00b",
    "long": "Я" * 2_048,
    "formula": '=HYPERLINK("http://evil.example","x")',
}


@asynccontextmanager
async def served(db: Database, pbx: ScriptedPbx) -> AsyncIterator[asyncio.Future[None]]:
    async with db.begin() as conn:
        for name in ("sales", "support"):
            await people.ensure_team(conn, name, now=utc_now())
        teams = {f"hub-{name}": team_id for team_id, name in (await people.team_names(conn)).items()}
    service = asyncio.ensure_future(PbxService(db, pbx.settings(), CallIntake(db, Linker("RU"), teams)).run())
    try:
        await until_up(db)
        yield service
    finally:
        service.cancel()
        results = await asyncio.gather(service, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def until_up(db: Database) -> None:
    async def up() -> bool:
        async with db.read() as conn:
            return (await conn.execute(sa.select(pbx_states.c.state))).scalar() == "up"

    await wait_for(up, what="the PBX is up", deadline_s=20)


async def rows(db: Database) -> list[dict[str, Any]]:
    async with db.read() as conn:
        return [dict(row) for row in (await conn.execute(sa.select(calls).order_by(calls.c.id))).mappings()]


async def until_waiting(db: Database, number: str) -> None:
    async def found() -> bool:
        return (number, "waiting") in [(row["from_number"], row["state"]) for row in await rows(db)]

    await wait_for(found, what=f"{number} waits", deadline_s=20)


async def said(site: Site, who: str, path: str) -> str:
    browser = await site.browser(who)
    async with browser.get(path) as answer:
        assert answer.status == 200, path
        return await answer.text()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_a_callers_name_is_text_on_every_page_in_the_api_the_stream_and_the_log(
    db: Database, blobs: BlobStore, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with ScriptedPbx(speed=10) as pbx, served(db, pbx), running_site(db, blobs) as site:
        await site.person("anna", extension="101")
        await site.person("olga", role="admin", team=None)
        pbx.call_in("84951234567", name=name)
        await until_waiting(db, "+74951234567")
        pages = [
            await said(site, who, path) for who, path in (("anna", "/desk"), ("olga", "/calls"), ("anna", "/leads"))
        ]
        data = []
        api = await site.api("anna")
        for path in ("queue", "calls", "leads"):
            async with api.get(path) as answer:
                data.append(json.dumps(await answer.json(), ensure_ascii=False))
        async with api.get("events", headers={"Last-Event-ID": "0.0"}) as stream:
            data.append((await stream.content.read(65536)).decode())
        for text in pages:
            assert "<img src=x" not in text
            assert not re.search(r"\b1337\b", text)
        for text in pages + data:
            found = [text[max(0, at - 60) : at + 20] for c in "\x00\x1b\u202e\u2066\u200f" if (at := text.find(c)) >= 0]
            assert not found
            assert "Я" * 600 not in text, "a name is cut to what a line can show"
        assert "\x1b" not in caplog.text


HOSTILE_FRAMES: dict[str, dict[str, str]] = {
    "an id no Asterisk gives": {"Uniqueid": "1" * 4_000, "Linkedid": "1" * 4_000, "Channel": "PJSIP/trunk-00000001"},
    "an endless channel name": {"Uniqueid": "7.1", "Linkedid": "7.1", "Channel": "PJSIP/" + "x" * 4_000},
    "nul in every value": {"Uniqueid": "7\x00.2", "Linkedid": "7\x00.2", "Channel": "PJSIP/tr\x00unk-00000002"},
    "an endless number": {"Uniqueid": "7.3", "Linkedid": "7.3", "Channel": "PJSIP/trunk-3", "CallerIDNum": "9" * 4_000},
    "an endless destination": {"Uniqueid": "7.4", "Linkedid": "7.4", "Channel": "PJSIP/trunk-4", "Exten": "8" * 4_000},
    "an extension that is a phrase": {"Uniqueid": "7.5", "Linkedid": "7.5", "Channel": "PJSIP/'; DROP TABLE calls;--5"},
    "no values": {"Uniqueid": "", "Linkedid": "", "Channel": ""},
    "control characters in a number": {
        "Uniqueid": "7.6", "Linkedid": "7.6", "Channel": "PJSIP/trunk-6", "CallerIDNum": "7\x1b[31m\x00495",
    },
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE_FRAMES.values(), ids=HOSTILE_FRAMES)
async def test_no_frame_stops_hub_and_the_next_caller_is_told(db: Database, hostile: dict[str, str]) -> None:
    shape = {"ChannelState": "4", "ChannelStateDesc": "Ring", "Context": "from-trunk", "Priority": "1"}
    async with ScriptedPbx(speed=10) as pbx, served(db, pbx) as service:
        pbx.say("Newchannel", shape | hostile)
        about = {k: v for k, v in hostile.items() if k in ("Uniqueid", "Linkedid", "Channel")}
        long = {"Queue": "q" * 4_000, "Did": "\x00" * 50, "Claim": "x" * 4_000, "Extension": "1&2,3", "To": "9" * 4_000}
        for event in ("HubWaiting", "HubClaimStarted", "HubClaimFailed", "HubDial", "HubRecording", "HubNews"):
            pbx.say("UserEvent", shape | about | long | {"UserEvent": event, "File": "../../etc/passwd\x00"})
        pbx.say("DialBegin", shape | about | {f"Dest{k}": v for k, v in about.items()} | {"DialString": "x" * 4_000})
        pbx.say("QueueCallerJoin", shape | about | {"Queue": "hub-sales", "Position": "1"})
        pbx.say("Hold", about)
        pbx.say("Rename", about | {"Newname": "\x00" + "n" * 4_000})
        pbx.say("Hangup", about | {"Cause": "9" * 4_000})
        pbx.call_in("84951234567")
        await until_waiting(db, "+74951234567")
        assert not service.done()


async def test_a_flood_of_channels_ends_at_a_bound_and_its_neighbour_goes_on(db: Database) -> None:
    async with ScriptedPbx(speed=10) as pbx, served(db, pbx) as service:
        frame = (
            "Event: Newchannel\r\nChannel: PJSIP/trunk-{0:08x}\r\nUniqueid: 8.{0}\r\nLinkedid: 8.{0}\r\n"
            "ChannelState: 4\r\nChannelStateDesc: Ring\r\nContext: from-trunk\r\nExten: 1\r\nCallerIDNum: 2\r\n\r\n"
        )
        longest = 0.0
        for block in range(60):
            pbx.say_raw("".join(frame.format(block * 500 + n) for n in range(500)).encode())
            # By the processor's time: what other tests take from this thread is none of Hub's.
            at = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - at)
        assert not service.done()
        assert longest < 1.5, f"the loop stood still for {longest:.1f} s"
