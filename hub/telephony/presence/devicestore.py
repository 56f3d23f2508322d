"""The way of device states from the PBX into the database: what was heard gathers for a moment, then one batch.

Asks the PBX for its whole list after every connection; a PBX that cannot give one has no devices here until it tells
of them. Says who may hear of a change (`publish`), not how it looks. Invariants: the reader never waits for the
database; nothing is written where nothing changed; a state that could not be stored stays to be stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import phones
from hub.errors import Refused, Unavailable, Unknown
from hub.store.changes import publish
from hub.store.engine import Database
from hub.store.upsert import insert
from hub.telephony.line.link import PbxLink
from hub.telephony.models import device_states
from hub.telephony.presence.devices import Device, DeviceBoard, Frame, Pending

log = logging.getLogger(__name__)

GATHER_S = 0.2
LIST_WITHIN = timedelta(seconds=3)
ROWS_AT_ONCE = 200


class DeviceStore:
    """The devices of one PBX. `handle` and `resync` are called by the reader, `run` beside it."""

    def __init__(self, db: Database, pbx: str, *, now: Callable[[], datetime]) -> None:
        self._db, self._pbx, self._now = db, pbx, now
        self._board = DeviceBoard()
        self._told = asyncio.Event()
        self._listed_at = 0

    async def recall(self) -> None:
        """Learn what the database holds. Raises Unavailable."""
        async with self._db.read() as conn:
            rows = (await conn.execute(sa.select(device_states).where(device_states.c.pbx == self._pbx))).all()
        self._board = DeviceBoard(Device(r.device, r.state, r.since, r.contact) for r in rows)

    def handle(self, frame: Frame, *, now: datetime, position: int) -> None:
        """Take one event of `devices.EVENTS`, unless the list taken after the last connection has overtaken it."""
        if position > self._listed_at and self._board.handle(frame, now=now):
            self._told.set()

    async def resync(self, link: PbxLink) -> None:
        """Take the state of all devices from the PBX, so that none stays as it was before a cut."""
        rows: list[Frame] = []
        self._listed_at = 0
        # An Asterisk before 13 has no list of device states, but chan_sip has one of its peers.
        for action in ("DeviceStateList", "SIPpeers"):
            try:
                listed = await link.listed(action, {}, deadline=LIST_WITHIN)
                rows, self._listed_at = listed.rows, listed.position
                break
            except Unavailable:
                return
            except (Refused, Unknown) as error:
                log.info("pbx %s: no device states by %s: %s", self._pbx, action, error.message)
        self._board.take_list(rows, now=self._now())
        self._told.set()

    async def run(self) -> None:
        """Store what changed, at most five times a second, for ever."""
        await self._db.loops.run(f"pbx.{self._pbx}.devices", self._store, wait=self._gather)

    async def _gather(self) -> None:
        await self._told.wait()
        # A call tells of a phone three times within a second or two; of a burst only its end is kept.
        await asyncio.sleep(GATHER_S)
        self._told.clear()

    async def _store(self) -> None:
        if pending := self._board.pending():
            async with self._db.begin() as conn:
                await store(conn, self._pbx, pending, now=self._now())
            self._board.settle(pending)


async def store(conn: AsyncConnection, pbx: str, pending: Pending, *, now: datetime) -> None:
    """Write a batch and tell of it: once for each team whose people's phones are among it."""
    rows = [
        {
            "pbx": pbx,
            "device": one.name,
            "extension": pending.extensions[one.name],
            "state": one.state,
            "since": one.since,
            "contact": one.contact,
        }
        for one in pending.changed
    ]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        fresh = insert(conn, device_states).values(rows[start : start + ROWS_AT_ONCE])
        taken = {name: fresh.excluded[name] for name in ("state", "since", "contact")}
        await conn.execute(fresh.on_conflict_do_update(index_elements=["pbx", "device"], set_=taken))
    for start in range(0, len(pending.gone), ROWS_AT_ONCE):
        gone = device_states.c.device.in_(pending.gone[start : start + ROWS_AT_ONCE])
        await conn.execute(sa.delete(device_states).where(device_states.c.pbx == pbx, gone))
    await _tell(conn, pbx, pending, now=now)


async def _tell(conn: AsyncConnection, pbx: str, pending: Pending, *, now: datetime) -> None:
    changed = {
        one.name: {"pbx": pbx, "device": one.name, "state": one.state, "since": rfc3339(one.since)}
        for one in pending.changed
    }
    changed |= {name: {"pbx": pbx, "device": name, "state": "gone", "since": rfc3339(now)} for name in pending.gone}
    owners = await phones.owners(conn, pbx, {ext for name in changed if (ext := pending.extensions[name])})
    teams = await phones.teams_of(conn, {user_id for user_id, _ in owners.values()})
    told: dict[tuple[int | None, int | None], list[dict[str, str | int | None]]] = {}
    for name, facts in changed.items():
        owner = owners.get(pending.extensions[name] or "")
        user_id = owner[0] if owner else None
        about = facts | {"user": user_id}
        for team_id in teams.get(user_id or 0, ()):
            told.setdefault((team_id, None), []).append(about)
        if user_id not in teams:
            # A phone of nobody is the administrators' to hear of; one of a person without a team theirs, too.
            told.setdefault((None, user_id), []).append(about)
    for (team_of, user_of), devices in told.items():
        await publish(conn, "device", 0, at=now, team_id=team_of, user_id=user_of, data={"devices": devices})
