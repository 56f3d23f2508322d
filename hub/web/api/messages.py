"""Messages over the API beyond listing them: the raw bytes and attachments of one, its link, and sending.

Sending answers 202 with the message as it stands in the outbox; its `state` tells how it went. Invariant: bytes are
built and stored before the transaction, and queued in one together with the Idempotency-Key.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.audit import record
from hub.errors import TooLarge
from hub.mail import manual_link, register, reparse
from hub.mail.intake.preparing import Prepared
from hub.mail.reading.headers import Address
from hub.mail.sending import cancelling
from hub.mail.sending.compose import OutgoingFile
from hub.mail.sending.recipients import read_addresses
from hub.mail.sending.submit import NewMessage
from hub.web import composing, files
from hub.web.api import shapes
from hub.web.api.drafts import Ready, send, undo_of
from hub.web.api.endpoint import Endpoint, Id, Nothing, SentMoment
from hub.web.message_view import hand_out_whole, refuse_held
from hub.web.request_context import (
    MAX_FILES,
    MAX_UPLOAD_BYTES,
    RequestContext,
    sent_moment,
)


class Recipient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipient by address, with the name that is shown."""

    address: str
    name: str = ""


class NewFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to send; `content` is base64."""

    name: str
    content: bytes
    type: str = "application/octet-stream"


Recipients = str | list[str | Recipient]


class Send(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to send. `in_reply_to` is the id of a message in Hub, or a Message-ID; `quotes` puts it below.

    `identity`: as whom of one's own senders in this mailbox.
    `send_at`: not before then. `undo_s`: it waits so long, and `/messages/{id}/cancel` takes it back until it goes.
    """

    mailbox: str
    to: Recipients
    cc: Recipients = ""
    bcc: Recipients = ""
    subject: str = ""
    text: str | None = None
    html: str | None = None
    in_reply_to: int | str | None = None
    attachments: list[NewFile] = msgspec.field(default_factory=list)
    client: Id | None = None
    contact: Id | None = None
    quotes: bool = False
    identity: Id | None = None
    send_at: SentMoment | None = None
    undo_s: float = 0


class TakenBack(msgspec.Struct, frozen=True, kw_only=True):
    """The draft that the message is again."""

    draft: int | None


def _recipients(given: Recipients, *, field: str) -> tuple[Address, ...]:
    found: list[Address] = []
    for one in [given] if isinstance(given, str) else given:
        if isinstance(one, Recipient):
            name = sanitize.one_line(one.name, field=field)
            found.append(Address(name, sanitize.one_line(one.address, field=field)))
        else:
            found += read_addresses(one, field=field)
    return tuple(found)


async def freeze(ctx: RequestContext, body: Send) -> Ready:
    undo = undo_of(body.undo_s)
    if len(body.attachments) > MAX_FILES or sum(len(f.content) for f in body.attachments) > MAX_UPLOAD_BYTES:
        raise TooLarge("too_large", f"at most {MAX_FILES} files of {MAX_UPLOAD_BYTES} bytes together")
    new = NewMessage(
        mailbox=body.mailbox,
        to=_recipients(body.to, field="to"),
        cc=_recipients(body.cc, field="cc"),
        bcc=_recipients(body.bcc, field="bcc"),
        subject=body.subject,
        text=body.text,
        html=body.html,
        in_reply_to=body.in_reply_to,
        files=tuple(OutgoingFile(f.name, f.type, f.content) for f in body.attachments),
        client_id=body.client,
        contact_id=body.contact,
        quotes=body.quotes,
        identity_id=body.identity,
        send_at=sent_moment(body.send_at, field="send_at"),
    )
    return Ready(await composing.composer(ctx).freeze(new), undo)


class LinkTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client and contact of a message; neither named: none is known. `thread`: all of its conversation with it."""

    client: Id | None = None
    contact: Id | None = None
    thread: bool = False


async def link(conn: AsyncConnection, ctx: RequestContext, body: LinkTo) -> shapes.Message:
    message_id = ctx.id()
    whose: dict[str, Any] = {"client_id": body.client, "contact_id": body.contact, "whole_thread": body.thread}
    await manual_link.link(conn, ctx.actor, message_id, **whose, way="api", now=ctx.now)
    return shapes.message(await register.find(conn, ctx.actor, message_id))


async def read_again(ctx: RequestContext, _body: Nothing) -> Prepared:
    """Only an administrator: it costs a worker process, and a message may kill three."""
    access.require_admin(ctx.actor)
    async with ctx.db.read() as conn:
        await register.find(conn, ctx.actor, ctx.id())
    return await reparse.parse_one(ctx.db, ctx.services.blobs, ctx.id())


async def renew(conn: AsyncConnection, ctx: RequestContext, prepared: Prepared) -> shapes.Message:
    await reparse.store(conn, ctx.services.linker, ctx.id(), prepared, now=ctx.now)
    is_read = prepared.parsed is not None
    await record(
        conn,
        "message.read_again",
        at=ctx.now,
        user_id=ctx.actor.user_id,
        object_kind="message",
        object_id=ctx.id(),
        details={"is_read": is_read},
    )
    return shapes.message(await register.find(conn, ctx.actor, ctx.id()))


async def cancel(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> TakenBack:
    return TakenBack(draft=await cancelling.cancel(conn, ctx.actor, ctx.id(), now=ctx.now))


async def raw(ctx: RequestContext, _query: Any) -> web.StreamResponse:
    """The bytes as the mailbox has them."""
    async with ctx.db.read() as conn:
        message = await register.find(conn, ctx.actor, ctx.id())
    await hand_out_whole(ctx, message)
    name = f"message-{message.id}.eml"
    return files.download(ctx.services.blobs, message.raw_sha256, name=name, content_type="message/rfc822")


async def attachment(ctx: RequestContext, _query: Any) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        row = await register.attachment(conn, ctx.actor, ctx.id())
    refuse_held(ctx.services.settings.hub, row)
    return files.download(ctx.services.blobs, row.sha256, name=row.name)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/messages",
        summary="Send a message",
        prepare=freeze,
        writes=send,
        body=Send,
        answer=shapes.Message,
        status=202,
    ),
    Endpoint(
        method="POST",
        path="/messages/{id}/parse",
        summary="Read a message again that could not be read (administrators)",
        prepare=read_again,
        writes=renew,
        answer=shapes.Message,
    ),
    Endpoint(
        method="POST",
        path="/messages/{id}/cancel",
        summary="Take back a message that has not gone",
        writes=cancel,
        answer=TakenBack,
    ),
    Endpoint(
        method="POST",
        path="/messages/{id}/link",
        summary="Say whose a message is; nothing overwrites it",
        writes=link,
        body=LinkTo,
        answer=shapes.Message,
    ),
    Endpoint(
        method="GET",
        path="/messages/{id}/raw",
        summary="A message as it came (RFC 5322)",
        streams=raw,
        content_types=("message/rfc822",),
    ),
    Endpoint(
        method="GET",
        path="/attachments/{id}",
        summary="A file of a message",
        streams=attachment,
        content_types=("application/octet-stream",),
    ),
)
