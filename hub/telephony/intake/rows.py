"""From snapshots to rows, a batch at a time: calls, their legs, their link to a client, their timeline entries.

Decides what of a snapshot is news: what the tables hold already is neither written nor told again. Follows nothing
up (`aftermath`). Each question and each table costs one statement, however many calls there are. Invariants: a link
that a person made is never overwritten, and no text is longer than its column.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.clock import rfc3339
from hub.crm import phones
from hub.crm.addresses import parse_phone
from hub.crm.linking import Candidate, Linked, Linker
from hub.crm.models import clients
from hub.store.upsert import insert_for
from hub.telephony.models import call_intents, call_legs, calls, merged_calls
from hub.telephony.tracking.calls import Call
from hub.telephony.tracking.directions import numbers_called

Key = tuple[str, str, str]
Person = tuple[int, str]
UNANSWERED = frozenset(("missed", "abandoned", "busy", "rejected", "failed", "voicemail"))
"""How a call ends in which nobody spoke with the caller."""

_PLAIN = (
    "pbx boot linked_id direction state outcome estimated from_raw from_name from_extension to_raw to_extension did "
    "started_at answered_at ended_at wait_s talk_s queue queue_channel manager_channel answered_extension dial_id"
).split()
_OWN = (*_PLAIN, "answered_user_id", "team_id", "transfers")
_LINK = "from_number to_number client_id contact_id link_reason link_confidence candidates".split()
_LEG = "channel uniqueid extension number role rang_at answered_at left_at result".split()


def _lengths(table: sa.Table) -> dict[str, int]:
    typed = ((column.name, column.type) for column in table.columns)
    return {name: kind.length for name, kind in typed if isinstance(kind, sa.String) and kind.length}


_CALL_LENGTHS, _LEG_LENGTHS = _lengths(calls), _lengths(call_legs)


@dataclass(frozen=True, slots=True)
class Stored:
    """What later steps need of the row that a snapshot became."""

    id: int
    team_id: int | None
    client_id: int | None
    contact_id: int | None
    from_number: str | None
    to_number: str | None
    shown_name: str
    answered_user_id: int | None
    caller_user_id: int | None = None
    """Whose phone the call was made from."""
    was_answered: bool = False
    """Before this batch."""
    was_ended: bool = False
    is_new: bool = False
    is_news: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """A row with its legs, as the timeline shows it."""

    stored: Stored
    row: Mapping[str, Any]
    legs: list[dict[str, Any]]
    manager: str | None


def key_of(call: Call) -> Key:
    """A call's identity as its columns hold it."""
    return call.pbx, call.boot[: _CALL_LENGTHS["boot"]], call.linked_id[: _CALL_LENGTHS["linked_id"]]


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes snapshots of one PBX's calls. `team_of_queue` maps its hub queues to team ids."""

    linker: Linker
    team_of_queue: Mapping[str, int]
    region: str

    async def write(self, conn: AsyncConnection, snapshots: Mapping[Key, Call]) -> dict[Key, Entry]:
        """Write the latest snapshot of each call; return its row, its legs and whether they are news."""
        known = await _known(conn, snapshots)
        legs = await _known_legs(conn, [row["id"] for row in known.values()])
        people = await _people(conn, snapshots.values())
        rows: dict[Key, dict[str, Any]] = {}
        links = await self._links(conn, snapshots, known)
        teams = await self._teams(conn, snapshots, known, people)
        for key, call in snapshots.items():
            before = known.get(key)
            link = links.get(key) or {name: before[name] if before else None for name in _LINK}
            manager = people.get((call.pbx, call.answered_extension or ""))
            rows[key] = _fitting(
                {name: getattr(call, name) for name in _PLAIN}
                | {
                    "from_name": sanitize.shown(call.from_name),
                    "answered_user_id": manager[0] if manager else None,
                    "team_id": teams[key],
                    "transfers": [{**asdict(t), "at": rfc3339(t.at)} for t in call.transfers],
                }
                | link,
                _CALL_LENGTHS,
            )
        changed = {key for key, row in rows.items() if (old := known.get(key)) is None or _differ(row, old)}
        fresh = await _insert(conn, [rows[key] for key in rows if key not in known])
        await _update(conn, [(known[key]["id"], rows[key]) for key in rows if key in known and key in changed])
        names = {row["client_id"]: row["client_name"] for row in known.values()}
        names |= await _client_names(conn, {row["client_id"] for row in rows.values()} - names.keys())
        entries: dict[Key, Entry] = {}
        new_legs: list[dict[str, Any]] = []
        for key, call in snapshots.items():
            before, row = known.get(key), rows[key]
            call_id, row = (before["id"], row) if before else (fresh[key]["id"], row | fresh[key])
            of_call = [_leg_row(leg, call, call_id, people) for leg in call.legs]
            news = [leg for leg in of_call if legs.get((call_id, leg["uniqueid"])) != leg]
            new_legs += news
            manager = people.get((call.pbx, call.answered_extension or ""))
            caller = people.get((call.pbx, call.from_extension or ""))
            stored = _stored(
                row | {"id": call_id},
                names.get(row["client_id"]),
                caller=caller,
                before=before,
                is_news=key in changed or bool(news),
            )
            entries[key] = Entry(stored, row, of_call, manager[1] if manager else None)
        await _write_legs(conn, new_legs)
        return entries

    async def _links(
        self, conn: AsyncConnection, snapshots: Mapping[Key, Call], known: Mapping[Key, sa.RowMapping]
    ) -> dict[Key, dict[str, Any]]:
        """Say whose call each one is that is new or whose number changed: the other side decides, never our own."""
        home = self.region or self.linker.region
        open_ones = {
            key: call for key, call in snapshots.items() if key not in known or not _settled(known[key], call, home)
        }
        outside = {key: _outside(call, home) for key, call in open_ones.items() if call.direction != "internal"}
        linked = await self.linker.by_phones(conn, set(outside.values()), region=self.region)
        chosen = await _dialled_for(conn, [call.dial_id for call in open_ones.values() if call.dial_id])
        nobody = Linked(None, (), None)
        return {
            key: _link_values(call, linked[outside[key]] if key in outside else nobody, chosen.get(call.dial_id or ""))
            for key, call in open_ones.items()
        }

    async def _teams(
        self,
        conn: AsyncConnection,
        snapshots: Mapping[Key, Call],
        known: Mapping[Key, sa.RowMapping],
        people: Mapping[tuple[str, str], Person],
    ) -> dict[Key, int | None]:
        """Say whose team each call is: that of its queue; of a caller nobody answered, that of the phones that rang.

        Where those phones belong to several teams, or to none, the call is nobody's.
        """
        found = {
            key: self.team_of_queue.get(call.queue or "", known[key]["team_id"] if key in known else None)
            for key, call in snapshots.items()
        }
        rung: dict[Key, set[int]] = {}
        for key, call in snapshots.items():
            if found[key] is None and call.direction == "inbound" and call.outcome in UNANSWERED:
                owners = (people.get((call.pbx, leg.extension or "")) for leg in call.legs if leg.role == "callee")
                rung[key] = {owner[0] for owner in owners if owner}
        teams = await phones.teams_of(conn, {user_id for users in rung.values() for user_id in users})
        for key, users in rung.items():
            theirs: set[int] = set().union(*(teams.get(user_id, set()) for user_id in users))
            found[key] = theirs.pop() if len(theirs) == 1 else None
        return found


