"""One PBX at work: link → tracker → intake, and the sender beside it.

The reader never waits for the database: effects gather in a buffer that one storing task empties, batch by batch.
Where the database stays away, stale snapshots in the buffer are dropped first; past its bound the link is told to
start over, and the state is taken from Asterisk anew. Invariant: effects are stored in the order they were told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.errors import HubError, Unavailable
from hub.settings import Pbx
from hub.store.changes import tell
from hub.store.engine import Database
from hub.store.upsert import insert
from hub.telephony import recall
from hub.telephony.calls import Call, Effect
from hub.telephony.intake import CallIntake, latest_snapshots_only
from hub.telephony.link import Down, FrameReceived, PbxLink, Up
from hub.telephony.models import pbx_states
from hub.telephony.sender import IntentSender
from hub.telephony.tracker import CallTracker, PbxRules
from hub.telephony.wire import Frame

log = logging.getLogger(__name__)

MAX_BUFFERED = 20_000
SNAPSHOT_WITHIN = timedelta(seconds=5)
SNAPSHOT_TRIES = 3
DETAILS = {
    "bridges": "BridgeList", "queues": "QueueStatus", "parked": "ParkedCalls", "devices": "DeviceStateList"
}  # fmt: skip
"""By the argument of `CallTracker.resync`: what is asked for beside the channels."""


class PbxService:
    """Everything Hub does with one PBX. `run` ends only by cancellation."""

    def __init__(self, db: Database, pbx: Pbx, intake: CallIntake, *, now: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._pbx = pbx
        self._intake = intake
        self._now = now
        self._effects: list[Effect] = []
        self._told = asyncio.Event()
        self._sweep_wanted = False

    async def run(self) -> None:
        boot, known = await self._recall()
        link, tracker = (
            PbxLink(self._pbx, known_boot=boot),
            CallTracker(_rules(self._pbx), boot=boot, known_calls=known),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(link.run())
            tasks.create_task(self._read(link, tracker))
            tasks.create_task(self._store(tracker))
            tasks.create_task(IntentSender(self._db, self._pbx, link).run())

    async def _recall(self) -> tuple[str, list[Call]]:
        """What the process before knew: waits for the database as long as it takes."""
        while True:
            try:
                async with self._db.read() as conn:
                    return await recall.last_boot(conn, self._pbx.name), await recall.open_calls(conn, self._pbx.name)
            except Unavailable as error:
                log.warning("pbx %s waits for the database: %s", self._pbx.name, error)
                await asyncio.sleep(1)

    async def _read(self, link: PbxLink, tracker: CallTracker) -> None:
        async for incoming in link.incoming():
            match incoming:
                case FrameReceived(frame=frame, at=at):
                    self._add(tracker.handle(frame, now=at))
                case Up(boot=boot):
                    await self._resync(link, tracker, boot)
                case Down(reason=reason, auth_refused=auth_refused):
                    await self._show_state("auth_refused" if auth_refused else "down", error=reason)

    async def _resync(self, link: PbxLink, tracker: CallTracker, boot: str) -> None:
        """Take the state from Asterisk: what lives on keeps its identity, what vanished ends as estimated."""
        # The channels come last: what happens after that list is replayed on top of it, what came before is not.
        details = await self._ask_details(link)
        for _attempt in range(SNAPSHOT_TRIES):
            try:
                channels = await link.list_action("CoreShowChannels", {}, deadline=SNAPSHOT_WITHIN)
                break
            except Unavailable:
                # The line has gone again: its next Up asks anew.
                return
            except HubError as error:
                log.warning("pbx %s: no list of channels: %s", self._pbx.name, error)
        else:
            await self._show_state("down", error="the PBX does not list its channels")
            return
        self._add(tracker.resync(channels, boot=boot, now=self._now(), **details))
        self._sweep_wanted = True
        self._told.set()
        await self._show_state("up", boot=boot)

    async def _ask_details(self, link: PbxLink) -> dict[str, list[Frame]]:
        """Ask what the list of channels does not tell; what a PBX does not answer is left out."""
        details: dict[str, list[Frame]] = {}
        for name, action in DETAILS.items():
            try:
                details[name] = await link.list_action(action, {}, deadline=SNAPSHOT_WITHIN)
            except Unavailable:
                break
            except HubError as error:
                # Without res_parking there is no ParkedCalls, before Asterisk 12 no BridgeList.
                log.info("pbx %s: no %s: %s", self._pbx.name, action, error)
        return details

    def _add(self, effects: list[Effect]) -> None:
        if not effects:
            return
        self._effects.extend(effects)
        if len(self._effects) > MAX_BUFFERED:
            self._effects = latest_snapshots_only(self._effects)
        self._told.set()

    async def _store(self, tracker: CallTracker) -> None:
        delay_s = 0.1
        while True:
            await self._told.wait()
            self._told.clear()
            batch, self._effects = self._effects, []
            try:
                if batch:
                    await self._intake.store(batch, now=self._now())
                if self._sweep_wanted:
                    alive = {(call.boot, call.linked_id) for call in tracker.open_calls()}
                    await self._intake.end_vanished(self._pbx.name, alive, now=self._now())
                    self._sweep_wanted = False
            except Unavailable as error:
                log.warning("pbx %s: %d effects wait for the database: %s", self._pbx.name, len(batch), error)
                self._effects = batch + self._effects
                self._told.set()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 5)
            else:
                delay_s = 0.1

    async def _show_state(self, state: str, *, boot: str = "", error: str = "") -> None:
        try:
            async with self._db.begin() as conn:
                await _write_state(conn, self._pbx.name, state, boot=boot, error=error, now=self._now())
        except Unavailable as unavailable:
            log.warning("pbx %s is %s, and this could not be stored: %s", self._pbx.name, state, unavailable)


def _rules(pbx: Pbx) -> PbxRules:
    return PbxRules(
        pbx=pbx.name,
        internal_contexts=frozenset(pbx.internal_contexts) or None,
        hub_queues=frozenset(team.queue for team in pbx.team),
        own_numbers=frozenset(pbx.own_numbers),
    )


async def _write_state(conn: AsyncConnection, pbx: str, state: str, *, boot: str, error: str, now: datetime) -> None:
    values = {"state": state, "since": now, "error": error[:300]}
    if state == "up":
        values |= {"seen_at": now, "boot": boot}
    statement = insert(conn, pbx_states).values(pbx=pbx, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["pbx"], set_=values))
    await tell(conn, "pbx", 0, at=now, data={"pbx": pbx, "state": state})


async def pbx_health(conn: AsyncConnection) -> list[dict[str, object]]:
    """Return the state of every PBX seen so far: pbx, state, since, error."""
    rows = await conn.execute(sa.select(pbx_states).order_by(pbx_states.c.pbx))
    return [dict(row) for row in rows.mappings()]
