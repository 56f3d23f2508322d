"""How each PBX is: written by the process that holds its line, shown on every page.

A line that is up is confirmed every few seconds; where that stops without a word, because the process died, whoever
watches says so. Invariant: a PBX that is not heard is shown as down within 15 s, whatever it was that broke.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.store.changes import publish
from hub.store.engine import Database
from hub.store.upsert import insert
from hub.telephony.models import pbx_states

BEAT_EVERY = timedelta(seconds=4)
SILENT_AFTER = timedelta(seconds=12)
WATCH_EVERY = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class PbxState:
    """A PBX as a page shows it. `since` is when it came up or went down, `error` what was said last."""

    pbx: str
    state: str
    since: datetime | None
    error: str
    version: str = ""

    @property
    def is_up(self) -> bool:
        return self.state == "up"


async def write(
    conn: AsyncConnection, pbx: str, state: str, *, boot: str = "", error: str = "", version: str = "", now: datetime
) -> None:
    """Write that a PBX is in this state. `since` moves only when it was in another."""
    row = (await conn.execute(sa.select(pbx_states.c.state).where(pbx_states.c.pbx == pbx))).first()
    values: dict[str, object] = {"state": state, "error": error[:300]}
    if state == "up":
        values |= {"seen_at": now, "boot": boot} | ({"version": version[:60]} if version else {})
    if row is None or row.state != state:
        values["since"] = now
    if row is None:
        fresh = insert(conn, pbx_states).values(pbx=pbx, **values)
        await conn.execute(fresh.on_conflict_do_update(index_elements=["pbx"], set_=values))
    else:
        await conn.execute(sa.update(pbx_states).where(pbx_states.c.pbx == pbx).values(**values))
    await publish(conn, "pbx", 0, at=now, data={"pbx": pbx, "state": state})


@dataclass(frozen=True, slots=True)
class _Said:
    """What is to be shown of a line."""

    state: str
    boot: str = ""
    error: str = ""
    version: str = ""


class StateWriter:
    """Writes how the line to one PBX is, and confirms a line that is up. `say` never waits; `run` writes the last."""

    def __init__(self, db: Database, pbx: str, *, now: Callable[[], datetime] = utc_now) -> None:
        self._db, self._pbx, self._now = db, pbx, now
        self._said: _Said | None = None
        self._written: _Said | None = None
        self._news = asyncio.Event()

    def say(self, state: str, *, boot: str = "", error: str = "", version: str = "") -> None:
        """Have this shown, however long the database is away: what was said before and not written is passed over."""
        self._said, self._written = _Said(state, boot, error, version), None
        self._news.set()

    async def run(self) -> None:
        await self._db.loops.run(f"pbx.{self._pbx}.state", self._write, wait=self._wait)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(BEAT_EVERY.total_seconds()):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    async def _write(self) -> None:
        said = self._said
        if said is None or (said == self._written and said.state != "up"):
            return
        async with self._db.begin() as conn:
            if said != self._written or not await _confirm(conn, self._pbx, now=self._now()):
                await write(
                    conn, self._pbx, said.state, boot=said.boot, error=said.error, version=said.version, now=self._now()
                )
        if said is self._said:
            self._written = said


async def _confirm(conn: AsyncConnection, pbx: str, *, now: datetime) -> bool:
    """Confirm a line that is up and tell nobody, for nothing has changed; False where it is shown as down meanwhile.

    That is so after the database was away longer than `SILENT_AFTER`: a watch was faster than this.
    """
    mine = sa.update(pbx_states).where(pbx_states.c.pbx == pbx, pbx_states.c.state == "up")
    return bool((await conn.execute(mine.values(seen_at=now))).rowcount)


async def watch(db: Database) -> None:
    """Say of every PBX that nobody confirms any more that it is down, for ever; any number of processes may watch."""
    await db.loops.run("pbx_watch", lambda: expire(db, now=utc_now()), every=WATCH_EVERY)


async def expire(db: Database, *, now: datetime) -> None:
    """The watch's one round."""
    silent = sa.and_(pbx_states.c.state == "up", pbx_states.c.seen_at < now - SILENT_AFTER)
    async with db.read() as conn:
        if (await conn.execute(sa.select(pbx_states.c.pbx).where(silent))).first() is None:
            return
    async with db.begin() as conn:
        gone = sa.update(pbx_states).where(silent).values(state="down", since=now, error="no process of Hub holds it")
        for row in await conn.execute(gone.returning(pbx_states.c.pbx)):
            await publish(conn, "pbx", 0, at=now, data={"pbx": row.pbx, "state": "down"})


async def states(conn: AsyncConnection, names: tuple[str, ...]) -> list[PbxState]:
    """Return the state of each configured PBX, in the order given; one never seen is `connecting`."""
    rows = {row.pbx: row for row in await conn.execute(sa.select(pbx_states).where(pbx_states.c.pbx.in_(names)))}
    unseen = [PbxState(name, "connecting", None, "") for name in names]
    return [
        PbxState(one.pbx, row.state, row.since, row.error, row.version) if (row := rows.get(one.pbx)) else one
        for one in unseen
    ]
