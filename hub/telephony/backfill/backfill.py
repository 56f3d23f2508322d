"""What nobody saw while the line or Hub was away, taken from the PBX's own records once it is back.

Decides which recorded calls fall into a gap, which of them no row has yet, and which rows have an end that was only
concluded. A new row's origin is `cdr`; a corrected one stays `live`, and `estimated`. Invariant: the same gap filled
twice adds, opens and closes nothing the second time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import monotonic_s, utc_now
from hub.periodic import Backoff
from hub.store.engine import Database
from hub.telephony.backfill.cdr_calls import Told, calls_of, corrected
from hub.telephony.backfill.cdr_source import Source
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import call_legs, calls
from hub.telephony.reading import recall
from hub.telephony.tracking.calls import Call
from hub.telephony.tracking.directions import PbxRules

log = logging.getLogger(__name__)

EARLIER = timedelta(minutes=10)
"""By how much a gap is taken to begin before the last word: a silent line is noticed late, clocks differ, and a PBX
may have written its records of the gap before, late, while Hub was started again."""
LONGEST_GAP = timedelta(days=7)
"""Whoever called before that and was missed has given up, or has come through since."""
AGAIN_AFTER_S = 360.0
"""Records are written in batches on a PBX with `batch = yes`, five minutes late by default: the second look."""
RETRY = Backoff(first=timedelta(seconds=5), longest=timedelta(minutes=5))
"""Dear: each attempt reads the records of a week at worst."""
BATCH = 100
MAX_GAPS = 20
NEAR = timedelta(days=1)
"""The same uniqueid at another time is another call."""


@dataclass(frozen=True, slots=True)
class Gap:
    """From when the PBX was last heard until its state was taken anew."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of it, in calls and in rows that could not be read."""

    added: int = 0
    mended: int = 0
    malformed: int = 0


@dataclass(slots=True)
class _Job:
    gap: Gap
    due_s: float
    is_last: bool = False


