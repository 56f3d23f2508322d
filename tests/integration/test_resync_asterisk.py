"""A real Asterisk whose AMI line is cut, falls silent, or which dies itself, in the middle of calls. Both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people, queue
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.store.engine import Database
from hub.telephony.control import control
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import calls, pbx_states
from hub.telephony.service import PbxService
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.proxy import Gate, running_gate
from tests.testbed.sipp import caller, phone
from tests.testbed.waiting import wait_for

pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(180)]


class Office:
    """Anna of sales, on extension 101, and Hub's service on an Asterisk behind a gate."""

    def __init__(self, db: Database, asterisk: Asterisk, gate: Gate, anna: Actor) -> None:
        self.db, self.asterisk, self.gate, self.anna = db, asterisk, gate, anna

    async def call(self, number: str, **wanted: Any) -> dict[str, Any]:
        wanted["from_number"] = number

        async def found() -> dict[str, Any] | None:
            async with self.db.read() as conn:
                rows = [dict(row) for row in (await conn.execute(sa.select(calls))).mappings()]
            assert len([row for row in rows if row["from_number"] == number]) <= 1, "one call, one row"
            return next((row for row in rows if wanted.items() <= row.items()), None)

        return await wait_for(found, what=f"a call with {wanted}", deadline_s=15)

    async def until(self, state: str) -> float:
        """Wait for a state of the PBX; return how long that took, in seconds."""
        began = asyncio.get_running_loop().time()

        async def reached() -> bool:
            async with self.db.read() as conn:
                return (await conn.execute(sa.select(pbx_states.c.state))).scalar() == state

        await wait_for(reached, what=f"the PBX is {state}", deadline_s=40)
        return asyncio.get_running_loop().time() - began

    async def item(self, call_id: int) -> queue.Item:
        async with self.db.read() as conn:
            item = await queue.find_by_thing(conn, "call", call_id)
        assert item
        return item

    async def take(self, call_id: int) -> queue.Item:
        async with self.db.begin() as conn:
            taken = await queue.claim(conn, self.anna, (await self.item(call_id)).id, now=utc_now())
            await control.take(conn, self.anna, taken, now=utc_now())
        return taken

    async def callbacks(self) -> set[str]:
        async with self.db.read() as conn:
            items = await queue.listed(conn, self.anna, state="waiting")
        return {item.address for item in items if item.kind == "lead"}


@asynccontextmanager
async def office(db: Database, *, has_records: bool = False) -> AsyncIterator[Office]:
    """`has_records`: Hub may read the PBX's own records of calls."""
    async with db.begin() as conn:
        person = {"email": "anna@hub.test", "name": "Анна", "role": "manager", "password_hash": "x"}
        user_id = await people.add_user(conn, **person, team_names=["sales"], extension="101", now=utc_now())  # type: ignore[arg-type]
        anna = await load_actor(conn, user_id)
        teams = {f"hub-{name}": team_id for team_id, name in (await people.team_names(conn)).items()}
    assert anna
    async with running_asterisk(ring_s=4) as asterisk, running_gate(asterisk.ami_port) as gate:
        records = str(asterisk.home / "log/cdr-csv/Master.csv") if has_records else ""
        settings = msgspec.structs.replace(asterisk.pbx_settings(), port=gate.port, cdr_csv=records)
        one = Office(db, asterisk, gate, anna)
        service = asyncio.ensure_future(PbxService(db, settings, CallIntake(db, Linker("RU"), teams)).run())
        try:
            await one.until("up")
            yield one
        finally:
            service.cancel()
            await asyncio.gather(service, return_exceptions=True)


async def test_what_happens_behind_a_cut_and_a_silent_line_is_told_once_it_is_back(db: Database) -> None:
    async with office(db) as here, AsyncExitStack() as open_:
        await open_.enter_async_context(phone(here.asterisk, "101"))
        talker = await open_.enter_async_context(caller(here.asterisk, "84951110001"))
        talking = await here.call("+74951110001", state="waiting")
        claim = await here.take(talking["id"])
        await here.call("+74951110001", state="talking")
        async with db.begin() as conn:
            await conn.execute(sa.update(calls).where(calls.c.id == talking["id"]).values(note="договорились"))
        await open_.enter_async_context(caller(here.asterisk, "84951110002"))
        waiting = await here.item((await here.call("+74951110002", state="waiting"))["id"])
        leaver = await open_.enter_async_context(caller(here.asterisk, "84951110003"))
        leaving = await here.call("+74951110003", state="waiting")

        here.gate.close()
        await here.until("down")
        cut_at = asyncio.get_running_loop().time()
        await leaver.hang_up()
        await leaver.ended()
        await open_.enter_async_context(caller(here.asterisk, "84951110004"))
        await asyncio.sleep(max(0.0, 10 - (asyncio.get_running_loop().time() - cut_at)))  # the fault itself: 10 s
        here.gate.open()
        await here.until("up")

        gone = await here.call("+74951110003", state="ended")
        assert (gone["id"], gone["estimated"], gone["outcome"]) == (leaving["id"], True, "abandoned")
        assert await here.callbacks() == {"+74951110003"}
        newcomer = await here.call("+74951110004", state="waiting")
        assert (await here.item(newcomer["id"])).state == "waiting"
        stayed = await here.item(waiting.ref_id)
        assert (stayed.id, stayed.state, stayed.queued_at) == (waiting.id, "waiting", waiting.queued_at)
        lives = await here.call("+74951110001", state="talking")
        kept = await here.item(talking["id"])
        assert (kept.claim_id, kept.owner_id) == (claim.claim_id, here.anna.user_id)
        assert (lives["answered_user_id"], lives["note"]) == (here.anna.user_id, "договорились")

        here.gate.silence()
        assert await here.until("down") < 15, "a half-open line is noticed within 15 s"
        here.gate.open()
        await here.until("up")
        assert (await here.call("+74951110001", state="talking"))["id"] == talking["id"]
        await talker.hang_up()
        ended = await here.call("+74951110001", state="ended")
        assert (ended["id"], ended["outcome"], ended["note"]) == (talking["id"], "answered", "договорились")
        assert ended["talk_s"] > 20, "the talk went on through both"
        assert (await here.item(talking["id"])).state == "done"


async def test_a_pbx_that_dies_in_mid_call_ends_its_calls_and_begins_anew(db: Database) -> None:
    async with office(db) as here, AsyncExitStack() as open_:
        await open_.enter_async_context(phone(here.asterisk, "101"))
        await open_.enter_async_context(caller(here.asterisk, "84951110001"))
        talking = await here.call("+74951110001", state="waiting")
        await here.take(talking["id"])
        await here.call("+74951110001", state="talking")
        await open_.enter_async_context(caller(here.asterisk, "84951110002"))
        await here.call("+74951110002", state="waiting")
        await here.asterisk.restart()
        answered = await here.call("+74951110001", state="ended")
        assert (answered["estimated"], answered["outcome"]) == (True, "answered")
        waited = await here.call("+74951110002", state="ended")
        assert (waited["estimated"], waited["outcome"]) == (True, "abandoned")
        await here.until("up")
        await open_.enter_async_context(caller(here.asterisk, "84951110005"))
        fresh = await here.call("+74951110005", state="waiting")
        assert fresh["boot"] != talking["boot"]
        assert await here.callbacks() == {"+74951110002"}
