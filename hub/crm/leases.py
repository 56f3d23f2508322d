"""The watch over claims of live calls: a call that was taken but never talked goes back to its team.

The backstop behind the events that normally say so. Any number of processes may watch at once: the queue's own
statement lets one of them act.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from hub.clock import utc_now
from hub.crm import queue
from hub.errors import Unavailable
from hub.store.engine import Database

log = logging.getLogger(__name__)
EVERY_S = 1.0


async def watch(db: Database) -> None:
    """Expire leases every second, until cancelled."""
    while True:
        try:
            await expire(db, now=utc_now())
        except Unavailable as error:
            log.warning("leases wait for the database: %s", error)
        await asyncio.sleep(EVERY_S)


async def expire(db: Database, *, now: datetime) -> None:
    """Give every call whose claim's lease has run out back to its team."""
    async with db.read() as conn:
        late = await queue.expired(conn, now=now)
    for claim_id in late:
        async with db.begin() as conn:
            await queue.take_back(conn, claim_id, reason="no_connection", now=now)
