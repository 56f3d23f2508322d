"""The outbox over the API: what is not sent yet or is stuck, and the decisions that are open.

`{id}` is the message's. Invariant: a decision answers the message as it stands after it.
"""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.mail import register
from hub.mail.choices import OutboxStand
from hub.mail.sending import outbox, standing
from hub.mail.sending.providers import pace_of
from hub.mail.sending.standing import Standing
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Id, Page
from hub.web.api.shapes import Cursor, Moment, Reference, Shape, reference
from hub.web.paging import cut
from hub.web.request_context import RequestContext, read_cursor


class OutboxQuery(Page, frozen=True, kw_only=True):
    """Without `state` all that is not settled; `mine` is what the token's user wrote."""

    state: OutboxStand | None = None
    mine: bool = False
    mailbox: Id | None = None


class StandingRecipient(Shape, frozen=True, kw_only=True):
    """`why` is the reason in one word, such as `greylisted` or `no_such_address`."""

    address: str
    state: str
    code: int | None
    reply: str
    why: str | None


class StandingMessage(Shape, frozen=True, kw_only=True):
    """A message of the outbox. `goes_at` is the earliest moment of the next attempt."""

    id: int
    mailbox: str
    stand: Annotated[str, OutboxStand.schema()]
    subject: str
    author: str | None
    client: Reference | None
    reason: str | None
    attempts: int
    goes_at: Moment | None
    copy_error: str | None
    recipients: list[StandingRecipient]


class OutboxPage(Shape, frozen=True, kw_only=True):
    """`counts` are of all that is not settled, each ending at 1000."""

    items: list[StandingMessage]
    counts: dict[str, int]
    next: Cursor | None


def _shape(row: Standing) -> StandingMessage:
    return StandingMessage(
        id=row.id,
        mailbox=row.mailbox,
        stand=row.stand,
        subject=row.subject,
        author=row.author_name,
        client=reference(row.client_id, row.client_name),
        reason=row.reason or None,
        attempts=row.attempts,
        goes_at=rfc3339(row.goes_at) if row.goes_at else None,
        copy_error=row.copy_error or None,
        recipients=[
            StandingRecipient(address=r.address, state=r.state, code=r.code, reply=r.reply, why=r.why or None)
            for r in row.recipients
        ],
    )


async def listed(conn: AsyncConnection, ctx: RequestContext, query: OutboxQuery) -> OutboxPage:
    rows = await standing.listed(
        conn,
        ctx.actor,
        stands=(query.state,) if query.state else standing.OPEN,
        now=ctx.now,
        mailbox_id=query.mailbox,
        mine=query.mine,
        before=read_cursor(query.cursor)[1] if query.cursor else None,
        limit=query.limit + 1,
        pace_of=pace_of(ctx.services.settings.mailbox),
    )
    counts = await standing.counted(conn, ctx.actor, mine=query.mine)
    page = cut(rows, lambda row: ("", row.outbox_id), limit=query.limit)
    return OutboxPage(
        items=[_shape(row) for row in page.items],
        counts={str(stand): count for stand, count in counts.items()},
        next=page.next,
    )


async def _shown(conn: AsyncConnection, ctx: RequestContext) -> shapes.Message:
    return shapes.message(await register.find(conn, ctx.actor, ctx.id()))


async def send_again(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> shapes.Message:
    await outbox.send_again(conn, ctx.actor, ctx.id(), now=ctx.now)
    return await _shown(conn, ctx)


async def accept_as_sent(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> shapes.Message:
    await outbox.accept_as_sent(conn, ctx.actor, ctx.id(), now=ctx.now)
    return await _shown(conn, ctx)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/outbox",
        summary="What is not sent yet or is stuck, newest first",
        reads=listed,
        query=OutboxQuery,
        answer=OutboxPage,
    ),
    Endpoint(
        method="POST",
        path="/messages/{id}/send-again",
        summary="Send a message (once more) to those who do not have it",
        writes=send_again,
        answer=shapes.Message,
    ),
    Endpoint(
        method="POST",
        path="/messages/{id}/accept-as-sent",
        summary="Take a message of unknown fate as sent",
        writes=accept_as_sent,
        answer=shapes.Message,
    ),
)
