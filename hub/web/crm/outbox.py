"""The outbox on the web: the tabs by state, what ails a mailbox, and the acts on a message that is not settled.

A row is a message: `{id}` of these pages and calls is the message's. Decides no rights. Invariant: an act here is the
same function as on the message's own page and in the API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm.base import records
from hub.crm.base.conditions import tree as conditions
from hub.crm.base.conditions.tree import All, Leaf, Tree, top_leaves
from hub.mail import register
from hub.mail.choices import OutboxStand
from hub.mail.models import outbox as rows
from hub.mail.sending import outbox, standing
from hub.mail.sending.outbox_kind import OUTBOX, OutboxRow
from hub.mail.sending.providers import pace_of
from hub.web import render
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Id, Page
from hub.web.api.shapes import Moment, Reference, Shape, reference
from hub.web.base import schema
from hub.web.base.endpoints import RecordCalls
from hub.web.base.kind import Answer, RecordQuery, WebKind
from hub.web.crm import messages
from hub.web.request_context import RequestContext
from hub.web.routes import Route


class OutboxQuery(RecordQuery, frozen=True, kw_only=True):
    """Without `state` all that is not settled, unless a view or a condition says how it stands; `mine` is what the
    asker wrote."""

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


def _shape(row: OutboxRow) -> StandingMessage:
    one = row.standing
    assert one is not None
    return StandingMessage(
        id=one.id,
        mailbox=one.mailbox,
        stand=one.stand,
        subject=one.subject,
        author=one.author_name,
        client=reference(one.client_id, one.client_name),
        reason=one.reason or None,
        attempts=one.attempts,
        goes_at=rfc3339(one.goes_at) if one.goes_at else None,
        copy_error=one.copy_error or None,
        recipients=[
            StandingRecipient(address=r.address, state=r.state, code=r.code, reply=r.reply, why=r.why or None)
            for r in one.recipients
        ],
    )


def _narrow_tree(query: OutboxQuery, tree: Tree) -> Tree:
    found: list[Tree] = [Leaf("author", "is", ["me"])] if query.mine else []
    if query.mailbox is not None:
        found.append(Leaf("mailbox", "is", [query.mailbox]))
    is_said = query.view or query.changed_view or any(leaf.field == "stand" for leaf in top_leaves(tree))
    if query.state is not None or not is_said:
        stands = standing.OPEN if query.state is None else (query.state,)
        found.append(Leaf("stand", "is", [str(stand) for stand in stands]))
    return All(tuple(found))


async def _detail(conn: AsyncConnection, ctx: RequestContext, found: Sequence[OutboxRow]) -> list[OutboxRow]:
    pace = pace_of(ctx.services.settings.mailbox)
    return await standing.detailed(conn, ctx.actor, found, now=ctx.now, pace_of=pace)


async def _facts(conn: AsyncConnection, ctx: RequestContext, _found: Sequence[OutboxRow]) -> dict[str, Any]:
    query = ctx.query(OutboxQuery)
    backlogs = [] if query.mine else await standing.backlogs(conn, ctx.actor)
    return {
        "counts": await standing.counted(conn, ctx.actor, mine=query.mine),
        "backlogs": [(one, conditions.dumps(Leaf("mailbox", "is", [one.mailbox_id]))) for one in backlogs],
        "at_most": standing.AT_MOST,
    }


WEB = WebKind(
    entity=OUTBOX,
    query=OutboxQuery,
    narrow_tree=_narrow_tree,
    detail=_detail,
    answer=Answer(StandingMessage, _shape),
    list_template="outbox.html",
    list_facts=_facts,
    icon="send",
)


async def _found(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> StandingMessage:
    which = rows.c.message_id == ctx.id()
    found = (await records.page(conn, ctx.actor, OUTBOX, where=which, limit=1)).items
    if not found:
        raise records.missing(OUTBOX)
    return _shape((await _detail(conn, ctx, found))[0])


async def stuck(ctx: RequestContext) -> web.StreamResponse:
    """The badge of the desk: one's own mail that is stuck."""
    async with ctx.db.read() as conn:
        count = await standing.count_stuck(conn, ctx.actor)
    return render.page(ctx, "outbox/stuck.html", {"count": count})


class Act:
    """One decision on a message, offered by a form of the list and by the API."""

    def __init__(self, word: str, decide: Callable[..., Awaitable[None]]) -> None:
        self.word = word
        self.decide = decide

    def route(self) -> Route:
        return Route("POST", f"/outbox/{{id}}/{self.word}", self._page)

    def endpoint(self, summary: str) -> Endpoint:
        path = f"/messages/{{id}}/{self.word}"
        return Endpoint(method="POST", path=path, summary=summary, writes=self._call, answer=shapes.Message)

    async def _page(self, ctx: RequestContext) -> web.StreamResponse:
        async with ctx.db.begin() as conn:
            await self.decide(conn, ctx.actor, ctx.id(), now=ctx.now)
        return render.redirect(ctx, WEB.path)

    async def _call(self, conn: AsyncConnection, ctx: RequestContext, _body: Any) -> shapes.Message:
        await self.decide(conn, ctx.actor, ctx.id(), now=ctx.now)
        return shapes.message(await register.find(conn, ctx.actor, ctx.id()))


SEND_AGAIN = Act("send-again", outbox.send_again)
ACCEPT = Act("accept-as-sent", outbox.accept_as_sent)
ROUTES = (
    Route("GET", "/outbox/stuck", stuck),
    SEND_AGAIN.route(),
    ACCEPT.route(),
    Act("cancel", outbox.cancel).route(),
    Act("copy-again", outbox.copy_again).route(),
)
OWN = (
    Endpoint(
        method="GET",
        path="/outbox/{id}",
        summary="One message of the outbox, by the message's id",
        reads=_found,
        answer=StandingMessage,
    ),
    Endpoint(
        method="GET",
        path="/outbox/{id}/history",
        summary="Who linked a message of the outbox, by the message's id",
        reads=RecordCalls(messages.WEB).history,
        query=Page,
        answer=schema.Edits,
    ),
)
"""In the place of those of the base, which go by the row."""
ENDPOINTS = (
    SEND_AGAIN.endpoint("Send a message (once more) to those who do not have it"),
    ACCEPT.endpoint("Take a message of unknown fate as sent"),
)
