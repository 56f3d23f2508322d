"""A conversation over the API: its messages without bodies, and who is writing an answer in it now."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import NotFound
from hub.mail import answering, thread
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Nothing, Page
from hub.web.api.shapes import Moment, Ref, Reference, Shape, at, reference
from hub.web.paging import cut
from hub.web.request_context import RequestContext, read_time_cursor


class Answering(Shape, frozen=True, kw_only=True):
    """Somebody who writes an answer; without another sign of life no longer at `until`."""

    user: Ref
    until: Moment


class Thread(Shape, frozen=True, kw_only=True):
    """A conversation. `messages` are newest first; `next` leads to the older ones."""

    id: int
    mailbox: str
    subject: str
    client: Reference | None
    contact: Reference | None
    answering: list[Answering]
    messages: list[shapes.Message]
    next: shapes.Cursor | None


async def found(conn: AsyncConnection, ctx: RequestContext, query: Page) -> Thread:
    thread_id = ctx.id()
    before = read_time_cursor(query.cursor)
    rows = await thread.page(conn, ctx.actor, thread_id, before=before, limit=query.limit + 1)
    if not rows:
        raise NotFound("thread_missing", "no such conversation")
    writers = (await answering.writers(conn, [thread_id], now=ctx.now)).get(thread_id, ())
    newest = rows[0]
    page = cut(rows, lambda row: (row.received_at, row.id), limit=query.limit)
    return Thread(
        id=thread_id,
        mailbox=newest.mailbox_address,
        subject=page.items[-1].subject,
        client=reference(newest.client_id, newest.client_name),
        contact=reference(newest.contact_id, newest.contact_name),
        answering=[Answering(user=Ref(id=one.user_id, name=one.name), until=at(one.until)) for one in writers],
        messages=[shapes.message(row) for row in page.items],
        next=page.next,
    )


async def say(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Thread:
    await thread.newest(conn, ctx.actor, ctx.id())
    await answering.touch(conn, ctx.actor, ctx.id(), now=ctx.now)
    return await found(conn, ctx, Page())


async def end(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Thread:
    await thread.newest(conn, ctx.actor, ctx.id())
    await answering.stop(conn, ctx.actor.user_id, ctx.id(), now=ctx.now)
    return await found(conn, ctx, Page())


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/threads/{id}",
        summary="A conversation and who answers it",
        reads=found,
        query=Page,
        answer=Thread,
    ),
    Endpoint(
        method="POST",
        path="/threads/{id}/answering",
        summary="Say that you are writing an answer: for 60 s, or until you send it",
        writes=say,
        answer=Thread,
    ),
    Endpoint(
        method="POST",
        path="/threads/{id}/answering/end",
        summary="Say that you are not writing any more",
        writes=end,
        answer=Thread,
    ),
)
