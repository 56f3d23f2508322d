"""Drafts on the web: one's own, as a list, with what goes later above it. Composing one is in `pages/drafts`.

Decides no rights. Invariant: a list shows no draft of anybody else, nor one that was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.sending import drafts
from hub.mail.sending.draft_kind import DRAFTS, DraftRow
from hub.mail.sending.drafts import Draft
from hub.mail.sending.replying import Kind
from hub.web.api.endpoint import Endpoint, Query, SentMoment
from hub.web.base import schema
from hub.web.base.kind import Answer, WebKind
from hub.web.request_context import RequestContext


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a draft; `cid` where the HTML shows it, as `<img src="cid:…">`."""

    id: int
    name: str
    type: str
    size: int
    inline: bool
    cid: str | None


class DraftShape(msgspec.Struct, frozen=True, kw_only=True):
    """A draft as it was saved last; `to`, `cc` and `bcc` are lines as typed."""

    id: int
    version: int
    kind: Kind
    mailbox: str
    answers: int | None
    client: int | None
    contact: int | None
    to: str
    cc: str
    bcc: str
    subject: str
    text: str
    html: str
    quotes: bool
    identity: int | None
    send_at: SentMoment | None
    created_at: SentMoment
    saved_at: SentMoment
    attachments: list[File]


def shape(one: Draft) -> DraftShape:
    files = [File(id=f.id, name=f.name, type=f.type, size=f.size, inline=f.inline, cid=f.cid) for f in one.files]
    return DraftShape(
        id=one.id,
        version=one.version,
        kind=one.kind,
        mailbox=one.mailbox_address,
        answers=one.answers_id,
        client=one.client_id,
        contact=one.contact_id,
        to=one.to,
        cc=one.cc,
        bcc=one.bcc,
        subject=one.subject,
        text=one.text,
        html=one.html,
        quotes=one.quotes,
        identity=one.identity_id,
        send_at=one.send_at,
        created_at=one.created_at,
        saved_at=one.saved_at,
        attachments=files,
    )


async def _detail(conn: AsyncConnection, ctx: RequestContext, rows: Sequence[DraftRow]) -> list[Draft]:
    return await drafts.detailed(conn, ctx.actor, [row.id for row in rows])


async def _going(conn: AsyncConnection, ctx: RequestContext, _rows: Sequence[Draft]) -> dict[str, Any]:
    return {"going": await drafts.waiting_to_go(conn, ctx.actor)}


async def _found(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> DraftShape:
    return shape(await drafts.find(conn, ctx.actor, ctx.id()))


schema.add_type("typed_line", answered=str, sent=str)
WEB = WebKind(
    entity=DRAFTS,
    detail=_detail,
    answer=Answer(DraftShape, shape),
    list_template="drafts.html",
    list_facts=_going,
    icon="file",
)
ONE = Endpoint(method="GET", path="/drafts/{id}", summary="One draft", reads=_found, answer=DraftShape)
"""Sent, it is answered with the message it became."""
