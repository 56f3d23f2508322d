"""Server-sent events on the wire: framing, pings, the look whether the asker may still listen, and the end.

Knows no change and no page: what is sent comes from `encode`. Source: WHATWG HTML, 9.2. Invariant: a stream ends at
once with its session or token, and within `RECHECK_S` of its asker losing the right to it in another way; a reader that
takes nothing is cut off; and something is said at least every `PING_S`: a page that hears nothing for two of them knows
that its line is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from hub.clock import monotonic_s
from hub.crm.access import Actor
from hub.errors import Refused, Unavailable
from hub.store.changes import Position
from hub.web.live import EventStream, LiveChange, LiveFeed
from hub.web.request_context import RequestContext

PING_S = 3.0
"""A page that hears nothing says so after two of them and a second of slack (`live-stream.js`): within 10 s."""
RECHECK_S = 60.0
WRITE_WITHIN_S = 20.0


def event(name: str, position: Position, data: Any) -> bytes:
    """Frame one event. JSON has no raw line ends, so `data` is always one line."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(position).encode(), name.encode(), msgspec.json.encode(data))


def ping() -> bytes:
    """Frame a ping: an event, so that a page can count on it, without an id, so that its position stays."""
    return b'event: ping\ndata: {"every_ms":%d}\n\n' % int(PING_S * 1000)


def resume_position(ctx: RequestContext) -> Position | None:
    """Where the reader says it was: Last-Event-ID, else `?from=`; None where it says nothing.

    What cannot be a position reads as one that is gone, and is answered with a reset.
    """
    said = ctx.request.headers.get("Last-Event-ID") or ctx.request.query.get("from", "")
    if not said:
        return None
    try:
        return Position.parse(said)
    except Refused:
        return Position(2**62, 2**62)


async def pump(
    ctx: RequestContext,
    feed: LiveFeed,
    *,
    encode: Callable[[LiveChange, Actor], bytes | None],
    who_now: Callable[[], Awaitable[Actor | None]],
) -> web.StreamResponse:
    """Answer with a stream of events until the reader, the right to read, or the server goes."""
    session_id = ctx.session.id if ctx.session else None
    stream = await feed.join(ctx.actor, resume_position(ctx), session_id=session_id, token_id=ctx.token_id)
    try:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(ctx.request)
        if ctx.request.method == "HEAD":
            return response
        await _write(response, b"retry: 2000\nid: %s\n\n" % str(stream.after).encode() + ping())
        await _send_all(response, feed, stream, encode, who_now)
    except (TimeoutError, ConnectionError):
        # Nobody takes what is written: the connection goes, and the page comes back with its last position.
        if ctx.request.transport is not None:
            ctx.request.transport.abort()
    finally:
        feed.leave(stream)
    return response


async def _send_all(
    response: web.StreamResponse,
    feed: LiveFeed,
    stream: EventStream,
    encode: Callable[[LiveChange, Actor], bytes | None],
    who_now: Callable[[], Awaitable[Actor | None]],
) -> None:
    checked_at = monotonic_s()
    while True:
        has_news = await stream.wait(at_most_s=PING_S)
        if monotonic_s() - checked_at >= RECHECK_S:
            before = stream.actor
            try:
                actor = await who_now()
            except Unavailable:
                return
            if actor is None:
                return
            checked_at = monotonic_s()
            if stream.actor is before:
                # Else the feed has brought newer rights meanwhile.
                stream.take_rights(actor)
        if stream.is_closed:
            return
        if not has_news:
            await _write(response, ping())
            continue
        taken = stream.take(head=feed.head)
        if taken is None:
            await _write(response, event("reset", feed.head, {}))
        elif frames := [frame for told in taken if (frame := encode(told, stream.actor)) is not None]:
            await _write(response, b"".join(frames))


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_WITHIN_S):
        await response.write(data)
