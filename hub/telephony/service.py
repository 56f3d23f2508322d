"""One PBX at work: link → tracker → intake, and the sender beside it.

The reader never waits for the database: effects gather in a buffer that one storing task empties, batch by batch.
Where the database stays away, stale snapshots in the buffer are dropped first; past its bound all of this starts over,
as a new process would: once the database is back, the state is taken from Asterisk, and the gap from its records.
Invariant: effects are stored in the order they were told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Set
from datetime import datetime
from functools import partial

from hub.clock import monotonic_s, utc_now
from hub.errors import Unavailable
from hub.periodic import Loop
from hub.settings import Pbx
from hub.store.engine import Database
from hub.telephony import health
from hub.telephony.backfill.backfill import Backfill, Gap
from hub.telephony.backfill.cdr_source import source_of
from hub.telephony.control.sender import IntentSender
from hub.telephony.intake.intake import CallIntake, latest_snapshots_only
from hub.telephony.line import snapshot
from hub.telephony.line.link import Down, FrameReceived, PbxLink, Up
from hub.telephony.line.vanished import VanishedChannels
from hub.telephony.presence.devices import EVENTS as DEVICE_EVENTS
from hub.telephony.presence.devicestore import DeviceStore
from hub.telephony.reading import recall
from hub.telephony.tracking.calls import Call, Effect
from hub.telephony.tracking.tracker import CallTracker, PbxRules

log = logging.getLogger(__name__)

MAX_BUFFERED = 20_000
MAX_BATCH = 2_000
"""Effects that one transaction stores at most: it stays short, and its lists within what a statement may carry."""
LARGE_BATCH = 8
LONGEST_REST_S = 0.05
"""Behind a batch that shows load, storing rests as long as that took: the next one is larger, each effect cheaper, and
the loop is free for pages and other PBXs half of the time."""


class _TooFarBehind(Exception):
    """More effects wait for the database than are kept."""


class PbxService:
    """Everything Hub does with one PBX. `run` ends only by cancellation."""

    def __init__(
        self,
        db: Database,
        pbx: Pbx,
        intake: CallIntake,
        *,
        now: Callable[[], datetime] = utc_now,
        lag_seen: Callable[[float], None] | None = None,
    ) -> None:
        """`lag_seen` is told of each effect how many seconds after its event it was committed."""
        self._db = db
        self._pbx = pbx
        self._intake = intake
        self._now = now
        self._devices = DeviceStore(db, pbx.name, now=now)
        self._lag_seen = lag_seen
        self._state = health.StateWriter(db, pbx.name, now=now)
        self._effects: list[tuple[datetime, Effect]] = []
        """With the moment of its event."""
        self._batch: list[tuple[datetime, Effect]] = []
        """The oldest of them, which are being stored."""
        self._told = asyncio.Event()
        self._sweep_wanted = False
        self._backfill = Backfill(db, source_of(pbx), intake, rules_of(pbx), now=now)
        self._is_up = False
        self._synced_to = 0
        """The position of the last event that the lists taken at sign-in overtook."""
        self._unseen_since: datetime | None = None
        """When the PBX was last heard, while it is not."""
        self._gap_since: datetime | None = None
        """The same of a gap that is over but for the sweep."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._backfill.run())
            tasks.create_task(self._state.run())
            while True:
                try:
                    await self._live()
                except* _TooFarBehind:
                    log.error("pbx %s: the database is away for too long: its state will be taken anew", self._pbx.name)
                    self._state.say("down", error="the database is away")

    async def _live(self) -> None:
        """Work from what the database knows until cancelled. Raises _TooFarBehind, in a group."""
        with self._db.loops.loop(f"pbx.{self._pbx.name}.calls") as loop:
            boot, known = await loop.retry(self._recall)
            link = PbxLink(self._pbx, known_boot=boot)
            tracker = CallTracker(rules_of(self._pbx), boot=boot, known_calls=known)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(link.run())
                tasks.create_task(self._read(link, tracker))
                tasks.create_task(self._store(tracker, loop))
                tasks.create_task(self._devices.run())
                tasks.create_task(IntentSender(self._db, self._pbx, link, region=self._intake.home).run())
                gone = VanishedChannels(link, tracker.channel_ids, self._ender(tracker))
                tasks.create_task(self._db.loops.run(f"pbx.{self._pbx.name}.channels", gone.look, wait=gone.rest))

    async def _recall(self) -> tuple[str, list[Call]]:
        """Learn what the process before knew, and forget what this one held."""
        self._effects, self._batch, self._sweep_wanted, self._is_up = [], [], False, False
        await self._devices.recall()
        async with self._db.read() as conn:
            self._unseen_since = await recall.last_seen(conn, self._pbx.name)
            return await recall.last_boot(conn, self._pbx.name), await recall.open_calls(conn, self._pbx.name)

    async def _read(self, link: PbxLink, tracker: CallTracker) -> None:
        async for incoming in link.incoming():
            match incoming:
                case FrameReceived(frame=frame, at=at, position=position) if frame["Event"] in DEVICE_EVENTS:
                    self._devices.handle(frame, now=at, position=position)
                case FrameReceived(frame=frame, at=at, position=position):
                    if effects := tracker.handle(frame, now=at, is_overtaken=position <= self._synced_to):
                        self._add(effects, at)
                case Up(boot=boot, version=version):
                    self._synced_to = 0
                    await self._resync(link, tracker, boot, version)
                case Down(reason=reason, auth_refused=auth_refused):
                    if self._is_up:
                        self._is_up, self._unseen_since = False, self._unseen_since or self._now()
                    self._state.say("auth_refused" if auth_refused else "down", error=reason)

    async def _resync(self, link: PbxLink, tracker: CallTracker, boot: str, version: str) -> None:
        """Take the state from Asterisk: what lives on keeps its identity, what vanished ends as estimated."""
        try:
            state = await snapshot.take(link)
        except Unavailable:
            return  # the line has gone again: its next Up asks anew
        if state is None:
            self._state.say("down", error="the PBX does not list its channels")
            return
        now = self._now()
        self._synced_to = state.position
        self._add(tracker.resync(state.channels, boot=boot, now=now, **state.details), now)
        self._is_up, self._sweep_wanted = True, True
        self._gap_since, self._unseen_since = self._gap_since or self._unseen_since, None
        self._told.set()
        await self._devices.resync(link)
        self._state.say("up", boot=boot, version=version)

    def _ender(self, tracker: CallTracker) -> Callable[[Set[str]], None]:
        def end(uniqueids: Set[str]) -> None:
            now = self._now()
            self._add(tracker.end_channels(uniqueids, now=now), now)

        return end

    def _add(self, effects: list[Effect], at: datetime) -> None:
        self._effects.extend([(at, effect) for effect in effects])
        if len(self._effects) > MAX_BUFFERED:
            kept = {id(effect) for effect in latest_snapshots_only([effect for _, effect in self._effects])}
            self._effects = [told for told in self._effects if id(told[1]) in kept]
            if len(self._effects) > MAX_BUFFERED:
                raise _TooFarBehind
        self._told.set()

    async def _store(self, tracker: CallTracker, loop: Loop) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            began = monotonic_s()
            stored = await loop.retry(partial(self._store_next, tracker))
            if self._effects:
                self._told.set()
            if LARGE_BATCH <= stored < MAX_BATCH:
                await asyncio.sleep(min(monotonic_s() - began, LONGEST_REST_S))

    async def _store_next(self, tracker: CallTracker) -> int:
        """Store the oldest batch; behind the last, end what vanished in a gap. Return how many effects were stored."""
        if not self._batch:
            self._batch, self._effects = self._effects[:MAX_BATCH], self._effects[MAX_BATCH:]
        stored = len(self._batch)
        if self._batch:
            await self._intake.store([effect for _, effect in self._batch], now=self._now())
            self._note_lag(self._batch)
            self._batch = []
        if self._sweep_wanted and not self._effects:
            alive = {(call.boot, call.linked_id) for call in tracker.open_calls()}
            heard = self._gap_since
            await self._intake.end_vanished(self._pbx.name, alive, now=self._now(), heard_until=heard)
            self._sweep_wanted = False
            if self._gap_since is not None:
                self._backfill.ask(Gap(self._gap_since, self._now()))
                self._gap_since = None
        return stored

    def _note_lag(self, batch: list[tuple[datetime, Effect]]) -> None:
        if self._lag_seen is not None:
            now = self._now()
            for at, _ in batch:
                self._lag_seen((now - at).total_seconds())


def rules_of(pbx: Pbx) -> PbxRules:
    """Return what the operator said of a PBX, as the tracker needs it."""
    return PbxRules(
        pbx=pbx.name,
        internal_contexts=frozenset(pbx.internal_contexts) or None,
        hub_queues=frozenset(team.queue for team in pbx.team),
        own_numbers=frozenset(pbx.own_numbers),
    )
