"""Numbers on their way out through a real Asterisk: as the routes want them, with an extension, or why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.access import Actor
from hub.settings import Pbx
from hub.store.engine import Database
from hub.telephony.control import handing
from hub.telephony.control.numbers import DialRules
from hub.telephony.models import call_intents
from hub.telephony.service import PbxService
from tests.integration.test_devices_live import asked, click, the_call
from tests.integration.test_lease_live import manager
from tests.integration.test_told_live import is_up
from tests.testbed import talk
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.sipp import SippCall, phone
from tests.testbed.waiting import wait_for

pytestmark = [pytest.mark.asterisk, pytest.mark.either_database]
ROUTES = "exten => _[+0-9]!,1,Dial(PJSIP/${FILTER(0-9,${EXTEN})}@trunk,60)"


@asynccontextmanager
async def hub(db: Database, asterisk: Asterisk, **changes: Any) -> AsyncIterator[Actor]:
    pbx: Pbx = msgspec.structs.replace(asterisk.pbx_settings(), **changes)
    task = asyncio.create_task(PbxService(db, pbx, await talk.intake(db, "sales")).run())
    try:
        await wait_for(lambda: is_up(db), what="Hub is connected")
        yield await manager(db, "anna", "101")
    finally:
        task.cancel()
        await asyncio.wait([task])


async def rewrite(asterisk: Asterisk, file: str, old: str, new: str) -> None:
    path = asterisk.home / "etc" / file
    text = path.read_text()
    assert text.count(old) == 1, text
    path.write_text(text.replace(old, new))
    await asterisk.restart()


async def reason(db: Database) -> str:
    async def told() -> str:
        async with db.read() as conn:
            return str((await conn.execute(sa.select(call_intents.c.reason))).scalar_one())

    return await wait_for(told, what="the intent says why", deadline_s=10)


def keys_heard(phone: SippCall) -> list[int]:
    """The keys that were pressed towards a phone, as telephone events in its sound (RFC 4733), each once."""
    phone.music_packets()
    # By the time at which each began: an event is some twenty packets.
    events = {packet[4:8]: packet[12] for packet in phone.heard if packet[1] & 0x7F == 101}
    return list(events.values())


async def test_a_number_goes_out_as_the_routes_take_it_and_the_extension_behind_it_is_pressed(db: Database) -> None:
    async with running_asterisk() as asterisk, hub(db, asterisk, dial_format="national") as anna:
        async with phone(asterisk, "101"), phone(asterisk, "trunk", "keys") as client:
            await click(db, anna, to="+7 495 123-45-67 доб. 12")
            call = await the_call(db, state="talking")

            async def both() -> bool:
                return keys_heard(client) == [1, 2]

            await wait_for(both, what="1 and 2 are pressed", deadline_s=10)
            await client.hang_up()
            ended = await the_call(db, state="ended")
            assert client.first_lines("received")[0] == f"INVITE sip:84951234567@127.0.0.1:{client.port} SIP/2.0"
        for row in (call, ended):
            assert (row.to_number, row.direction) == ("+74951234567", "outbound")
        assert (ended.outcome, ended.failure) == ("answered", None)


@pytest.mark.parametrize(
    ("file", "old", "new", "failure"),
    [
        ("extensions.conf", ROUTES, "exten => _8XXXXXXXXXX,1,Dial(PJSIP/${EXTEN}@trunk,60)", "no_route"),
        ("pjsip.conf", "contact = sip:trunk@127.0.0.1:", ";", "trunk_down"),
        ("extensions.conf", ROUTES, "exten => _[+0-9]!,1,Dial(PJSIP/${FILTER(0-9,${EXTEN})}@nosuch,60)", "trunk_down"),
        ("extensions.conf", ROUTES, "exten => _[+0-9]!,1,Congestion(1)", "no_route"),
    ],
    ids=["no route", "no contact", "no trunk", "nothing dialled"],
)
async def test_a_dial_that_reached_nobody_says_why(db: Database, file: str, old: str, new: str, failure: str) -> None:
    async with running_asterisk() as asterisk:
        await rewrite(asterisk, file, old, new)
        async with hub(db, asterisk) as anna, phone(asterisk, "101"):
            await click(db, anna)
            assert await reason(db) == failure
            ended = await the_call(db, state="ended")
            assert (ended.failure, ended.outcome, ended.to_number) == (failure, "failed", "+74951234567")


@pytest.mark.parametrize("behaviour", ["busy", "no_answer", "answer"])
async def test_what_a_person_did_is_no_failure_of_the_line(db: Database, behaviour: Any) -> None:
    async with running_asterisk() as asterisk:
        await rewrite(asterisk, "extensions.conf", "@trunk,60)\n same => n,Hangup()", "@trunk,1)\n same => n,Hangup()")
        async with (
            hub(db, asterisk) as anna,
            phone(asterisk, "101"),
            phone(asterisk, "trunk", behaviour, talk_ms=500 if behaviour == "answer" else 60_000),
        ):
            await click(db, anna)
            ended = await the_call(db, state="ended")
            assert (ended.failure, ended.answered_at is not None) == (None, behaviour == "answer")


async def test_a_colleague_is_called_by_a_click_and_no_trunk_is_used(db: Database) -> None:
    async with running_asterisk() as asterisk, hub(db, asterisk) as anna:
        await manager(db, "boris", "102")
        async with (
            phone(asterisk, "101"),
            phone(asterisk, "102", talk_ms=700) as other,
            phone(asterisk, "trunk") as out,
        ):
            await click(db, anna, to="102")
            ended = await the_call(db, state="ended")
            assert asked(out) == []
            assert "From: <sip:101@" in other.received() or 'From: "101" <sip:101@' in other.received()
        assert (ended.direction, ended.outcome, ended.from_extension, ended.to_extension, ended.answered_extension) == (
            "internal",
            "answered",
            "101",
            "102",
            "102",
        )


async def test_a_transfer_outside_is_written_as_the_routes_take_it(db: Database) -> None:
    async with running_asterisk() as asterisk, hub(db, asterisk, dial_format="national") as anna:
        await manager(db, "boris", "102")
        async with phone(asterisk, "101"), phone(asterisk, "102"), phone(asterisk, "trunk", talk_ms=3000) as out:
            await click(db, anna, to="102")
            call = await the_call(db, state="talking")
            async with db.begin() as conn:
                await handing.transfer(
                    conn,
                    anna,
                    call.id,
                    to="+7 916 123-45-67",
                    kind="blind",
                    request_id="hand-on",
                    rules=DialRules(region="RU"),
                    now=utc_now(),
                )
            await wait_for(lambda: _is_asked(out), what="the trunk is dialled", deadline_s=10)
            assert out.first_lines("received")[0].startswith("INVITE sip:89161234567@")


async def _is_asked(out: SippCall) -> bool:
    return bool(out.first_lines("received"))
