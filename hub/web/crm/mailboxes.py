"""Mailboxes on the web: their list for whoever sets them up, their history, and their own object in the API.

Everybody may find a mailbox that they read by its name, for a filter of messages. Invariant: a list, an export and a
history show a mailbox only to whoever may set it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.accounts import accounts
from hub.mail.accounts.account import Account
from hub.mail.mailbox_kind import MAILBOXES, ListedMailbox, set_up_by
from hub.web.api import mailboxes as calls
from hub.web.api.endpoint import Endpoint, Page
from hub.web.base.endpoints import RecordCalls
from hub.web.base.kind import Answer, WebKind
from hub.web.base.pages import RecordPages
from hub.web.base.schema import Edits
from hub.web.request_context import RequestContext
from hub.web.routes import Route


def _narrow(ctx: RequestContext, _query: Any) -> sa.ColumnElement[bool] | None:
    return None if ctx.request.path.endswith("/names") else set_up_by(ctx.actor)


async def _detail(conn: AsyncConnection, _ctx: RequestContext, rows: Sequence[ListedMailbox]) -> list[Account]:
    return await accounts.detailed(conn, rows)


WEB = WebKind(
    entity=MAILBOXES,
    narrow=_narrow,
    detail=_detail,
    answer=Answer(calls.MailboxAccount, calls.account),
    list_template="mailboxes/list.html",
    pages_who="admin",
    icon="at-sign",
)


async def history(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        await accounts.find(conn, ctx.actor, ctx.id())
    return await RecordPages(WEB).history(ctx)


async def changed(conn: AsyncConnection, ctx: RequestContext, query: Page) -> Edits:
    await accounts.find(conn, ctx.actor, ctx.id())
    return await RecordCalls(WEB).history(conn, ctx, query)


ROUTES = (Route("GET", "/mailboxes/{id}/history", history),)
ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/mailboxes/{id}",
        summary="A mailbox's settings",
        reads=calls.found,
        answer=calls.MailboxAccount,
    ),
    Endpoint(
        method="GET",
        path="/mailboxes/{id}/history",
        summary="Who changed which setting of a mailbox, newest first",
        reads=changed,
        query=Page,
        answer=Edits,
    ),
)
"""These stand in the place of the base's."""