def _stored(
    row: Mapping[Any, Any],
    client_name: str | None,
    *,
    caller: Person | None,
    before: Mapping[Any, Any] | None,
    is_news: bool,
) -> Stored:
    """Gather what later steps need. `before` is the row as it was, None where the call is new."""
    return Stored(
        id=row["id"],
        team_id=row["team_id"],
        client_id=row["client_id"],
        contact_id=row["contact_id"],
        from_number=row["from_number"],
        to_number=row["to_number"],
        shown_name=client_name or row["from_name"] or row["from_number"] or row["from_raw"],
        answered_user_id=row["answered_user_id"],
        caller_user_id=caller[0] if caller else None,
        was_answered=before is not None and (before["answered_at"] is not None or before["outcome"] == "answered"),
        was_ended=before is not None and before["state"] == "ended",
        is_new=before is None,
        is_news=is_news,
    )


def candidate_data(candidate: Candidate) -> dict[str, Any]:
    """The JSON form of a candidate, as calls and messages keep it to choose from."""
    return asdict(candidate)


def _outside(call: Call, region: str) -> str:
    if call.direction != "outbound":
        return call.from_raw
    numbers = numbers_called(call)
    return next((number for number in numbers if parse_phone(number, region)), numbers[0])


def _settled(known: Mapping[Any, Any], call: Call, region: str) -> bool:
    """A link stands once a person made it, or once the number that it came from is the one it still has."""
    if known["link_manual"]:
        return True
    side = "to_raw" if call.direction == "outbound" else "from_raw"
    if call.direction == "outbound" and len(numbers_called(call)) > 1:
        # The trunk's leg may have come since, and with it the number.
        phone = parse_phone(_outside(call, region), region)
        if known["to_number"] != (phone.value if phone else None):
            return False
    was: str = known[side]
    told: str = getattr(call, side)
    return was == told[: _CALL_LENGTHS[side]] and bool(known["direction"] == call.direction)


