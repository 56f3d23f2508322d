"""The two jobs of recordings: look at each file once its call is over, and delete it when its time is over.

Looking (length, waveform) is seconds of CPU for an hour of sound and happens in a worker process of its own, which is
started when there is something to look at. Deleting is for a directory; behind a web server Hub can only forget.
Invariants: SQL decides who looks at or deletes what, so any number of processes may do this; and a recording is
marked deleted, with its audit row, only after its file is gone or is not ours to delete.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.crm.audit import record
from hub.crm.models import timeline_entries
from hub.errors import NotFound, Unavailable
from hub.settings import Pbx
from hub.store.changes import publish
from hub.store.engine import Database
from hub.telephony.models import calls, recordings
from hub.telephony.recordings.audio import Measured, NotAudio
from hub.telephony.recordings.recording_files import (
    DirectorySource,
    HttpSource,
    RecordingPath,
    Source,
    measure_beneath,
    source_of,
    suffix_of,
)

log = logging.getLogger(__name__)

LOOK_EVERY = timedelta(seconds=1)
EXPIRE_EVERY = timedelta(minutes=10)
SETTLES_AFTER = timedelta(seconds=1)
"""From the call's end until Asterisk has surely closed the file."""
TRIES = (5, 30, 120, 600, 3600, 6 * 3600)
"""Seconds until a file that is not there is looked for again; after the last it is missing."""
MEASURE_WITHIN_S = 300.0
BATCH = 20


