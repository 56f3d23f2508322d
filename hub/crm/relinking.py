"""When an address gets, loses or changes its owner: past calls and messages are asked anew whose they are.

The kinds that have addresses say which ones changed (`of_edit`); a job asks about them in batches, the newest first.
What a batch does to calls and to messages is theirs (`Batch`). Invariants: what is wanted is in the transaction of the
edit; a batch and how far the job is are one transaction; of several processes one works on a job at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.clock import utc_now
from hub.crm.addresses import AddressKind
from hub.crm.base.history import Edit
from hub.crm.linking import Linker
from hub.crm.models import relink_jobs
from hub.store.engine import Database, hint_after_commit
from hub.store.upsert import insert

log = logging.getLogger(__name__)

TOPIC = "relink_jobs"
LOOK_EVERY_S = 30.0
PAUSE = timedelta(seconds=0.02)
"""Between two batches, so that other writers have their turn."""

Addresses = Mapping[AddressKind, Iterable[str]]


class Batch(Protocol):
    """Ask anew about the next things of an address, those with an id below `below_id` (None: from the newest on).

    Returns the next bound, 0 when there are no more. Unless `unlinks`, what nobody owns any more stays on its card.
    """

    async def __call__(
        self,
        conn: AsyncConnection,
        linker: Linker,
        address: str,
        below_id: int | None,
        /,
        *,
        unlinks: bool,
        now: datetime,
    ) -> int: ...


async def of_edit(conn: AsyncConnection, before: Addresses, after: Addresses, *, edit: Edit) -> None:
    """Want everything of the addresses that an edit added to a record or took from it.

    The past of an address that a person deletes stays on the card unless somebody else has the address; where an
    undo takes back an address that should never have been there, its calls and messages leave.
    """
    for kind in sorted({*before, *after}):
        old, new = set(before.get(kind, ())), set(after.get(kind, ()))
        await want(conn, kind, sorted(old ^ new), unlinks=edit.way == "undo", now=edit.now)


async def want(
    conn: AsyncConnection, kind: AddressKind, values: Iterable[str], *, unlinks: bool = False, now: datetime
) -> None:
    """Have every call or message of these addresses asked anew whose it is, in a job."""
    rows = [
        {"kind": kind, "address": value, "below_id": None, "unlinks": unlinks, "created_at": now} for value in values
    ]
    if not rows:
        return
    statement = insert(conn, relink_jobs)
    again = {"below_id": None, "unlinks": sa.or_(relink_jobs.c.unlinks, statement.excluded.unlinks)}
    await conn.execute(statement.on_conflict_do_update(index_elements=["kind", "address"], set_=again), rows)
    hint_after_commit(conn, TOPIC)


class RelinkRuns:
    """Does the jobs, those that have not begun first. `run` ends only by cancellation."""

    def __init__(
        self,
        db: Database,
        linker: Linker,
        batches: Mapping[AddressKind, Batch],
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db, self._linker, self._batches, self._now = db, linker, batches, now

    async def run(self) -> None:
        with self._db.bus.subscribe(TOPIC) as hints:
            await self._db.loops.run_jobs(
                "relinking", self.step, pause=PAUSE, wait=lambda: hints.wait(at_most_s=LOOK_EVERY_S)
            )

    async def step(self) -> bool:
        """Do one batch of the first job; False where there is none, or other processes hold them all."""
        async with self._db.read() as conn:
            if (await conn.execute(sa.select(relink_jobs.c.id).limit(1))).first() is None:
                return False
        async with self._db.begin() as conn:
            if (job := await _hold_next(conn)) is None:
                return False
            ask = self._batches[job.kind]
            below = await ask(conn, self._linker, job.address, job.below_id, unlinks=bool(job.unlinks), now=self._now())
            mine = relink_jobs.c.id == job.id
            if below > 1:
                await conn.execute(sa.update(relink_jobs).where(mine).values(below_id=below))
            else:
                await conn.execute(relink_jobs.delete().where(mine))
                log.debug("everything of one %s is asked anew", job.kind)
            crash_points.point("relinking.batch")
        return True


async def _hold_next(conn: AsyncConnection) -> Any:
    first = sa.select(relink_jobs).order_by(relink_jobs.c.below_id.is_not(None), relink_jobs.c.id).limit(1)
    if conn.dialect.name == "postgresql":
        first = first.with_for_update(skip_locked=True)
    return (await conn.execute(first)).first()
