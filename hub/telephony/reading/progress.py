"""How far what was asked about a call has come: consulting, on hold, parked. Pure.

Read from the intents of a call and its legs. An intent tells what was asked, the legs what is; where the two differ,
the legs are right. Invariant: what was refused never counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from hub.telephony.control.intents import Intent
from hub.telephony.reading.call_kind import CallRow
from hub.telephony.reading.seats import open_legs

STARTS_WITHIN = timedelta(seconds=8)
"""How long Asterisk and its events may take until whom one asks is seen to ring."""


def _latest(asked: Sequence[Intent], *kinds: str) -> Intent | None:
    return next((one for one in reversed(asked) if one.kind in kinds and one.state != "refused"), None)


def consulting(asked: Sequence[Intent], call: CallRow, *, now: datetime) -> Intent | None:
    """Return the attended transfer that goes on: its phone rings, or speaks with whoever asked."""
    latest = _latest(asked, "attended", "complete", "cancel")
    if latest is None or latest.kind != "attended" or call.state == "ended":
        return None
    own = [leg for leg in call.legs if leg.channel == latest.channel]
    if own and own[-1].left_at is not None:
        return None
    begun = latest.settled_at or latest.created_at
    rung = [leg for leg in call.legs if (leg.rang_at or leg.answered_at or begun) >= latest.created_at]
    is_there = any(leg.left_at is None for leg in rung if leg.channel != latest.channel and leg.role == "callee")
    return latest if is_there or now - begun < STARTS_WITHIN else None


def is_held(asked: Sequence[Intent], call: CallRow) -> bool:
    """Tell whether the call was put on hold from here, by a phone that is still on the line."""
    latest = _latest(asked, "hold", "unhold")
    if latest is None or latest.kind != "hold":
        return False
    return any(leg.channel == latest.channel for leg in open_legs(call))


def parked(asked: Sequence[Intent], call: CallRow) -> Intent | None:
    """Return what parked the call: no phone of the house is on the line, and the client still is."""
    latest = _latest(asked, "park")
    if latest is None or latest.state not in ("sent", "unknown") or call.state == "ended":
        return None
    here = [leg for leg in call.legs if leg.left_at is None]
    if any(leg.extension is not None and leg.channel != latest.peer_channel for leg in here):
        return None
    return latest if any(leg.channel == latest.peer_channel for leg in here) else None
