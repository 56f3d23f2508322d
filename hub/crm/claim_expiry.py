"""The watch over claims of live calls: a call that was taken but never talked goes back to its team.

The backstop behind the events that normally say so. Any number of processes may watch at once: the queue's own
statement lets one of them act.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from hub.clock import utc_now
from hub.crm import queue
from hub.store.engine import Database

EVERY = timedelta(seconds=1)


async def watch(db: Database) -> None:
    """Expire leases every second, until cancelled."""
    await db.loops.run("leases", lambda: expire(db, now=utc_now()), every=EVERY)


async def expire(db: Database, *, now: datetime) -> None:
    """Give every call whose claim's lease has run out back to its team."""
    async with db.read() as conn:
        late = await queue.expired(conn, now=now)
    for claim_id in late:
        async with db.begin() as conn:
            await queue.take_back(conn, claim_id, reason="no_connection", now=now, only_expired=True)