class Backfill:
    """The back-fill of one PBX. `run` ends only by cancellation; `ask` is for whoever knows of a gap."""

    def __init__(
        self,
        db: Database,
        source: Source | None,
        intake: CallIntake,
        rules: PbxRules,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`source`: None where the operator named no place; then nothing is ever asked."""
        self._db, self._source, self._intake, self._rules, self._now = db, source, intake, rules, now
        self._jobs: list[_Job] = []
        self._news = asyncio.Event()

    def ask(self, gap: Gap) -> None:
        """Have a gap filled, now and once more when the PBX has written its last batch."""
        if self._source is None:
            return
        if len(self._jobs) >= MAX_GAPS:
            # The line comes and goes: one look over all of it does the same.
            gap = Gap(min(gap.since, *(job.gap.since for job in self._jobs)), gap.until)
            self._jobs.clear()
        self._jobs.append(_Job(gap, monotonic_s()))
        self._news.set()

    async def run(self) -> None:
        """Fill the gaps as they become due, each until it is filled."""
        with self._db.loops.loop(f"pbx.{self._rules.pbx}.backfill", backoff=RETRY) as loop:
            while True:
                job = await self._next_due()
                self._jobs.remove(job)
                await loop.retry(partial(self._do, job))
                if not job.is_last:
                    self._jobs.append(_Job(job.gap, monotonic_s() + AGAIN_AFTER_S, is_last=True))

    async def _next_due(self) -> _Job:
        while True:
            self._news.clear()
            job = min(self._jobs, key=lambda one: one.due_s, default=None)
            rest_s = job.due_s - monotonic_s() if job else None
            if job and rest_s is not None and rest_s <= 0:
                return job
            try:
                async with asyncio.timeout(rest_s):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _do(self, job: _Job) -> None:
        filled = await self.fill(job.gap)
        if filled != Filled():
            words = "pbx %s: from its records since %s: %d calls added, %d mended, %d rows unreadable"
            log.info(words, self._rules.pbx, job.gap.since, filled.added, filled.mended, filled.malformed)

    async def fill(self, gap: Gap) -> Filled:
        """Fill one gap. Raises Unavailable where the records or the database do not answer."""
        assert self._source is not None
        since = max(gap.since - EARLIER, gap.until - LONGEST_GAP)
        read = await self._source.since(since)
        found = await asyncio.to_thread(calls_of, read.records, self._rules)
        told = [one for one in found if _is_within(one.call, since, gap.until)]
        added = mended = 0
        for at in range(0, len(told), BATCH):
            async with self._db.begin() as conn:
                fresh, changed = await self._sort(conn, told[at : at + BATCH], gap)
                await self._intake.store_late(conn, fresh, changed, now=self._now())
            added, mended = added + len(fresh), mended + len(changed)
        return Filled(added, mended, read.malformed)

    async def _sort(self, conn: AsyncConnection, told: Sequence[Told], gap: Gap) -> tuple[list[Call], list[Call]]:
        """Tell the calls that no row has from those whose concluded end is to be mended; the others are known."""
        rows = await _rows_near(conn, self._rules.pbx, told)
        by_id: dict[str, sa.RowMapping] = {}
        for row in rows:
            by_id[row["linked_id"]] = row
            by_id[row["leg"] or row["linked_id"]] = row
        fresh: list[Call] = []
        to_mend: dict[int, Call] = {}
        for one in told:
            hits = [by_id[uniqueid] for uniqueid in sorted(one.uniqueids) if uniqueid in by_id]
            if not hits:
                fresh.append(one.call)
                continue
            # One of several records of a call that became one by a transfer: the row's own tells its end.
            own = next((row for row in hits if row["linked_id"] == one.call.linked_id), None)
            if own is not None and _was_concluded(own, gap):
                to_mend[own["id"]] = one.call
        seen = await recall.stored_calls(conn, list(to_mend))
        mended = {i: corrected(call, to_mend[i], not_before=_heard_until(call, gap)) for i, call in seen.items()}
        return fresh, [call for i, call in mended.items() if call != seen[i]]


def _is_within(call: Call, since: datetime, until: datetime) -> bool:
    """Tell whether a call began or ended in this time."""
    return since <= call.started_at <= until or (call.ended_at is not None and since <= call.ended_at <= until)


def _was_concluded(row: sa.RowMapping, gap: Gap) -> bool:
    """Tell whether nobody saw this call's end, because it came in this gap."""
    if row["origin"] != "live" or not row["estimated"] or row["state"] != "ended":
        return False
    return bool(gap.since - EARLIER <= row["ended_at"] <= gap.until)


def _heard_until(call: Call, gap: Gap) -> datetime:
    """Return until when this call is known to have been as it was left: one of a gap before tells nothing of that."""
    return gap.since if call.ended_at is not None and call.ended_at >= gap.since else call.started_at


async def _rows_near(conn: AsyncConnection, pbx: str, told: Sequence[Told]) -> Sequence[sa.RowMapping]:
    """Find the rows that have one of these uniqueids as their own or as a leg's."""
    ids = sorted({uniqueid for one in told for uniqueid in one.uniqueids})
    starts = [one.call.started_at for one in told]
    columns = [calls.c[name] for name in ("id", "linked_id", "state", "estimated", "origin", "ended_at")]
    legs = sa.and_(call_legs.c.call_id == calls.c.id, call_legs.c.uniqueid.in_(ids))
    query = (
        sa.select(*columns, call_legs.c.uniqueid.label("leg"))
        .outerjoin(call_legs, legs)
        .where(calls.c.pbx == pbx, calls.c.started_at.between(min(starts) - NEAR, max(starts) + NEAR))
        .where(sa.or_(calls.c.linked_id.in_(ids), call_legs.c.uniqueid.is_not(None)))
    )
    return (await conn.execute(query)).mappings().all()