def _link_values(call: Call, linked: Linked, chosen: tuple[int | None, int | None] | None) -> dict[str, Any]:
    best = linked.best
    side = "to_number" if call.direction == "outbound" else "from_number"
    values: dict[str, Any] = {"from_number": None, "to_number": None, side: linked.address}
    values |= {
        "candidates": [candidate_data(c) for c in linked.candidates],
        "client_id": best.client_id if best else None,
        "contact_id": best.contact_id if best else None,
        "link_reason": best.reason if best else None,
        "link_confidence": best.confidence if best else None,
    }
    if chosen is not None and chosen[0] is not None:
        # A click on a client's card says whose call it is, however many clients share the number.
        contact_id = chosen[1] or (best.contact_id if best and best.client_id == chosen[0] else None)
        values |= {"client_id": chosen[0], "contact_id": contact_id}
        values |= {"link_reason": "client", "link_confidence": "exact"}
    return values


def _fitting(row: dict[str, Any], lengths: Mapping[str, int]) -> dict[str, Any]:
    """Cut what a PBX made too long for its column; PostgreSQL would refuse the row, and with it the batch."""
    for name, length in lengths.items():
        value = row.get(name)
        if value is not None and len(value) > length:
            row[name] = value[:length]
    return row


def _leg_row(leg: Any, call: Call, call_id: int, people: Mapping[tuple[str, str], Person]) -> dict[str, Any]:
    person = people.get((call.pbx, leg.extension or ""))
    row = {name: getattr(leg, name) for name in _LEG}
    return _fitting(row | {"call_id": call_id, "user_id": person[0] if person else None}, _LEG_LENGTHS)


def _differ(row: Mapping[str, Any], known: Mapping[Any, Any]) -> bool:
    return any(known[name] != value for name, value in row.items())


async def _known(conn: AsyncConnection, snapshots: Mapping[Key, Call]) -> dict[Key, sa.RowMapping]:
    """Read the rows there are, and hold them on PostgreSQL: nobody links one of them between this and the write."""
    pbxs, boots, linked_ids = (list(dict.fromkeys(part)) for part in zip(*snapshots, strict=True))
    query = (
        sa.select(calls, clients.c.name.label("client_name"))
        .outerjoin(clients, clients.c.id == calls.c.client_id)
        .where(calls.c.pbx.in_(pbxs), calls.c.boot.in_(boots), calls.c.linked_id.in_(linked_ids))
        .order_by(calls.c.id)
        .with_for_update(of=calls)
    )
    rows = (await conn.execute(query)).mappings().all()
    by_key = {(row["pbx"], row["boot"], row["linked_id"]): row for row in rows}
    return {key: by_key[key] for key in snapshots if key in by_key}


