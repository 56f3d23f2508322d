"""Calls and the queue over the API: the register, the claim, click-to-call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from hub.telephony.models import call_intents
from tests.factories import got, made, post
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def intents(site: Site) -> list[Any]:
    async with site.db.read() as conn:
        return list(await conn.execute(sa.select(call_intents).order_by(call_intents.c.id)))


async def test_a_call_has_the_contracts_shape_and_is_on_its_clients_card(site: Site) -> None:
    olga = await site.person("olga", extension="101")
    api = await site.api("olga")
    client = await made(api)
    call_id, _, snapshot = await talk.waiting_call(site.db, number="84951234567", name="Romashka")
    await talk.answered(site.db, snapshot, extension="101")
    call = await got(api, f"calls/{call_id}")
    assert call["from"] == {"raw": "84951234567", "number": "+74951234567", "name": "Romashka", "extension": None}
    assert (call["state"], call["outcome"], call["wait_s"], call["talk_s"]) == ("ended", "answered", 5.0, 65.0)
    assert call["answered_by"] == {"extension": "101", "user": olga.user_id}
    assert call["client"] == {"id": client["id"], "name": client["name"]}
    assert call["link"] == {"reason": "client", "confidence": "exact", "manual": False}
    assert [(leg["role"], leg["extension"], leg["result"]) for leg in call["legs"]] == [
        ("caller", None, None),
        ("callee", "101", "answered"),
    ]
    assert call["started_at"].endswith("Z")
    assert (call["recordings"], call["result"], call["note"], call["transfers"]) == ([], None, None, [])
    entries = (await got(api, f"clients/{client['id']}/timeline"))["items"]
    assert [(one["kind"], one["ref"]) for one in entries] == [("call", call_id)]


async def test_the_register_is_narrowed_by_each_filter(site: Site) -> None:
    olga = await site.person("olga", extension="101")
    api = await site.api("olga")
    first, _, snapshot = await talk.waiting_call(site.db, number="84951234567")
    await talk.answered(site.db, snapshot, extension="101")
    second, _, _ = await talk.waiting_call(site.db, number="89161234567")

    async def ids(**params: str) -> list[int]:
        return [one["id"] for one in (await got(api, "calls", **params))["items"]]

    assert await ids() == [second, first]
    assert await ids(user=str(olga.user_id)) == [first]
    assert await ids(state="waiting") == [second]
    assert await ids(outcome="answered") == [first]
    assert await ids(linked_id=snapshot.linked_id) == [first]
    assert await ids(**{"from": "+7 495 123-45-67"}) == [first]
    assert await ids(to="+74950000001") == [second, first]
    assert await ids(**{"from": "2026-01-01"}) == [second, first]
    assert await ids(to="2026-01-01T00:00:00Z") == []
    assert await ids(direction="outbound") == []
    assert await ids(team=str(min(olga.team_ids)), pbx="office") == [second, first]


async def test_of_two_who_claim_one_wins_and_the_other_reads_who(site: Site) -> None:
    await site.person("olga", extension="101")
    await site.person("pavel", extension="102")
    olga, pavel = await site.api("olga"), await site.api("pavel")
    _, item_id, _ = await talk.waiting_call(site.db)
    answers = await asyncio.gather(*(post(api, f"queue/{item_id}/claim") for api in (olga, pavel) * 5))
    lost = [body["error"] for status, body in answers if status == 409]
    won = [body for status, body in answers if status == 200]
    assert len(lost) == len(won) == 5
    assert {error["code"] for error in lost} == {"already_claimed"}
    assert {error["details"]["owner"]["id"] for error in lost} == {won[0]["owner"]["id"]}
    assert all(error["details"]["claimed_at"].endswith("Z") for error in lost)
    assert [one.kind for one in await intents(site)] == ["take"], "however often the winner asks, the PBX is asked once"


async def test_a_claim_that_cannot_ring_a_phone_is_no_claim(site: Site) -> None:
    api = await site.api("olga")
    _, item_id, _ = await talk.waiting_call(site.db)
    status, body = await post(api, f"queue/{item_id}/claim")
    assert (status, body["error"]["code"]) == (400, "no_extension")
    assert [one["id"] for one in (await got(api, "queue"))["items"]] == [item_id]


async def test_a_foreign_teams_queue_is_neither_seen_nor_taken(site: Site) -> None:
    await site.person("stranger", team="support", extension="201")
    foreign = await site.api("stranger")
    call_id, item_id, _ = await talk.waiting_call(site.db)
    assert (await got(foreign, "queue"))["items"] == []
    assert (await post(foreign, f"queue/{item_id}/claim"))[0] == 404
    assert (await post(foreign, f"calls/{call_id}/take"))[0] == 404
    await got(foreign, f"calls/{call_id}", 404)
    assert await intents(site) == []


async def test_what_is_taken_is_given_back_and_finished_by_its_holder_alone(site: Site) -> None:
    await site.person("olga", extension="101")
    olga, pavel = await site.api("olga"), await site.api("pavel")
    call_id, item_id, _ = await talk.waiting_call(site.db)
    assert (await post(olga, f"calls/{call_id}/take"))[0] == 202
    assert [one["id"] for one in (await got(olga, "queue", state="claimed", mine="true"))["items"]] == [item_id]
    assert (await post(pavel, f"queue/{item_id}/release"))[1]["error"]["code"] == "not_yours"
    assert (await post(olga, f"queue/{item_id}/release"))[1]["state"] == "waiting"
    assert (await post(olga, f"queue/{item_id}/claim"))[1]["state"] == "claimed"
    assert (await post(olga, f"queue/{item_id}/done"))[1]["state"] == "done"
    status, body = await post(olga, f"queue/{item_id}/claim")
    assert (status, body["error"]["code"]) == (409, "not_waiting")


async def test_one_key_dials_once_and_a_number_that_is_none_never(site: Site) -> None:
    await site.person("olga", extension="101")
    api = await site.api("olga")
    client = await made(api)
    body = {"to": "8 (495) 123-45-67", "client": client["id"]}
    for _ in range(3):
        status, answer = await post(api, "calls", json=body, headers={"Idempotency-Key": "click-1"})
        assert status == 202
    assert [(one.kind, one.number, one.extension) for one in await intents(site)] == [("dial", "+74951234567", "101")]
    assert answer == {"intent": (await intents(site))[0].id}
    for bad in ("+7495123456", "1234567890123", "PJSIP/1&PJSIP/trunk/1900", "+749512345678,1", "", "+7\r\n495"):
        status, answer = await post(api, "calls", json={"to": bad})
        assert (status, answer["error"]["code"]) == (400, "bad_number"), bad
    status, answer = await post(api, "calls", json={"to": "112"})
    assert (status, answer["error"]["code"]) == (403, "emergency_number")
    assert (await post(api, "calls", json={"to": "+74951234567", "context": "x"}))[0] == 400
    assert (await post(api, "calls", json={"to": "+74951234567", "client": 999}))[0] == 404
    assert (await post(api, "calls", json={"to": "+74951234567", "contact": 999}))[0] == 404
    assert len(await intents(site)) == 1
