"""Writing, answering, forwarding, sending, and taking back: a form becomes a draft, a draft a message in the outbox.

Invariants: what was written is a draft before anything can refuse it, so a bad address loses no word; and one
composer is one message, however often it is sent: its `request_id` names its draft, and a draft goes once.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import msgspec
from aiohttp import web

from hub.errors import Conflict, HubError
from hub.mail import register
from hub.mail.sending import cancelling, drafts, outbox, suggestions
from hub.mail.sending.composer import UNDO
from hub.mail.sending.drafts import Draft, Start
from hub.mail.sending.replying import Kind
from hub.store import changes
from hub.web import composing, render
from hub.web.api.endpoint import Id, json_response
from hub.web.pages.drafts import create_or_find, keep_files, save_over
from hub.web.request_context import RequestContext
from hub.web.routes import Route

SAVED_AS = "Hub-Draft"


class ComposeQuery(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind = "new"
    answers: Id | None = None
    client: Id | None = None
    contact: Id | None = None
    to: str = ""
    mailbox: str = ""


class PeopleQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""
    client: Id | None = None


async def page(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(ComposeQuery)
    kind: Kind = query.kind if query.answers is not None else "new"
    start = Start(kind=kind, answers_id=query.answers, client_id=query.client, contact_id=query.contact)
    if kind == "new":
        start = replace(start, answers_id=None)
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        writing = await composing.composer(ctx).begin(conn, start, to=query.to[:300], mailbox=query.mailbox)
        if writing.quoted is not None and kind != "forward" and start.client_id is None:
            quoted = writing.quoted
            start = replace(start, client_id=quoted.client_id, contact_id=quoted.contact_id)
            writing = replace(writing, start=start)
    return render.page(ctx, "compose.html", {"writing": writing}, feed=feed)


async def people(ctx: RequestContext) -> web.StreamResponse:
    """Whom the letters typed may mean, for the script of the composer."""
    query = ctx.query(PeopleQuery)
    async with ctx.db.read() as conn:
        found = await suggestions.suggest(conn, ctx.actor, query.q, client_id=query.client)
    return json_response({"people": [asdict(one) for one in found]})


async def send(ctx: RequestContext) -> web.StreamResponse:
    """Save what is written, then send it; a repeat answers what the first one did."""
    try:
        draft = await _saved(ctx)
    except Conflict as known:
        if known.code != "draft_sent":
            raise
        return await _sent(ctx, known.details["sent_as"])
    try:
        message_id = await _send(ctx, draft)
    except HubError as refusal:
        # The page is told which version it has by now, so that it goes on saving over that.
        answer = render.error_page(ctx.request, refusal)
        answer.headers[SAVED_AS] = f"{draft.id}:{draft.version}"
        return answer
    return await _sent(ctx, message_id)


async def _sent(ctx: RequestContext, message_id: int) -> web.StreamResponse:
    if not ctx.is_fragment:
        return render.redirect(ctx, "/drafts")
    async with ctx.db.read() as conn:
        message = await register.find(conn, ctx.actor, message_id)
        waiting = await cancelling.waiting(conn, message_id)
    context = {"message": message, "waiting": waiting, "back": _back(ctx), "now": ctx.now}
    return render.page(ctx, "client/sent.html", context)


def _back(ctx: RequestContext) -> str:
    client = ctx.form.number("client")
    answers = ctx.form.number("answers")
    return f"/clients/{client}" if client and not answers else f"/messages/{answers}" if answers else "/compose"


async def _saved(ctx: RequestContext) -> Draft:
    """Keep what was written, and the files that came with it, before anything can refuse it."""
    draft_id = ctx.form.number("draft")
    draft = await (save_over(ctx, draft_id) if draft_id else create_or_find(ctx))
    if ctx.form.files:
        await keep_files(ctx, draft.id)
        async with ctx.db.read() as conn:
            draft = await drafts.find(conn, ctx.actor, draft.id)
    return draft


async def _send(ctx: RequestContext, draft: Draft) -> int:
    composer = composing.composer(ctx)
    frozen = await composer.freeze_draft(draft)
    async with ctx.db.begin() as conn:
        return await composer.queue(conn, frozen, undo=UNDO)


async def take_back(ctx: RequestContext) -> web.StreamResponse:
    """Undo, or no longer later: the message is the draft it was, open again."""
    async with ctx.db.begin() as conn:
        draft_id = await cancelling.cancel(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, f"/drafts/{draft_id}" if draft_id else "/drafts")


async def waiting(ctx: RequestContext) -> web.StreamResponse:
    """When a message goes, and the way to take it back, for its own page."""
    async with ctx.db.read() as conn:
        message = await register.find(conn, ctx.actor, ctx.id())
        goes = await cancelling.waiting(conn, message.id)
    mine = message.author_id == ctx.actor.user_id or ctx.actor.is_admin
    return render.page(ctx, "compose/waiting.html", {"message": message, "waiting": goes if mine else None})


async def send_again(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await outbox.send_again(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, f"/messages/{ctx.id()}")


async def accept_as_sent(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await outbox.accept_as_sent(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, f"/messages/{ctx.id()}")


ROUTES = (
    Route("GET", "/compose", page),
    Route("GET", "/compose/people", people),
    Route("POST", "/compose", send),
    Route("GET", "/messages/{id}/waiting", waiting),
    Route("POST", "/messages/{id}/take-back", take_back),
    Route("POST", "/messages/{id}/send-again", send_again),
    Route("POST", "/messages/{id}/accept-as-sent", accept_as_sent),
)
