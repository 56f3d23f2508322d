"""Acts on a live call over the API: transfer, hold, park, listen.

Each answer is 202 with an intent's id: `GET /call-intents/{id}` and the feed tell how it went. A request that bears
an Idempotency-Key is one intent, however often it is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import Refused
from hub.telephony.control import handing, supervision
from hub.telephony.reading import parked, register
from hub.web.api import shapes
from hub.web.api.calls import Asked
from hub.web.api.endpoint import Endpoint, Id, Nothing, Query
from hub.web.dialing import dial_rules
from hub.web.request_context import RequestContext


class Transfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom: a colleague's id, extension or whole name, or a number outside.

    `blind` hands the call on at once. `attended` calls them first and lets the client hear music; then `complete`
    brings the two together, and `cancel` goes back to the client: both take no `to`.
    """

    kind: Literal["blind", "attended", "complete", "cancel"] = "blind"
    to: Id | Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


def _request_id(ctx: RequestContext) -> str:
    return ctx.request.headers.get("Idempotency-Key") or secrets.token_hex(16)


async def transfer(conn: AsyncConnection, ctx: RequestContext, body: Transfer) -> Asked:
    call_id, request_id = ctx.id(), _request_id(ctx)
    match body.kind:
        case "complete":
            intent = await handing.complete(conn, ctx.actor, call_id, request_id=request_id, now=ctx.now)
        case "cancel":
            intent = await handing.cancel(conn, ctx.actor, call_id, request_id=request_id, now=ctx.now)
        case kind:
            if body.to is None:
                raise Refused("no_target", "say whom the call goes to", field="to")
            call = await register.find(conn, ctx.actor, call_id)
            rules = dial_rules(ctx, call.pbx)
            intent = await handing.transfer(
                conn, ctx.actor, call_id, to=body.to, kind=kind, request_id=request_id, rules=rules, now=ctx.now
            )
    return Asked(intent=intent)


_Deed = Callable[..., Awaitable[int]]


def _asks(deed: _Deed) -> Callable[[AsyncConnection, RequestContext, Any], Awaitable[Asked]]:
    async def ask(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Asked:
        intent = await deed(conn, ctx.actor, ctx.id(), request_id=_request_id(ctx), now=ctx.now)
        return Asked(intent=intent)

    return ask


def _hears(how: supervision.How) -> Callable[[AsyncConnection, RequestContext, Any], Awaitable[Asked]]:
    async def ask(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Asked:
        return Asked(
            intent=await supervision.supervise(conn, ctx.actor, ctx.id(), how, request_id=_request_id(ctx), now=ctx.now)
        )

    return ask


async def retrieve(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Asked:
    return Asked(intent=await handing.retrieve(conn, ctx.actor, ctx.id(), now=ctx.now))


async def parked_ones(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> shapes.Calls:
    rows = await parked.parked_calls(conn, ctx.actor)
    return shapes.Calls(items=[shapes.call(row) for row in rows], next=None)


def _post(path: str, summary: str, writes: Any, body: type[msgspec.Struct] = Nothing) -> Endpoint:
    return Endpoint(
        method="POST", path=f"/calls/{{id}}/{path}", summary=summary, writes=writes, body=body, answer=Asked, status=202
    )


ENDPOINTS = (
    _post("transfer", "Hand your call on: at once, or after asking a colleague", transfer, Transfer),
    _post("hold", "Let the client hear music; your phone stays on the line", _asks(handing.hold)),
    _post("unhold", "Speak with the client again", _asks(handing.unhold)),
    _post("park", "Set the client aside for any phone to take up", _asks(handing.park)),
    _post("retrieve", "Take a parked client up on your phone", retrieve),
    _post("listen", "Hear a call of your team (privilege: supervise)", _hears("listen")),
    _post("whisper", "Speak to the manager alone (privilege: supervise)", _hears("whisper")),
    _post("barge", "Join the call (privilege: supervise)", _hears("barge")),
    Endpoint(
        method="GET",
        path="/parked-calls",
        summary="Clients of your teams who are parked",
        reads=parked_ones,
        query=Query,
        answer=shapes.Calls,
    ),
)
