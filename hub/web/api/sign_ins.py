"""One's own sessions and API tokens over the API: listed and ended."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import sessions, tokens
from hub.web.api.endpoint import Endpoint, Nothing, Page
from hub.web.api.shapes import Cursor, Moment, Shape
from hub.web.paging import cut
from hub.web.request_context import RequestContext, read_cursor


class SessionShape(Shape, frozen=True, kw_only=True):
    """A browser that is signed in."""

    id: int
    created_at: Moment | None
    seen_at: Moment | None
    expires_at: Moment | None
    address: str
    user_agent: str


class Sessions(Shape, frozen=True, kw_only=True):
    items: list[SessionShape]
    next: Cursor | None


class TokenShape(Shape, frozen=True, kw_only=True):
    """A token that was not revoked. `current` is the one of this request."""

    id: int
    name: str
    created_at: Moment | None
    expires_at: Moment | None
    used_at: Moment | None
    current: bool


class Tokens(Shape, frozen=True, kw_only=True):
    items: list[TokenShape]
    next: Cursor | None


class Done(Shape, frozen=True, kw_only=True):
    """The sessions and tokens that were ended."""

    id: int


async def open_sessions(conn: AsyncConnection, ctx: RequestContext, _query: Page) -> Sessions:
    return await sessions_of(conn, ctx, ctx.actor.user_id)


async def sessions_of(conn: AsyncConnection, ctx: RequestContext, user_id: int) -> Sessions:
    """Return the open sessions of a person."""
    found = await sessions.open_of(conn, user_id, now=ctx.now)
    items = [
        SessionShape(
            id=one.id,
            created_at=rfc3339(one.created_at),
            seen_at=rfc3339(one.seen_at),
            expires_at=rfc3339(one.expires_at),
            address=one.address,
            user_agent=one.user_agent,
        )
        for one in found
    ]
    return Sessions(items=items, next=None)


async def end_session(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Done:
    user_id = ctx.actor.user_id
    await sessions.end(conn, user_id, ctx.id(), by=user_id, now=ctx.now)
    return Done(id=ctx.id())


async def my_tokens(conn: AsyncConnection, ctx: RequestContext, query: Page) -> Tokens:
    return await tokens_of(conn, ctx, ctx.actor.user_id, query)


async def tokens_of(conn: AsyncConnection, ctx: RequestContext, user_id: int, query: Page) -> Tokens:
    """Return a page of the tokens of a person that were not revoked."""
    after = read_cursor(query.cursor)[1] if query.cursor else 0
    found = await tokens.listed(conn, user_id=user_id, after=after, limit=query.limit + 1)
    page = cut(found, limit=query.limit)
    items = [
        TokenShape(
            id=one.id,
            name=one.name,
            created_at=rfc3339(one.created_at),
            expires_at=rfc3339(one.expires_at),
            used_at=rfc3339(one.used_at),
            current=one.id == ctx.token_id,
        )
        for one in page.items
    ]
    return Tokens(items=items, next=page.next)


async def revoke_token(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Done:
    user_id = ctx.actor.user_id
    await tokens.revoke(conn, ctx.id(), of=user_id, by=user_id, now=ctx.now)
    return Done(id=ctx.id())


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/sessions",
        summary="Where you are signed in",
        reads=open_sessions,
        query=Page,
        answer=Sessions,
    ),
    Endpoint(
        method="POST", path="/sessions/{id}/end", summary="End one of your sessions", writes=end_session, answer=Done
    ),
    Endpoint(method="GET", path="/tokens", summary="Your API tokens", reads=my_tokens, query=Page, answer=Tokens),
    Endpoint(
        method="POST",
        path="/tokens/{id}/revoke",
        summary="Revoke one of your API tokens; its streams end",
        writes=revoke_token,
        answer=Done,
    ),
)
