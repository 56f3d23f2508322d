"""A call on a real Asterisk, through the running service: waits, is taken once, talked, and stands where it belongs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import ANNA, BORIS, listed, make_client, office, one_waiting, the_call
from tests.testbed import sipp
from tests.testbed.hub import Hub
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.asterisk


async def test_two_take_at_once_one_talks_and_the_call_stands_on_the_card(tmp_path: Path) -> None:
    async with office(tmp_path) as (asterisk, hub):
        client_id = await make_client(hub, "ООО «Ромашка»", "+7 (495) 123-45-67")
        async with (
            sipp.phone(asterisk, "101", talk_ms=2000),
            sipp.phone(asterisk, "102", talk_ms=2000),
            sipp.caller(asterisk, "84951234567", name="ROMASHKA") as caller,
        ):
            item = await one_waiting(hub, ANNA)
            assert (item["title"], item["client"]) == ("ООО «Ромашка»", client_id)
            assert (await one_waiting(hub, BORIS))["id"] == item["id"]
            await wait_for(lambda: _music(caller), what="music at the caller's ear")
            answers = await asyncio.gather(
                *(hub.api(who, "POST", f"/queue/{item['id']}/claim") for who in (ANNA, BORIS))
            )
            assert sorted(status for status, _ in answers) == [200, 409]
            lost: Any = next(answer for status, answer in answers if status == 409)
            winner = "Анна Иванова" if answers[0][0] == 200 else "Борис Кузнецов"
            assert lost["error"]["code"] == "already_claimed"
            assert lost["error"]["details"]["owner"]["name"] == winner
            call = await the_call(hub, state="ended", outcome="answered")
        assert (call["client"]["id"], call["estimated"], call["direction"]) == (client_id, False, "inbound")
        assert call["answered_by"]["extension"] == ("101" if winner.startswith("Анна") else "102")
        assert 1.5 <= call["talk_s"] <= 3.5
        assert [(leg["role"], leg["result"]) for leg in call["legs"]][1] == ("callee", "answered")
        assert len(call["legs"]) == 2
        entries = await listed(hub, ANNA, f"/clients/{client_id}/timeline")
        assert [(e["kind"], e["data"]["outcome"]) for e in entries] == [("call", "answered")]
        assert await listed(hub, ANNA, "/queue") == []


async def _music(caller: sipp.SippCall) -> bool:
    return caller.music_packets() > 20


@pytest.mark.parametrize("behaviour", ["no_answer", "busy", "reject"])
async def test_a_manager_who_does_not_pick_up_costs_the_caller_nothing(
    tmp_path: Path, behaviour: sipp.Behaviour
) -> None:
    async with office(tmp_path, ring_s=2) as (asterisk, hub):
        async with sipp.caller(asterisk, "84951234567") as first:
            item = await one_waiting(hub, ANNA)
            async with sipp.phone(asterisk, "101", behaviour):
                status, _ = await hub.api(ANNA, "POST", f"/queue/{item['id']}/claim")
                assert status == 200
                back = await wait_for(lambda: _again(hub, item["id"]), what="the call waits again", deadline_s=15)
            assert back["queued_at"] == item["queued_at"], "first in line, as before"
            heard = first.music_packets()
            await wait_for(lambda: _more_music(first, heard), what="the music goes on")
            assert first.is_alive
            assert not any(line.startswith("BYE") for line in first.first_lines("received"))
            async with sipp.phone(asterisk, "102", talk_ms=500):
                status, _ = await hub.api(BORIS, "POST", f"/queue/{item['id']}/claim")
                assert status == 200
                call = await the_call(hub, state="ended", outcome="answered")
        assert call["answered_by"]["extension"] == "102"


async def _again(hub: Hub, item_id: int) -> dict[str, Any] | None:
    items = await listed(hub, BORIS, "/queue")
    return next((i for i in items if i["id"] == item_id and i["state"] == "waiting"), None)


async def _more_music(caller: sipp.SippCall, heard: int) -> bool:
    return caller.music_packets() > heard + 20


async def test_a_caller_who_hangs_up_while_waiting_is_missed_and_becomes_a_call_back(tmp_path: Path) -> None:
    async with office(tmp_path) as (asterisk, hub):
        async with sipp.caller(asterisk, "89161234567", hold_ms=3000):
            item = await one_waiting(hub, ANNA)
            assert item["client"] is None
            call = await the_call(hub, state="ended")
        assert call["outcome"] == "abandoned"
        lead_item = await one_waiting(hub, ANNA, kind="lead")
        assert lead_item["data"]["reason"] == "callback"
        (lead,) = await listed(hub, ANNA, "/leads")
        assert (lead["address"], lead["times"]) == ("+79161234567", 1)


async def test_click_to_call_rings_the_manager_then_the_client_and_is_on_the_card_as_outbound(tmp_path: Path) -> None:
    async with office(tmp_path) as (asterisk, hub):
        client_id = await make_client(hub, "ООО «Ромашка»", "8 495 123-45-67")
        async with sipp.phone(asterisk, "101") as manager, sipp.phone(asterisk, "trunk", talk_ms=1200) as client:
            body = {"to": "8 (495) 123-45-67", "client": client_id}
            for _click in range(2):
                status, answer = await hub.api(
                    ANNA, "POST", "/calls", json=body, headers_extra={"Idempotency-Key": "one-click"}
                )
                assert status == 202, answer
            call = await the_call(hub, state="ended", outcome="answered")
            assert sum(line.startswith("INVITE") for line in manager.first_lines("received")) == 1
            assert sum(line.startswith("INVITE") for line in client.first_lines("received")) == 1
        assert (call["direction"], call["client"]["id"]) == ("outbound", client_id)
        assert (call["to"]["number"], call["from"]["raw"]) == ("+74951234567", "101")
        entries = await listed(hub, ANNA, f"/clients/{client_id}/timeline")
        assert [(e["kind"], e["data"]["direction"]) for e in entries] == [("call", "outbound")]