class RecordingKeeper:
    """Keeps the recordings of all PBXs. `run` ends only by cancellation."""

    def __init__(self, db: Database, pbxs: Sequence[Pbx], *, now: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._sources: Mapping[str, Source] = {
            pbx.name: source for pbx in pbxs if (source := source_of(pbx)) is not None
        }
        self._now = now
        self._pool: ProcessPoolExecutor | None = None

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = self._db.loops
                tasks.create_task(loops.run("recordings.measure", self.measure_due, every=LOOK_EVERY))
                tasks.create_task(loops.run("recordings.expire", self.expire_due, every=EXPIRE_EVERY))
        finally:
            self._drop_pool()

    # Looking at files

    async def measure_due(self) -> int:
        """Look at the files of calls that are over; return how many were looked at."""
        now = self._now()
        query = (
            sa.select(recordings.c.id, recordings.c.pbx, recordings.c.path, recordings.c.tries, recordings.c.measure_at)
            .outerjoin(calls, calls.c.id == recordings.c.call_id)
            .where(recordings.c.state == "pending", recordings.c.measure_at <= now, recordings.c.deleted_at.is_(None))
            .where(sa.or_(calls.c.id.is_(None), calls.c.ended_at <= now - SETTLES_AFTER))
            .where(recordings.c.pbx.in_(sorted(self._sources)))
            .order_by(recordings.c.measure_at)
            .limit(BATCH)
        )
        if not self._sources:
            return 0
        async with self._db.read() as conn:
            due = (await conn.execute(query)).all()
        for row in due:
            await self._look(row)
        return len(due)

    async def _look(self, row: Any) -> None:
        next_try = self._now() + timedelta(seconds=TRIES[min(row.tries, len(TRIES) - 1)])
        mine = sa.update(recordings).where(
            recordings.c.id == row.id, recordings.c.state == "pending", recordings.c.measure_at == row.measure_at
        )
        async with self._db.begin() as conn:
            taken = await conn.execute(mine.values(measure_at=next_try, tries=row.tries + 1))
        if taken.rowcount != 1:
            return
        try:
            values = _values_of(await self._measure(self._sources[row.pbx], RecordingPath(row.path)), self._now())
        except NotAudio as error:
            # The file is there, and a person may still want to save it.
            log.warning("recording %s of pbx %s is not as it is named: %s", row.path, row.pbx, error)
            values = {"state": "ready"}
        except (NotFound, FileNotFoundError):
            if row.tries + 1 < len(TRIES):
                return
            log.warning("recording %s of pbx %s was announced, and no file of it came", row.path, row.pbx)
            values = {"state": "missing"}
        except (Unavailable, OSError, BrokenProcessPool) as error:
            log.warning("recording %s of pbx %s cannot be read yet: %s", row.path, row.pbx, error)
            return
        async with self._db.begin() as conn:
            await conn.execute(sa.update(recordings).where(recordings.c.id == row.id).values(**values))
            await _tell(conn, row.id, now=self._now())

    async def _measure(self, source: Source, path: RecordingPath) -> Measured:
        if isinstance(source, DirectorySource):
            return await self._in_worker(source.root, path)
        assert isinstance(source, HttpSource)
        with tempfile.TemporaryDirectory(prefix="hub-recording-") as folder:
            name = RecordingPath(f"sound.{suffix_of(path)}")
            async with asyncio.timeout(MEASURE_WITHIN_S):
                await source.fetch(path, Path(folder) / name)
            return await self._in_worker(Path(folder), name)

    async def _in_worker(self, root: Path, path: RecordingPath) -> Measured:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            async with asyncio.timeout(MEASURE_WITHIN_S):
                return await asyncio.get_running_loop().run_in_executor(self._pool, measure_beneath, root, path)
        except (BrokenProcessPool, TimeoutError):
            self._drop_pool()
            raise

    def _drop_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    # Deleting

    async def expire_due(self) -> int:
        """Delete what has been kept long enough; return how many recordings are gone."""
        now, gone, last = self._now(), 0, 0
        while True:
            query = (
                sa.select(recordings.c.id, recordings.c.pbx, recordings.c.path, recordings.c.call_id)
                .where(recordings.c.deleted_at.is_(None), recordings.c.keep_until <= now, recordings.c.id > last)
                .order_by(recordings.c.id)
                .limit(BATCH)
            )
            async with self._db.read() as conn:
                due = (await conn.execute(query)).all()
            if not due:
                return gone
            for row in due:
                last = row.id
                gone += await self._expire(row)

    async def _expire(self, row: Any) -> bool:
        source = self._sources.get(row.pbx)
        try:
            file_gone = await source.delete(RecordingPath(row.path)) if source is not None else False
        except Unavailable as error:
            log.error("a recording whose time is over stays on the disk of pbx %s: %s", row.pbx, error)
            return False
        now = self._now()
        async with self._db.begin() as conn:
            mark = sa.update(recordings).where(recordings.c.id == row.id, recordings.c.deleted_at.is_(None))
            if (await conn.execute(mark.values(deleted_at=now, peaks=sa.null()))).rowcount != 1:
                return False
            details = {"path": row.path, "pbx": row.pbx, "call": row.call_id, "file": "gone" if file_gone else "left"}
            await record(
                conn,
                "recording.deleted",
                at=now,
                user_id=None,
                object_kind="recording",
                object_id=row.id,
                details=details,
            )
            await _tell(conn, row.id, now=now)
        return True


def _values_of(measured: Measured, now: datetime) -> dict[str, Any]:
    values = {
        "state": "ready",
        "size_bytes": measured.size_bytes,
        "duration_s": measured.duration_s,
        "peaks": measured.peaks,
    }
    if measured.duration_s == 0 or measured.size_bytes == 0:
        # Nobody was connected: there is nothing to keep.
        values |= {"state": "empty", "keep_until": now}
    return values


async def _tell(conn: AsyncConnection, recording_id: int, *, now: datetime) -> None:
    """Have open lists and cards show the recording as it is now."""
    query = (
        sa.select(calls.c.id, calls.c.team_id, calls.c.client_id, calls.c.answered_user_id, calls.c.state)
        .select_from(recordings.join(calls, calls.c.id == recordings.c.call_id))
        .where(recordings.c.id == recording_id)
    )
    call = (await conn.execute(query)).first()
    if call is None:
        return
    about = {"team_id": call.team_id, "user_id": call.answered_user_id, "client_id": call.client_id}
    await publish(conn, "call", call.id, at=now, **about, data={"state": call.state})
    entry = sa.select(timeline_entries.c.id, timeline_entries.c.client_id).where(
        timeline_entries.c.kind == "call", timeline_entries.c.ref_id == call.id
    )
    for one in await conn.execute(entry):
        data = {"entry_kind": "call", "ref_id": call.id}
        await publish(conn, "timeline", one.id, at=now, client_id=one.client_id, data=data)
