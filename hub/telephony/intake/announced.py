"""What the dialplan says of a call beyond its own course, and who acts upon it: one row of a table for each word.

Runs inside intake's transaction, after the call's row was written. A word nobody knows is passed over: a newer
dialplan may say more than this Hub understands. Invariant: acting twice upon the same announcement changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue
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


Receiver = Callable[[AsyncConnection, Heard, datetime], Awaitable[None]]


async def give_back(conn: AsyncConnection, heard: Heard, now: datetime) -> None:
    """Offer a client again whom their manager left on hold, or whom nobody took over: they stand in the queue."""
    item = await queue.find_by_thing(conn, "call", heard.call_id)
    if item is not None and item.state == "claimed" and item.claim_id:
        await queue.take_back(conn, item.claim_id, reason="returned", now=now)


RECEIVERS: dict[str, Receiver] = {
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
