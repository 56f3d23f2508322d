"""One extension, two telephones, on a real Asterisk: all ring, one is picked up, the others stop."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.access import Actor
from hub.errors import Conflict
from hub.store.engine import Database
from hub.telephony.control import control, handing, supervision
from hub.telephony.control.numbers import DialRules
from hub.telephony.models import call_intents, call_legs
from tests.integration.test_lease_live import manager, take
from tests.integration.test_told_live import hub, is_up, told
from tests.testbed.ami import JOINED, Ami
from tests.testbed.asterisk import Asterisk, free_udp_port, running_asterisk
from tests.testbed.sipp import SippCall, caller, phone
from tests.testbed.waiting import wait_for

pytestmark = [pytest.mark.asterisk, pytest.mark.either_database]
FAILED = b"UserEvent: HubClaimFailed"


def asked(one: SippCall) -> list[str]:
    """What a telephone was asked, the answers to its own requests left out."""
    return [line.partition(" ")[0] for line in one.first_lines("received") if not line.startswith("SIP/")]


async def the_call(db: Database, **wanted: Any) -> Any:
    async def found() -> Any:
        rows = [row for row in await told(db) if wanted.items() <= dict(row._mapping).items()]
        return rows[0] if rows else None

    return await wait_for(found, what=f"a call with {wanted}", deadline_s=20)


async def click(db: Database, actor: Actor, to: str = "8 495 123-45-67") -> None:
    async with db.begin() as conn:
        await control.dial(
            conn,
            actor,
            to=to,
            client_id=None,
            contact_id=None,
            request_id="click",
            pbx="office",
            rules=DialRules(region="RU"),
            now=utc_now(),
        )


SECOND_DEVICES = pytest.mark.parametrize(
    ("second", "phones", "settings"),
    [
        ("101b", ("101",), ""),
        # FreePBX's browser phone is an endpoint of its own.
        ("99101", ("101", "99101"), "HUB_SECOND_PREFIX = 99"),
    ],
    ids=["one AOR", "FreePBX"],
)


@SECOND_DEVICES
async def test_take_rings_both_telephones_and_the_one_picked_up_has_the_call(
    db: Database, second: str, phones: tuple[str, ...], settings: str
) -> None:
    devices = ("101",) if second == "101b" else ()
    asterisk_runs = running_asterisk(phones=phones, second_devices=devices, settings=settings)
    async with asterisk_runs as asterisk, hub(db, asterisk):
        await wait_for(lambda: is_up(db), what="Hub is connected")
        anna = await manager(db, "anna", "101")
        async with phone(asterisk, "101", "no_answer") as desk, phone(asterisk, second, talk_ms=1500) as app:
            async with caller(asterisk, "84951234567"):
                await take(db, anna)
                await the_call(db, state="talking", answered_extension="101", answered_user_id=anna.user_id)
            await the_call(db, state="ended", outcome="answered", answered_extension="101")
            assert asked(desk) == ["INVITE", "CANCEL", "ACK"]
            assert asked(app)[:2] == ["INVITE", "ACK"]


@SECOND_DEVICES
async def test_click_to_call_rings_both_telephones_and_dials_from_the_one_picked_up(
    db: Database, second: str, phones: tuple[str, ...], settings: str
) -> None:
    devices = ("101",) if second == "101b" else ()
    asterisk_runs = running_asterisk(phones=phones, second_devices=devices, settings=settings)
    async with asterisk_runs as asterisk, hub(db, asterisk):
        await wait_for(lambda: is_up(db), what="Hub is connected")
        anna = await manager(db, "anna", "101")
        async with (
            phone(asterisk, "101", "no_answer") as desk,
            phone(asterisk, second) as app,
            phone(asterisk, "trunk", talk_ms=1000) as client,
        ):
            await click(db, anna)
            ended = await the_call(db, state="ended")
            assert (asked(desk), asked(app)[:2], asked(client)[:2]) == (
                ["INVITE", "CANCEL", "ACK"],
                ["INVITE", "ACK"],
                ["INVITE", "ACK"],
            )
            assert "From: <sip:+74951234567@" in app.received(), "each telephone shows whom it will call"
    assert (ended.direction, ended.outcome, ended.from_extension, ended.to_number) == (
        "outbound",
        "answered",
        "101",
        "+74951234567",
    )
    async with db.read() as conn:
        intent = (await conn.execute(sa.select(call_intents))).one()
        legs = (await conn.execute(sa.select(call_legs).order_by(call_legs.c.id))).all()
    assert (intent.state, ended.dial_id) == ("sent", intent.channel_id)
    assert ("caller", "answered") in {(leg.role, leg.result) for leg in legs if leg.extension}
    assert len(await told(db)) == 1, "one click is one call"


async def test_a_busy_client_is_busy_though_the_other_telephone_of_the_manager_stopped(db: Database) -> None:
    async with running_asterisk(second_devices=("101",)) as asterisk, hub(db, asterisk):
        await wait_for(lambda: is_up(db), what="Hub is connected")
        anna = await manager(db, "anna", "101")
        async with (
            phone(asterisk, "101", "no_answer"),
            phone(asterisk, "101b"),
            phone(asterisk, "trunk", "busy"),
        ):
            await click(db, anna)
            ended = await the_call(db, state="ended")
        assert ended.outcome == "busy"


async def test_a_supervisor_with_two_telephones_hears_a_call_and_is_no_part_of_it(db: Database) -> None:
    async with running_asterisk(second_devices=("103",)) as asterisk, hub(db, asterisk):
        await wait_for(lambda: is_up(db), what="Hub is connected")
        anna, chief = await manager(db, "anna", "101"), await manager(db, "chief", "103")
        chief = dataclasses.replace(chief, privileges=chief.privileges | {"supervise"})
        ami = await Ami.open(asterisk)
        async with (
            phone(asterisk, "101") as desk,
            phone(asterisk, "103", "no_answer") as silent,
            phone(asterisk, "103b") as app,
            caller(asterisk, "84951234567"),
        ):
            await take(db, anna)
            call = await the_call(db, state="talking")
            async with db.begin() as conn:
                await supervision.supervise(conn, chief, call.id, "listen", request_id="listen-1", now=utc_now())
            await ami.count(b"Event: ChanSpyStart", 1)
            assert (asked(silent), asked(app)[:1]) == (["INVITE", "CANCEL", "ACK"], ["INVITE"])
            await desk.hang_up()
            ended = await the_call(db, state="ended")
        assert len(await told(db)) == 1, "hearing it made no call"
        async with db.read() as conn:
            extensions = (await conn.execute(sa.select(call_legs.c.extension))).scalars().all()
        assert (ended.outcome, sorted(filter(None, extensions))) == ("answered", ["101"])
        ami.close()


async def test_a_parked_client_is_taken_up_at_any_of_two_telephones(db: Database) -> None:
    async with running_asterisk(second_devices=("102",)) as asterisk, hub(db, asterisk):
        await wait_for(lambda: is_up(db), what="Hub is connected")
        anna, boris = await manager(db, "anna", "101"), await manager(db, "boris", "102")
        async with (
            phone(asterisk, "101"),
            phone(asterisk, "102", "no_answer") as silent,
            phone(asterisk, "102b") as app,
            caller(asterisk, "84951234567") as client,
        ):
            await take(db, anna)
            call = await the_call(db, state="talking")
            async with db.begin() as conn:
                await handing.park(conn, anna, call.id, request_id="park-1", now=utc_now())
            await the_call(db, state="held")

            async def is_taken_up() -> bool:
                with contextlib.suppress(Conflict):  # the other phone's leg may take a moment to end
                    async with db.begin() as conn:
                        return bool(await handing.retrieve(conn, boris, call.id, now=utc_now()))
                return False

            await wait_for(is_taken_up, what="the client is parked")
            await the_call(db, state="talking", answered_extension="102")
            assert (asked(silent), asked(app)[:1]) == (["INVITE", "CANCEL", "ACK"], ["INVITE"])
            await client.hang_up()
            await the_call(db, state="ended", outcome="answered")

            async def all_over() -> bool:
                return all(row.state == "ended" for row in await told(db))

            await wait_for(all_over, what="nothing stays open")
        assert [row.from_raw for row in await told(db) if row.direction == "inbound"] == ["84951234567"]


def rewrite_contacts(asterisk: Asterisk, extension: str, *contacts: str) -> None:
    file = asterisk.home / "etc/pjsip.conf"
    lines = file.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"contact = sip:{extension}@")]
    at = kept.index(f"[{extension}]", kept.index(f"[{extension}]") + 1) + 2
    kept[at:at] = [f"contact = {contact}" for contact in contacts]
    file.write_text("\n".join(kept) + "\n")


async def test_without_a_device_signed_in_the_reason_is_the_old_one() -> None:
    async with running_asterisk() as asterisk:
        rewrite_contacts(asterisk, "101")
        await asterisk.restart()
        ami = await Ami.open(asterisk)
        async with caller(asterisk, "84951234567"):
            await ami.count(JOINED, 1)
            await ami.take("101")
            await ami.count(FAILED, 1)
        assert ami.header(FAILED, b"Reason") == "CHANUNAVAIL"
        ami.close()


@pytest.mark.parametrize(
    ("begins", "brings"),
    [
        ("sip:a&PJSIP/102/sip:x@127.0.0.1:{port}", "&PJSIP/102/sip:x@"),
        # What closes REGEX's bracket, with a colon behind it: `${…:0}` would judge only what stands before.
        ("sip:a@127.0.0.1:{port}\\;x=):0&PJSIP/102", ":0&PJSIP/102"),
    ],
)
async def test_a_device_cannot_bring_another_channel_in_by_what_it_calls_its_address(begins: str, brings: str) -> None:
    async with running_asterisk(ring_s=1) as asterisk:
        hostile = begins.format(port=free_udp_port())
        rewrite_contacts(asterisk, "101", f"sip:101@127.0.0.1:{asterisk.phone_ports['101']}", hostile)
        await asterisk.restart()
        ami = await Ami.open(asterisk)
        await ami.send("Getvar", Variable="PJSIP_DIAL_CONTACTS(101)")
        await ami.count(b"Value: ", 1)
        assert brings.encode() in ami.stream, "what a plain Dial would ring"
        async with phone(asterisk, "101", "no_answer"), caller(asterisk, "84951234567"):
            await ami.count(JOINED, 1)
            await ami.take("101")
            await ami.count(FAILED, 1)
        assert b"Channel: PJSIP/101-" in ami.stream
        assert b"Channel: PJSIP/102-" not in ami.stream
        ami.close()
