"""Recordings of the scripted PBX, as `hub demo` has them: said as the dialplan says it, and as long as the talk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import queue
from hub.crm.models import audit
from hub.demo.pbx import Phone, ScriptedPbx
from hub.demo.pbx_recorder import Recorder
from hub.demo.sounds import conversation
from hub.errors import Conflict, Forbidden, NotFound
from hub.store.engine import Database
from hub.telephony.models import recordings
from hub.telephony.recordings import recording_switch
from hub.telephony.recordings.recording_keeper import RecordingKeeper
from tests.integration.test_pbx_service import Office
from tests.testbed.audio_files import rule
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database


@pytest.fixture
async def office(db: Database, tmp_path: Path) -> AsyncIterator[Office]:
    async with ScriptedPbx(speed=10, recorder=Recorder(tmp_path, frozenset({"hub-sales"}))) as pbx:
        one = Office(db, pbx)
        await one.open()
        yield one
        await one.stop()


async def looked_at(office: Office) -> list[Any]:
    """The recordings, once each has been looked at."""
    keeper = RecordingKeeper(office.db, [office.pbx.settings()])

    async def found() -> list[Any]:
        await keeper.measure_due()
        async with office.db.read() as conn:
            rows = list(await conn.execute(sa.select(recordings).order_by(recordings.c.id)))
        return rows if rows and all(row.state != "pending" for row in rows) else []

    try:
        return await wait_for(found, what="the recordings were looked at")
    finally:
        keeper._drop_pool()


async def test_a_call_that_was_handed_back_and_taken_again_is_one_recording(office: Office) -> None:
    office.pbx.phones["101"] = Phone("busy", answers_after_s=0.5)
    office.pbx.call_in("84951234567")
    first = await office.take()
    await wait_for(lambda: _is_back(office), what="the caller is back in the queue")
    office.pbx.phones["101"] = Phone(answers_after_s=0.5, hangs_up_after_s=10)
    assert (await office.take()).id == first.id
    call = await office.call(state="ended")
    (row,) = await looked_at(office)
    assert (row.call_id, row.state, row.team_id) == (call["id"], "ready", call["team_id"])
    assert 0.9 < row.duration_s < call["talk_s"] + 0.3
    assert max(row.peaks) > 20


async def _is_back(office: Office) -> bool:
    async with office.db.read() as conn:
        return bool(await queue.listed(conn, office.actor, state="waiting"))


async def test_a_team_that_does_not_record_is_not_recorded_and_a_dial_is_where_its_team_does(office: Office) -> None:
    office.pbx.outside = Phone(answers_after_s=0.5, hangs_up_after_s=5)
    intent = await office.dial(request_id="unrecorded")
    assert await office.intent_state(intent) == "sent"
    await office.call(state="ended", direction="outbound")
    team_id = await rule(office.db, "sales", days=1)
    await office.dial(request_id="recorded")
    (row,) = await looked_at(office)
    assert (row.state, row.team_id) == ("ready", team_id)


async def test_a_recording_is_said_to_pause_only_when_the_pbx_says_so(office: Office) -> None:
    office.pbx.phones["101"] = Phone(answers_after_s=0.2)
    scripted = office.pbx.call_in("84951234567")
    await office.take()
    call_id = (await office.call(state="talking"))["id"]

    async def ask(*, pause: bool) -> str:
        async with office.db.begin() as conn:
            intent = await recording_switch.ask(conn, office.actor, call_id, pause=pause, now=utc_now())
        return await office.intent_state(intent)

    async def state() -> str | None:
        async with office.db.read() as conn:
            return await recording_switch.state_of(conn, call_id)

    assert await state() == "on"
    office.pbx.lose_response_to("MixMonitorMute")
    assert (await ask(pause=True), await state()) == ("unknown", "on")

    async def is_paused() -> bool:
        # Refused until the line is back; what is refused never reached the PBX.
        return await ask(pause=True) == "sent"

    await wait_for(is_paused, what="the line is back")
    assert await state() == "paused"
    assert (await ask(pause=False), await state()) == ("sent", "on")
    muted = [(a["channel"], a["state"]) for a in office.pbx.journal if a["action"] == "MixMonitorMute"]
    assert muted == [(scripted.caller.name, state) for state in "110"]
    scripted.hang_up()
    await office.call(state="ended")
    with pytest.raises(Conflict):
        await ask(pause=True)
    async with office.db.read() as conn:
        rows = await conn.execute(sa.select(audit.c.action).where(audit.c.object_kind == "recording"))
        assert rows.scalars().all() == ["recording.paused", "recording.resumed"]


async def test_who_is_not_in_the_call_switches_nothing(office: Office) -> None:
    office.pbx.phones["101"] = Phone(answers_after_s=0.2)
    office.pbx.call_in("84951234567")
    await office.take()
    call_id = (await office.call(state="talking"))["id"]
    other = replace(office.actor, user_id=office.actor.user_id + 1, privileges=frozenset({"recordings", "supervise"}))
    async with office.db.begin() as conn:
        with pytest.raises(Forbidden):
            await recording_switch.ask(conn, other, call_id, pause=True, now=utc_now())
        foreign = replace(other, team_ids=frozenset(), extension=None)
        with pytest.raises(NotFound):
            await recording_switch.ask(conn, foreign, call_id, pause=True, now=utc_now())


def test_the_same_seed_is_the_same_talk() -> None:
    assert conversation(2.0, seed=7) == conversation(2.0, seed=7) != conversation(2.0, seed=8)
