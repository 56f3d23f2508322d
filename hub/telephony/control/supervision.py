"""Hearing and joining another's call: listen, whisper to the manager, barge in.

A privilege of its own, within one's teams, and each time a row of the audit. The manager and the client notice
nothing of a listener; who listened stands in the audit. Invariant: the intent and its audit row are one transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.models import team_members
from hub.errors import Conflict, Forbidden
from hub.telephony.control import control, intents
from hub.telephony.reading import seats
from hub.telephony.reading.call_kind import CallRow, LegRow

How = Literal["listen", "whisper", "barge"]
WITHIN = timedelta(seconds=10)
_DONE: dict[str, str] = {"listen": "listened", "whisper": "whispered", "barge": "joined"}


async def supervise(
    conn: AsyncConnection, actor: Actor, call_id: int, how: How, *, request_id: str, now: datetime
) -> int:
    """Ring the supervisor's phone and let it hear the call; return the intent's id.

    Raises Forbidden without the privilege or for another team's call, NotFound, Conflict where nobody speaks.
    """
    access.require(actor, "supervise")
    call = await seats.live_call(conn, actor, call_id)
    heard = seats.managers_leg(call)
    await _require_team(conn, actor, call, heard)
    extension = control.require_extension(actor, call.pbx)
    if call.state not in ("talking", "held") or heard is None:
        raise Conflict("not_talking", "nobody speaks in this call")
    if any(leg.extension == extension for leg in seats.open_legs(call)):
        raise Conflict("your_own_call", "your phone is in this call already")
    key = intents.channel_id("hubspy", actor.user_id, f"{how}:{call_id}:{request_id}")
    if (twin := await intents.find_twin(conn, "channel_id", key)) is not None:
        return twin.id
    intent_id = await intents.write(
        conn,
        "channel_id",
        channel_id=key,
        pbx=call.pbx,
        kind=how,
        user_id=actor.user_id,
        call_id=call.id,
        extension=extension,
        channel=heard.channel,
        created_at=now,
        deadline=now + WITHIN,
    )
    details = {"intent": intent_id, "manager": heard.user_id, "extension": heard.extension}
    about = {"object_kind": "call", "object_id": call.id, "details": details}
    await record(conn, f"call.{_DONE[how]}", at=now, user_id=actor.user_id, **about)  # type: ignore[arg-type]
    return intent_id


async def _require_team(conn: AsyncConnection, actor: Actor, call: CallRow, heard: LegRow | None) -> None:
    """A call is of its queue's team; one that came by no queue is of the teams of whoever speaks in it."""
    if actor.is_admin or call.team_id in actor.team_ids:
        return
    if call.team_id is None and heard is not None and heard.user_id is not None:
        query = sa.select(team_members.c.team_id).where(team_members.c.user_id == heard.user_id)
        if actor.team_ids & set((await conn.execute(query)).scalars()):
            return
    raise Forbidden("other_team", "this is another team's call")