async def _known_legs(conn: AsyncConnection, call_ids: Collection[int]) -> dict[tuple[int, str], dict[str, Any]]:
    if not call_ids:
        return {}
    columns = [call_legs.c[name] for name in (*_LEG, "call_id", "user_id")]
    rows = await conn.execute(sa.select(*columns).where(call_legs.c.call_id.in_(call_ids)))
    return {(row["call_id"], row["uniqueid"]): dict(row) for row in rows.mappings()}


async def _people(conn: AsyncConnection, snapshots: Iterable[Call]) -> dict[tuple[str, str], Person]:
    """Return whose the phones of these calls are, by PBX and extension."""
    wanted: dict[str, set[str]] = {}
    for call in snapshots:
        of_call = {call.answered_extension, call.from_extension, *(leg.extension for leg in call.legs)}
        wanted.setdefault(call.pbx, set()).update(extension for extension in of_call if extension)
    found: dict[tuple[str, str], Person] = {}
    for pbx, of_pbx in wanted.items():
        for extension, person in (await phones.owners(conn, pbx, of_pbx)).items():
            found[pbx, extension] = person
    return found


async def _dialled_for(conn: AsyncConnection, dial_ids: Collection[str]) -> dict[str, tuple[int | None, int | None]]:
    if not dial_ids:
        return {}
    columns = call_intents.c.channel_id, call_intents.c.client_id, call_intents.c.contact_id
    rows = await conn.execute(sa.select(*columns).where(call_intents.c.channel_id.in_(dial_ids)))
    return {row.channel_id: (row.client_id, row.contact_id) for row in rows}


async def _client_names(conn: AsyncConnection, client_ids: set[int | None]) -> dict[int | None, str | None]:
    wanted = client_ids - {None}
    if not wanted:
        return {}
    return {
        row.id: row.name
        for row in await conn.execute(sa.select(clients.c.id, clients.c.name).where(clients.c.id.in_(wanted)))
    }


async def _insert(conn: AsyncConnection, rows: list[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """Add calls; return what the database says of them."""
    if not rows:
        return {}
    fresh = [row | {"link_manual": False} for row in rows]
    if conn.dialect.name == "sqlite":
        # Of itself SQLite gives the id of the newest row that was deleted again, and an id that a call lost by being
        # merged leads to another call for good. There is one writer, so nobody is between this and the insert.
        used = [sa.select(sa.func.max(table.c.id)).scalar_subquery() for table in (calls, merged_calls)]
        newest = max(filter(None, (await conn.execute(sa.select(*used))).one()), default=0)
        fresh = [row | {"id": newest + n} for n, row in enumerate(fresh, 1)]
    written = await conn.execute(_inserting(conn.dialect.name), fresh)
    return {(row["pbx"], row["boot"], row["linked_id"]): dict(row) for row in written.mappings()}


@functools.cache
def _inserting(dialect: str) -> Any:
    # The holder of a PBX is one, but one that has just lost its hold may still write: then the later one wins, and
    # the link that the first one made stays.
    statement = insert_for(dialect, calls)
    renewed = {name: statement.excluded[name] for name in _OWN}
    statement = statement.on_conflict_do_update(index_elements=["pbx", "boot", "linked_id"], set_=renewed)
    return statement.returning(*[calls.c[name] for name in ("id", "pbx", "boot", "linked_id", *_LINK)])


_UPDATING = (
    sa.update(calls)
    .where(calls.c.id == sa.bindparam("of_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in (*_OWN, *_LINK)})
)


async def _update(conn: AsyncConnection, rows: list[tuple[int, dict[str, Any]]]) -> None:
    if rows:
        changed = [{"of_id": call_id} | {f"new_{name}": row[name] for name in row} for call_id, row in rows]
        await conn.execute(_UPDATING, changed)


async def _write_legs(conn: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await conn.execute(_writing_legs(conn.dialect.name), rows)


@functools.cache
def _writing_legs(dialect: str) -> Any:
    statement = insert_for(dialect, call_legs)
    renewed = {name: statement.excluded[name] for name in (*_LEG, "user_id") if name != "uniqueid"}
    return statement.on_conflict_do_update(index_elements=["call_id", "uniqueid"], set_=renewed)
