"""The queue and leads over the API: the same claim as on the desk, with the same single winner."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import leads, queue
from hub.crm.base import records
from hub.crm.choices import LeadAddressKind, LeadReason, LeadState, QueueKind, QueueState
from hub.crm.clients import CLIENTS
from hub.errors import Refused
from hub.telephony.control import control
from hub.web.api.endpoint import Endpoint, Nothing, Page
from hub.web.api.shapes import Cursor, Moment, Ref, Shape, at, ref
from hub.web.base.answers import answers
from hub.web.crm import clients
from hub.web.request_context import RequestContext, read_cursor, read_time_cursor, write_cursor


class ItemShape(Shape, frozen=True, kw_only=True):
    """An item of a team's queue. `ref` is the call's, thread's or lead's id."""

    id: int
    team: int
    kind: Annotated[str, QueueKind.schema()]
    ref: int
    state: Annotated[str, QueueState.schema()]
    owner: Ref | None
    claimed_at: Moment | None
    client: int | None
    title: str
    address: str
    data: dict[str, Any]
    version: int
    queued_at: Moment


class Items(Shape, frozen=True, kw_only=True):
    items: list[ItemShape]
    next: Cursor | None


class QueueQuery(Page, frozen=True, kw_only=True):
    """`mine` gives what the asker holds, whatever its team."""

    state: queue.State = "waiting"
    mine: bool = False


class LeadShape(Shape, frozen=True, kw_only=True):
    id: int
    team: Ref
    state: Annotated[str, LeadState.schema()]
    reason: Annotated[str, LeadReason.schema()]
    name: str
    address_kind: Annotated[str, LeadAddressKind.schema()]
    address: str
    client: int | None
    contact: int | None
    owner: Ref | None
    times: int
    created_at: Moment
    last_at: Moment


class Leads(Shape, frozen=True, kw_only=True):
    items: list[LeadShape]
    next: Cursor | None


class LeadQuery(Page, frozen=True, kw_only=True):
    state: Literal["open", "converted", "closed", "any"] = "open"


class Conversion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client that a lead becomes; without a name it keeps its own."""

    name: str | None = None
    kind: Literal["organisation", "person"] = "person"


def item_shape(row: queue.Item) -> ItemShape:
    return ItemShape(
        id=row.id,
        team=row.team_id,
        kind=row.kind,
        ref=row.ref_id,
        state=row.state,
        owner=ref(row.owner_id, row.owner_name),
        claimed_at=rfc3339(row.claimed_at),
        client=row.client_id,
        title=row.title,
        address=row.address,
        data=row.data,
        version=row.version,
        queued_at=at(row.queued_at),
    )


def lead_shape(row: leads.Lead) -> LeadShape:
    return LeadShape(
        id=row.id,
        team=Ref(id=row.team_id, name=row.team_name),
        state=row.state,
        reason=row.reason,
        name=row.name,
        address_kind=row.address_kind,
        address=row.address,
        client=row.client_id,
        contact=row.contact_id,
        owner=ref(row.owner_id, row.owner_name),
        times=row.times,
        created_at=at(row.created_at),
        last_at=at(row.last_at),
    )


async def listed(conn: AsyncConnection, ctx: RequestContext, query: QueueQuery) -> Items:
    after = read_cursor(query.cursor)[1] if query.cursor else None
    rows = await queue.listed(conn, ctx.actor, state=query.state, mine=query.mine, after=after, limit=query.limit)
    last = rows[-1] if len(rows) == query.limit else None
    return Items(items=[item_shape(r) for r in rows], next=write_cursor("", last.id) if last else None)


async def claim(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> ItemShape:
    item = await queue.claim(conn, ctx.actor, ctx.id(), now=ctx.now)
    if item.kind == "call":
        await control.take(conn, ctx.actor, item, now=ctx.now)
    return item_shape(item)


async def release(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> ItemShape:
    return item_shape(await queue.release(conn, ctx.actor, ctx.id(), now=ctx.now))


async def finish(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> ItemShape:
    return item_shape(await queue.finish(conn, ctx.actor, ctx.id(), now=ctx.now))


async def leads_listed(conn: AsyncConnection, ctx: RequestContext, query: LeadQuery) -> Leads:
    state = None if query.state == "any" else query.state
    before = read_time_cursor(query.cursor)
    rows = await leads.listed(conn, ctx.actor, state=state, before=before, limit=query.limit)
    last = rows[-1] if len(rows) == query.limit else None
    return Leads(items=[lead_shape(r) for r in rows], next=write_cursor(last.last_at, last.id) if last else None)


async def lead_convert(conn: AsyncConnection, ctx: RequestContext, body: Conversion) -> dict[str, Any]:
    lead = await leads.find(conn, ctx.id(), actor=ctx.actor)
    name = lead.name if body.name is None else body.name
    if not name.strip():
        raise Refused("name_missing", "a client needs a name", field="name")
    client_id = await leads.convert(conn, ctx.actor, lead.id, kind=body.kind, name=name, now=ctx.now)
    client = await records.get(conn, ctx.actor, CLIENTS, client_id)
    return (await answers(conn, ctx, clients.WEB, [client]))[0]


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/queue",
        summary="What waits, calls first, then the longest waiting",
        reads=listed,
        query=QueueQuery,
        answer=Items,
    ),
    Endpoint(
        method="POST",
        path="/queue/{id}/claim",
        summary="Take an item; 409 `already_claimed` names the winner",
        writes=claim,
        answer=ItemShape,
    ),
    Endpoint(method="POST", path="/queue/{id}/release", summary="Give an item back", writes=release, answer=ItemShape),
    Endpoint(method="POST", path="/queue/{id}/done", summary="Finish an item", writes=finish, answer=ItemShape),
    Endpoint(
        method="GET", path="/leads", summary="Leads, latest first", reads=leads_listed, query=LeadQuery, answer=Leads
    ),
    Endpoint(
        method="POST",
        path="/leads/{id}/convert",
        summary="Make a client of a lead",
        writes=lead_convert,
        body=Conversion,
        answer=clients.CREATE.answer,
    ),
)
