"""Messages on the web: what a list may be narrowed by beside a condition, the marks of the search, their API object.

On pages and in their export the same mail of several mailboxes is one row; the API has each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.addresses import parse_email
from hub.crm.base import records
from hub.crm.base.labels import _
from hub.mail import register, thread
from hub.mail.choices import AutoKind, MailDirection, MessageState
from hub.mail.excerpt import Marker, composed
from hub.mail.filters import MessageFilters, conditions
from hub.mail.message_kind import MESSAGES, ListedMessage
from hub.mail.query import Query, parse
from hub.mail.register import MessageRow
from hub.web import render
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Id
from hub.web.api.filters import party_or_moment
from hub.web.base.kind import Answer, RecordQuery, WebKind
from hub.web.crm.calls import day
from hub.web.crm.given import given
from hub.web.request_context import RequestContext
from hub.web.routes import Route

FOUND = 5
"""The messages shown in a search of clients."""
ONLY: dict[str, dict[str, bool]] = {
    "open": {"is_open": True},
    "unread": {"is_unread": True},
    "flagged": {"is_flagged": True},
    "files": {"has_file": True},
    "unlinked": {"is_linked": False},
    "linked": {"is_linked": True},
    "people": {"is_automatic": False},
    "automatic": {"is_automatic": True},
    "gone": {"is_gone": True},
    "unreadable": {"is_unreadable": True},
}
LABELS = {
    "client": _("Client"),
    "mailbox": _("Mailbox"),
    "thread": _("Conversation"),
    "direction": _("Direction"),
    "state": _("State"),
    "from": _("From"),
    "to": _("To"),
    "team": _("Team"),
    "author": _("Written by"),
    "auto": _("Sender type"),
    "attachments": _("With files"),
    "unread": _("Unread"),
    "flagged": _("Flagged"),
    "linked": _("On a card"),
    "open": _("To be answered"),
    "gone": _("Deleted on the server"),
    "unreadable": _("Could not be read"),
    "since": _("Since"),
    "until": _("Until"),
}
"""Parameters of the address that scripts, bookmarks and other pages of Hub use beside a condition."""


class MessageQuery(RecordQuery, frozen=True, kw_only=True):
    """`mailbox` is an address; `from` and `to` are addresses, or moments that `received_at` lies between; `since` and
    `until` are days, the last one whole.

    `q` is a question to the search: words, "a phrase", -word, from: to: subject: file:, has:attachment, before: after:.
    `open`: the conversation waits for somebody. `gone`: deleted on the server. `unreadable`: shown raw only. `only` is
    one of these as a word, for the tabs of a page.
    """

    q: str = ""
    only: (
        Literal["open", "unread", "flagged", "files", "unlinked", "linked", "people", "automatic", "gone", "unreadable"]
        | None
    ) = None
    client: Id | None = None
    mailbox: str | None = None
    thread: Id | None = None
    direction: MailDirection | None = None
    state: MessageState | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    team: Id | None = None
    author: Id | None = None
    auto: AutoKind | None = None
    attachments: bool | None = None
    unread: bool | None = None
    flagged: bool | None = None
    linked: bool | None = None
    open: bool | None = None
    gone: bool | None = None
    unreadable: bool | None = None
    since: str | None = None
    until: str | None = None

    def filters(self) -> MessageFilters:
        """Raises Refused for a time that is none."""
        sender, since = party_or_moment(self.from_, field="from")
        recipient, until = party_or_moment(self.to, field="to")
        asked: dict[str, Any] = {
            "has_file": self.attachments,
            "is_unread": self.unread,
            "is_flagged": self.flagged,
            "is_linked": self.linked,
            "is_open": self.open,
            "is_gone": self.gone,
            "is_unreadable": self.unreadable,
        }
        return MessageFilters(
            text=self.q,
            client_id=self.client,
            mailbox=self.mailbox,
            thread_id=self.thread,
            direction=self.direction,
            state=self.state,
            sender=_address(sender),
            recipient=_address(recipient),
            since=since or day(self.since, field="since"),
            until=until or day(self.until, field="until", days=1),
            team_id=self.team,
            author_id=self.author,
            auto=self.auto,
            **asked | ONLY.get(self.only or "", {}),
        )


def _address(text: str | None) -> str | None:
    return None if text is None else parse_email(text) or text.lower()


def _is_page(ctx: RequestContext) -> bool:
    return not ctx.request.path.startswith("/api/")


def _narrow(_ctx: RequestContext, query: MessageQuery) -> sa.ColumnElement[bool] | None:
    found = list(conditions(query.filters()))
    return sa.and_(*found) if found else None


def _refine(ctx: RequestContext, query: MessageQuery, where: sa.ColumnElement[bool] | None) -> sa.ColumnElement[bool]:
    return register.refined(ctx.actor, query.filters(), ctx.db.dialect, where, grouped=_is_page(ctx))


async def _detail(conn: AsyncConnection, ctx: RequestContext, rows: Sequence[ListedMessage]) -> list[MessageRow]:
    return await register.detailed(conn, ctx.actor, rows, grouped=_is_page(ctx))


async def _facts(conn: AsyncConnection, ctx: RequestContext, rows: Sequence[MessageRow]) -> dict[str, Any]:
    query = ctx.query(MessageQuery)
    asked = parse(query.q)
    texts = await register.heads(conn, [row.id for row in rows]) if asked.wanted else {}
    client = (await records.names(conn, ctx.actor, "client", [query.client])) if query.client else {}
    choices = {"direction": MailDirection, "state": MessageState, "auto": AutoKind}
    return {
        "found": why_found(asked, rows, texts),
        "writable": {one.id for one in await register.mailboxes_of(conn, ctx.actor)},
        "not_understood": asked.not_understood,
        "client_name": client.get(query.client or 0),
        "given": await given(conn, ctx, query, LABELS, choices),
    }


def why_found(asked: Query, rows: Sequence[MessageRow], texts: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """Return of each message found its subject and a piece of its text, as (text, is marked); nothing unasked."""
    if not asked.wanted:
        return {}
    marker = Marker.of(asked)
    return {
        one.id: {
            "who": marker.marked(composed(one.from_name or one.from_address)),
            "subject": marker.marked(composed(one.subject)),
            "text": marker.excerpt(composed(texts.get(one.id, ""))) or [(one.snippet, False)],
            "files": [
                file.name for file in one.attachments if any(hit for _, hit in marker.marked(composed(file.name)))
            ],
        }
        for one in rows
    }


class FoundQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""


async def found_among_clients(ctx: RequestContext) -> web.StreamResponse:
    """The newest messages that a search of clients would find too: a piece of the page that shows the clients."""
    q = ctx.query(FoundQuery).q
    asked = parse(q)
    rows: list[MessageRow] = []
    texts: dict[int, str] = {}
    if asked.wanted:
        async with ctx.db.read() as conn:
            rows = await register.listed(conn, ctx.actor, MessageFilters(text=q), limit=FOUND + 1, grouped=True)
            texts = await register.heads(conn, [one.id for one in rows])
    context = {"messages": rows[:FOUND], "found": why_found(asked, rows, texts), "q": q, "is_more": len(rows) > FOUND}
    return render.page(ctx, "messages/found.html", context)


async def _whole(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> shapes.Message:
    message = await register.find(conn, ctx.actor, ctx.id())
    folders = await thread.folders_of(conn, [message.id])
    return shapes.message(message, folder=folders.get(message.id))


WEB = WebKind(
    entity=MESSAGES,
    query=MessageQuery,
    narrow=_narrow,
    refine=_refine,
    detail=_detail,
    answer=Answer(shapes.Message, shapes.message),
    list_template="messages.html",
    list_facts=_facts,
    icon="mail",
)
ROUTES = (Route("GET", "/messages/found", found_among_clients),)
ONE = Endpoint(method="GET", path="/messages/{id}", summary="One message", reads=_whole, answer=shapes.Message)
"""With its body and its folder, which lists leave out."""
