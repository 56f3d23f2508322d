"""Pausing the recording of a live call and going on with it, as when a caller says a card's number.

The recording runs on and is silent meanwhile (AMI `MixMonitorMute`), so its times stay those of the call. Decides who
may ask; how it went is written when the PBX has answered, never before. Invariant: a page says "paused" only after
Asterisk said that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.audit import record
from hub.errors import Conflict, Forbidden
from hub.store.changes import publish
from hub.store.engine import hint_after_commit
from hub.telephony.control import intents
from hub.telephony.control.intents import Intent
from hub.telephony.models import call_intents, call_legs, calls, recordings
from hub.telephony.reading import register

KINDS = ("rec_pause", "rec_resume")
SWITCH_WITHIN = timedelta(seconds=5)


async def ask(conn: AsyncConnection, actor: Actor, call_id: int, *, pause: bool, now: datetime) -> int:
    """Have the recording of a call that the actor is in paused or resumed; return the intent's id.

    Raises NotFound for a call that the actor may not see, Forbidden for another's, Conflict for one that is over or not
    recorded.
    """
    seen = await register.find(conn, actor, call_id)
    if seen.state == "ended":
        raise Conflict("call_ended", "the call is over")
    leg = sa.select(call_legs.c.id).where(
        call_legs.c.call_id == call_id, call_legs.c.user_id == actor.user_id, call_legs.c.left_at.is_(None)
    )
    if not actor.is_admin and (await conn.execute(leg)).first() is None:
        raise Forbidden("forbidden", "this is not your call")
    live = await _live(conn, [call_id])
    if not live:
        raise Conflict("not_recorded", "this call is not being recorded")
    kind = "rec_pause" if pause else "rec_resume"
    values: dict[str, Any] = {"pbx": seen.pbx, "kind": kind, "user_id": actor.user_id, "call_id": call_id}
    values |= {"channel": live[0].channel, "created_at": now, "deadline": now + SWITCH_WITHIN, "state": "new"}
    made = await conn.execute(call_intents.insert().values(**values).returning(call_intents.c.id))
    hint_after_commit(conn, intents.TOPIC)
    return int(made.scalar_one())


async def note(conn: AsyncConnection, intent: Intent, *, now: datetime) -> None:
    """Write that the PBX has done what such an intent asked."""
    paused = intent.kind == "rec_pause"
    live = await _live(conn, [intent.call_id] if intent.call_id is not None else [])
    for row in live:
        await conn.execute(
            sa.update(recordings).where(recordings.c.id == row.id).values(paused_at=now if paused else None)
        )
        await record(
            conn,
            "recording.paused" if paused else "recording.resumed",
            at=now,
            user_id=intent.user_id,
            object_kind="recording",
            object_id=row.id,
            details={"call": intent.call_id},
        )
        await publish(conn, "call", row.call_id, at=now, team_id=row.team_id, user_id=intent.user_id, data={})


async def state_of(conn: AsyncConnection, call_id: int) -> Literal["on", "paused"] | None:
    """Tell whether a live call is being recorded: what the person on the phone has to know. None: it is not."""
    live = await _live(conn, [call_id])
    if not live:
        return None
    return "paused" if live[0].paused_at is not None else "on"


async def _live(conn: AsyncConnection, call_ids: Sequence[int]) -> Sequence[Any]:
    query = (
        sa.select(recordings.c.id, recordings.c.call_id, recordings.c.team_id, recordings.c.channel)
        .add_columns(recordings.c.paused_at)
        .join(calls, calls.c.id == recordings.c.call_id)
        .where(recordings.c.call_id.in_(call_ids), calls.c.state != "ended", recordings.c.channel.is_not(None))
        .where(recordings.c.state == "pending", recordings.c.deleted_at.is_(None))
        .order_by(recordings.c.id.desc())
        .limit(1)
    )
    return (await conn.execute(query)).all()
