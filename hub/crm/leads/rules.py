"""Leads: a caller or sender nobody knows yet, or somebody to be called back. Once per address and team while open.

A second call or mail of the same address joins the open lead. Invariants: the database holds at most one open lead
for a team and an address; turning a lead into a client happens in one transaction with its address; whoever has a
lead has its item of the queue.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access, clients, queue
from hub.crm.access import Actor
from hub.crm.addresses import AddressKind
from hub.crm.audit import record
from hub.crm.base import dictionaries, history, records
from hub.crm.base.dictionaries import Asked
from hub.crm.base.history import Edit, Way
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.registry import Writers
from hub.crm.leads.queries import find
from hub.crm.leads.table import LEADS, SOURCES, Lead, LeadInput
from hub.crm.models import leads
from hub.errors import Conflict
from hub.store.changes import publish
from hub.store.upsert import insert_for

LeadReason = Literal["new", "callback"]
_OPEN = sa.text("state = 'open'")
_CALLBACK = (leads.c.address_kind == "phone", leads.c.state == "open", leads.c.reason == "callback")


async def join_or_open(
    conn: AsyncConnection,
    *,
    team_id: int,
    reason: LeadReason,
    name: str,
    address_kind: AddressKind,
    address: str,
    client_id: int | None = None,
    contact_id: int | None = None,
    is_counted: bool = False,
    now: datetime,
) -> int:
    """Return the id of the open lead of this address, opening it where there is none.

    A call-back wish stays on the lead until it is closed, whatever else joins. `is_counted`: this very call or mail
    has joined before, as when a caller who stood in the queue gives up.
    """
    fresh = {
        "team_id": team_id,
        "state": "open",
        "reason": reason,
        "name": (name or address)[:300],
        "address_kind": address_kind,
        "address": address,
        "client_id": client_id,
        "contact_id": contact_id,
        "times": 1,
        "created_at": now,
        "last_at": now,
    }
    counted = {"more": 0 if is_counted else 1}
    lead_id, times = (await conn.execute(_joining(conn.dialect.name), fresh | counted)).one()
    await publish(conn, "lead", lead_id, at=now, team_id=team_id, data={"times": times})
    return int(lead_id)


@functools.cache
def _joining(dialect: str) -> Any:
    statement = insert_for(dialect, leads)
    return statement.on_conflict_do_update(
        index_elements=["team_id", "address_kind", "address"],
        index_where=_OPEN,
        set_={
            "times": leads.c.times + sa.bindparam("more", type_=sa.Integer()),
            # A call that is told of late may be older than what is known.
            "last_at": sa.case(
                (leads.c.last_at > statement.excluded.last_at, leads.c.last_at), else_=statement.excluded.last_at
            ),
            "reason": sa.case((leads.c.reason == "callback", "callback"), else_=statement.excluded.reason),
            "client_id": sa.func.coalesce(leads.c.client_id, statement.excluded.client_id),
        },
    ).returning(leads.c.id, leads.c.times)


async def enqueue(
    conn: AsyncConnection, lead_id: int, *, title: str, data: dict[str, Any], now: datetime
) -> queue.Item:
    """Enqueue a lead for its team."""
    row = (await conn.execute(sa.select(leads).where(leads.c.id == lead_id))).one()
    return await queue.enqueue(
        conn,
        team_id=row.team_id,
        kind="lead",
        ref_id=lead_id,
        title=title or row.name,
        address=row.address,
        client_id=row.client_id,
        data={"reason": row.reason, "times": row.times, **data},
        now=now,
    )


async def create_record(conn: AsyncConnection, given: LeadInput, *, edit: Edit) -> Lead:
    """Make a lead by hand; it waits in its team's queue, or is in the work of its manager. Raises Invalid."""
    first = {"state": "open", "reason": "new", "times": 1, "last_at": edit.now}
    if not given.name and isinstance(given.address, str):
        given = msgspec.structs.replace(given, name=given.address)
    with _told_at_its_address():
        made = await records.create(conn, LEADS, given, edit=edit, columns=first)
    await enqueue(conn, made.id, title=made.name, data={}, now=edit.now)
    await queue.follow(conn, "lead", made.id, team_id=made.team_id, owner_id=made.owner_id, now=edit.now)
    return made


async def update_record(
    conn: AsyncConnection, record_id: int, given: LeadInput, *, edit: Edit, version: int | None = None
) -> Lead:
    """Change a lead; its item of the queue goes with its team and its manager. Raises Invalid, Conflict."""
    await queue.lock(conn, "lead", record_id)
    with _told_at_its_address():
        after = await records.update(conn, LEADS, record_id, given, edit=edit, version=version)
    if after.state == "open":
        await queue.follow(conn, "lead", record_id, team_id=after.team_id, owner_id=after.owner_id, now=edit.now)
    return after


