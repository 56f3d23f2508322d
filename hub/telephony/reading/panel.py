"""What the panel of one's call shows beyond the call: what goes on, what may be done, and how the last click went.

Reads only. Invariant: a button is shown where the deed behind it would not be refused for the call's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.telephony.control import intents
from hub.telephony.control.intents import Intent
from hub.telephony.reading import colleagues, progress, seats
from hub.telephony.reading.call_kind import CallRow
from hub.telephony.recordings import recording_switch

TOLD_FOR = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Panel:
    """`consulting` is the colleague or number being asked; `told` the latest deed that went wrong, or is going."""

    is_mine: bool = False
    may_hand_on: bool = False
    may_hold: bool = False
    is_held: bool = False
    is_parked: bool = False
    consulting: str | None = None
    told: Intent | None = None
    recorded: Literal["on", "paused"] | None = None


async def panel_of(conn: AsyncConnection, actor: Actor, call: CallRow | None, *, now: datetime) -> Panel:
    """Return the panel of a call, an empty one for None."""
    if call is None:
        return Panel()
    asked = await intents.of_call(conn, call.id)
    mine = [one for one in asked if one.user_id == actor.user_id]
    extension = actor.extension_on(call.pbx)
    up = seats.open_legs(call)
    is_mine = any(extension and leg.extension == extension for leg in up)
    is_held, asking = progress.is_held(asked, call), progress.consulting(asked, call, now=now)
    is_talk = is_mine and call.state in ("talking", "held") and asking is None
    return Panel(
        is_mine=is_mine,
        may_hand_on=is_talk and not is_held and len(up) > 1,
        may_hold=is_talk and (is_held or len(up) == 2),
        is_held=is_held,
        is_parked=progress.parked(asked, call) is not None,
        consulting=await _who(conn, asking, call.pbx) if asking else None,
        told=_worth_telling(mine, now=now),
        recorded=await recording_switch.state_of(conn, call.id),
    )


async def _who(conn: AsyncConnection, asking: Intent, pbx: str) -> str:
    """Name whom one asks: a colleague, or the number outside."""
    if asking.number:
        return asking.number
    name = await colleagues.name_of(conn, asking.target or "", pbx=pbx)
    return f"{name}, {asking.target}" if name else asking.target or ""


def _worth_telling(mine: list[Intent], *, now: datetime) -> Intent | None:
    """The latest deed, while it goes on or went wrong a moment ago."""
    latest = mine[-1] if mine else None
    if latest is None or latest.state == "sent":
        return None
    return latest if now - (latest.settled_at or latest.created_at) < TOLD_FOR else None
