"""Run the operations, batch after batch, each as its own person.

A batch ends after `BATCH_S`, so that whoever else writes has a turn, on SQLite above all: calls wait for its only
writer. Of several processes one works on an operation at a time. Invariant: a record that cannot be written is a
result; only an error of Hub itself fails the operation, and leaves the batch undone.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.clock import monotonic_s, utc_now
from hub.crm.base import operations, publishing, reasons, registry
from hub.crm.base.history import Edit, Way
from hub.crm.base.labels import Problem
from hub.crm.base.operations import Operation, Result, Work, operation_rows
from hub.crm.base.permissions import Asker
from hub.crm.base.reasons import Reason
from hub.errors import Conflict, HubError, Refused, Unavailable
from hub.store.engine import Database

log = logging.getLogger(__name__)

BATCH_S = 0.15
AT_ONCE = 200
PAUSE = timedelta(seconds=0.02)
LOOK_EVERY_S = 30.0
LoadPerson = Callable[[AsyncConnection, int], Awaitable[Asker | None]]


class OperationRuns:
    """Runs what is queued. `works` are the kinds of operations by their word; `run` ends only by cancellation."""

    def __init__(
        self,
        db: Database,
        works: Mapping[str, Work],
        load_person: LoadPerson,
        *,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = monotonic_s,
        batch_s: float = BATCH_S,
        at_once: int = AT_ONCE,
    ) -> None:
        self._db, self._works, self._load_person, self._now = db, works, load_person, now
        self._monotonic, self._batch_s, self._at_once = monotonic, batch_s, at_once

    async def run(self) -> None:
        with self._db.bus.subscribe(operations.TOPIC) as hints:
            await self._db.loops.run_jobs(
                "operations", self.step, pause=PAUSE, wait=lambda: hints.wait(at_most_s=LOOK_EVERY_S)
            )

    async def step(self) -> bool:
        """Do one batch of the first open operation; False where there is none, or others hold them all."""
        failed: tuple[Operation, tuple[Reason, ...]] | None = None
        try:
            async with self._db.begin() as conn:
                if (operation := await operations.hold_next(conn)) is None:
                    return False
                try:
                    await self._batch(conn, operation)
                except Unavailable:
                    raise
                except Exception as error:
                    failed = operation, reasons.of_error(error) if isinstance(error, HubError) else _OURS
                    raise
                crash_points.point("operations.before_commit")
            crash_points.point("operations.committed")
        except Unavailable:
            raise
        except Exception:
            if failed is None:
                raise
            # The batch is rolled back; the operation stands as failed with its reason, and its person can resume it.
            log.exception("operation %d of kind %s failed", failed[0].id, failed[0].kind)
            async with self._db.begin() as conn:
                await operations.fail(conn, failed[0], failed[1], now=self._now())
        return True

    async def _batch(self, conn: AsyncConnection, operation: Operation) -> None:
        now, work = self._now(), self._works[operation.kind]
        person = None if operation.runs_as is None else await self._load_person(conn, operation.runs_as)
        if operation.runs_as is not None and person is None:
            raise Refused("person_missing", "who began this operation may no longer sign in")
        way: Way = "undo" if operation.is_undoing else "bulk"
        edit = Edit(person, way, now, operation.id)
        if operation.is_undoing:
            ids = await _touched(conn, operation, limit=self._at_once)
        else:
            ids = list(await work.targets(conn, operation, person, limit=self._at_once))
        started_at = self._monotonic()
        entity = registry.kind(operation.object_kind)
        before = await publishing.principals_of(conn, entity, ids)
        found: list[Result] = []
        for record_id in ids:
            found.append(await self._one(conn, work, operation, record_id, edit))
            if self._monotonic() - started_at >= self._batch_s:
                break
        is_over = len(found) == len(ids) < self._at_once
        await operations.keep(conn, operation, found, is_over=is_over, now=now)
        touched = [one.record_id for one in found if one.outcome in _TOUCHED]
        await publishing.publish_batch(conn, entity, touched, before, at=now)

    async def _one(self, conn: AsyncConnection, work: Work, operation: Operation, record_id: int, edit: Edit) -> Result:
        """Do it to one record in a savepoint: nothing of a refused one stays."""
        try:
            async with conn.begin_nested():
                if operation.is_undoing:
                    return await work.reverse(conn, operation, record_id, edit=edit)
                return await work.apply(conn, operation, record_id, edit=edit)
        except (Refused, Conflict) as error:
            return Result(record_id, "failed" if operation.is_undoing else "refused", reasons.of_error(error))


_TOUCHED = ("created", "updated", "reversed", "kept")
_OURS = (Reason(Problem("internal_error", "Hub met an error of its own; the log has it")),)


async def _touched(conn: AsyncConnection, operation: Operation, *, limit: int) -> list[int]:
    """Return the next records that the operation changed or made: those that an undo looks at."""
    rows = operation_rows
    query = (
        sa.select(rows.c.record_id)
        .where(rows.c.operation_id == operation.id, rows.c.record_id > operation.position)
        .where(rows.c.outcome.in_(("created", "updated", "reversed", "kept", "failed")))
        .order_by(rows.c.record_id)
        .limit(limit)
    )
    return list((await conn.execute(query)).scalars())