async def archive_record(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> Lead:
    """Take a lead out of the lists; an open one comes to nothing with that."""
    await queue.lock(conn, "lead", record_id)
    archived = await records.archive(conn, LEADS, record_id, edit=edit, version=version)
    if archived.state == "open":
        await _end(conn, archived, "closed", client_id=None, edit=edit)
        archived = await records.get(conn, edit.actor, LEADS, record_id)
    return archived


@contextlib.contextmanager
def _told_at_its_address() -> Iterator[None]:
    """Raise Invalid at the address where the database finds another open lead of it in the team."""
    try:
        yield
    except Conflict as error:
        if error.code != "taken":
            raise
        raise Invalid({"address": Problem("lead_there", _("The team has an open lead of this address"))}) from None


WRITERS = Writers(create=create_record, update=update_record, archive=archive_record)


async def convert(
    conn: AsyncConnection,
    actor: Actor,
    lead_id: int,
    *,
    kind: clients.ClientKind,
    name: str,
    way: Way = "hub",
    now: datetime,
) -> int:
    """Make a client of an open lead and give it the lead's address, source and note; return the client's id.

    Raises Conflict where the lead is not open. Earlier calls and mails are linked by the caller, in this transaction.
    """
    await queue.lock(conn, "lead", lead_id)
    lead = await find(conn, lead_id, actor=actor)
    access.require_edit(actor, "lead")
    source = lead.source
    if source is not None and await dictionaries.problems_of(conn, {"source": Asked(SOURCES, (source,), ())}):
        source = None  # switched off since
    client_id = await clients.create(conn, actor, kind=kind, name=name, note=lead.note, source=source, now=now)
    await clients.add_address(conn, actor, client_id, kind=lead.address_kind, raw=lead.address, now=now)
    await _end(conn, lead, "converted", client_id=client_id, edit=Edit(actor, way, now))
    return client_id


async def close(conn: AsyncConnection, actor: Actor, lead_id: int, *, way: Way = "hub", now: datetime) -> None:
    """Close an open lead that comes to nothing. Raises Conflict where it is not open."""
    await queue.lock(conn, "lead", lead_id)
    lead = await find(conn, lead_id, actor=actor)
    access.require_edit(actor, "lead")
    await _end(conn, lead, "closed", client_id=None, edit=Edit(actor, way, now))


async def _end(conn: AsyncConnection, lead: Lead, state: str, *, client_id: int | None, edit: Edit) -> None:
    over = {"state": state, "closed_at": edit.now} | ({} if client_id is None else {"client_id": client_id})
    if not await _write(conn, lead.id, over, edit=edit):
        raise Conflict("lead_not_open", "this lead is no longer open", state=lead.state)
    user_id = edit.actor.user_id if edit.actor else None
    await queue.close(conn, "lead", lead.id, now=edit.now)
    await record(conn, f"lead.{state}", at=edit.now, user_id=user_id, object_kind="lead", object_id=lead.id)
    await publish(conn, "lead", lead.id, at=edit.now, team_id=lead.team_id, data={"state": state})


async def _write(conn: AsyncConnection, lead_id: int, values: dict[str, Any], *, edit: Edit) -> bool:
    """Write what follows from what happened to an open lead, with its history; False where it is not open any more."""
    which = sa.and_(leads.c.id == lead_id, leads.c.state == "open")
    before = (await conn.execute(sa.select(leads).where(which).with_for_update())).mappings().first()
    if before is None:
        return False
    version = before["version"] + 1
    await conn.execute(sa.update(leads).where(which).values(**values, version=version, changed_at=edit.now))
    after: Mapping[Any, Any] = dict(before) | values
    told = [field for field in LEADS.fields if field.name in ("state", "reason", "client")]
    pairs = {field.name: [field.dump(field.load(row)) for row in (dict(before), after)] for field in told}
    changes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    await history.write(conn, LEADS.kind, lead_id, version=version, changes=changes, edit=edit)
    return True


async def callback_addresses(conn: AsyncConnection, addresses: Collection[str]) -> set[str]:
    """Return those of these numbers (E.164) that somebody is to call back."""
    if not addresses:
        return set()
    query = sa.select(leads.c.address).where(leads.c.address.in_(addresses), *_CALLBACK)
    return set((await conn.execute(query)).scalars())


async def close_callback(conn: AsyncConnection, *, address: str, spoken_by: int | None = None, now: datetime) -> None:
    """Close the call-backs of a number that has just been spoken with, those of every team, whoever works on them.

    A client's is over with that. A stranger's stays open as a new lead, in the work of whom it belongs to, else of
    the manager who spoke (`spoken_by`).
    """
    wanted = sa.select(leads).where(leads.c.address == address, *_CALLBACK).order_by(leads.c.id)
    for lead in (await conn.execute(wanted)).all():
        over = {"state": "closed", "closed_at": now} if lead.client_id is not None else {"reason": "new"}
        await queue.lock(conn, "lead", lead.id)
        await _write(conn, lead.id, over, edit=Edit(None, "call", now))
        await queue.close(conn, "lead", lead.id, now=now)
        await publish(conn, "lead", lead.id, at=now, team_id=lead.team_id)
        owner_id = lead.owner_id or spoken_by
        if lead.client_id is None and owner_id is not None:
            await enqueue(conn, lead.id, title=lead.name, data={}, now=now)
            await queue.assign(conn, "lead", lead.id, owner_id, now=now)
