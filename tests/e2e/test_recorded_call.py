"""Calls that a real Asterisk records, heard through the running service: from its directory, and from a web server."""

from __future__ import annotations

import asyncio
import io
import sqlite3
import wave
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.desk import ADMIN, ANNA, BORIS, listed, one_waiting, pbx_toml, staff, the_call
from tests.testbed import sipp
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.hub import Hub, running_hub
from tests.testbed.media import speak
from tests.testbed.record import Ami
from tests.testbed.waiting import wait_for
from tests.testbed.webserver import running_webserver

pytestmark = pytest.mark.asterisk
RECORDED = "74950000105"
"""The number whose callers the testbed's dialplan records."""


def toml(asterisk: Asterisk, place: str) -> str:
    """`place` goes before the PBX's teams, which are tables of their own."""
    return pbx_toml(asterisk.pbx_settings()).replace("[[pbx.team]]", f"{place}\n[[pbx.team]]", 1)


def ask(hub: Hub, query: str) -> list[Any]:
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        return db.execute(query).fetchall()


async def heard(hub: Hub, who: str, recording: int, **headers: str) -> tuple[int, bytes]:
    url = f"{hub.url}/api/v1/recordings/{recording}/audio"
    headers["Authorization"] = f"Bearer {await hub.token(who)}"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


async def with_recording(hub: Hub, number: str) -> dict[str, Any]:
    """The call of this caller, once its recording can be heard."""

    async def found() -> dict[str, Any] | None:
        call = await _over(hub, number)
        return call if call["recordings"] else None

    return await wait_for(found, what="the recording was looked at", deadline_s=20)


def seconds_of(sound: bytes) -> float:
    """The length as Python's own reader of WAVE files tells it."""
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return file.getnframes() / 8000


async def test_a_recorded_call_is_heard_through_hub_as_long_as_the_talk(tmp_path: Path) -> None:
    async with running_asterisk() as asterisk:
        monitor = asterisk.home / "spool" / "monitor"
        async with running_hub(tmp_path, toml(asterisk, f'recordings_dir = "{monitor}"')) as hub:
            await staff(hub)
            for who in (ANNA, BORIS, ADMIN):
                await hub.token(who)
            await hub.start()
            ask_first = ask(hub, "SELECT id FROM teams WHERE name = 'sales'")[0][0]
            await _talk_with_a_pause(asterisk, hub, monitor)
            await _one_file_for_a_caller_who_comes_back(asterisk, hub)
            await _nothing_of_a_caller_whom_nobody_reached(asterisk, hub, monitor)
            await _one_recording_through_a_transfer(asterisk, hub)
            await _a_click_of_a_team_that_records(asterisk, hub, ask_first)
            call = await the_call(hub, linked_id=_first_call(hub))
            await hub.stop()
        await _from_a_web_server(asterisk, hub, monitor, call["recordings"][0]["id"])


def _first_call(hub: Hub) -> str:
    return str(ask(hub, "SELECT linked_id FROM calls ORDER BY id LIMIT 1")[0][0])


async def _talk_with_a_pause(asterisk: Asterisk, hub: Hub, monitor: Path) -> None:
    async with sipp.phone(asterisk, "101") as anna, sipp.caller(asterisk, "84951234567", did=RECORDED) as caller:
        item = await one_waiting(hub, ANNA)
        await hub.api(ANNA, "POST", f"/queue/{item['id']}/claim")
        call = await the_call(hub, state="talking")
        await asyncio.gather(speak(caller, seconds=1), speak(anna, seconds=1))
        await _switch(hub, call["id"], paused=True)
        await asyncio.gather(speak(caller, seconds=1), speak(anna, seconds=1))
        await _switch(hub, call["id"], paused=False)
        await asyncio.gather(speak(caller, seconds=1), speak(anna, seconds=1))
        await caller.hang_up()
        call = await with_recording(hub, "84951234567")
    (recording,) = call["recordings"]
    assert abs(recording["duration_s"] - 3.0) < 0.3
    _, told = await hub.api(ANNA, "GET", f"/recordings/{recording['id']}")
    peaks: list[int] = told["peaks"]  # type: ignore[index]
    assert min(max(peaks[:150]), max(peaks[450:])) > 50, "before and after"
    assert max(peaks[250:350]) == 0, "what was said while it paused is not on it"
    (file,) = monitor.rglob("*.wav")
    status, sound = await heard(hub, ANNA, recording["id"])
    assert (status, sound) == (200, file.read_bytes())
    assert seconds_of(sound) == recording["duration_s"]
    status, part = await heard(hub, ANNA, recording["id"], Range="bytes=16044-")
    assert (status, part) == (206, sound[16044:])
    assert (await heard(hub, BORIS, recording["id"]))[0] == 404, "a team mate who was not in it has no privilege"
    path, state = ask(hub, "SELECT path, state FROM recordings")[0]
    assert (path, state) == (str(file.relative_to(monitor)), "ready")
    assert ask(hub, "SELECT count(*) FROM audit WHERE action = 'recording.listened'") == [(1,)]


async def _switch(hub: Hub, call_id: int, *, paused: bool) -> None:
    """Pause or resume, and wait until the PBX has said that it did."""
    status, _ = await hub.api(BORIS, "POST", f"/calls/{call_id}/recording", json={"paused": paused})
    assert status == 403, "who is not in the call does not switch its recording"
    status, _ = await hub.api(ANNA, "POST", f"/calls/{call_id}/recording", json={"paused": paused})
    assert status == 202
    action = "recording.paused" if paused else "recording.resumed"

    async def done() -> bool:
        return bool(ask(hub, f"SELECT 1 FROM audit WHERE action = '{action}'"))

    await wait_for(done, what=action)


