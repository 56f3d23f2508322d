"""The demo's played colleagues: signed in, now and then away, and taking calls that nobody else has taken for a while.

They act through the same doors as people do (`crm.presence`, `crm.queue.claim`, `telephony.control.take`), so a
wallboard of the demo lives. Invariant: a newcomer has `PATIENCE` to take a call before a colleague does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import presence as said_presence
from hub.crm import queue
from hub.crm.access import Actor, load_actor
from hub.crm.models import users
from hub.errors import HubError
from hub.store.engine import Database
from hub.telephony.control import control
from hub.telephony.presence import presence

PATIENCE = timedelta(seconds=40)
EVERY_S = 2.0
LEAVES, COMES_BACK = 0.01, 0.05
"""The chance of each look to go for a coffee, and to be back from it."""


async def play(db: Database, emails: Sequence[str]) -> None:
    """Play these people until cancelled."""
    dice = random.Random()  # noqa: S311
    async with db.read() as conn:
        ids = (await conn.execute(sa.select(users.c.id).where(users.c.email.in_(emails)))).scalars().all()
        actors = [actor for user_id in ids if (actor := await load_actor(conn, user_id)) is not None]
    while True:
        for actor in actors:
            try:
                await _look(db, actor, dice, now=utc_now())
            except HubError:
                # Somebody was faster, or the caller has gone: what happens to people, too.
                continue
        await asyncio.sleep(EVERY_S)


async def _look(db: Database, actor: Actor, dice: random.Random, *, now: datetime) -> None:
    await said_presence.touch(db, actor.user_id, now=now)
    async with db.read() as conn:
        me, said = await presence.of_me(conn, actor, now)
        waiting = await queue.listed(conn, actor, state="waiting", limit=20)
    if me.state == "free" and dice.random() < LEAVES:
        await _say(db, actor, "away", now=now)
    elif said.state == "away" and dice.random() < COMES_BACK:
        await _say(db, actor, "available", now=now)
    elif me.can_take:
        late = [item for item in waiting if item.kind == "call" and item.queued_at < now - PATIENCE]
        if late:
            async with db.begin() as conn:
                item = await queue.claim(conn, actor, late[0].id, now=now)
                await control.take(conn, actor, item, now=now)


async def _say(db: Database, actor: Actor, state: str, *, now: datetime) -> None:
    async with db.begin() as conn:
        await said_presence.say(conn, actor.user_id, state, now=now)
