"""The state that people set for themselves (available, away, …), and whether they have Hub open.

Decides what a person may say, when after-call work begins and ends, and which of all that is known of somebody is
shown (`effective`). What their phone does is the telephony's to say (`hub.telephony.presence`). Invariants: nothing
that has a time to end outlives it, whoever looks; who has not been seen for `SEEN_FOR` is offline.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339, utc_now
from hub.crm.models import presence, team_members, team_rules
from hub.errors import Refused
from hub.store.changes import publish
from hub.store.engine import Database
from hub.store.upsert import insert

SaidState = Literal["available", "away", "dnd", "after_call"]
State = Literal["offline", "free", "ringing", "in_call", "after_call", "away", "dnd"]
CHOICES: tuple[SaidState, ...] = ("available", "away", "dnd")
"""The states that a person may set. After-call work begins by itself, and ends by saying "available"."""

SEEN_FOR = timedelta(seconds=150)
"""Two and a half looks of an open stream (`sse.RECHECK_S`): one that is late makes nobody offline."""
TOUCH_EVERY = timedelta(seconds=30)
LONGEST_AFTER_CALL = timedelta(hours=1)
SWEEP_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Said:
    """A person's own word, and when an open page of theirs was last seen."""

    state: SaidState
    since: datetime | None
    until: datetime | None = None
    seen_at: datetime | None = None

    def at(self, now: datetime) -> Said:
        """Return the word as it holds at `now`: what is over is over, also where nobody has written so yet."""
        if self.until is not None and self.until <= now:
            return Said("available", self.until, None, self.seen_at)
        return self

    def is_here(self, now: datetime) -> bool:
        return self.seen_at is not None and self.seen_at > now - SEEN_FOR


@dataclass(frozen=True, slots=True)
class OnPhone:
    """The state of a person's phones, and when it began."""

    state: Literal["ringing", "in_call"]
    since: datetime


@dataclass(frozen=True, slots=True)
class Effective:
    """A person's presence as it is shown. `until` is the end of after-call work; `since` None where nobody knows."""

    state: State
    since: datetime | None
    until: datetime | None = None


SILENT = Said("available", None)
"""Somebody who has never set a state."""


def effective(said: Said, phone: OnPhone | None, *, now: datetime) -> Effective:
    """Say the one thing to be shown: a call is seen and beats every word; without an open page nobody is free."""
    said = said.at(now)
    if phone is not None:
        return Effective(phone.state, phone.since)
    if not said.is_here(now):
        return Effective("offline", said.seen_at)
    if said.state == "available":
        return Effective("free", said.since)
    return Effective(said.state, said.since, said.until)


async def said_of(conn: AsyncConnection, user_ids: Iterable[int]) -> dict[int, Said]:
    """Return what each of these people said; who never did is missing."""
    query = sa.select(presence).where(presence.c.user_id.in_(sorted(set(user_ids))))
    return {row.user_id: Said(row.state, row.since, row.until, row.seen_at) for row in await conn.execute(query)}


async def say(conn: AsyncConnection, user_id: int, state: str, *, now: datetime) -> None:
    """Take a person's word, a sign of them. Said again it changes nothing, and keeps its `since`. Raises Refused."""
    if state not in CHOICES:
        raise Refused("bad_presence", f"presence is one of {', '.join(CHOICES)}", field="state")
    await _write(conn, user_id, state, None, now=now)
    await conn.execute(sa.update(presence).where(presence.c.user_id == user_id).values(seen_at=now))


async def after_call(
    conn: AsyncConnection, user_id: int, team_ids: Iterable[int], now: datetime, *, ended_at: datetime | None = None
) -> None:
    """Begin after-call work where a rule of these teams gives time for it; who is away or not to be disturbed stays.

    Its time runs from the call's end: one that is told of late, or long after, leaves less of it, or none.
    """
    rule = sa.select(sa.func.max(team_rules.c.after_call_s)).where(team_rules.c.team_id.in_(sorted(set(team_ids))))
    length_s = (await conn.execute(rule)).scalar() or 0
    if length_s <= 0:
        return
    said = (await said_of(conn, [user_id])).get(user_id, SILENT).at(now)
    if said.state in ("available", "after_call"):
        until = min(ended_at or now, now) + min(timedelta(seconds=length_s), LONGEST_AFTER_CALL)
        if until <= now:
            return
        await _write(conn, user_id, "after_call", until, now=now)


