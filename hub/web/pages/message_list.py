"""The register of messages: a manager's is of what they may see, the administrator's of all. Search, filters, export.

Filters stand in the URL, pages go by key, nothing is counted; the same mail in several mailboxes is one row. What is
exported is what is listed, under the same rights. Invariant: no cell of an export is a formula, and no export is
longer than `EXPORTED`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from hub.clock import rfc3339
from hub.crm import clients, directory
from hub.crm.audit import record
from hub.mail import register
from hub.mail.choices import MailDirection, MessageState
from hub.mail.excerpt import Marker, composed
from hub.mail.filters import MessageFilters
from hub.mail.query import Query, parse
from hub.mail.register import MessageRow
from hub.sanitize import csv_cell
from hub.store import changes
from hub.web import render
from hub.web.crm.calls import day
from hub.web.files import disposition
from hub.web.paging import PAGE, cut
from hub.web.request_context import MAX_ID, RequestContext, read_time_cursor
from hub.web.routes import Route

FOUND = 5
"""The messages shown in a search of clients."""
EXPORTED, EXPORT_BATCH = 50_000, 500
Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]

ONLY: dict[str, dict[str, Any]] = {
    "open": {"is_open": True},
    "unread": {"is_unread": True},
    "flagged": {"is_flagged": True},
    "files": {"has_file": True},
    "unlinked": {"is_linked": False},
    "linked": {"is_linked": True},
    "automatic": {"is_automatic": True},
    "people": {"is_automatic": False},
    "gone": {"is_gone": True},
    "unreadable": {"is_unreadable": True},
}


class MessageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The filters as they stand in the address."""

    q: str | None = None
    only: (
        Literal["open", "unread", "flagged", "files", "unlinked", "linked", "automatic", "people", "gone", "unreadable"]
        | None
    ) = None
    direction: MailDirection | None = None
    state: MessageState | None = None
    team: Id | None = None
    mailbox: str | None = None
    client: Id | None = None
    author: Id | None = None
    since: str | None = None
    until: str | None = None
    cursor: str | None = None

    @property
    def params(self) -> dict[str, str | int]:
        """The chosen filters, for the addresses of other pages of the list."""
        chosen = {name: getattr(self, name) for name in self.__struct_fields__ if name != "cursor"}
        return {name: value for name, value in chosen.items() if value is not None}

    def filters(self) -> MessageFilters:
        """Raises Refused for a day that is none."""
        return MessageFilters(
            text=self.q,
            direction=self.direction,
            state=self.state,
            team_id=self.team,
            mailbox=self.mailbox,
            client_id=self.client,
            author_id=self.author,
            since=day(self.since, field="since"),
            until=day(self.until, field="until", days=1),
            **ONLY.get(self.only or "", {}),
        )


async def page(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(MessageQuery)
    asked = parse(query.q or "")
    before = read_time_cursor(query.cursor)
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        client = await clients.find(conn, ctx.actor, query.client) if query.client else None
        rows = await register.listed(conn, ctx.actor, query.filters(), before=before, limit=PAGE + 1, grouped=True)
        found_page = cut(rows, lambda row: (row.received_at, row.id))
        shown = found_page.items
        texts = await register.heads(conn, [one.id for one in shown]) if asked.wanted else {}
        teams = await directory.my_teams(conn, ctx.actor)
        mailboxes = await register.mailboxes_seen(conn, ctx.actor)
        people = await directory.people(conn, ctx.actor, limit=200)
    context = {
        "messages": shown,
        "found": why_found(asked, shown, texts),
        "filters": query,
        "params": query.params,
        "not_understood": asked.not_understood,
        "client": client,
        "teams": teams,
        "mailboxes": mailboxes,
        "people": people,
        "next_cursor": found_page.next,
    }
    return render.page(ctx, "messages.html", context, feed=feed)


def why_found(asked: Query, rows: Sequence[MessageRow], texts: dict[int, str]) -> dict[int, dict[str, Any]]:
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


async def found(ctx: RequestContext) -> web.StreamResponse:
    """The newest messages that a search of clients would find too: a piece of the page that shows the clients."""
    q = ctx.query(FoundQuery).q
    asked = parse(q)
    rows: list[MessageRow] = []
    texts: dict[int, str] = {}
    if asked.wanted:
        async with ctx.db.read() as conn:
            filters = MessageFilters(text=q)
            rows = await register.listed(conn, ctx.actor, filters, limit=FOUND + 1, grouped=True)
            texts = await register.heads(conn, [one.id for one in rows])
    context = {"messages": rows[:FOUND], "found": why_found(asked, rows, texts), "q": q, "is_more": len(rows) > FOUND}
    return render.page(ctx, "messages/found.html", context)


# Export

_COLUMNS = (
    "received_at direction state mailbox from_name from to cc subject client author files size message_id".split()
)


async def export(ctx: RequestContext) -> web.StreamResponse:
    """The listed messages as CSV, at most `EXPORTED`, in batches: neither side ever holds them all."""
    query = ctx.query(MessageQuery)
    filters = query.filters()
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": disposition(f"messages-{ctx.now:%Y-%m-%d}.csv"),
            "Cache-Control": "private, no-store",
        }
    )
    if ctx.request.method == "HEAD":
        await response.prepare(ctx.request)
        return response
    async with ctx.db.begin() as conn:
        await record(
            conn,
            "messages.exported",
            at=ctx.now,
            user_id=ctx.actor.user_id,
            object_kind="message",
            details={name: str(value)[:300] for name, value in query.params.items()},
        )
    await response.prepare(ctx.request)
    # The mark tells Excel that this is UTF-8; where the comma is the decimal sign, it divides cells by semicolons.
    divider = ";" if ctx.language == "ru" else ","
    await response.write(("\ufeff" + _csv([_COLUMNS], divider)).encode())
    before = None
    for _ in range(EXPORTED // EXPORT_BATCH):
        async with ctx.db.read() as conn:
            rows = await register.listed(conn, ctx.actor, filters, before=before, limit=EXPORT_BATCH, grouped=True)
        if rows:
            await response.write(_csv([_cells(row) for row in rows], divider).encode())
            before = (rows[-1].received_at, rows[-1].id)
        if len(rows) < EXPORT_BATCH:
            break
    await response.write_eof()
    return response


def _csv(rows: Sequence[Sequence[str]], divider: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=divider, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _cells(row: MessageRow) -> list[str]:
    people = ["; ".join(one["address"] for one in some[:50]) for some in (row.to, row.cc)]
    cells = [
        rfc3339(row.received_at) or "",
        row.direction,
        row.state,
        "; ".join((row.mailbox_address, *row.also_in)),
        row.from_name,
        row.from_address,
        *people,
        row.subject,
        row.client_name or "",
        row.author_name or "",
        "; ".join(file.name for file in row.attachments if not file.inline),
        str(row.size),
        row.message_id,
    ]
    return [csv_cell(cell) for cell in cells]


ROUTES = (
    Route("GET", "/messages", page),
    Route("GET", "/messages/found", found),
    Route("GET", "/messages/export", export),
)
