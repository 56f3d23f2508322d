"""What a PBX says in one segment with its list of channels: the whole service against a scripted AMI server."""

from __future__ import annotations

import asyncio

import pytest

from hub.clock import utc_now
from hub.crm import queue
from hub.crm.linking import Linker
from hub.settings import Pbx, PbxTeam, Secret
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.service import PbxService
from tests.fakes.ami_server import Action, ami_server, packet
from tests.integration.test_callbacks import Company
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database

CALLER = {
    "Channel": "PJSIP/trunk-00000001", "Uniqueid": "10.1", "Linkedid": "10.1", "Context": "from-trunk",
    "Exten": "74950000100", "CallerIDNum": "84951234567", "ChannelStateDesc": "Up",
}  # fmt: skip


@pytest.mark.parametrize("where", ["behind the list", "a segment later"])
async def test_a_caller_who_joins_the_queue_behind_the_list_is_offered(db: Database, where: str) -> None:
    company = await Company(db).open()
    join = packet(Event="QueueCallerJoin", Queue="hub-sales", **CALLER)

    def channels(action: Action) -> str:
        mine = {"ActionID": action["ActionID"]}
        start = packet(Response="Success", **mine, EventList="start")
        row = packet(Event="CoreShowChannel", **mine, **CALLER, Application="Wait", Duration="00:00:01", BridgeId="")
        end = packet(Event="CoreShowChannelsComplete", **mine, EventList="Complete", ListItems="1")
        return start + row + end + (join if where == "behind the list" else "")

    async with ami_server() as server:
        server.answers["CoreShowChannels"] = channels
        pbx = Pbx(
            name="office", port=server.port, username="hub", secret=Secret(server.password),
            team=(PbxTeam(queue="hub-sales", team="sales"),),
        )  # fmt: skip
        intake = CallIntake(db, Linker("RU"), {"hub-sales": company.teams["sales"]})
        service = asyncio.ensure_future(PbxService(db, pbx, intake, now=utc_now).run())
        try:
            if where != "behind the list":
                await server.arrived("DeviceStateList", 2)
                server.send(join)

            async def waits() -> bool:
                async with db.read() as conn:
                    return bool(await queue.listed(conn, company.people["anna"], state="waiting"))

            await wait_for(waits, what="the caller waits", deadline_s=10)
        finally:
            service.cancel()
            await asyncio.gather(service, return_exceptions=True)
