"""Recordings of calls: what the dialplan says of them, whose team's they are, how long they are kept, who hears them.

The dialplan names the file (`UserEvent(HubRecording)`), Hub never does; a word that is no plain path below the PBX's
root makes no row. The bytes are `recording_files`', length and waveform `recording_keeper`'s. Invariants: one row per
file of a PBX, whatever is announced how often; and past `keep_until` nobody reaches a recording, its file deleted
or not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import team_rules
from hub.errors import Gone, NotFound, Refused
from hub.store.schema import Moment
from hub.store.upsert import insert
from hub.telephony.models import call_intents, call_legs, calls, recordings
from hub.telephony.recordings.audio import KINDS, Kind
from hub.telephony.recordings.recording_files import RecordingPath, recording_path, suffix_of

if TYPE_CHECKING:
    from hub.telephony.intake.announced import Heard

log = logging.getLogger(__name__)

MAX_KEEP_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as lists, cards and the API show it. `peaks` are 0 to 100, None where there is no waveform."""

    id: int
    call_id: int | None
    pbx: str
    path: RecordingPath
    team_id: int | None
    started_at: datetime
    duration_s: float
    size_bytes: int | None
    peaks: list[int] | None
    keep_until: datetime | None

    @property
    def kind(self) -> Kind:
        return KINDS[suffix_of(self.path)]

    @property
    def file_name(self) -> str:
        """What it is saved as: when, and which."""
        return f"{self.started_at:%Y-%m-%d %H-%M} call {self.call_id or 0}-{self.id}.{suffix_of(self.path).lower()}"


# How a row comes to be


async def note_recording(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Take `UserEvent(HubRecording,File: …)`. A word that is no path is logged and makes no row."""
    try:
        path = recording_path(heard.fields.get("File", ""))
    except Refused as error:
        log.warning("pbx %s announced a recording that is refused: %s", heard.call.pbx, error)
        return
    call = heard.call
    team_id = heard.team_id or await _team_of_dial(conn, call.dial_id)
    # Heard of a call that is over: then the recording is as old as the call.
    started_at = now if call.ended_at is None else call.answered_at or call.started_at
    values = {"pbx": call.pbx, "path": path, "call_id": heard.call_id, "team_id": team_id, "started_at": started_at}
    values |= {"channel": (heard.fields.get("Channel") or "")[:150] or None}
    values |= {"keep_until": await _keep_until(conn, team_id, started_at), "measure_at": now}
    await conn.execute(insert(conn, recordings).values(**values).on_conflict_do_nothing())


async def team_that_records(conn: AsyncConnection, actor: Actor) -> int | None:
    """Return for which of their teams a call that the actor dials is recorded, None where no team of theirs records."""
    query = sa.select(sa.func.min(team_rules.c.team_id)).where(
        team_rules.c.team_id.in_(sorted(actor.team_ids)), team_rules.c.record_calls.is_(True)
    )
    team_id: int | None = (await conn.execute(query)).scalar()
    return team_id


async def _team_of_dial(conn: AsyncConnection, dial_id: str | None) -> int | None:
    if dial_id is None:
        return None
    query = sa.select(call_intents.c.record_team_id).where(call_intents.c.channel_id == dial_id)
    team_id: int | None = (await conn.execute(query)).scalar()
    return team_id


async def _keep_until(conn: AsyncConnection, team_id: int | None, started_at: datetime) -> datetime | None:
    if team_id is None:
        return None
    query = sa.select(team_rules.c.keep_recordings_days).where(team_rules.c.team_id == team_id)
    days = (await conn.execute(query)).scalar()
    return started_at + timedelta(days=min(days, MAX_KEEP_DAYS)) if days is not None else None


async def apply_retention(conn: AsyncConnection, team_id: int) -> int:
    """Reckon anew until when a team's recordings are kept, after its days were changed; return how many there are.

    Call it in the transaction that writes `team_rules.keep_recordings_days`. What is deleted already stays so.
    """
    query = sa.select(team_rules.c.keep_recordings_days).where(team_rules.c.team_id == team_id)
    days = (await conn.execute(query)).scalar()
    until: Any = sa.null()
    if days is not None:
        until = _days_later(conn, recordings.c.started_at, min(days, MAX_KEEP_DAYS))
    kept = sa.update(recordings).where(recordings.c.team_id == team_id, recordings.c.deleted_at.is_(None))
    done = await conn.execute(kept.where(recordings.c.state != "empty").values(keep_until=until))
    return int(done.rowcount)


def _days_later(conn: AsyncConnection, moment: sa.ColumnElement[datetime], days: int) -> sa.ColumnElement[Any]:
    if conn.dialect.name == "sqlite":
        # In the form that `Moment` writes, so that the two compare as text.
        text = sa.func.strftime("%Y-%m-%dT%H:%M:%f", moment, f"+{days} days")
        return sa.type_coerce(text.op("||")("000+00:00"), sa.String())
    return sa.type_coerce(moment + sa.func.make_interval(0, 0, 0, days), Moment())


# Who hears it


def _audible(actor: Actor) -> sa.ColumnElement[bool]:
    """Rows that the actor may hear: spoke in the call themselves, or holds the privilege in the recording's team."""
    leg = sa.select(call_legs.c.id).where(
        call_legs.c.call_id == recordings.c.call_id,
        call_legs.c.user_id == actor.user_id,
        call_legs.c.answered_at.is_not(None),
    )
    return access.recording_audible(actor, team_id=recordings.c.team_id, was_in_call=leg.exists())


def _query(actor: Actor) -> sa.Select[Any]:
    return (
        sa.select(recordings, calls.c.talk_s)
        .outerjoin(calls, calls.c.id == recordings.c.call_id)
        .where(_audible(actor))
        .order_by(recordings.c.started_at, recordings.c.id)
    )


def _row(row: sa.RowMapping) -> Recording:
    values = {name: row[name] for name in Recording.__slots__}
    if values["duration_s"] is None:
        values["duration_s"] = row["talk_s"] or 0.0
    return Recording(**values)


async def of_calls(
    conn: AsyncConnection, actor: Actor, call_ids: Sequence[int], *, now: datetime
) -> dict[int, tuple[Recording, ...]]:
    """Return by call what the actor may hear of these calls: what is there, oldest first."""
    if not call_ids:
        return {}
    query = _query(actor).where(
        recordings.c.call_id.in_(call_ids),
        recordings.c.state == "ready",
        recordings.c.deleted_at.is_(None),
        sa.or_(recordings.c.keep_until.is_(None), recordings.c.keep_until > now),
    )
    found: dict[int, tuple[Recording, ...]] = {}
    for row in (await conn.execute(query)).mappings():
        found[row["call_id"]] = (*found.get(row["call_id"], ()), _row(row))
    return found


async def find(conn: AsyncConnection, actor: Actor, recording_id: int, *, now: datetime) -> Recording:
    """Return a recording. Raises NotFound, also for what the actor may not hear; Gone once its time is over."""
    row = (await conn.execute(_query(actor).where(recordings.c.id == recording_id))).mappings().first()
    if row is None:
        raise NotFound("recording_missing", "there is no such recording")
    if row["deleted_at"] is not None or (row["keep_until"] is not None and row["keep_until"] <= now):
        raise Gone("recording_expired", "the recording's time is over: it has been deleted")
    return _row(row)
