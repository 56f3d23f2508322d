"""The browser's one stream: which topics changed, and the rows that are drawn already.

A row of the queue is pushed as HTML, so that a call is on the desk without another request; all else is named by
topic and asked for by whichever page shows it. Invariant: what is drawn is drawn for this reader's rights and language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from hub.clock import utc_now
from hub.crm import access, presence
from hub.crm.access import Actor
from hub.crm.base import registry
from hub.store.changes import Change
from hub.web import authentication, security, sse
from hub.web.authentication import LIVE
from hub.web.live import LiveChange
from hub.web.request_context import RequestContext
from hub.web.routes import Route


def topics_of(change: Change, ids: Sequence[int]) -> list[str]:
    """The names under which pages listen for a change; `ids` are those of its records that the reader may see."""
    match change.kind:
        case "queue_item":
            return ["queue", f"queue:{change.object_id}"]
        case "call":
            return ["calls", f"call:{change.object_id}"]
        case "call_intent":
            call_id = change.data.get("call_id")
            return ["intents", f"intent:{change.object_id}", *([f"call:{call_id}"] if call_id else [])]
        case "message":
            thread = change.data.get("thread")
            sent = ["outbox"] if change.data.get("direction") == "out" else []
            return ["messages", *sent, f"message:{change.object_id}", *([f"thread:{thread}"] if thread else [])]
        case "thread":
            return [f"thread:{change.object_id}"]
        case "timeline":
            return [f"client:{change.client_id}"]
        case "pbx":
            return [change.kind]
        case "mailbox":
            return ["mailbox", "mailboxes"]
        case "presence":
            return ["presence", f"presence:{change.object_id}"]
        case "device":
            return ["presence"]
        case "operation":
            return ["operations", f"operation:{change.object_id}"]
    if (entity := registry.kinds().get(change.kind)) is not None:
        return [entity.plural, *(f"{change.kind}:{record_id}" for record_id in ids)]
    return []


async def live(ctx: RequestContext) -> web.StreamResponse:
    security.refuse_foreign(ctx.request, public_url=ctx.services.settings.web.public_url)

    async def who_now() -> Actor | None:
        session = await authentication.find_session(ctx.request, ctx.services)
        if session is not None:
            await presence.touch(ctx.db, session.actor.user_id, now=utc_now())
        return session.actor if session else None

    await presence.touch(ctx.db, ctx.actor.user_id, now=ctx.now)

    def encode(told: LiveChange, actor: Actor) -> bytes | None:
        topics = topics_of(told.change, access.received_ids(actor, told.change))
        if not topics:
            return None
        key = ("page", ctx.language, told.item is not None and told.item.owner_id == actor.user_id, *topics)
        if key not in told.drawn:
            data: dict[str, Any] = {"topics": topics, "html": []}
            if trace := told.change.data.get("trace"):
                data["trace"] = trace
            told.drawn[key] = sse.event("change", told.change.position, data)
        return told.drawn[key]

    return await sse.pump(ctx, ctx.request.app[LIVE], encode=encode, who_now=who_now)


ROUTES = (Route("GET", "/live", live),)
