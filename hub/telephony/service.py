"""One PBX at work: link → tracker → intake, and the sender beside it.

The reader never waits for the database: effects gather in a buffer that one storing task empties, batch by batch.
Where the database stays away, stale snapshots in the buffer are dropped first; past its bound the link is told to
start over, and the state is taken from Asterisk anew. Invariant: effects are stored in the order they were told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Set
from datetime import datetime

from hub.clock import monotonic_s, utc_now
from hub.errors import Unavailable
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
        self._effects: list[tuple[datetime, Effect]] = []
        """With the moment of its event."""
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
        boot, known = await self._recall()
        link, tracker = (
            PbxLink(self._pbx, known_boot=boot),
            CallTracker(rules_of(self._pbx), boot=boot, known_calls=known),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(link.run())
            tasks.create_task(self._read(link, tracker))
            tasks.create_task(self._store(tracker))
            tasks.create_task(health.beat(self._db, self._pbx.name, lambda: link.state.status == "up", now=self._now))
            tasks.create_task(self._devices.run())
            tasks.create_task(self._backfill.run())
            tasks.create_task(IntentSender(self._db, self._pbx, link).run())
            gone = VanishedChannels(link, tracker.channel_ids, self._ender(tracker))
            tasks.create_task(self._db.loops.run(f"pbx.{self._pbx.name}.channels", gone.look, wait=gone.rest))

    async def _recall(self) -> tuple[str, list[Call]]:
        """What the process before knew: waits for the database as long as it takes."""
        while True:
            try:
                await self._devices.recall()
                async with self._db.read() as conn:
                    self._unseen_since = await recall.last_seen(conn, self._pbx.name)
                    return await recall.last_boot(conn, self._pbx.name), await recall.open_calls(conn, self._pbx.name)
            except Unavailable as error:
                log.warning("pbx %s waits for the database: %s", self._pbx.name, error)
                await asyncio.sleep(1)

    async def _read(self, link: PbxLink, tracker: CallTracker) -> None:
        async for incoming in link.incoming():
            match incoming:
                case FrameReceived(frame=frame, at=at, position=position) if frame["Event"] in DEVICE_EVENTS:
                    self._devices.handle(frame, now=at, position=position)
                case FrameReceived(frame=frame, at=at, position=position):
                    if effects := tracker.handle(frame, now=at, is_overtaken=position <= self._synced_to):
                        self._add(effects, at)
                case Up(boot=boot):
                    self._synced_to = 0
                    await self._resync(link, tracker, boot)
                case Down(reason=reason, auth_refused=auth_refused):
                    if self._is_up:
                        self._is_up, self._unseen_since = False, self._unseen_since or self._now()
                    await self._show_state("auth_refused" if auth_refused else "down", error=reason)

    async def _resync(self, link: PbxLink, tracker: CallTracker, boot: str) -> None:
        """Take the state from Asterisk: what lives on keeps its identity, what vanished ends as estimated."""
        try:
            state = await snapshot.take(link)
        except Unavailable:
            return  # the line has gone again: its next Up asks anew
        if state is None:
            await self._show_state("down", error="the PBX does not list its channels")
            return
        now = self._now()
        self._synced_to = state.position
        self._add(tracker.resync(state.channels, boot=boot, now=now, **state.details), now)
        self._is_up, self._sweep_wanted = True, True
        self._gap_since, self._unseen_since = self._gap_since or self._unseen_since, None
        self._told.set()
        await self._devices.resync(link)
        await self._show_state("up", boot=boot)

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
        self._told.set()

    async def _store(self, tracker: CallTracker) -> None:
        delay_s = 0.1
        while True:
            await self._told.wait()
            self._told.clear()
            batch, self._effects = self._effects[:MAX_BATCH], self._effects[MAX_BATCH:]
            if self._effects:
                self._told.set()
            began = monotonic_s()
            try:
                if batch:
                    await self._intake.store([effect for _, effect in batch], now=self._now())
                    self._note_lag(batch)
                if self._sweep_wanted and not self._effects:
                    alive = {(call.boot, call.linked_id) for call in tracker.open_calls()}
                    await self._intake.end_vanished(self._pbx.name, alive, now=self._now(), heard_until=self._gap_since)
                    self._sweep_wanted = False
                    if self._gap_since is not None:
                        self._backfill.ask(Gap(self._gap_since, self._now()))
                        self._gap_since = None
            except Unavailable as error:
                log.warning("pbx %s: %d effects wait for the database: %s", self._pbx.name, len(batch), error)
                self._effects = batch + self._effects
                self._told.set()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 5)
            else:
                delay_s = 0.1
                if LARGE_BATCH <= len(batch) < MAX_BATCH:
                    await asyncio.sleep(min(monotonic_s() - began, LONGEST_REST_S))

    def _note_lag(self, batch: list[tuple[datetime, Effect]]) -> None:
        if self._lag_seen is not None:
            now = self._now()
            for at, _ in batch:
                self._lag_seen((now - at).total_seconds())

    async def _show_state(self, state: str, *, boot: str = "", error: str = "") -> None:
        try:
            async with self._db.begin() as conn:
                await health.write(conn, self._pbx.name, state, boot=boot, error=error, now=self._now())
        except Unavailable as unavailable:
            log.warning("pbx %s is %s, and this could not be stored: %s", self._pbx.name, state, unavailable)


def rules_of(pbx: Pbx) -> PbxRules:
    """Return what the operator said of a PBX, as the tracker needs it."""
    return PbxRules(
        pbx=pbx.name,
        internal_contexts=frozenset(pbx.internal_contexts) or None,
        hub_queues=frozenset(team.queue for team in pbx.team),
        own_numbers=frozenset(pbx.own_numbers),
    )
