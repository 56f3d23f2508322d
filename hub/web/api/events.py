"""The feed over the API: one event per change, named by its kind, resumed at Last-Event-ID."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from hub.clock import rfc3339
from hub.crm import access
from hub.crm.access import Actor
from hub.web import authentication, sse
from hub.web.api.endpoint import Endpoint, Query
from hub.web.authentication import LIVE
from hub.web.live import LiveChange
from hub.web.request_context import RequestContext


class EventQuery(Query, frozen=True, kw_only=True, rename={"from_": "from"}):
    """`from` is a position, for a first start; a reconnect says Last-Event-ID."""

    from_: str | None = None


def encode(told: LiveChange, actor: Actor) -> bytes:
    """Encode a change as this reader may know it: of a batch the ids of what they may see, and no principals."""
    change, ids = told.change, access.received_ids(actor, told.change)
    drawn: object = ("api", *ids)
    if drawn not in told.drawn:
        data = {
            "kind": change.kind,
            "id": ids[0] if ids else change.object_id,
            "at": rfc3339(change.at),
            "team": change.team_id,
            "user": change.user_id,
            "client": change.client_id,
            "data": {"ids": ids} if "ids" in change.data else change.data,
        }
        told.drawn[drawn] = sse.event(change.kind, change.position, data)
    return told.drawn[drawn]


async def events(ctx: RequestContext, _query: Any) -> web.StreamResponse:
    async def who_now() -> Actor | None:
        bearer = await authentication.bearer(ctx.request, ctx.services)
        return bearer.actor if bearer else None

    return await sse.pump(ctx, ctx.request.app[LIVE], encode=encode, who_now=who_now)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/events",
        summary="Changes as they happen: `id`, `event` (the kind, `reset`, or `ping` without an id), `data`",
        streams=events,
        query=EventQuery,
        content_types=("text/event-stream",),
    ),
)
