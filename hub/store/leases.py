"""Which of several processes works on a thing that only one may work on, such as a mailbox. The database decides.

A hold is a lease: taken and renewed by the database's clock, so that two hosts five minutes apart agree. Invariants:
one row for each thing; a later holder has a higher fence, and the row outlives the hold so that fences never repeat;
whoever cannot renew within the lease has to stop by itself. A dead process of the same machine is recognised as such
and waited for no longer.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.schema import metadata, moment
from hub.store.upsert import insert

LEASE = timedelta(seconds=15)

leases = sa.Table(
    "holders",
    metadata,
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("name", sa.String(254), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("fence", sa.BigInteger(), nullable=False),
    moment("until", nullable=False),
)


async def take(conn: AsyncConnection, kind: str, name: str, holder: str, *, lease: timedelta = LEASE) -> int | None:
    """Take a thing that nobody holds; return the fence, None where another holds it."""
    until = database_time(conn, lease)
    statement = insert(conn, leases).values(kind=kind, name=name, holder=holder, fence=1, until=until)
    values = {"holder": holder, "fence": leases.c.fence + 1, "until": until}
    free = sa.or_(leases.c.until < database_time(conn), leases.c.holder == holder)
    statement = statement.on_conflict_do_update(index_elements=["kind", "name"], set_=values, where=free)
    fence = (await conn.execute(statement.returning(leases.c.fence))).scalar()
    if fence is not None:
        return int(fence)
    same = sa.and_(leases.c.kind == kind, leases.c.name == name)
    row = (await conn.execute(sa.select(leases.c.holder, leases.c.fence).where(same))).first()
    if row is None or not is_dead(row.holder):
        return None
    left = sa.update(leases).where(same, leases.c.holder == row.holder, leases.c.fence == row.fence)
    fence = (await conn.execute(left.values(**values).returning(leases.c.fence))).scalar()
    return None if fence is None else int(fence)


async def renew(
    conn: AsyncConnection, kind: str, name: str, holder: str, fence: int, *, lease: timedelta = LEASE
) -> bool:
    """Hold on for another lease; False where somebody else has taken it."""
    held = sa.update(leases).where(_is_mine(kind, name, holder, fence))
    return bool((await conn.execute(held.values(until=database_time(conn, lease)))).rowcount)


async def release(conn: AsyncConnection, kind: str, name: str, holder: str, fence: int) -> None:
    """Let go, so that the next one need not wait."""
    held = sa.update(leases).where(_is_mine(kind, name, holder, fence))
    await conn.execute(held.values(until=database_time(conn, -timedelta(days=1))))


def _is_mine(kind: str, name: str, holder: str, fence: int) -> sa.ColumnElement[bool]:
    return sa.and_(leases.c.kind == kind, leases.c.name == name, leases.c.holder == holder, leases.c.fence == fence)


def database_time(conn: AsyncConnection, after: timedelta = timedelta()) -> sa.ColumnElement[object]:
    """The database's clock, `after` from now, written as `schema.Moment` writes it."""
    seconds = after.total_seconds()
    if conn.dialect.name == "postgresql":
        return sa.text(f"clock_timestamp() + interval '{seconds:.3f} seconds'")  # type: ignore[return-value]
    return sa.text(f"strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now', '{seconds:+.3f} seconds')")  # type: ignore[return-value]


def holder_name() -> str:
    """A name for this process that no other has, and by which its own machine can tell whether it lives."""
    return f"{_here()}.{os.getpid()}.{_started(os.getpid())}.{secrets.token_hex(4)}"[:64]


def is_dead(holder: str) -> bool:
    """Tell whether a holder was a process of this machine that is no more; False where that cannot be known."""
    match = re.fullmatch(r"([0-9a-f]{12}-\d+)\.(\d+)\.(\d+)\.[0-9a-f]{8}", holder)
    if match is None or match[1] != _here() or match[3] == "0":
        return False
    return str(_started(int(match[2]))) != match[3]


def _here() -> str:
    """This machine since it was started, and the room of processes within it (containers have rooms of their own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").replace("-", "")[:12]
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:20] or "host"


def _started(pid: int) -> int:
    """When a process began, in the kernel's ticks; 0 where it is not there or cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
