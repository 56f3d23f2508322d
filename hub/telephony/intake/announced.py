"""What the dialplan says of a call beyond its own course, and who acts upon it: one row of a table for each word.

Runs inside intake's transaction, after the call's row was written. A word nobody knows is passed over: a newer
dialplan may say more than this Hub understands. Invariant: acting twice upon the same announcement changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue
from hub.telephony.control import intents
from hub.telephony.control.dial_failures import failure_of
from hub.telephony.models import calls
from hub.telephony.recordings import recordings
from hub.telephony.routing import waymarks
from hub.telephony.tracking.calls import Call


@dataclass(frozen=True, slots=True)
class Heard:
    """An announcement with the row of its call."""

    call: Call
    call_id: int
    team_id: int | None
    client_id: int | None
    fields: Mapping[str, str]


MAX_RING_S = 180
"""The dialplan rings no longer than this, whatever HUB_RING says."""

Receiver = Callable[[AsyncConnection, Heard, datetime], Awaitable[None]]


async def give_back(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Offer a client again whom their manager left on hold, or whom nobody took over: they stand in the queue."""
    item = await queue.find_by_thing(conn, "call", heard.call_id)
    if item is not None and item.state == "claimed" and item.claim_id:
        await queue.take_back(conn, item.claim_id, reason="returned", now=now)


async def keep_while_ringing(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Let the lease of a claim last as long as the manager's phone rings. Older dialplans do not say how long."""
    told = heard.fields.get("Ring", "")
    ring_s = int(told) if told.isascii() and told.isdigit() and len(told) < 6 else 0
    if ring_s:
        until = now + timedelta(seconds=min(ring_s, MAX_RING_S)) + queue.RING_MARGIN
        await queue.extend_lease(conn, heard.fields.get("Claim", ""), until=until)


async def note_dial_failure(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Keep why a dialled call reached nobody, and tell who dialled."""
    failure = failure_of(heard.fields.get("Reason", ""), heard.fields.get("Cause", ""))
    if failure is None or heard.call.dial_id is None or heard.call.answered_at is not None:
        return
    await conn.execute(sa.update(calls).where(calls.c.id == heard.call_id).values(failure=failure))
    await intents.note_failure(conn, heard.call.dial_id, failure, now=now)


RECEIVERS: dict[str, Receiver] = {
    "HubDialOver": note_dial_failure,
    "HubClaimStarted": keep_while_ringing,
    "HubRecording": recordings.note_recording,
    "HubBlocked": waymarks.note_blocked,
    "HubCallback": waymarks.note_callback,
    "HubVoicemail": waymarks.note_voicemail,
    "HubReturned": give_back,
}
"""By the name of the UserEvent."""


async def receive(conn: AsyncConnection, name: str, heard: Heard, *, now: datetime) -> None:
    """Have an announcement acted upon by whom it concerns."""
    if (receiver := RECEIVERS.get(name)) is not None:
        await receiver(conn, heard, now)
