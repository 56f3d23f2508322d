"""How often may be called by click: per person and for the whole house, counted in what was asked.

A stolen session at night, or a script in a circle, must not make a bill. Counts rows, so it holds for all processes
together. Invariant: whoever is over a limit gets no intent row, so nothing is dialled later either.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import TooMany
from hub.telephony.control.numbers import DialRules
from hub.telephony.models import call_intents

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def require_room(conn: AsyncConnection, user_id: int, rules: DialRules, *, now: datetime) -> None:
    """Raise TooMany `dial_limit` where one more call outside would be over a limit."""
    for who, within, at_most in (
        (user_id, MINUTE, rules.per_user_per_min),
        (user_id, HOUR, rules.per_user_per_hour),
        (None, MINUTE, rules.per_min),
    ):
        if await _asked(conn, who, since=now - within, at_most=at_most) >= at_most:
            raise TooMany("dial_limit", "too many calls in a short time", retry_after_s=60)


async def _asked(conn: AsyncConnection, user_id: int | None, *, since: datetime, at_most: int) -> int:
    """Count calls outside that were asked for; never further than `at_most`."""
    table = call_intents.c
    some = sa.select(table.id).where(table.kind.in_(("dial", "blind", "attended")), table.created_at > since)
    some = some.where(table.number.is_not(None))
    if user_id is not None:
        some = some.where(table.user_id == user_id)
    count = sa.select(sa.func.count()).select_from(some.limit(at_most).subquery())
    return int((await conn.execute(count)).scalar_one())
