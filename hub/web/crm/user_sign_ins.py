"""Sessions and API tokens of a person, seen and ended by an administrator: on the person's card, and over the API.

One's own stand in `pages.sign_ins` and `api.sign_ins`. Invariant: nothing here tells a session's or a token's secret.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import sessions, tokens
from hub.crm.base.history import Edit
from hub.crm.browsers import browser_name
from hub.crm.people.editing import require_over
from hub.web import render
from hub.web.api.endpoint import Endpoint, Id, Page
from hub.web.api.shapes import Shape
from hub.web.api.sign_ins import Sessions, Tokens, sessions_of, tokens_of
from hub.web.request_context import RequestContext
from hub.web.routes import Route


class EndSessions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The session to end; every one where it is left out."""

    session: Id | None = None


class RevokeTokens(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token to revoke; every one where it is left out."""

    token: Id | None = None


class Ended(Shape, frozen=True, kw_only=True):
    """The number of sessions or tokens that ended."""

    ended: int


async def facts(conn: AsyncConnection, ctx: RequestContext) -> dict[str, Any]:
    """Return what an administrator's view of a card shows of sign-ins; nothing for others."""
    if not ctx.actor.is_admin:
        return {"sessions": [], "tokens": []}
    found = await sessions.open_of(conn, ctx.id(), now=ctx.now)
    return {
        "sessions": [(one, browser_name(one.user_agent)) for one in found],
        "tokens": [(one, one.is_live(ctx.now)) for one in await tokens.listed(conn, user_id=ctx.id())],
    }


async def end_sessions(conn: AsyncConnection, ctx: RequestContext, session_id: int | None) -> int:
    """End one session of the person in the path, or all; return how many. Raises NotFound."""
    await require_over(conn, ctx.id(), Edit(ctx.actor, "page", ctx.now))
    by = ctx.actor.user_id
    if session_id is None:
        return await sessions.end_all(conn, ctx.id(), by=by, now=ctx.now)
    await sessions.end(conn, ctx.id(), session_id, by=by, now=ctx.now)
    return 1


async def revoke_tokens(conn: AsyncConnection, ctx: RequestContext, token_id: int | None) -> int:
    """Revoke one token of the person in the path, or all; return how many. Raises NotFound."""
    await require_over(conn, ctx.id(), Edit(ctx.actor, "page", ctx.now))
    by = ctx.actor.user_id
    if token_id is None:
        return await tokens.revoke_all(conn, ctx.id(), by=by, now=ctx.now)
    await tokens.revoke(conn, token_id, of=ctx.id(), by=by, now=ctx.now)
    return 1


async def end(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await end_sessions(conn, ctx, ctx.form.number("session"))
    return render.redirect(ctx, f"/users/{ctx.id()}")


async def revoke(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await revoke_tokens(conn, ctx, ctx.form.number("token"))
    return render.redirect(ctx, f"/users/{ctx.id()}")


async def their_sessions(conn: AsyncConnection, ctx: RequestContext, _query: Page) -> Sessions:
    await require_over(conn, ctx.id(), Edit(ctx.actor, "api", ctx.now))
    return await sessions_of(conn, ctx, ctx.id())


async def their_tokens(conn: AsyncConnection, ctx: RequestContext, query: Page) -> Tokens:
    await require_over(conn, ctx.id(), Edit(ctx.actor, "api", ctx.now))
    return await tokens_of(conn, ctx, ctx.id(), query)


async def ended(conn: AsyncConnection, ctx: RequestContext, body: EndSessions) -> Ended:
    return Ended(ended=await end_sessions(conn, ctx, body.session))


async def revoked(conn: AsyncConnection, ctx: RequestContext, body: RevokeTokens) -> Ended:
    return Ended(ended=await revoke_tokens(conn, ctx, body.token))


ROUTES = (
    Route("POST", "/users/{id}/sessions/end", end, "admin"),
    Route("POST", "/users/{id}/tokens/revoke", revoke, "admin"),
)
ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/users/{id}/sessions",
        summary="Where a person is signed in",
        reads=their_sessions,
        query=Page,
        answer=Sessions,
        who="admin",
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/sessions/end",
        summary="End a session of a person, or all",
        writes=ended,
        body=EndSessions,
        answer=Ended,
        who="admin",
    ),
    Endpoint(
        method="GET",
        path="/users/{id}/tokens",
        summary="The API tokens of a person",
        reads=their_tokens,
        query=Page,
        answer=Tokens,
        who="admin",
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/tokens/revoke",
        summary="Revoke an API token of a person, or all; their streams end",
        writes=revoked,
        body=RevokeTokens,
        answer=Ended,
        who="admin",
    ),
)
