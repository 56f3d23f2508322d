"""Recordings of the sample company's past: a team that records, and what its latest short talks sounded like.

They come in by the same word of the dialplan as in earnest; the sound is `sounds`'. Invariant: a recording is as long
as its call, so that a newcomer's first look finds nothing that does not fit.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from hub.crm import people, privileges
from hub.crm.models import team_rules
from hub.demo.pbx_recorder import Recorder
from hub.demo.sample import past_calls
from hub.store.engine import Database
from hub.store.upsert import insert
from hub.telephony.intake.intake import CallIntake
from hub.telephony.tracking.calls import Announced, Call, Effect

TEAM = "sales"
KEEP_DAYS = 180
LISTENER = "boris@hub.example"
"""Holds the privilege to hear the team's recordings, as a senior does."""
SHORT_S = 300.0
AT_MOST = 16


async def seed_recordings(db: Database, intake: CallIntake, recorder: Recorder, *, now: datetime) -> None:
    """Have the team record, and give its past calls their recordings."""
    async with db.begin() as conn:
        team_id = await people.ensure_team(conn, TEAM, now=now)
        values = {"record_calls": True, "keep_recordings_days": KEEP_DAYS}
        rules = insert(conn, team_rules).values(team_id=team_id, hours={}, holidays=[], **values)
        await conn.execute(rules.on_conflict_do_update(index_elements=["team_id"], set_=values))
        listener = await privileges.user_id_of(conn, LISTENER)
        await privileges.grant(conn, listener, "recordings", by=None, now=now)
    short = [effect.call for effect in past_calls(now) if _is_recorded(effect.call)]
    said: list[Effect] = []
    for call in short[-AT_MOST:]:
        path = recorder.name(call.linked_id, call.answered_at or call.started_at)
        said.append(Announced(call, "HubRecording", {"File": path}))
        await asyncio.to_thread(recorder.write, path, call.talk_s)
    await intake.store(said, now=now)


def _is_recorded(call: Call) -> bool:
    of_team = call.queue == "hub-sales" if call.direction == "inbound" else call.from_extension in ("101", "102")
    return call.outcome == "answered" and call.talk_s <= SHORT_S and of_team
