"""Rows of Asterisk's own records of calls, of Master.csv or of a `cdr` table, typed. Pure.

Decides where a row ends, what its words are and which moment its clock meant; not what it tells of a call
(`cdr_calls`). Invariant: no row, however broken, raises; what cannot be read is counted and passed over.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from hub.telephony.tracking.calls import LegResult
from hub.telephony.tracking.directions import known, name_beside

MAX_ROW_CHARS = 16_384
"""Asterisk builds a row in a buffer of about 1 kB; ten times that is no row of its."""
MAX_ROW_LINES = 16
MAX_DURATION = timedelta(days=7)
COLUMNS = (
    "accountcode src dst dcontext clid channel dstchannel lastapp lastdata start answer end duration billsec "
    "disposition amaflags uniqueid"
).split()
"""Of Master.csv (cdr_csv.c): `uniqueid` by loguniqueid; behind it `userfield` by loguserfield, and by newcdrcolumns
peeraccount, linkedid and sequence, always last."""

_UNIQUEID = re.compile(r"[\x21-\x7e]{1,150}")
_EPOCH = re.compile(r"(?:.*-)?([0-9]{9,10})\.[0-9]+")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_SECONDS = re.compile(r"([0-9]{1,7})(\.[0-9]+)?")
_CALLER_ID = re.compile(r'"?([^<>]*?)"?\s*<[^<>]*>')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
DIGITS = re.compile(r"\+?[0-9]{3,20}")
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_NOWHERE = frozenset("hit")
"""Asterisk's own extensions (hang-up, invalid, time-out), in which a row may end: nobody dialled them."""
_RESULTS: dict[str, LegResult] = {
    "ANSWERED": "answered",
    "NO ANSWER": "no_answer",
    "NOANSWER": "no_answer",
    "BUSY": "busy",
    "FAILED": "failed",
    "CONGESTION": "failed",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One row: the talk, or the try at one, of `channel` with `dst_channel` (empty: with Asterisk alone)."""

    uniqueid: str
    linked_id: str
    """Empty where the PBX does not record it."""
    src: str
    dst: str
    name: str
    context: str
    channel: str
    dst_channel: str
    app: str
    app_data: str
    did: str
    start: datetime
    end: datetime
    billed: timedelta
    result: LegResult


@dataclass(frozen=True, slots=True)
class Read:
    """The rows that could be read, and how many could not."""

    records: list[Record]
    malformed: int


def read_csv(text: str, *, zone: tzinfo) -> Read:
    """Read whole rows of Master.csv. `zone` is the one that its times are written in."""
    lines = text.split("\n")
    records: list[Record] = []
    malformed = at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        taken = _row_length(lines, at)
        record = _from_csv("\n".join(lines[at : at + taken]), zone) if taken else None
        if record is None:
            # A row that is broken may have broken off anywhere: the next line may be whole again.
            malformed, at = malformed + 1, at + 1
        else:
            records.append(record)
            at += taken
    return Read(records, malformed)


def read_rows(rows: Iterable[Mapping[str, object]], *, zone: tzinfo) -> Read:
    """Read rows of a `cdr` table, by lower-case column name. `zone` is that of times that name none."""
    records: list[Record] = []
    malformed = 0
    for row in rows:
        if (record := _from_row(row, zone)) is not None:
            records.append(record)
        else:
            malformed += 1
    return Read(records, malformed)


def _row_length(lines: list[str], at: int) -> int:
    """How many lines the row that begins here has: up to where its quotes are closed; 0 where they never are."""
    quotes = chars = 0
    for n, line in enumerate(lines[at : at + MAX_ROW_LINES], 1):
        chars += len(line)
        if chars > MAX_ROW_CHARS:
            return 0
        quotes += line.count('"')
        if quotes % 2 == 0:
            return n
    return 0


def _from_csv(text: str, zone: tzinfo) -> Record | None:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None
    if len(rows) != 1 or not len(COLUMNS) <= len(rows[0]) <= len(COLUMNS) + 4:
        return None
    fields: dict[str, object] = dict(zip(COLUMNS, rows[0], strict=False))
    if len(rows[0]) >= len(COLUMNS) + 3:
        fields["linkedid"] = rows[0][-2]
    return _from_row(fields, zone)


def _from_row(row: Mapping[str, object], zone: tzinfo) -> Record | None:
    words = {name: _word(row.get(name)) for name in ("uniqueid", "linkedid", "channel", "src", "dst", "clid", "did")}
    words |= {name: _word(row.get(name)) for name in ("dcontext", "dstchannel", "lastapp", "lastdata")}
    uniqueid, linked_id = words["uniqueid"], words["linkedid"]
    result = _RESULTS.get(_word(row.get("disposition")).upper())
    start = _moment(row.get("start") or row.get("calldate"), zone, uniqueid)
    lasted, billed = _seconds(row.get("duration")), _seconds(row.get("billsec"))
    if result is None or start is None or lasted is None or billed is None or not words["channel"]:
        return None
    if not _UNIQUEID.fullmatch(uniqueid) or (linked_id and not _UNIQUEID.fullmatch(linked_id)):
        return None
    name = _CALLER_ID.fullmatch(words["clid"])
    return Record(
        uniqueid=uniqueid,
        linked_id=linked_id,
        src=known(words["src"]),
        dst="" if words["dst"] in _NOWHERE else known(words["dst"]),
        name=name_beside(words["src"], name[1].strip() if name else ""),
        context=words["dcontext"],
        channel=words["channel"],
        dst_channel=words["dstchannel"],
        app=words["lastapp"].lower(),
        app_data=words["lastdata"],
        did=known(words["did"]),
        start=start,
        end=start + lasted,
        billed=min(billed, lasted),
        result=result,
    )


def _word(value: object) -> str:
    return _CONTROL.sub(" ", str(value)[:1000]).strip() if value is not None else ""


def _seconds(value: object) -> timedelta | None:
    found = _SECONDS.fullmatch(_word(value))
    lasted = timedelta(seconds=int(found[1])) if found else None
    return lasted if lasted is not None and lasted <= MAX_DURATION else None


def _moment(value: object, zone: tzinfo, uniqueid: str) -> datetime | None:
    """Read a moment. An hour that the clock shows twice is told by the uniqueid, which begins with the epoch."""
    try:
        at = value if isinstance(value, datetime) else None
        if at is None and (text := _MOMENT.match(_word(value))):
            at = datetime.fromisoformat(text[0])
        if at is None:
            return None
        if at.tzinfo is None:
            ways = [at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
            epoch = epoch_of(uniqueid)
            at = min(ways, key=lambda way: abs(way.timestamp() - epoch)) if epoch else ways[0]
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if _EARLIEST < at < _LATEST else None


def epoch_of(uniqueid: str) -> int | None:
    """When a channel was made, in seconds of the epoch, by its uniqueid; None where that does not say it."""
    found = _EPOCH.fullmatch(uniqueid)
    return int(found[1]) if found else None
