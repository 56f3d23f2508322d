"""From what the tracker says to what is stored: each batch of effects is one transaction.

Records the calls and their legs (`rows`), tells the feed and the timeline, and has followed up what the effects mean
(`aftermath`). Each call of a batch is written once, as its last snapshot shows it. Writing the same effects again
changes nothing, so a batch whose commit was lost may be repeated. Invariant: what a person linked or noted is never
overwritten.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue, timeline
from hub.crm.linking import Linker
from hub.store.changes import publish
from hub.store.engine import Database
from hub.telephony.backfill import late
from hub.telephony.intake import announced, merging
from hub.telephony.intake.aftermath import Aftermath, is_answered
from hub.telephony.intake.announced import Heard
from hub.telephony.intake.rows import Entry, Key, Stored, Writer, candidate_data, key_of
from hub.telephony.models import calls
from hub.telephony.reading import recall
from hub.telephony.reading.register import timeline_data
from hub.telephony.tracking.calls import (
    Announced,
    Call,
    CallChanged,
    CallEnded,
    CallMerged,
    CallOffered,
    ClaimConnected,
    ClaimFailed,
    Effect,
    Leg,
)

log = logging.getLogger(__name__)

__all__ = ["CallIntake", "candidate_data", "latest_snapshots_only"]


LONGEST_UNHEARD = timedelta(minutes=5)
"""A call that is gone after a gap is taken to have gone on for this long at most: a night is no waiting time."""


@dataclass(frozen=True, slots=True)
class CallIntake:
    """The intake of one PBX. `team_of_queue` maps its hub queues to team ids."""

    db: Database
    linker: Linker
    team_of_queue: Mapping[str, int]
    region: str = ""

    async def store(self, effects: Sequence[Effect], *, now: datetime) -> None:
        """Store a batch in one transaction. Raises Unavailable; then nothing of it is stored."""
        async with self.db.begin() as conn:
            await self.store_within(conn, effects, now=now)

    async def store_within(self, conn: AsyncConnection, effects: Sequence[Effect], *, now: datetime) -> None:
        """The same, in a transaction of the caller's."""
        if not effects:
            return
        snapshots = {key_of(effect.call): effect.call for effect in effects}
        written = await Writer(self.linker, self.team_of_queue, self.region).write(conn, snapshots)
        await _show(conn, written.values(), now=now)
        items = await queue.of_things(conn, "call", [e.stored.id for e in written.values() if not e.stored.is_new])
        after = Aftermath(conn, self.linker, self.region, items, now)
        for effect in effects:
            await self._follow(after, effect, written[key_of(effect.call)].stored)
        await after.follow_talks(_talks(snapshots, written))
        for key, call in snapshots.items():
            await after.refresh(call, written[key].stored)
        for effect in effects:
            if isinstance(effect, CallMerged):
                # Last: all that this batch says of the call that is gone has been stored, and goes over with it.
                await merging.merge(conn, written[key_of(effect.call)].stored.id, effect.gone, now=now)

    async def store_late(
        self, conn: AsyncConnection, fresh: Sequence[Call], mended: Sequence[Call], *, now: datetime
    ) -> None:
        """Store ended calls that are told of long after: `fresh` by the PBX's records, `mended` with a truer end.

        What has happened with the same numbers since is not undone: see `Aftermath.is_late`.
        """
        snapshots = {key_of(call): call for call in (*fresh, *mended)}
        if not snapshots:
            return
        written = await Writer(self.linker, self.team_of_queue, self.region).write(conn, snapshots)
        added = {key_of(call): written[key_of(call)].stored for call in fresh}
        await late.mark(conn, {stored.id: snapshots[key].from_raw for key, stored in added.items()}, self.home)
        await _show(conn, written.values(), now=now)
        items = await queue.of_things(conn, "call", [e.stored.id for e in written.values() if not e.stored.is_new])
        after = Aftermath(conn, self.linker, self.region, items, now, is_late=True)
        for entry in written.values():
            await after.settle(entry.stored)
        await after.follow_talks(_talks(snapshots, written))

    @property
    def home(self) -> str:
        """The region that this PBX's bare numbers are of."""
        return self.region or self.linker.region

    async def _follow(self, after: Aftermath, effect: Effect, stored: Stored) -> None:
        match effect:
            case CallChanged() | CallMerged():
                pass  # what was merged is put together last
            case CallOffered(call=call):
                await after.offer(call, stored)
            case ClaimConnected(claim_id=claim_id):
                await after.hold(claim_id, stored)
            case ClaimFailed(claim_id=claim_id, reason=reason):
                await after.take_back(claim_id, reason=reason)
            case CallEnded():
                await after.settle(stored)
            case Announced(name=name, fields=fields):
                heard = Heard(effect.call, stored.id, stored.team_id, stored.client_id, fields)
                await announced.receive(after.conn, name, heard, now=after.now)

    async def end_vanished(
        self, pbx: str, alive: Set[tuple[str, str]], *, now: datetime, heard_until: datetime | None = None
    ) -> int:
        """End, as estimated, the open calls of a PBX whose (boot, linked id) it no longer knows; return how many.

        `heard_until`: when the PBX was heard last before it was asked for the calls it knows.
        """
        async with self.db.begin() as conn:
            held = sa.select(calls.c.id).where(calls.c.pbx == pbx, calls.c.state != "ended").with_for_update()
            await conn.execute(held)
            gone = [call for call in await recall.open_calls(conn, pbx) if (call.boot, call.linked_id) not in alive]
            await self.store_within(conn, [CallEnded(_ended_unseen(call, now, heard_until)) for call in gone], now=now)
        return len(gone)


