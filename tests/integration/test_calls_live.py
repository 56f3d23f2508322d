"""Real Asterisk, the whole service and both databases: numbers, phones, hand-overs and ends once told wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, people, queue
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import call_legs, calls, pbx_states
from hub.telephony.service import PbxService
from tests.testbed.ami import HUNG_UP, IN_TALK, JOINED, Ami
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.recorded import outside
from tests.testbed.sipp import caller, phone
from tests.testbed.waiting import wait_for
from tests.testbed.within import dialog_of, hold, refer

pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(120), pytest.mark.either_database]

STRANGER = "84951234567"


class House:
    """Anna of sales on 101, Boris of support on 102, and Hub's service, which can be stopped and started again."""

    def __init__(self, db: Database, asterisk: Asterisk) -> None:
        self.db, self.asterisk = db, asterisk
        self.people: dict[str, Actor] = {}

    async def open(self) -> None:
        async with self.db.begin() as conn:
            for name, team, extension in (("anna", "sales", "101"), ("boris", "support", "102")):
                user_id = await people.add_user(
                    conn, email=f"{name}@hub.test", name=name, role="manager", password_hash="x",
                    team_names=[team], extension=extension, now=utc_now(),
                )  # fmt: skip
                actor = await load_actor(conn, user_id)
                assert actor
                self.people[name] = actor
            self.teams = {f"hub-{name}": team_id for team_id, name in (await people.team_names(conn)).items()}
        await self.start()

    async def start(self) -> None:
        intake = CallIntake(self.db, Linker("RU"), self.teams)
        self._service = asyncio.ensure_future(PbxService(self.db, self.asterisk.pbx_settings(), intake).run())
        since = utc_now()

        async def is_up() -> bool:
            async with self.db.read() as conn:
                row = (await conn.execute(sa.select(pbx_states))).first()
            return row is not None and row.state == "up" and row.seen_at >= since

        await wait_for(is_up, what="the PBX is up", deadline_s=20)

    async def stop(self) -> None:
        self._service.cancel()
        await asyncio.gather(self._service, return_exceptions=True)

    async def client(self, phone_number: str) -> int:
        async with self.db.begin() as conn:
            client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
            await clients.add_address(conn, None, client_id, kind="phone", raw=phone_number, now=utc_now())
        return client_id

    async def call(self, **wanted: Any) -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            async with self.db.read() as conn:
                rows = [dict(row) for row in (await conn.execute(sa.select(calls))).mappings()]
            return next((row for row in rows if wanted.items() <= row.items()), None)

        return await wait_for(found, what=f"a call with {wanted}", deadline_s=20)  # type: ignore[arg-type]

    async def callbacks(self, name: str) -> list[str]:
        async with self.db.read() as conn:
            items = await queue.listed(conn, self.people[name], state="waiting")
        return [item.address for item in items if item.kind == "lead" and item.data["reason"] == "callback"]

    async def results(self, call_id: int) -> list[tuple[str, str | None]]:
        async with self.db.read() as conn:
            query = sa.select(call_legs).where(call_legs.c.call_id == call_id).order_by(call_legs.c.id)
            return [(leg.role, leg.result) for leg in await conn.execute(query)]


@asynccontextmanager
async def house(db: Database, *, phones: Sequence[str] = ("101", "102", "103")) -> AsyncIterator[House]:
    async with running_asterisk(phones=phones) as asterisk:
        one = House(db, asterisk)
        await one.open()
        try:
            yield one
        finally:
            await one.stop()


async def test_a_call_that_another_program_originates_is_on_its_clients_card(db: Database) -> None:
    async with house(db) as here:
        client_id = await here.client(outside.OUTSIDE)
        ami = await Ami.open(here.asterisk)
        await outside.originated_by_another_program(here.asterisk, ami)
        ami.close()
        call = await here.call(state="ended", direction="outbound", to_number=f"+{outside.OUTSIDE}")
        assert (call["outcome"], call["client_id"], call["from_extension"]) == ("answered", client_id, "101")


