"""What Asterisk's own records of calls say: rows of Master.csv or of a `cdr` table, and the calls they tell of. Pure.

Decides which rows are one call, which way it went and how it ended, by the tracker's own rules of who is a phone.
A record knows less than the events do: it counts talk from the moment anything answered, be it music. So all that
comes from here is `estimated`. Invariant: no row, however broken, raises; what cannot be read is counted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from hub.telephony.calls import Call, Channel, Leg, LegResult, Outcome
from hub.telephony.directions import (
    SUPERVISOR,
    Party,
    PbxRules,
    dial_id_of,
    dialled_number,
    first_guess,
    is_outside_context,
    known,
    name_beside,
    party_of,
    word_for,
)

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
_DIGITS = re.compile(r"\+?[0-9]{3,20}")
_SHORT = re.compile(r"[0-9]{2,6}")
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_DIALLED_APPS = frozenset(("appdial", "appdial2", "appqueue"))
"""What a channel that was called is said to run: its row says nothing that the caller's does not."""
_TEAM_CONTEXTS = frozenset(("hub-in", "hub-fallback"))
"""Of the shipped dialplan: a caller of a team comes by there under the team's name."""
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


@dataclass(frozen=True, slots=True)
class Told:
    """A call as the records tell it, and the uniqueids of its rows. Its `boot` is `boot_of` its start."""

    call: Call
    uniqueids: frozenset[str]


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


# Rows to calls


def boot_of(started_at: datetime) -> str:
    """What stands for the run of the PBX, which no record names: uniqueids repeat where a clock was set back."""
    return f"cdr-{started_at:%Y%m%dT%H%M%S}"


def calls_of(records: Iterable[Record], rules: PbxRules) -> list[Told]:
    """Put together the calls that these rows tell of, in the order of their starts."""
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda one: (one.start, one.end)):
        if record.uniqueid.startswith(SUPERVISOR):
            continue
        if not record.linked_id and (record.app in _DIALLED_APPS or _caller(record, rules).is_wiring):
            # Without the linked id nobody can say whose part this is; the caller's own row tells the story.
            continue
        groups.setdefault(record.linked_id or record.uniqueid, []).append(record)
    told = [_call(linked_id, rows, rules) for linked_id, rows in groups.items()]
    return [one for one in told if one is not None]


def _caller(record: Record, rules: PbxRules) -> Party:
    """Classify who called. A row names the context that the call came to last, which only rarely is the caller's."""
    context = None
    if is_outside_context(record.context) or (
        _SHORT.fullmatch(record.src) and record.context in (rules.internal_contexts or ())
    ):
        context = record.context
    return party_of(record.channel, rules, context=context, caller_id=record.src)


def _callee(record: Record, rules: PbxRules) -> Party | None:
    """Classify who was called; a Local channel that leads to an extension stands for that extension."""
    if not record.dst_channel:
        return None
    party = party_of(record.dst_channel, rules, context=None, caller_id="")
    if not party.is_wiring:
        return party
    leads_to = word_for(record.dst_channel)
    return Party(leads_to, False, True, leads_to) if _SHORT.fullmatch(leads_to) else None


def _call(linked_id: str, rows: list[Record], rules: PbxRules) -> Told | None:
    persons = [row for row in rows if not _caller(row, rules).is_wiring]
    if not persons:
        return None
    root = next((row for row in persons if row.uniqueid == linked_id), persons[0])
    caller = _caller(root, rules)
    started_at, ended_at = min(row.start for row in rows), max(row.end for row in rows)
    called = [(row, party) for row in rows if (party := _callee(row, rules)) is not None]
    direction = first_guess(from_phone=caller.is_phone, dial_id=dial_id_of(linked_id), dialled=root.dst)
    if caller.is_phone and any(not party.is_phone for _, party in called):
        direction = "outbound"
    spoke = [(row, party) for row, party in called if row.result == "answered"]
    answered_at = min((row.end - row.billed for row, _ in spoke), default=None)
    answered_by = next((party.extension for _, party in spoke if party.extension), None)
    queues = [name for row in rows for name in _queues(row)]
    dialled = _dialled(root)
    call = Call(
        pbx=rules.pbx,
        boot=boot_of(started_at),
        linked_id=linked_id,
        direction=direction,
        state="ended",
        started_at=started_at,
        outcome=_outcome(rows, called, is_inbound=direction == "inbound"),
        estimated=True,
        from_raw=(caller.extension or root.src) if caller.is_phone else root.src,
        from_name=root.name,
        from_extension=caller.extension,
        to_raw=dialled if direction == "outbound" else root.did or root.dst,
        to_extension=None if direction == "outbound" else answered_by,
        did=_did(root) if direction == "inbound" else None,
        answered_at=answered_at,
        ended_at=ended_at,
        wait_s=((answered_at or ended_at) - started_at).total_seconds(),
        talk_s=sum(row.billed.total_seconds() for row, _ in spoke),
        answered_extension=answered_by if direction != "outbound" else None,
        queue=next((name for name in queues if name in rules.hub_queues), None),
        legs=_legs(root, caller, called, number=dialled, answered_at=answered_at, ended_at=ended_at),
    )
    return Told(call, frozenset(row.uniqueid for row in rows) | {linked_id})