def _ended_unseen(call: Call, now: datetime, heard_until: datetime | None) -> Call:
    """Give a call whose end nobody saw the end that is most likely: soon after it was last heard of."""
    outcome = "answered" if call.answered_at else "abandoned" if call.queue else "missed"
    latest = now if heard_until is None else min(now, heard_until + LONGEST_UNHEARD)
    ended_at = max(latest, call.answered_at or call.started_at)
    is_left_waiting = call.answered_at is not None and call.state == "waiting"
    talk_s = call.talk_s
    if call.answered_at and not is_left_waiting:
        talk_s = (ended_at - call.answered_at).total_seconds()
    legs = tuple(leg if leg.left_at else _left_unseen(leg, ended_at) for leg in call.legs)
    ended: dict[str, Any] = {"state": "ended", "outcome": outcome, "estimated": True, "ended_at": ended_at}
    ended |= {"wait_s": ((call.answered_at or ended_at) - call.started_at).total_seconds(), "talk_s": talk_s}
    return replace(call, **ended, is_left_waiting=is_left_waiting, legs=legs)


def _left_unseen(leg: Leg, at: datetime) -> Leg:
    """Have a line end that nobody saw end: who was not spoken with gave up, or stopped ringing because they did."""
    left_at = max(filter(None, (at, leg.rang_at, leg.answered_at)))
    result = leg.result or ("answered" if leg.answered_at is not None else "cancelled")
    return replace(leg, left_at=left_at, result=result)


def _talks(snapshots: Mapping[Key, Call], written: Mapping[Key, Entry]) -> dict[int, tuple[Call, Stored]]:
    """Pick the calls that this batch answered or ended."""
    found: dict[int, tuple[Call, Stored]] = {}
    for key, call in snapshots.items():
        stored = written[key].stored
        if (is_answered(call) and not stored.was_answered) or (call.state == "ended" and not stored.was_ended):
            found[stored.id] = (call, stored)
    return found


async def _show(conn: AsyncConnection, written: Iterable[Entry], *, now: datetime) -> None:
    """Tell the lists what is news, and write the cards' entries."""
    told: list[timeline.NewEntry] = []
    for entry in written:
        stored, row = entry.stored, entry.row
        if not stored.is_news:
            continue
        about = {"team_id": stored.team_id, "user_id": stored.answered_user_id, "client_id": stored.client_id}
        trace = f"{row['pbx']}/{row['linked_id']}"
        log.info("call %d: %s", stored.id, row["state"], extra={"trace": trace})
        await publish(conn, "call", stored.id, at=now, **about, data={"state": row["state"], "trace": trace})
        if stored.client_id is not None:
            data = timeline_data(row, entry.legs, entry.manager)
            told.append(timeline.NewEntry(stored.id, stored.client_id, stored.contact_id, row["started_at"], data))
    await timeline.put_all(conn, "call", told, now=now)


def latest_snapshots_only(effects: Sequence[Effect]) -> list[Effect]:
    """Drop each `CallChanged` that a later effect of the same call in this batch makes stale."""
    kept: list[Effect] = []
    later: set[tuple[str, str]] = set()
    for effect in reversed(effects):
        key = (effect.call.boot, effect.call.linked_id)
        if isinstance(effect, CallChanged) and key in later:
            continue
        later.add(key)
        kept.append(effect)
    return kept[::-1]
