"""How Hub is: what keeps it from working, and what works less well while it does.

Decides which is which (docs/operations.md has the table). Not ready is only what another process or a restart of the
peers could serve better: no database, no room on the disk. Everything else is degraded: people still work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from hub.clock import rfc3339
from hub.errors import Unavailable
from hub.mail import health as mailbox_health
from hub.periodic import LoopState
from hub.store import changes, disk
from hub.store.disk import Disk
from hub.telephony import health as pbx_health
from hub.telephony.health import PbxState
from hub.web.request_context import Services

WITHIN_S = 5
FULL_BYTES = 32 * 1024 * 1024
SCARCE_BYTES = 512 * 1024 * 1024
HELD_TOO_LONG = timedelta(seconds=10)
DUE_TOO_LONG = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Condition:
    """The parts found. `database` is the error where it does not answer; the rest of it is then empty."""

    disk: Disk
    loops: tuple[LoopState, ...]
    database: str = ""
    feed_held: timedelta = timedelta(0)
    outbox_due: timedelta = timedelta(0)
    pbxs: tuple[PbxState, ...] = ()
    mailboxes: tuple[mailbox_health.Health, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not well. `details` are for who may read the metrics."""

    code: str
    weight: Literal["failed", "degraded"]
    details: dict[str, Any] = field(default_factory=dict)


async def look(services: Services, *, now: datetime) -> Condition:
    """Look at everything once. Never raises for what is broken: that is what is told."""
    folders = [services.settings.data_dir]
    if services.db.dialect == "sqlite":
        folders.append(Path(str(services.db.writer.url.database)).parent)
    try:
        async with asyncio.timeout(WITHIN_S):
            found = await disk.probe(folders)
    except TimeoutError:
        found = Disk(0, "the disk does not answer")
    loops = tuple(services.db.loops.states())
    try:
        async with asyncio.timeout(WITHIN_S), services.db.read() as conn:
            return Condition(
                found,
                loops,
                feed_held=await changes.held_for(conn, now=now),
                outbox_due=await mailbox_health.longest_due(conn, now=now),
                pbxs=tuple(await pbx_health.states(conn, tuple(one.name for one in services.settings.pbx))),
                mailboxes=tuple(await mailbox_health.for_machines(conn, now=now)),
            )
    except (Unavailable, TimeoutError) as error:
        return Condition(found, loops, database=str(error) or "the database does not answer")


def findings(condition: Condition) -> Iterator[Finding]:
    """Say what is not well, the worst first. Pure."""
    if condition.database:
        yield Finding("database_unavailable", "failed", {"error": condition.database})
    if condition.disk.error or condition.disk.free_bytes < FULL_BYTES:
        yield Finding("disk_full", "failed", {"error": condition.disk.error, "free_bytes": condition.disk.free_bytes})
    elif condition.disk.free_bytes < SCARCE_BYTES:
        yield Finding("disk_scarce", "degraded", {"free_bytes": condition.disk.free_bytes})
    for loop in condition.loops:
        if loop.is_failing:
            yield Finding(
                "loop_failing",
                "degraded",
                {"loop": loop.name, "since": rfc3339(loop.failing_since), "error": loop.last_error},
            )
    for pbx in condition.pbxs:
        if not pbx.is_up:
            code = "pbx_refused" if pbx.state == "auth_refused" else "pbx_down"
            yield Finding(code, "degraded", {"pbx": pbx.pbx, "since": rfc3339(pbx.since), "error": pbx.error})
    for box in condition.mailboxes:
        if box.is_enabled and (box.state in ("down", "auth_refused") or box.late is not None):
            yield Finding("mailbox_down", "degraded", {"mailbox": box.id, "trouble": box.trouble})
    if condition.feed_held > HELD_TOO_LONG:
        yield Finding("feed_held", "degraded", {"seconds": round(condition.feed_held.total_seconds())})
    if condition.outbox_due > DUE_TOO_LONG:
        yield Finding("outbox_late", "degraded", {"seconds": round(condition.outbox_due.total_seconds())})
