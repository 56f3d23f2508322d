"""Calls over the API beyond reading them: whose one is, and what one asks of a PBX (dial, take, hang up).

What is asked is an intent: the answer is 202 with the intent's id, and the feed tells how it went. What is done with
a call that lives is in `live_calls`.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, contacts, queue
from hub.errors import Conflict
from hub.telephony.control import control, intents
from hub.telephony.reading import manual_link, register
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Id, Nothing
from hub.web.dialing import dial_rules, named_pbx, own_pbx
from hub.web.request_context import RequestContext


class Dial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to call from the asker's phone."""

    to: str
    """A number outside, also with an extension behind it ("+7… доб. 12"), or a colleague's extension."""
    client: Id | None = None
    contact: Id | None = None
    pbx: str | None = None


class LinkTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client and contact of a call; neither named: none that is known."""

    client: Id | None = None
    contact: Id | None = None


class Asked(shapes.Shape, frozen=True, kw_only=True):
    """A request to the PBX; `call_intent` changes of this id tell its outcome."""

    intent: int


class IntentShown(shapes.Shape, frozen=True, kw_only=True):
    """How it went with what was asked. `unknown`: the answer was lost; it is not asked for again."""

    id: int
    kind: str
    state: Literal["new", "sending", "sent", "refused", "deferred", "unknown"]
    reason: str
    call: int | None


async def dial(conn: AsyncConnection, ctx: RequestContext, body: Dial) -> Asked:
    pbx = await own_pbx(conn, ctx) if body.pbx is None else named_pbx(ctx, body.pbx)
    if body.client is not None:
        await clients.find(conn, ctx.actor, body.client)
    if body.contact is not None:
        await contacts.find(conn, ctx.actor, body.contact)
    intent = await control.dial(
        conn,
        ctx.actor,
        to=body.to,
        client_id=body.client,
        contact_id=body.contact,
        request_id=ctx.request.headers.get("Idempotency-Key") or secrets.token_hex(16),
        pbx=pbx.name,
        rules=dial_rules(ctx, pbx.name),
        now=ctx.now,
    )
    return Asked(intent=intent)


async def take(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Asked:
    call = await register.find(conn, ctx.actor, ctx.id())
    waiting = await queue.find_by_thing(conn, "call", call.id)
    if waiting is None:
        raise Conflict("not_waiting", "this call stands in no queue")
    item = await queue.claim(conn, ctx.actor, waiting.id, now=ctx.now)
    return Asked(intent=await control.take(conn, ctx.actor, item, now=ctx.now))


async def hang_up(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Asked:
    return Asked(intent=await control.hang_up(conn, ctx.actor, ctx.id(), now=ctx.now))


async def link(conn: AsyncConnection, ctx: RequestContext, body: LinkTo) -> shapes.Call:
    call_id = ctx.id()
    whose: dict[str, Any] = {"client_id": body.client, "contact_id": body.contact}
    await manual_link.link(conn, ctx.actor, call_id, **whose, way="api", now=ctx.now)
    return shapes.call(await register.find(conn, ctx.actor, call_id))


async def intent(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> IntentShown:
    row = await intents.find(conn, ctx.actor, ctx.id())
    return IntentShown(id=row.id, kind=row.kind, state=row.state, reason=row.reason, call=row.call_id)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/calls",
        summary="Ring your phone, then call a number",
        writes=dial,
        body=Dial,
        answer=Asked,
        status=202,
    ),
    Endpoint(
        method="POST",
        path="/calls/{id}/take",
        summary="Take a waiting call to your phone",
        writes=take,
        answer=Asked,
        status=202,
    ),
    Endpoint(
        method="POST", path="/calls/{id}/hangup", summary="Hang your call up", writes=hang_up, answer=Asked, status=202
    ),
    Endpoint(
        method="POST",
        path="/calls/{id}/link",
        summary="Say whose call it is; nothing overwrites that",
        writes=link,
        body=LinkTo,
        answer=shapes.Call,
    ),
    Endpoint(
        method="GET",
        path="/call-intents/{id}",
        summary="How it went with what you asked of the PBX",
        reads=intent,
        answer=IntentShown,
    ),
)