async def test_a_call_behind_a_nine_is_on_its_clients_card(db: Database) -> None:
    async with house(db) as here:
        client_id = await here.client(outside.OUTSIDE)
        ami = await Ami.open(here.asterisk)
        await outside.nine_for_an_outside_line(here.asterisk, ami)
        ami.close()
        call = await here.call(state="ended", to_number=f"+{outside.OUTSIDE}")
        assert (call["direction"], call["client_id"], call["to_raw"]) == ("outbound", client_id, f"9{outside.OUTSIDE}")


@pytest.mark.parametrize(
    ("phones", "scenario"),
    [
        (("acme-101",), outside.phone_with_a_tenants_name),
        (("101", "99101"), outside.browser_phone_answers_beside_the_desk_phone),
    ],
)
async def test_whoever_answers_on_an_oddly_named_phone_is_known(
    db: Database, phones: tuple[str, ...], scenario: Any
) -> None:
    async with house(db, phones=phones) as here:
        ami = await Ami.open(here.asterisk)
        await scenario(here.asterisk, ami)
        ami.close()
        call = await here.call(state="ended", outcome="answered")
        assert (call["answered_extension"], call["answered_user_id"]) == ("101", here.people["anna"].user_id)


async def test_sent_by_refer_to_another_teams_queue_and_given_up_there_is_that_teams_call_back(db: Database) -> None:
    async with house(db) as here:
        client_id = await here.client(STRANGER)
        ami = await Ami.open(here.asterisk)
        async with (
            phone(here.asterisk, "101") as desk,
            caller(here.asterisk, STRANGER, did=outside.TO_PUT_RIGHT) as stranger,
        ):
            await ami.count(IN_TALK, 2)
            await refer(here.asterisk, desk, "620")
            await here.call(state="waiting", queue="hub-support")
            await stranger.hang_up()
            call = await here.call(state="ended")
        ami.close()
        assert (call["outcome"], call["answered_extension"], call["client_id"]) == ("answered", "101", client_id)
        assert [(one["kind"], one["to"], one["completed"]) for one in call["transfers"]] == [("blind", "620", False)]
        assert await here.callbacks("boris") == ["+74951234567"]
        assert await here.callbacks("anna") == []


async def test_handed_over_in_another_teams_queue_and_given_up_there_is_that_teams_call_back(db: Database) -> None:
    async with house(db) as here:
        await here.client(STRANGER)
        ami = await Ami.open(here.asterisk)
        async with (
            phone(here.asterisk, "101") as desk,
            caller(here.asterisk, STRANGER, did=outside.TO_PUT_RIGHT) as stranger,
        ):
            await ami.count(IN_TALK, 2)
            await hold(here.asterisk, desk)
            async with caller(here.asterisk, "101", did="620", line="101") as consult:
                await ami.count(JOINED, 1)
                await refer(here.asterisk, desk, "620", replaces=await dialog_of(consult))
                await ami.count(HUNG_UP, 2)
                await here.call(state="waiting", from_number="+74951234567")
                await stranger.hang_up()
                call = await here.call(state="ended", from_number="+74951234567")
        ami.close()
        assert [(one["kind"], one["to"]) for one in call["transfers"]] == [("attended", "620")]
        assert await here.callbacks("boris") == ["+74951234567"]


async def test_who_gave_up_while_hub_was_dead_has_a_waiting_time_and_a_result(db: Database) -> None:
    async with house(db) as here:
        async with caller(here.asterisk, STRANGER) as stranger:
            waiting = await here.call(state="waiting")
            await here.stop()
            await stranger.hang_up()
            await stranger.ended()
        await here.start()
        call = await here.call(state="ended")
        assert (call["id"], call["outcome"], call["estimated"]) == (waiting["id"], "abandoned", True)
        assert call["wait_s"] == pytest.approx((call["ended_at"] - call["started_at"]).total_seconds())
        assert call["wait_s"] > 0
        assert await here.results(call["id"]) == [("caller", "cancelled")]
        assert await here.callbacks("anna") == ["+74951234567"]
