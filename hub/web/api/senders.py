"""Names to write under, and signatures, over the API."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.sending import identities, templates
from hub.mail.sending.identities import Language
from hub.mail.sending.template_kind import MAX_CHARS
from hub.web.api.endpoint import Endpoint, Id, Nothing, Query
from hub.web.api.shapes import Shape, one_of
from hub.web.request_context import RequestContext

Text = Annotated[str, msgspec.Meta(max_length=MAX_CHARS)]


class SenderShape(Shape, frozen=True, kw_only=True):
    """A name and address one may write under; `id` null is the person's or the mailbox's own name."""

    id: int | None
    mailbox: str
    name: str
    address: str
    default: bool


class Senders(Shape, frozen=True, kw_only=True):
    items: list[SenderShape]


class NewSender(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`address` is an alias of the mailbox, and `user` somebody else: both are an administrator's to give."""

    mailbox: Id
    name: Annotated[str, msgspec.Meta(max_length=200)]
    address: Annotated[str, msgspec.Meta(max_length=254)] = ""
    user: Id | None = None
    default: bool = False


class MailSignature(Shape, frozen=True, kw_only=True):
    """`user` null is everybody's who writes from the mailbox, `mailbox` null the person's for all mailboxes."""

    user: int | None
    mailbox: int | None
    language: Annotated[str, one_of("ru", "en")]
    html: str


class MailSignatures(Shape, frozen=True, kw_only=True):
    items: list[MailSignature]


class NewSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty `html` takes the signature away. `for_everybody` needs a mailbox and an administrator."""

    mailbox: Id | None = None
    for_everybody: bool = False
    language: Language = "ru"
    html: Text


async def senders(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> Senders:
    rows = await identities.of(conn, ctx.actor)
    items = [
        SenderShape(id=r.id, mailbox=r.mailbox_address, name=r.name, address=r.address, default=r.is_default)
        for r in rows
    ]
    return Senders(items=items)


async def add_sender(conn: AsyncConnection, ctx: RequestContext, body: NewSender) -> Senders:
    await identities.add(
        conn,
        ctx.actor,
        mailbox_id=body.mailbox,
        name=body.name,
        address=body.address,
        user_id=body.user,
        is_default=body.default,
        now=ctx.now,
    )
    return await senders(conn, ctx, Query())


async def remove_sender(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Senders:
    await identities.remove(conn, ctx.actor, ctx.id(), now=ctx.now)
    return await senders(conn, ctx, Query())


async def signatures(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> MailSignatures:
    rows = await identities.signatures_of(conn, ctx.actor)
    items = [MailSignature(user=r.user_id, mailbox=r.mailbox_id, language=r.language, html=r.html) for r in rows]
    return MailSignatures(items=items)


async def cleaned_signature(_ctx: RequestContext, body: NewSignature) -> NewSignature:
    return msgspec.structs.replace(body, html=await asyncio.to_thread(templates.cleaned, body.html))


async def sign(conn: AsyncConnection, ctx: RequestContext, body: NewSignature) -> MailSignatures:
    await identities.sign(
        conn,
        ctx.actor,
        mailbox_id=body.mailbox,
        is_of_mailbox=body.for_everybody,
        language=body.language,
        html=body.html,
        now=ctx.now,
    )
    return await signatures(conn, ctx, Query())


ENDPOINTS = (
    Endpoint(method="GET", path="/senders", summary="Whom you may write as", reads=senders, answer=Senders),
    Endpoint(
        method="POST",
        path="/senders",
        summary="Add a name to write under",
        writes=add_sender,
        body=NewSender,
        answer=Senders,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/senders/{id}/remove",
        summary="Take a name to write under away",
        writes=remove_sender,
        answer=Senders,
    ),
    Endpoint(method="GET", path="/signatures", summary="Your signatures", reads=signatures, answer=MailSignatures),
    Endpoint(
        method="POST",
        path="/signatures",
        summary="Set a signature, or take it away",
        prepare=cleaned_signature,
        writes=sign,
        body=NewSignature,
        answer=MailSignatures,
    ),
)