async def arrive(conn: AsyncConnection, user_id: int, *, now: datetime) -> None:
    """Begin with somebody who has just signed in: here and available, whatever they said when they left."""
    await _write(conn, user_id, "available", None, now=now, seen_at=now)


async def leave(conn: AsyncConnection, user_id: int, *, now: datetime) -> None:
    """Note that somebody has signed out."""
    gone = sa.update(presence).where(presence.c.user_id == user_id, presence.c.seen_at.is_not(None))
    if (await conn.execute(gone.values(seen_at=None))).rowcount:
        await _tell(conn, user_id, {"state": "offline"}, now=now)


async def touch(db: Database, user_id: int, *, now: datetime) -> None:
    """Note a sign of somebody's open page. Costs one read, and a write only now and then."""
    async with db.read() as conn:
        said = (await said_of(conn, [user_id])).get(user_id)
    if said is not None and said.seen_at is not None and said.seen_at > now - TOUCH_EVERY:
        return
    async with db.begin() as conn:
        fresh = insert(conn, presence).values(user_id=user_id, state="available", since=now, seen_at=now)
        await conn.execute(fresh.on_conflict_do_update(index_elements=["user_id"], set_={"seen_at": now}))
        if said is None or not said.is_here(now):
            word = (said or SILENT).at(now)
            await _tell(conn, user_id, {"state": word.state, "until": rfc3339(word.until)}, now=now)


async def _write(
    conn: AsyncConnection,
    user_id: int,
    state: SaidState | str,
    until: datetime | None,
    *,
    now: datetime,
    seen_at: datetime | None = None,
) -> None:
    """Write a word and tell of it, unless it was said already."""
    values: dict[str, Any] = {"state": state, "since": now, "until": until}
    if seen_at is not None:
        values["seen_at"] = seen_at
    changed = sa.or_(
        presence.c.state != state, presence.c.until.is_distinct_from(sa.literal(until, presence.c.until.type))
    )
    if seen_at is not None:
        changed = sa.true()
    fresh = insert(conn, presence).values(user_id=user_id, **values)
    written = await conn.execute(
        fresh.on_conflict_do_update(index_elements=["user_id"], set_=values, where=changed).returning(
            presence.c.user_id
        )
    )
    if written.first() is not None:
        await _tell(conn, user_id, {"state": state, "until": rfc3339(until)}, now=now)


async def _tell(conn: AsyncConnection, user_id: int, data: dict[str, Any], *, now: datetime) -> None:
    """Tell the person, and each team they belong to."""
    teams = await conn.execute(sa.select(team_members.c.team_id).where(team_members.c.user_id == user_id))
    for team_id in teams.scalars().all() or [None]:
        await publish(conn, "presence", user_id, at=now, team_id=team_id, user_id=user_id, data=data)


async def sweep(db: Database, *, now: datetime) -> int:
    """Write down what has ended by itself, so that open pages hear of it; return of how many people."""
    over = sa.and_(presence.c.state == "after_call", presence.c.until <= now)
    lost = presence.c.seen_at <= now - SEEN_FOR
    async with db.read() as conn:
        some = (await conn.execute(sa.select(sa.literal(1)).select_from(presence).where(sa.or_(over, lost)))).first()
    if some is None:
        return 0
    async with db.begin() as conn:
        ended = sa.update(presence).where(over).values(state="available", since=presence.c.until, until=None)
        back = (await conn.execute(ended.returning(presence.c.user_id))).scalars().all()
        left = sa.update(presence).where(lost).values(seen_at=None).returning(presence.c.user_id)
        gone = (await conn.execute(left)).scalars().all()
        for user_id in back:
            await _tell(conn, user_id, {"state": "available", "until": None}, now=now)
        for user_id in gone:
            await _tell(conn, user_id, {"state": "offline"}, now=now)
    return len(back) + len(gone)


async def watch(db: Database) -> None:
    """Sweep every second, until cancelled. Any number of processes may: each row's end is written once."""
    await db.loops.run("presence", lambda: sweep(db, now=utc_now()), every=SWEEP_EVERY)
