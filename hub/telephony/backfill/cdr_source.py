"""Where the PBX's records of calls lie: Master.csv, read from its end, or a database's `cdr` table. Reads only.

Decides nothing of what they mean (`cdr`). Invariants: the loop never waits for a disk, no answer is unbounded in
bytes, rows or time, and nothing is ever written there.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hub.errors import Unavailable
from hub.settings import Pbx
from hub.telephony.backfill.cdr import Read, read_csv, read_rows
from hub.telephony.line.charsets import decode_lines

BLOCK_BYTES = 1 << 18
MAX_BYTES = 64 << 20
"""Some 200 000 calls."""
MAX_ROWS = 50_000
WITHIN_S = 30
LONGEST_CALL = timedelta(hours=12)
"""A call that ended in the gap began at most so long before it, where only its beginning can be asked for."""
_ANY_TIME = datetime.max.replace(tzinfo=UTC)
_NEEDED = frozenset(("src", "dst", "channel", "duration", "billsec", "disposition", "uniqueid"))
_WANTED = (*sorted(_NEEDED), "clid", "dcontext", "dstchannel", "lastapp", "lastdata", "linkedid", "did")


@dataclass(frozen=True, slots=True)
class CsvSource:
    """Master.csv as this machine sees it; where it was turned over within the gap, `Master.csv.1` before it."""

    path: Path
    zone: tzinfo

    async def since(self, at: datetime) -> Read:
        """Return the rows of calls that ended at `at` or later. Raises Unavailable that names the file."""
        try:
            return await asyncio.to_thread(self._since, at)
        except OSError as error:
            raise Unavailable("cdr_csv", f"cdr_csv {self.path}: {error.strerror or error}") from error

    async def latest(self) -> Read:
        """Return the last rows there are. Raises Unavailable that names the file."""
        try:
            read, _ = await asyncio.to_thread(_tail, self.path, _ANY_TIME, self.zone)
        except OSError as error:
            raise Unavailable("cdr_csv", f"cdr_csv {self.path}: {error.strerror or error}") from error
        return read

    def _since(self, at: datetime) -> Read:
        read, is_whole = _tail(self.path, at, self.zone)
        before = self.path.with_name(f"{self.path.name}.1")
        if is_whole and before.is_file():
            older, _ = _tail(before, at, self.zone)
            read = Read(older.records + read.records, older.malformed + read.malformed)
        return Read([one for one in read.records if one.end >= at], read.malformed)


def _tail(path: Path, at: datetime, zone: tzinfo) -> tuple[Read, bool]:
    """Read back to the first row that ended before `at`; also say whether the file begins after that.

    Asterisk writes a row when its call is over, so ends rise through the file.
    """
    blocks: list[bytes] = []
    with path.open("rb") as file:
        size = unread = file.seek(0, os.SEEK_END)
        while unread and size - unread < MAX_BYTES:
            begin = max(0, unread - BLOCK_BYTES)
            file.seek(begin)
            blocks.append(file.read(unread - begin))
            unread = begin
            # The first line of a block is the rest of a row.
            whole = blocks[-1].partition(b"\n")[2] if unread else blocks[-1]
            found = read_csv(decode_lines(whole), zone=zone).records
            if found and found[0].end < at:
                break
    data = b"".join(reversed(blocks))
    if unread:
        data = data.partition(b"\n")[2]
    if not data.endswith(b"\n"):
        # Asterisk is writing its last row now; the second look finds it whole.
        data = data.rpartition(b"\n")[0]
    read = read_csv(decode_lines(data), zone=zone)
    return read, not unread and not any(one.end < at for one in read.records)


@dataclass(frozen=True, slots=True)
class TableSource:
    """A `cdr` table of SQLite or PostgreSQL, as cdr_pgsql, cdr_adaptive_odbc or a copy of it keeps it."""

    url: str
    table: str
    zone: tzinfo

    async def since(self, at: datetime) -> Read:
        """Return the rows of calls that ended at `at` or later. Raises Unavailable that names what is wrong."""
        read = await self._read(at - LONGEST_CALL, MAX_ROWS)
        return Read([one for one in read.records if one.end >= at], read.malformed)

    async def latest(self) -> Read:
        """Return the last rows there are. Raises Unavailable that names what is wrong."""
        return await self._read(None, 50)

    async def _read(self, since: datetime | None, at_most: int) -> Read:
        """Read rows of calls that began at `since` or later, the latest first."""
        engine = self._engine()
        try:
            async with asyncio.timeout(WITHIN_S), engine.connect() as conn:
                query = await self._query(conn, since)
                rows = (await conn.execute(query.limit(at_most))).mappings().all()
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            cause = getattr(error, "orig", None) or error
            said = (str(cause).strip() or "no answer in time").splitlines()[0][:200]
            raise Unavailable("cdr_database", f"cdr_database {self.place}: {said}") from error
        finally:
            await engine.dispose()
        return await asyncio.to_thread(read_rows, [dict(row) for row in rows], zone=self.zone)

    @property
    def place(self) -> str:
        """Where it is, without the password."""
        url = sa.make_url(self.url)
        return f"{url.host or url.query.get('host') or url.database}: table {self.table}"

    def _engine(self) -> AsyncEngine:
        url = sa.make_url(self.url)
        if url.get_backend_name() == "sqlite":
            read_only = {"mode": "ro", "uri": "true"}
            url = url.set(drivername="sqlite+aiosqlite", database=f"file:{url.database}", query=read_only)
            return create_async_engine(url, poolclass=sa.NullPool)
        settings = {"application_name": "hub", "default_transaction_read_only": "on", "jit": "off"}
        return create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            poolclass=sa.NullPool,
            connect_args={"timeout": 10, "command_timeout": WITHIN_S, "server_settings": settings},
        )

    async def _query(self, conn: Any, since: datetime | None) -> sa.Select[Any]:
        schema, _, name = self.table.rpartition(".")

        def look(sync: sa.Connection) -> dict[str, Any]:
            return {one["name"]: one["type"] for one in sa.inspect(sync).get_columns(name, schema=schema or None)}

        try:
            columns = await conn.run_sync(look)
        except sa.exc.NoSuchTableError:
            raise Unavailable("cdr_database", f"cdr_database {self.place}: there is no such table") from None
        by_name = {column.lower(): column for column in columns}
        started = next((by_name[word] for word in ("calldate", "start") if word in by_name), None)
        missing = sorted(_NEEDED - by_name.keys()) + ([] if started else ["calldate"])
        if started is None or missing:
            raise Unavailable("cdr_database", f"cdr_database {self.place}: there is no column {missing[0]!r}")
        table = sa.table(name, *map(sa.column, columns), schema=schema or None)
        wanted = [table.c[by_name[word]].label(word) for word in _WANTED if word in by_name]
        begins = table.c[started]
        query = sa.select(begins.label("start"), *wanted).order_by(begins.desc())
        return query if since is None else query.where(begins >= self._bound(since, columns[started]))

    def _bound(self, at: datetime, kind: Any) -> Any:
        """Say a moment as the column holds it: with its zone, or as the PBX's clock showed it."""
        if isinstance(kind, sa.DateTime) and kind.timezone:
            return sa.literal(at, sa.DateTime(timezone=True))
        shown = at.astimezone(self.zone).replace(tzinfo=None)
        if isinstance(kind, sa.DateTime) and not self.url.startswith("sqlite"):
            return sa.literal(shown, sa.DateTime())
        return sa.literal(shown.isoformat(" ", timespec="seconds"), sa.Text())


Source = CsvSource | TableSource


def source_of(pbx: Pbx) -> Source | None:
    """Return where a PBX's records lie; None where the operator named no place."""
    zone: tzinfo = UTC if pbx.cdr_time_zone == "UTC" else ZoneInfo(pbx.cdr_time_zone)
    if pbx.cdr_csv:
        return CsvSource(Path(pbx.cdr_csv), zone)
    if url := pbx.cdr_database.reveal():
        return TableSource(url, pbx.cdr_table, zone)
    return None
