"""Drafts over the API: begun, saved by version, sent once. Their list and shape are in `crm/drafts`.

Invariant: a save names the version it was made from; a newer one is answered with 409 `draft_newer` and which it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import Refused, TooLarge
from hub.mail import register
from hub.mail.sending import drafts
from hub.mail.sending.drafts import Content, Start
from hub.mail.sending.replying import Kind
from hub.mail.sending.submit import Frozen
from hub.web import composing
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Id, Nothing, SentMoment
from hub.web.crm.drafts import DraftShape, shape
from hub.web.request_context import MAX_UPLOAD_BYTES, RequestContext, sent_moment


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a draft. `quotes`: the message it answers stands below when it is sent."""

    mailbox: str
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    quotes: bool = False
    identity: Id | None = None
    send_at: SentMoment | None = None


class NewDraft(Written, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same with what it is about: `answers` is the message that is answered or forwarded."""

    kind: Kind = "new"
    answers: Id | None = None
    client: Id | None = None
    contact: Id | None = None


class Save(Written, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same with the version it was made from."""

    version: int


class Attach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to add; `content` is base64. An `inline` picture gets a `cid` for the HTML."""

    name: str
    content: bytes
    type: str = "application/octet-stream"
    inline: bool = False


class Send(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`undo_s`: it may be taken back for so many seconds, and waits them out."""

    undo_s: float = 0


def _content(body: Written) -> Content:
    return Content(
        mailbox=body.mailbox,
        to=body.to,
        cc=body.cc,
        bcc=body.bcc,
        subject=body.subject,
        html=body.html,
        text=body.text,
        quotes=body.quotes,
        identity_id=body.identity,
        send_at=sent_moment(body.send_at, field="send_at"),
    )


def undo_of(seconds: float) -> timedelta | None:
    """Return for how long a sending may be taken back. Raises Refused."""
    if not 0 <= seconds <= 600:
        raise Refused("out_of_range", "undo_s is between 0 and 600", field="undo_s")
    return timedelta(seconds=seconds) if seconds else None


async def create(conn: AsyncConnection, ctx: RequestContext, body: NewDraft) -> DraftShape:
    start = Start(kind=body.kind, answers_id=body.answers, client_id=body.client, contact_id=body.contact)
    return shape(await drafts.create(conn, ctx.actor, start, _content(body), now=ctx.now))


async def save(conn: AsyncConnection, ctx: RequestContext, body: Save) -> DraftShape:
    content = _content(body)
    return shape(await drafts.save(conn, ctx.actor, ctx.id(), content, version=body.version, now=ctx.now))


async def delete(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Nothing:
    await drafts.delete(conn, ctx.actor, ctx.id(), now=ctx.now)
    return Nothing()


async def restore(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> DraftShape:
    return shape(await drafts.restore(conn, ctx.actor, ctx.id()))


@dataclass(frozen=True, slots=True)
class _Kept:
    body: Attach
    sha256: str


async def keep(ctx: RequestContext, body: Attach) -> _Kept:
    if len(body.content) > MAX_UPLOAD_BYTES:
        raise TooLarge("too_large", f"at most {MAX_UPLOAD_BYTES} bytes", field="content")
    async with ctx.db.read() as conn:
        await drafts.find(conn, ctx.actor, ctx.id())
    return _Kept(body, await ctx.services.blobs.put(body.content))


async def attach(conn: AsyncConnection, ctx: RequestContext, kept: _Kept) -> DraftShape:
    body = kept.body
    await drafts.add_file(
        conn,
        ctx.actor,
        ctx.id(),
        name=body.name,
        kind=body.type.strip().lower(),
        size=len(body.content),
        sha256=kept.sha256,
        inline=body.inline,
    )
    return shape(await drafts.find(conn, ctx.actor, ctx.id()))


async def detach(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> DraftShape:
    await drafts.remove_file(conn, ctx.actor, ctx.id(), ctx.id("file"))
    return shape(await drafts.find(conn, ctx.actor, ctx.id()))


@dataclass(frozen=True, slots=True)
class Ready:
    frozen: Frozen
    undo: timedelta | None


async def freeze(ctx: RequestContext, body: Send) -> Ready:
    undo = undo_of(body.undo_s)
    async with ctx.db.read() as conn:
        draft = await drafts.find(conn, ctx.actor, ctx.id())
    return Ready(await composing.composer(ctx).freeze_draft(draft), undo)


async def send(conn: AsyncConnection, ctx: RequestContext, ready: Ready) -> shapes.Message:
    message_id = await composing.composer(ctx).queue(conn, ready.frozen, undo=ready.undo)
    return shapes.message(await register.find(conn, ctx.actor, message_id))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/drafts",
        summary="Begin a draft",
        writes=create,
        body=NewDraft,
        answer=DraftShape,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/drafts/{id}",
        summary="Save a draft over the version that was seen",
        writes=save,
        body=Save,
        answer=DraftShape,
    ),
    Endpoint(method="POST", path="/drafts/{id}/delete", summary="Delete a draft", writes=delete, answer=Nothing),
    Endpoint(
        method="POST",
        path="/drafts/{id}/restore",
        summary="Bring a deleted draft back, for a week",
        writes=restore,
        answer=DraftShape,
    ),
    Endpoint(
        method="POST",
        path="/drafts/{id}/attachments",
        summary="Add a file to a draft",
        prepare=keep,
        writes=attach,
        body=Attach,
        answer=DraftShape,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/drafts/{id}/attachments/{file}/remove",
        summary="Take a file from a draft",
        writes=detach,
        answer=DraftShape,
    ),
    Endpoint(
        method="POST",
        path="/drafts/{id}/send",
        summary="Send a draft",
        prepare=freeze,
        writes=send,
        body=Send,
        answer=shapes.Message,
        status=202,
    ),
)
