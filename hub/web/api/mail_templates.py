"""Templates, senders and signatures over the API."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.reading.sanitize import text_to_html
from hub.mail.sending import identities, phrases, templates
from hub.mail.sending.templates import Language
from hub.web.api.endpoint import Endpoint, Id, Nothing, Query
from hub.web.api.shapes import Moment, Shape, at, one_of
from hub.web.request_context import RequestContext

Text = Annotated[str, msgspec.Meta(max_length=templates.MAX_CHARS)]


class TemplateQuery(Query, frozen=True, kw_only=True):
    """`team` leaves those of that team and of everybody."""

    team: Id | None = None
    language: Language | None = None


class MailTemplate(Shape, frozen=True, kw_only=True):
    """A kept text; `team` null is everybody's. Its fields are written `{{client.name}}`."""

    id: int
    team: int | None
    name: str
    language: Annotated[str, one_of("ru", "en")]
    subject: str
    html: str
    renewed_at: Moment


class MailTemplates(Shape, frozen=True, kw_only=True):
    items: list[MailTemplate]
    fields: list[str]
    """Every field there is."""


class NewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`html`, or `text` that becomes HTML."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    language: Language = "ru"
    team: Id | None = None
    subject: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    html: Text | None = None
    text: Text | None = None


class FillTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The letter a template is filled for."""

    client: Id | None = None
    contact: Id | None = None
    mailbox: Id | None = None


class FilledTemplate(Shape, frozen=True, kw_only=True):
    subject: str
    html: str
    text: str


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


def _template(row: templates.Template) -> MailTemplate:
    return MailTemplate(
        id=row.id,
        team=row.team_id,
        name=row.name,
        language=row.language,
        subject=row.subject,
        html=row.html,
        renewed_at=at(row.renewed_at),
    )


async def listed(conn: AsyncConnection, ctx: RequestContext, query: TemplateQuery) -> MailTemplates:
    rows = await templates.listed(conn, ctx.actor, team_id=query.team, language=query.language)
    return MailTemplates(items=[_template(row) for row in rows], fields=list(phrases.FIELDS))


async def found(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> MailTemplate:
    return _template(await templates.find(conn, ctx.actor, ctx.id()))


async def cleaned(_ctx: RequestContext, body: NewTemplate) -> NewTemplate:
    html = body.html if body.html is not None else text_to_html(body.text or "")
    return msgspec.structs.replace(body, html=await asyncio.to_thread(templates.cleaned, html))


async def make(conn: AsyncConnection, ctx: RequestContext, body: NewTemplate) -> MailTemplate:
    return await _saved(conn, ctx, body, None)


async def change(conn: AsyncConnection, ctx: RequestContext, body: NewTemplate) -> MailTemplate:
    return await _saved(conn, ctx, body, ctx.id())


async def _saved(
    conn: AsyncConnection, ctx: RequestContext, body: NewTemplate, template_id: int | None
) -> MailTemplate:
    kept = await templates.save(
        conn,
        ctx.actor,
        template_id,
        team_id=body.team,
        name=body.name,
        language=body.language,
        subject=body.subject,
        html=body.html or "",
        now=ctx.now,
    )
    return _template(await templates.find(conn, ctx.actor, kept))


async def archive(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> MailTemplate:
    row = await templates.find(conn, ctx.actor, ctx.id())
    await templates.archive(conn, ctx.actor, row.id, now=ctx.now)
    return _template(row)


async def fill(conn: AsyncConnection, ctx: RequestContext, body: FillTemplate) -> FilledTemplate:
    row = await templates.find(conn, ctx.actor, ctx.id())
    facts = await templates.facts_for(
        conn,
        ctx.actor,
        client_id=body.client,
        contact_id=body.contact,
        mailbox_id=body.mailbox,
        language=row.language,
        now=ctx.now,
    )
    filled = templates.filled(row, facts)
    return FilledTemplate(subject=filled.subject, html=filled.html, text=filled.text)


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
    Endpoint(
        method="GET",
        path="/templates",
        summary="Templates of letters that you may use",
        reads=listed,
        query=TemplateQuery,
        answer=MailTemplates,
    ),
    Endpoint(
        method="POST",
        path="/templates",
        summary="Make a template",
        prepare=cleaned,
        writes=make,
        body=NewTemplate,
        answer=MailTemplate,
        status=201,
    ),
    Endpoint(method="GET", path="/templates/{id}", summary="One template", reads=found, answer=MailTemplate),
    Endpoint(
        method="POST",
        path="/templates/{id}",
        summary="Change a template",
        prepare=cleaned,
        writes=change,
        body=NewTemplate,
        answer=MailTemplate,
    ),
    Endpoint(
        method="POST",
        path="/templates/{id}/archive",
        summary="Take a template out of use",
        writes=archive,
        answer=MailTemplate,
    ),
    Endpoint(
        method="POST",
        path="/templates/{id}/fill",
        summary="A template filled for one letter",
        writes=fill,
        body=FillTemplate,
        answer=FilledTemplate,
    ),
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
