"""What is asked where a call is told of long after it was over: what has happened with its number since.

Decides nothing of calls that are seen live. Invariant: a late word neither closes the call-back that a later miss
is owed, nor opens one for a caller who has been spoken with since.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import blocking
from hub.telephony.intake.rows import UNANSWERED
from hub.telephony.models import calls
from hub.telephony.tracking.calls import Call

LONGEST_TALK = timedelta(days=1)


async def mark(conn: AsyncConnection, callers: Mapping[int, str], region: str) -> None:
    """Mark calls that only the PBX's records know as such; `callers` are their raw numbers, by id.

    The records do not say whom the blacklist turned away: whoever is on it now is taken for that.
    """
    if not callers:
        return
    turned_away = []
    for call_id, raw in callers.items():
        who = blocking.caller(raw, region)
        if blocking.blocked_by(who, await blocking.rules_for(conn, who)):
            turned_away.append(call_id)
    update = sa.update(calls).where(calls.c.id.in_(list(callers)))
    inbound_blocked = sa.and_(
        calls.c.id.in_(turned_away), calls.c.direction == "inbound", calls.c.answered_at.is_(None)
    )
    await conn.execute(update.values(origin="cdr", blocked=sa.case((inbound_blocked, True), else_=False)))


async def was_missed_since(conn: AsyncConnection, number: str, call: Call) -> bool:
    """Tell whether this number called after that call, and nobody answered it."""
    query = sa.select(calls.c.id).where(
        calls.c.from_number == number,
        calls.c.direction == "inbound",
        calls.c.outcome.in_(UNANSWERED),
        calls.c.started_at > (call.answered_at or call.started_at),
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def was_spoken_with_since(conn: AsyncConnection, number: str, call: Call) -> bool:
    """Tell whether somebody has spoken with this number after that call."""
    query = sa.select(calls.c.id).where(
        sa.or_(calls.c.from_number == number, calls.c.to_number == number),
        # By the index: no talk that began later belongs to a call of days before.
        calls.c.started_at > call.started_at - LONGEST_TALK,
        # Its own talk was before the queue that the caller gave up in.
        calls.c.answered_at > ((call.ended_at if call.is_left_waiting else None) or call.started_at),
    )
    return (await conn.execute(query.limit(1))).first() is not None
