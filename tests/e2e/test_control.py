"""What is done with a call, asked over the REST interface of a running Hub and proved at a real Asterisk's phones.

Each voice is a tone: who hears whom after a transfer, on hold or under a supervisor is measured, not believed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.desk import ADMIN, ANNA, BORIS, listed, one_waiting, pbx_toml
from tests.testbed import sipp
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.hub import Hub, running_hub
from tests.testbed.sipp import SippCall
from tests.testbed.voice import hears, is_deaf_to, speaking
from tests.testbed.waiting import wait_for

# One Asterisk and one Hub for all of it: starting them costs more than the calls do.
pytestmark = [pytest.mark.asterisk, pytest.mark.asyncio(loop_scope="module")]
CLIENT_HZ, ANNA_HZ, BORIS_HZ, OLGA_HZ = 500, 700, 900, 1_100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with (
        running_asterisk(ring_s=4) as asterisk,
        running_hub(tmp_path_factory.mktemp("hub"), pbx_toml(asterisk.pbx_settings())) as hub,
    ):
        await hub.add_user(ANNA, "Анна Иванова", "manager", ["sales"], "101")
        await hub.add_user(BORIS, "Борис Кузнецов", "manager", ["sales"], "102")
        await hub.add_user(ADMIN, "Ольга Соколова", "admin", [], "103")
        for who in (ANNA, BORIS, ADMIN):
            await hub.token(who)
        await hub.start()
        yield House(asterisk, hub)


@dataclass
class Talk:
    """Anna and a client who speak; `id` is the call's."""

    house: House
    id: int
    client: SippCall
    anna: SippCall
    open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def ask(self, what: str, who: str = ANNA, **body: Any) -> dict[str, Any]:
        """Ask for a deed and wait until it is settled; return the intent."""
        return await self.house.ask(who, f"/calls/{self.id}/{what}", **body)

    async def call(self, **wanted: Any) -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            _, call = await self.house.hub.api(ADMIN, "GET", f"/calls/{self.id}")
            assert isinstance(call, dict)
            return call if wanted.items() <= call.items() else None

        return await wait_for(found, what=f"the call with {wanted}", deadline_s=15)

    async def phone(self, extension: str, behaviour: sipp.Behaviour = "answer", *, hz: int = 0) -> SippCall:
        phone = await self.open.enter_async_context(sipp.phone(self.house.asterisk, extension, behaviour))
        if hz:
            await self.open.enter_async_context(speaking(phone, hz))
        return phone


@dataclass
class House:
    asterisk: Asterisk
    hub: Hub

    async def ask(self, who: str, path: str, **body: Any) -> dict[str, Any]:
        status, answer = await self.hub.api(who, "POST", path, json=body)
        assert status == 202, answer
        assert isinstance(answer, dict)

        async def settled() -> dict[str, Any] | None:
            _, intent = await self.hub.api(who, "GET", f"/call-intents/{answer['intent']}")
            assert isinstance(intent, dict)
            return intent if intent["state"] not in ("new", "sending") else None

        return await wait_for(settled, what=f"{path} is settled", deadline_s=10)

    async def refused(self, who: str, path: str, **body: Any) -> tuple[int, str]:
        status, answer = await self.hub.api(who, "POST", path, json=body)
        assert isinstance(answer, dict)
        return status, answer["error"]["code"]

    @asynccontextmanager
    async def talk(self, number: str, *, calls: int = 1) -> AsyncIterator[Talk]:
        """A client calls, and Anna takes the call; `calls` is how often her phone is rung in all."""
        async with (
            sipp.phone(self.asterisk, "101", calls=calls) as anna,
            sipp.caller(self.asterisk, number) as client,
            speaking(anna, ANNA_HZ),
            speaking(client, CLIENT_HZ),
            AsyncExitStack() as stack,
        ):
            item = await one_waiting(self.hub, ANNA)
            status, _ = await self.hub.api(ANNA, "POST", f"/queue/{item['id']}/claim")
            assert status == 200

            async def found() -> list[dict[str, Any]]:
                return await listed(self.hub, ADMIN, "/calls?state=talking")

            (call,) = await wait_for(found, what="Anna and the client speak", deadline_s=15)
            talk = Talk(self, call["id"], client, anna, stack)
            await hears(client, ANNA_HZ)
            yield talk
            await client.hang_up()
            await talk.call(state="ended")


