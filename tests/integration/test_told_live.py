"""Calls of a real Asterisk in the register: attached to in mid-call, and handed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from hub.store.engine import Database
from hub.telephony.health import states
from hub.telephony.models import calls, merged_calls
from hub.telephony.service import PbxService
from tests.testbed import talk
from tests.testbed.ami import Ami
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.recorded.transfers import attended_transfer_by_the_phone, talking
from tests.testbed.sipp import caller, phone
from tests.testbed.waiting import wait_for
from tests.testbed.within import hold

pytestmark = [pytest.mark.asterisk, pytest.mark.either_database]


@asynccontextmanager
async def hub(db: Database, asterisk: Asterisk) -> AsyncIterator[None]:
    service = PbxService(db, asterisk.pbx_settings(), await talk.intake(db, "sales"))
    task = asyncio.create_task(service.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def is_up(db: Database) -> bool:
    async with db.read() as conn:
        return [one.state for one in await states(conn, ("office",))] == ["up"]


async def told(db: Database) -> list[Any]:
    async with db.read() as conn:
        return list((await conn.execute(sa.select(calls).order_by(calls.c.started_at, calls.c.id))).all())


async def test_what_stands_waiting_parked_or_held_is_told_so_by_a_hub_that_starts_in_mid_call(db: Database) -> None:
    async with running_asterisk() as asterisk:
        ami = await Ami.open(asterisk)
        async with (
            caller(asterisk, "84950000001"),
            talking(asterisk, ami),
            phone(asterisk, "102") as desk,
        ):
            await ami.count(b"Event: QueueCallerJoin\r\n", 1)
            parked = ami.header(b"Event: BridgeEnter\r\n", b"Channel")
            trunk = ami.channel("PJSIP/trunk-")
            await ami.send("Park", Channel=trunk, TimeoutChannel=parked)
            await ami.count(b"Event: ParkedCall\r\n", 1)
            async with caller(asterisk, "103", did="102", line="103"):
                await ami.in_talk("PJSIP/102-")
                await hold(asterisk, desk)
                await ami.count(b"State: ONHOLD\r\n", 1)
                async with hub(db, asterisk):

                    async def all_three() -> object:
                        return {row.from_raw: row.state for row in await told(db)} == {
                            "84950000001": "waiting",
                            "84951234567": "held",
                            "103": "held",
                        }

                    await wait_for(all_three, what="the three callers stand where they stand")
        ami.close()


async def test_a_call_that_was_handed_on_is_one_row_that_says_who_has_it(db: Database) -> None:
    async with running_asterisk() as asterisk:
        ami = await Ami.open(asterisk)
        async with hub(db, asterisk):
            await wait_for(lambda: is_up(db), what="Hub is connected")
            await attended_transfer_by_the_phone(asterisk, ami)

            async def over() -> object:
                rows = await told(db)
                return bool(rows) and all(row.state == "ended" for row in rows)

            await wait_for(over, what="the call is over")
        ami.close()
    (row,) = await told(db)
    assert (row.outcome, row.answered_extension, row.from_raw) == ("answered", "102", "84951234567")
    assert [(one["kind"], one["by"], one["to"], one["completed"]) for one in row.transfers] == [
        ("attended", "101", "102", True)
    ]
    async with db.read() as conn:
        assert (await conn.execute(sa.select(merged_calls.c.call_id))).scalar_one() == row.id
