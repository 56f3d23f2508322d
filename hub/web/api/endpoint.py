"""How the API is written down once: each endpoint's path, query, body and answer as types.

From this table come the routes, the checks of what is sent, the JSON that is answered, and `openapi.json`, so the
document cannot say anything else than the code does. Invariant: a write runs in one transaction together with its
Idempotency-Key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import idempotency
from hub.errors import Refused
from hub.web.request_context import MAX_ID, RequestContext, read_body
from hub.web.routes import Route, Who

PREFIX = "/api/v1"
Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
SentMoment = Annotated[datetime, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A moment in a body. `ctx.sent_moment` refuses one without its offset, and a wild one."""
MAX_LIMIT = 200
MAX_BODY_BYTES = 36 * 1024 * 1024  # 25 MB of files in base64, and the text


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query without parameters; the root of the others."""


class Page(Query, frozen=True, kw_only=True):
    """The query of every list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 50
    cursor: str | None = None


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body without fields."""


Reads = Callable[[AsyncConnection, RequestContext, Any], Awaitable[Any]]
Writes = Callable[[AsyncConnection, RequestContext, Any], Awaitable[Any]]
Streams = Callable[[RequestContext, Any], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One call of the API. Exactly one of `reads`, `writes` and `streams` says what it does.

    `prepare` runs before a write's transaction and may replace its body: what must not happen inside of one.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    reads: Reads | None = None
    writes: Writes | None = None
    streams: Streams | None = None
    prepare: Callable[[RequestContext, Any], Awaitable[Any]] | None = None
    query: type[Query] = Query
    body: type[msgspec.Struct] = Nothing
    decodes: Any = None
    """The type to decode the body as where it is not `body`: a call that checks its fields itself takes a dict."""
    answer: type[Any] | None = None
    content_types: tuple[str, ...] = ("application/json",)
    status: int = 200
    who: Who = "signed_in"

    def route(self) -> Route:
        handler = self._read if self.reads else self._write if self.writes else self._stream
        return Route(self.method, PREFIX + self.path, handler, self.who, "token")

    async def _read(self, ctx: RequestContext) -> web.StreamResponse:
        assert self.reads is not None
        query = read_query(ctx, self.query)
        async with ctx.db.read() as conn:
            return json_response(await self.reads(conn, ctx, query), status=self.status)

    async def _stream(self, ctx: RequestContext) -> web.StreamResponse:
        assert self.streams is not None
        return await self.streams(ctx, read_query(ctx, self.query))

    async def _write(self, ctx: RequestContext) -> web.StreamResponse:
        assert self.writes is not None
        raw = await read_body(ctx.request, at_most=MAX_BODY_BYTES)
        body = read_json(ctx.request, raw, self.decodes or self.body)
        if self.prepare is not None:
            body = await self.prepare(ctx, body)
        key = ctx.request.headers.get("Idempotency-Key")
        async with ctx.db.begin() as conn:
            if key is not None:
                request_hash = hashlib.sha256(f"{self.method} {ctx.request.path}\n".encode() + raw).hexdigest()
                known = await idempotency.first(conn, ctx.actor, key, request_hash=request_hash, now=ctx.now)
                if known is not None:
                    return json_response(known.answer, status=known.status)
            answer = msgspec.to_builtins(await self.writes(conn, ctx, body))
            if key is not None:
                await idempotency.keep(conn, ctx.actor, key, status=self.status, answer=answer)
        return json_response(answer, status=self.status)


def read_query(ctx: RequestContext, kind: type[Query]) -> Any:
    """Read the query; an unknown parameter is refused, for a filter that is not heeded shows too much.

    An empty value counts as none where it could be a text, and is refused where it could not.
    """
    ctx.query(kind, with_empty=True)
    return ctx.query(kind)


def read_json(request: web.Request, raw: bytes, kind: Any) -> Any:
    """Read a JSON body as `kind`; an empty one is an empty object. Raises Refused that names the field."""
    if raw and request.content_type != "application/json":
        raise Refused("bad_content_type", "the body must be application/json")
    try:
        read = _decode(raw or b"{}", kind)
        if b"\\u0000" in raw and _has_nul(msgspec.to_builtins(read)):
            raise Refused("control_character", "text must not contain U+0000")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("bad_request", str(error)) from None
    return read


def _decode(raw: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        # In JSON 1.0 is a whole number too; msgspec takes it for one in a second reading only.
        whole = _whole_numbers(msgspec.json.decode(raw))
        return msgspec.convert(whole, type=kind)


def _whole_numbers(value: Any) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case dict():
            return {key: _whole_numbers(one) for key, one in value.items()}
        case list():
            return [_whole_numbers(one) for one in value]
    return value


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\x00" in value
        case dict():
            return any(_has_nul(one) for pair in value.items() for one in pair)
        case list() | tuple():
            return any(_has_nul(one) for one in value)
    return False


def json_response(answer: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), status=status, content_type="application/json")