async def _one_file_for_a_caller_who_comes_back(asterisk: Asterisk, hub: Hub) -> None:
    async with sipp.caller(asterisk, "84951230002", did=RECORDED) as caller:
        item = await one_waiting(hub, ANNA)
        async with sipp.phone(asterisk, "101", "busy"):
            await hub.api(ANNA, "POST", f"/queue/{item['id']}/claim")
            await wait_for(lambda: _waits_again(hub, item["id"]), what="the call waits again", deadline_s=15)
        async with sipp.phone(asterisk, "102") as boris:
            await hub.api(BORIS, "POST", f"/queue/{item['id']}/claim")
            await the_call(hub, state="talking")
            await asyncio.gather(speak(caller, seconds=1), speak(boris, seconds=1))
            await caller.hang_up()
            call = await with_recording(hub, "84951230002")
    (recording,) = call["recordings"]
    assert abs(recording["duration_s"] - 1.0) < 0.3, "neither the music nor the ringing is on it"


async def _over(hub: Hub, number: str) -> dict[str, Any]:
    """The call of this caller, once it has ended."""

    async def found() -> list[dict[str, Any]]:
        return [one for one in await listed(hub, ADMIN, f"/calls?from={number}") if one["state"] == "ended"]

    (call,) = await wait_for(found, what=f"the call of {number} is over", deadline_s=20)
    return call


async def _waits_again(hub: Hub, item_id: int) -> bool:
    _, answer = await hub.api(BORIS, "GET", "/queue")
    items: Any = answer
    return any(i["id"] == item_id and i["state"] == "waiting" for i in items["items"])


async def _nothing_of_a_caller_whom_nobody_reached(asterisk: Asterisk, hub: Hub, monitor: Path) -> None:
    async with (
        sipp.phone(asterisk, "101", "no_answer") as anna,
        sipp.caller(asterisk, "84951230003", did=RECORDED) as caller,
    ):
        item = await one_waiting(hub, ANNA)
        await hub.api(ANNA, "POST", f"/queue/{item['id']}/claim")
        await wait_for(lambda: _rings(anna), what="the phone rings")
        await caller.hang_up()
        call = await _over(hub, "84951230003")
    query = f"SELECT r.state FROM recordings r WHERE r.call_id = {call['id']}"

    async def looked_at() -> bool:
        return ask(hub, query) == [("empty",)]

    await wait_for(looked_at, what="the empty file was looked at")
    assert (await _over(hub, "84951230003"))["recordings"] == []


async def _rings(phone: sipp.SippCall) -> bool:
    return any(line.startswith("INVITE") for line in phone.first_lines("received"))


async def _one_recording_through_a_transfer(asterisk: Asterisk, hub: Hub) -> None:
    async with (
        sipp.phone(asterisk, "101") as anna,
        sipp.phone(asterisk, "102") as boris,
        sipp.caller(asterisk, "84951230004", did=RECORDED) as caller,
    ):
        item = await one_waiting(hub, ANNA)
        await hub.api(ANNA, "POST", f"/queue/{item['id']}/claim")
        call = await the_call(hub, state="talking")
        await asyncio.gather(speak(caller, seconds=1), speak(anna, seconds=1))
        ami = await Ami.open(asterisk)
        (leg,) = [leg for leg in call["legs"] if leg["extension"] == "101"]
        await ami.send("BlindTransfer", Channel=leg["channel"], Context="internal", Exten="102")
        await wait_for(lambda: _rings(boris), what="the colleague's phone rings")
        await wait_for(boris._is_established, what="the colleague talks")
        await asyncio.gather(speak(caller, seconds=1), speak(boris, seconds=1))
        await caller.hang_up()
        call = await with_recording(hub, "84951230004")
    (recording,) = call["recordings"]
    assert 1.6 < recording["duration_s"] < 3.0, "both talks are on the one recording"


async def _a_click_of_a_team_that_records(asterisk: Asterisk, hub: Hub, team_id: int) -> None:
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db, db:
        db.execute(
            "INSERT INTO team_rules (team_id, record_calls, keep_recordings_days, hours, holidays) "
            "VALUES (?, 1, 30, '{}', '[]')",
            (team_id,),
        )
    async with sipp.phone(asterisk, "101") as anna, sipp.phone(asterisk, "trunk") as client:
        status, answer = await hub.api(ANNA, "POST", "/calls", json={"to": "+74951234567"})
        assert status == 202, answer
        await the_call(hub, state="talking", direction="outbound")
        await asyncio.gather(speak(client, seconds=1), speak(anna, seconds=1))
        await client.hang_up()
        call = await with_recording(hub, "101")
    (recording,) = call["recordings"]
    assert abs(recording["duration_s"] - 1.0) < 0.3
    query = f"SELECT team_id, keep_until IS NOT NULL FROM recordings WHERE id = {recording['id']}"
    assert ask(hub, query) == [(team_id, 1)]


async def _from_a_web_server(asterisk: Asterisk, hub: Hub, monitor: Path, recording: int) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(monitor / request.match_info["path"])

    async with running_webserver(serve) as address:
        text = hub.config.read_text()
        hub.config.write_text(text.replace(f'recordings_dir = "{monitor}"', f'recordings_url = "{address}"'))
        await hub.start()
        status, sound = await heard(hub, ANNA, recording)
        assert (status, abs(seconds_of(sound) - 3.0) < 0.3) == (200, True)
        assert await heard(hub, ANNA, recording, Range="bytes=1000-1999") == (206, sound[1000:2000])
        await hub.stop()