async def test_a_call_is_handed_on_blindly_and_comes_back_where_nobody_takes_it(house: House) -> None:
    async with house.talk("84951110001", calls=2) as talk:
        await talk.phone("102", "reject")
        assert (await talk.ask("transfer", to="102", kind="blind"))["state"] == "sent"
        # Boris declines: the client is at Anna's phone again, which rings and is picked up a second time.
        await wait_for(lambda: _rung(talk.anna, 2), what="Anna's phone rings again", deadline_s=10)
        await hears(talk.client, ANNA_HZ)
    async with house.talk("84951110002") as talk:
        boris = await talk.phone("102", hz=BORIS_HZ)
        assert await house.refused(BORIS, f"/calls/{talk.id}/transfer", to="103") == (403, "not_your_call")
        for to, code in (("101", "already_there"), ("102&103", "bad_number"), ("112&PJSIP/102", "bad_number")):
            assert (await house.refused(ANNA, f"/calls/{talk.id}/transfer", to=to))[1] == code
        assert (await talk.ask("transfer", to="Борис Кузнецов"))["state"] == "sent"
        await hears(talk.client, BORIS_HZ)
        await hears(boris, CLIENT_HZ)
        await talk.anna.ended()
    async with house.talk("84951110003") as talk:
        outside = await talk.phone("trunk", hz=BORIS_HZ)
        assert (await talk.ask("transfer", to="+7 495 123-00-00"))["state"] == "sent"
        await hears(talk.client, BORIS_HZ)
        (invite,) = [line for line in outside.first_lines("received") if line.startswith("INVITE")]
        assert invite.startswith("INVITE sip:74951230000@")


async def _rung(phone: SippCall, times: int) -> bool:
    return sum(line.startswith("INVITE") for line in phone.first_lines("received")) >= times


async def test_a_colleague_is_asked_first_then_gets_the_client_or_the_client_comes_back(house: House) -> None:
    async with house.talk("84951120001") as talk:
        boris = await talk.phone("102", hz=BORIS_HZ)
        assert (await talk.ask("transfer", to="102", kind="attended"))["state"] == "sent"
        await hears(talk.anna, BORIS_HZ)
        await is_deaf_to(talk.client, ANNA_HZ)
        assert await house.refused(ANNA, f"/calls/{talk.id}/transfer", to="103", kind="attended") == (
            409,
            "already_asked",
        )
        assert (await talk.ask("transfer", kind="cancel"))["state"] == "sent"
        await hears(talk.client, ANNA_HZ)
        await boris.ended()
        # Asked again, and this time they are brought together.
        boris = await talk.phone("102", hz=BORIS_HZ)
        assert (await talk.ask("transfer", to="102", kind="attended"))["state"] == "sent"
        await hears(talk.anna, BORIS_HZ)
        assert (await talk.ask("transfer", kind="complete"))["state"] == "sent"
        await hears(talk.client, BORIS_HZ)
        await hears(boris, CLIENT_HZ)
        await talk.anna.ended()
    async with house.talk("84951120002") as talk:
        # Blonde: brought together while Boris's phone still rings.
        await talk.phone("102", "no_answer")
        assert (await talk.ask("transfer", to="102", kind="attended"))["state"] == "sent"
        await wait_for(lambda: _leg(talk, "102"), what="Boris's phone rings")
        assert (await talk.ask("transfer", kind="complete"))["state"] == "sent"
        await talk.anna.ended()
        assert talk.client.is_alive


async def _leg(talk: Talk, extension: str) -> bool:
    call = await talk.call()
    return any(leg["extension"] == extension and leg["rang_at"] for leg in call["legs"])