def _queues(row: Record) -> Iterable[str]:
    """Name the queue that a row is of: its own words of it are gone where the caller went on to the team's fallback."""
    if row.app == "queue":
        yield row.app_data.split(",")[0]
    if row.context in _TEAM_CONTEXTS:
        yield f"hub-{row.dst}"


def _did(root: Record) -> str | None:
    """The number that was called, where the dialplan has not led the row on to another extension."""
    return root.did or (root.dst if len(root.dst) > 6 and _DIGITS.fullmatch(root.dst) else None)


def _dialled(root: Record) -> str:
    if _DIGITS.fullmatch(root.dst):
        return root.dst
    return dialled_number(root.app_data.partition("/")[2].partition(",")[0], "") or root.dst


def _outcome(rows: list[Record], called: list[tuple[Record, Party]], *, is_inbound: bool) -> Outcome:
    """How it ended, by the tracker's rules as far as the records carry."""
    results = [row.result for row, _ in called]
    if "answered" in results:
        return "answered"
    if is_inbound and any(row.app == "voicemail" for row in rows):
        return "voicemail"
    if is_inbound and rows[-1].app == "queue":
        return "abandoned"
    if not results:
        return "missed" if is_inbound else "failed"
    if "no_answer" in results:
        return "missed"
    return "busy" if "busy" in results else "failed"


def _legs(
    root: Record,
    caller: Party,
    called: list[tuple[Record, Party]],
    *,
    number: str,
    answered_at: datetime | None,
    ended_at: datetime,
) -> tuple[Leg, ...]:
    outside = None if caller.is_phone else root.src or None
    result: LegResult = "answered" if answered_at else "cancelled"
    first = Leg(
        Channel(root.channel), root.uniqueid, caller.extension, outside, "caller", None, answered_at, ended_at, result
    )
    legs = {root.uniqueid: first}
    for row, party in called:
        # A record does not name the other side's uniqueid.
        leg_id = f"cdr:{row.dst_channel}"[:150]
        if leg_id in legs and legs[leg_id].result == "answered":
            continue
        at = row.end - row.billed if row.result == "answered" else None
        shown = None if party.is_phone else number[:64] or None
        legs[leg_id] = Leg(
            Channel(row.dst_channel), leg_id, party.extension, shown, "callee", row.start, at, row.end, row.result
        )
        if len(legs) >= 200:
            break
    return tuple(legs.values())


def corrected(seen: Call, told: Call, *, not_before: datetime) -> Call:
    """Give a call whose end was concluded the end that the records tell.

    What was seen stands: a call that was answered stays so. Where it was not until `not_before`, when it was last
    heard of, it was answered later, whatever the record counts from.
    """
    ended_at = max(told.ended_at or told.started_at, seen.started_at, seen.answered_at or seen.started_at)
    answered_at = seen.answered_at
    if answered_at is None and told.answered_at is not None:
        answered_at = min(max(told.answered_at, not_before, seen.started_at), ended_at)
    known_legs = {leg.channel: leg for leg in seen.legs}
    for leg in told.legs:
        before = known_legs.get(leg.channel)
        at = max(leg.answered_at, answered_at) if leg.answered_at and answered_at else leg.answered_at
        if before is None:
            known_legs[leg.channel] = replace(leg, answered_at=at)
        elif before.answered_at is None and at is not None:
            known_legs[leg.channel] = replace(before, answered_at=at, left_at=leg.left_at, result="answered")
    return replace(
        seen,
        outcome="answered" if answered_at else told.outcome,
        answered_at=answered_at,
        ended_at=ended_at,
        wait_s=((answered_at or ended_at) - seen.started_at).total_seconds(),
        talk_s=(ended_at - answered_at).total_seconds() if answered_at else 0.0,
        answered_extension=seen.answered_extension or told.answered_extension,
        legs=tuple(known_legs.values()),
    )
