"""Messages over the API: the register, one message, its raw bytes and attachments."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.addresses import parse_email
from hub.mail import register
from hub.mail.register import MessageFilters
from hub.web import files
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Id, Page, Query
from hub.web.api.filters import party_or_moment
from hub.web.visit import Visit, read_time_cursor, write_cursor


class MessageQuery(Page, frozen=True, kw_only=True):
    """`mailbox` is an address; `from` and `to` are addresses, or moments that `received_at` lies between."""

    client: Id | None = None
    mailbox: str | None = None
    thread: Id | None = None
    direction: Literal["in", "out"] | None = None
    state: Literal["received", "queued", "sending", "sent", "refused", "deferred", "unknown", "bounced"] | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    q: str | None = None


async def listed(conn: AsyncConnection, visit: Visit, query: MessageQuery) -> shapes.Messages:
    sender, since = party_or_moment(query.from_, field="from")
    recipient, until = party_or_moment(query.to, field="to")
    filters = MessageFilters(
        client_id=query.client,
        mailbox=query.mailbox,
        thread_id=query.thread,
        direction=query.direction,
        state=query.state,
        text=query.q,
        sender=_address(sender),
        recipient=_address(recipient),
        since=since,
        until=until,
    )
    before = read_time_cursor(query.cursor)
    rows = await register.listed(conn, visit.actor, filters, before=before, limit=query.limit)
    last = rows[-1] if len(rows) == query.limit else None
    items = [shapes.message(row) for row in rows]
    return shapes.Messages(items=items, next=write_cursor(last.received_at, last.id) if last else None)


def _address(text: str | None) -> str | None:
    return None if text is None else parse_email(text) or text.lower()


async def found(conn: AsyncConnection, visit: Visit, _query: Query) -> shapes.Message:
    return shapes.message(await register.find(conn, visit.actor, visit.id()))


async def raw(visit: Visit, _query: Any) -> web.StreamResponse:
    """The bytes as the mailbox has them."""
    async with visit.db.read() as conn:
        message = await register.find(conn, visit.actor, visit.id())
    name = f"message-{message.id}.eml"
    return files.download(visit.services.blobs, message.raw_sha256, name=name, content_type="message/rfc822")


async def attachment(visit: Visit, _query: Any) -> web.StreamResponse:
    async with visit.db.read() as conn:
        row = await register.attachment(conn, visit.actor, visit.id())
    return files.download(visit.services.blobs, row.sha256, name=row.name)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/messages",
        summary="Messages, newest first",
        reads=listed,
        query=MessageQuery,
        answer=shapes.Messages,
    ),
    Endpoint(method="GET", path="/messages/{id}", summary="One message", reads=found, answer=shapes.Message),
    Endpoint(
        method="GET",
        path="/messages/{id}/raw",
        summary="A message as it came (RFC 5322)",
        streams=raw,
        content_type="message/rfc822",
    ),
    Endpoint(
        method="GET",
        path="/attachments/{id}",
        summary="A file of a message",
        streams=attachment,
        content_type="application/octet-stream",
    ),
)
