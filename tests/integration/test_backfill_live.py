"""A real Asterisk's own records fill what happened behind a cut of its line, by the service as it runs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from hub.store.engine import Database
from hub.telephony.backfill.cdr import read_csv
from hub.telephony.backfill.cdr_calls import calls_of
from hub.telephony.backfill.cdr_check import check
from hub.telephony.line.wire import FrameReader
from hub.telephony.service import rules_of
from hub.telephony.tracking.calls import Call, CallMerged
from hub.telephony.tracking.tracker import CallTracker
from tests.integration.test_resync_asterisk import office
from tests.testbed.ami import Ami
from tests.testbed.asterisk import running_asterisk
from tests.testbed.record import SCENARIOS
from tests.testbed.sipp import caller, phone
from tests.testbed.waiting import wait_for

pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(120)]


async def test_calls_behind_a_cut_come_from_the_records_and_a_concluded_end_is_put_right(db: Database) -> None:
    async with office(db, has_records=True) as here, AsyncExitStack() as open_:
        records = Path(here.asterisk.home / "log/cdr-csv/Master.csv")
        await open_.enter_async_context(phone(here.asterisk, "101", calls=2))
        seen = await open_.enter_async_context(caller(here.asterisk, "84951110001"))
        waiting = await here.call("+74951110001", state="waiting")
        ami = await Ami.open(here.asterisk)
        open_.callback(ami.close)

        here.gate.close()
        await here.until("down")
        await ami.take(channel=waiting["queue_channel"])
        await ami.in_talk("PJSIP/101-")
        await seen.hang_up()
        await seen.ended()
        gives_up = await open_.enter_async_context(caller(here.asterisk, "84951110002"))
        await gives_up.hang_up()
        await gives_up.ended()
        direct = await open_.enter_async_context(caller(here.asterisk, "84951110003", did="74950000101"))
        await direct.hang_up()
        await direct.ended()

        async def written() -> bool:
            return records.exists() and all(f'"8495111000{n}"' in records.read_text() for n in (1, 2, 3))

        await wait_for(written, what="Asterisk has recorded the three calls")
        here.gate.open()
        await here.until("up")

        missed = await here.call("+74951110002", origin="cdr")
        assert (missed["state"], missed["outcome"], missed["estimated"]) == ("ended", "abandoned", True)
        talk = await here.call("+74951110003", origin="cdr")
        assert (talk["outcome"], talk["answered_extension"], talk["answered_user_id"]) == (
            "answered", "101", here.anna.user_id,
        )  # fmt: skip
        mended = await here.call("+74951110001", outcome="answered")
        assert (mended["id"], mended["origin"], mended["estimated"]) == (waiting["id"], "live", True)
        assert mended["answered_extension"] == "101"
        assert await here.callbacks() == {"+74951110002"}, records.read_text()
        settings = msgspec.structs.replace(here.asterisk.pbx_settings(), cdr_csv=str(records))
        assert await check(settings) == [], "the doctor finds these records and their clock as they should be"


@pytest.mark.parametrize(
    "name", ["taken_then_attended_transfer", "both_redirected_into_a_conference", "blind_transfer_of_an_outbound_call"]
)
async def test_every_record_of_a_call_that_was_handed_on_is_known_by_what_was_seen(name: str) -> None:
    one = SCENARIOS[name]
    async with running_asterisk(ring_s=one.ring_s, wait_s=one.wait_s) as asterisk:
        records = Path(asterisk.home / "log/cdr-csv/Master.csv")
        ami = await Ami.open(asterisk)
        await one.play(asterisk, ami)
        await ami.all_gone()
        ami.close()
        rules = rules_of(asterisk.pbx_settings())

        async def written() -> bool:
            return records.exists() and records.read_text().count("\n") >= 2

        await wait_for(written, what="Asterisk has recorded both of its parts")
        told = calls_of(read_csv(records.read_text(), zone=UTC).records, rules)
    tracker, seen = CallTracker(rules, boot="b1"), dict[str, Call]()
    for frame in FrameReader().feed(ami.stream):
        for effect in tracker.handle(frame, now=datetime.now(UTC)):
            seen[effect.call.linked_id] = effect.call
            if isinstance(effect, CallMerged):
                seen.pop(effect.gone[1], None)
    ids = {word for call in seen.values() for word in (call.linked_id, *(leg.uniqueid for leg in call.legs))}
    assert len(told) > len(seen), "the records tell of parts"
    assert [one.call for one in told if not one.uniqueids & ids] == []
