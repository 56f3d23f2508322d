"""The queue and leads over the API: the same claim as on the desk, with the same single winner."""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import queue
from hub.crm.choices import QueueKind, QueueState
from hub.telephony.control import control
from hub.web.api.endpoint import Endpoint, Nothing, Page
from hub.web.api.shapes import Cursor, Moment, Ref, Shape, at, ref
from hub.web.paging import cut
from hub.web.request_context import RequestContext, read_cursor


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


async def listed(conn: AsyncConnection, ctx: RequestContext, query: QueueQuery) -> Items:
    after = read_cursor(query.cursor)[1] if query.cursor else None
    rows = await queue.listed(conn, ctx.actor, state=query.state, mine=query.mine, after=after, limit=query.limit + 1)
    page = cut(rows, limit=query.limit)
    return Items(items=[item_shape(row) for row in page.items], next=page.next)


async def claim(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> ItemShape:
    item = await queue.claim(conn, ctx.actor, ctx.id(), now=ctx.now)
    if item.kind == "call":
        await control.take(conn, ctx.actor, item, now=ctx.now)
    return item_shape(item)


async def release(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> ItemShape:
    return item_shape(await queue.release(conn, ctx.actor, ctx.id(), now=ctx.now))


async def finish(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> ItemShape:
    return item_shape(await queue.finish(conn, ctx.actor, ctx.id(), now=ctx.now))


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
)