async def test_a_client_on_hold_hears_music_and_is_never_lost(house: House) -> None:
    async with house.talk("84951130001") as talk:
        assert (await talk.ask("hold"))["state"] == "sent"
        await talk.call(state="held")
        await is_deaf_to(talk.client, ANNA_HZ)
        assert await house.refused(ANNA, f"/calls/{talk.id}/hold") == (409, "call_held")
        assert (await talk.ask("unhold"))["state"] == "sent"
        await hears(talk.client, ANNA_HZ)
        await talk.call(state="talking")
        # Held again, and Anna hangs up: the client stands in the team's queue, and Boris takes them.
        assert (await talk.ask("hold"))["state"] == "sent"
        await talk.call(state="held")
        await talk.anna.hang_up()
        await talk.phone("102", hz=BORIS_HZ)
        item = await one_waiting(house.hub, BORIS)
        assert (await house.hub.api(BORIS, "POST", f"/queue/{item['id']}/claim"))[0] == 200
        await hears(talk.client, BORIS_HZ)


async def test_a_parked_client_is_taken_up_by_one_of_two_who_ask(house: House) -> None:
    async with house.talk("84951140001") as talk:
        assert (await talk.ask("park"))["state"] == "sent"
        await wait_for(lambda: _parked(talk, BORIS), what="Boris sees a parked client")
        boris = await talk.phone("102", hz=BORIS_HZ)
        assert (await talk.ask("retrieve", BORIS))["state"] == "sent"
        assert await house.refused(ADMIN, f"/calls/{talk.id}/retrieve") == (409, "being_retrieved")
        await hears(talk.client, BORIS_HZ)
        await hears(boris, CLIENT_HZ)
        assert await house.refused(ANNA, f"/calls/{talk.id}/retrieve") == (409, "not_parked")
        # What was taken up is a call like any other: it can be handed on.
        await talk.phone("103", hz=OLGA_HZ)
        assert (await talk.ask("transfer", BORIS, to="103"))["state"] == "sent"
        await hears(talk.client, OLGA_HZ)


async def _parked(talk: Talk, who: str) -> bool:
    return [one["id"] for one in await listed(talk.house.hub, who, "/parked-calls")] == [talk.id]


async def test_a_supervisor_hears_whispers_and_joins_and_the_register_tells_of_one_call(house: House) -> None:
    before = len(await listed(house.hub, ADMIN, "/calls"))
    async with house.talk("84951150001") as talk:
        assert await house.refused(BORIS, f"/calls/{talk.id}/listen") == (403, "privilege_missing")
        for how, at_anna, at_client in (("listen", False, False), ("whisper", True, False), ("barge", True, True)):
            async with sipp.phone(house.asterisk, "103") as olga, speaking(olga, OLGA_HZ):
                assert (await talk.ask(how, ADMIN))["state"] == "sent"
                await hears(olga, CLIENT_HZ)
                await hears(olga, ANNA_HZ)
                for phone, is_heard in ((talk.anna, at_anna), (talk.client, at_client)):
                    await (hears(phone, OLGA_HZ) if is_heard else is_deaf_to(phone, OLGA_HZ))
                await olga.hang_up()
                await olga.ended()
        assert len((await talk.call())["legs"]) == 2
    assert len(await listed(house.hub, ADMIN, "/calls")) == before + 1, "who listens makes no call"


async def test_a_client_whom_one_has_called_is_handed_on_like_one_who_called(house: House) -> None:
    async with (
        sipp.phone(house.asterisk, "101") as anna,
        sipp.phone(house.asterisk, "trunk") as client,
        sipp.phone(house.asterisk, "102") as boris,
        speaking(anna, ANNA_HZ),
        speaking(client, CLIENT_HZ),
        speaking(boris, BORIS_HZ),
    ):
        assert (await house.ask(ANNA, "/calls", to="+7 495 116-00-01"))["state"] == "sent"

        async def talking() -> list[dict[str, Any]]:
            return await listed(house.hub, ANNA, "/calls?state=talking")

        (call,) = await wait_for(talking, what="Anna and the client speak", deadline_s=15)
        await hears(client, ANNA_HZ)
        path = f"/calls/{call['id']}/transfer"
        assert (await house.ask(ANNA, path, to="102", kind="attended"))["state"] == "sent"
        await hears(anna, BORIS_HZ)
        assert (await house.ask(ANNA, path, kind="complete"))["state"] == "sent"
        await anna.ended()
        await hears(client, BORIS_HZ)
        await hears(boris, CLIENT_HZ)
