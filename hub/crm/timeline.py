"""The client's one timeline: everything that was said and written, newest first.

An entry is a snapshot of what the card shows of a call or message, written by the intake that knows it, so that
the card is one indexed query and needs no other package. Invariant: one entry per thing; writing it again brings
it up to date, and a thing that changes its client moves.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import timeline_entries
from hub.store.changes import publish
from hub.store.upsert import insert_for

EntryKind = Literal["call", "message"]
RECENT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `data` is what the intake put there (`telephony.intake` and `mail.intake` say its shape)."""

    id: int
    kind: EntryKind
    ref_id: int
    client_id: int
    contact_id: int | None
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A timeline entry to be written: `ref_id` is the id of the call or message."""

    ref_id: int
    client_id: int
    contact_id: int | None
    at: datetime
    data: dict[str, Any]


async def put(
    conn: AsyncConnection,
    kind: EntryKind,
    ref_id: int,
    *,
    client_id: int,
    contact_id: int | None,
    at: datetime,
    data: dict[str, Any],
    now: datetime,
) -> None:
    """Write or renew the entry of a thing and tell the card's watchers."""
    await put_all(conn, kind, [NewEntry(ref_id, client_id, contact_id, at, data)], now=now)


async def put_all(conn: AsyncConnection, kind: EntryKind, told: Sequence[NewEntry], *, now: datetime) -> None:
    """The same for many things at once, each of them named once."""
    if not told:
        return
    rows = [{"kind": kind} | {name: getattr(one, name) for name in NewEntry.__slots__} for one in told]
    for entry in await conn.execute(_putting(conn.dialect.name), rows):
        about = {"entry_kind": kind, "ref_id": entry.ref_id}
        await publish(conn, "timeline", entry.id, at=now, client_id=entry.client_id, data=about)


@functools.cache
def _putting(dialect: str) -> Any:
    statement = insert_for(dialect, timeline_entries)
    renewed = {name: statement.excluded[name] for name in ("client_id", "contact_id", "at", "data")}
    statement = statement.on_conflict_do_update(index_elements=["kind", "ref_id"], set_=renewed)
    return statement.returning(timeline_entries.c.id, timeline_entries.c.ref_id, timeline_entries.c.client_id)


async def remove(conn: AsyncConnection, kind: EntryKind, ref_id: int, *, now: datetime) -> None:
    """Take an entry off its card, as when a link was wrong."""
    gone = timeline_entries.delete().where(timeline_entries.c.kind == kind, timeline_entries.c.ref_id == ref_id)
    returned = (await conn.execute(gone.returning(timeline_entries.c.id, timeline_entries.c.client_id))).first()
    if returned:
        await publish(conn, "timeline", returned.id, at=now, client_id=returned.client_id, data={"removed": True})


async def page(
    conn: AsyncConnection,
    actor: Actor | None,
    client_id: int,
    *,
    before: tuple[datetime, int] | None = None,
    limit: int = 30,
    kind: EntryKind | None = None,
    but: sa.ColumnElement[bool] | None = None,
) -> list[Entry]:
    """Return a page of a client's entries that the actor may see, newest first; `kind` alone where it is given.

    `before` is (at, id) of the last of the page before; `but` are entries to leave out, for who knows the things
    behind them.
    """
    table = timeline_entries.c
    query = sa.select(timeline_entries).where(_of_client(actor, client_id))
    if kind is not None:
        query = query.where(table.kind == kind)
    if but is not None:
        query = query.where(~but)
    if before is not None:
        query = query.where(sa.tuple_(table.at, table.id) < sa.tuple_(sa.literal(before[0], table.at.type), before[1]))
    rows = await conn.execute(query.order_by(table.at.desc(), table.id.desc()).limit(limit))
    return [Entry(**{name: row[name] for name in Entry.__slots__}) for row in rows.mappings()]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures in the head of a client's card: the last call, the last message, and the calls of late."""

    last_call_at: datetime | None
    last_message_at: datetime | None
    calls: int


async def figures(conn: AsyncConnection, actor: Actor | None, client_id: int, *, now: datetime) -> Figures:
    """Return a client's figures, of the entries that the actor may see; `calls` are those of the last 30 days."""
    table, seen = timeline_entries.c, _of_client(actor, client_id)

    def last(kind: EntryKind) -> sa.ScalarSelect[Any]:
        newest = sa.select(table.at).where(seen, table.kind == kind).order_by(table.at.desc(), table.id.desc())
        return newest.limit(1).scalar_subquery()

    recent = sa.select(sa.func.count()).where(seen, table.kind == "call", table.at >= now - RECENT)
    row = (await conn.execute(sa.select(last("call"), last("message"), recent.scalar_subquery()))).one()
    return Figures(*row)


def _of_client(actor: Actor | None, client_id: int) -> sa.ColumnElement[bool]:
    table = timeline_entries.c
    return sa.and_(
        table.client_id == client_id, access.timeline_visible(actor, kind=table.kind, client_id=table.client_id)
    )
