"""The listening socket: which connections are accepted, how long they may be silent, and what a broken request gets.

Decides nothing about a request that can be read. Invariants: a compressed body is never unpacked, neither for a
handler nor while the rest of a body is read off the line; connections in all and of one address have a bound, at
which the one that has been idle the longest gives way; no byte of a request that cannot be read reaches the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from hub.errors import Refused
from hub.logs import new_trace, tracing, where_of
from hub.settings import WebSection
from hub.web import security
from hub.web.authentication import SERVICES
from hub.web.client_address import is_trusted, network_of, parse_address
from hub.web.errors import Bug, error_of_status, json_error

log = logging.getLogger(__name__)

BACKLOG = 512
UNCONFIRMED_MS = 60_000
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of the connections. `per_address` does not count for this machine and trusted proxies."""

    connections: int = 8192
    per_address: int = 512
    headers_within_s: float = 20.0
    """From the connection to the end of the first request's headers."""
    idle_s: float = 75.0
    """From an answer to the end of the next request's headers."""
    stalled_s: float = 60.0
    """How long a reader may take nothing of an answer."""
    lingering_s: float = 5.0
    """How long the rest of a body that nobody wanted is read, so that the answer arrives before the line is cut."""


@dataclass(slots=True)
class Connections:
    """All open connections, the oldest first."""

    limits: Limits
    section: WebSection
    opened: dict[Connection, str] = field(default_factory=dict)
    of: Counter[str] = field(default_factory=Counter)

    def admit(self, connection: Connection, address: str) -> bool:
        """Count a connection in; False where there is no room, not even by cutting one that is idle."""
        if address and self.of[address] >= self.limits.per_address and not self._cut_idle(address):
            return False
        if len(self.opened) >= self.limits.connections and not self._cut_idle(None):
            return False
        self.opened[connection] = address
        self.of[address] += 1
        return True

    def forget(self, connection: Connection) -> None:
        address = self.opened.pop(connection, None)
        if address is None:
            return
        self.of[address] -= 1
        if not self.of[address]:
            del self.of[address]

    def _cut_idle(self, address: str | None) -> bool:
        for connection, its in self.opened.items():
            if connection.is_idle and address in (None, its):
                self.forget(connection)
                connection.cut()
                return True
        return False


class Connection(web.RequestHandler):
    """aiohttp's connection with Hub's bounds and Hub's words for what cannot be read."""

    __slots__ = ("_connections", "_deadline", "_line", "_stalled")

    def __init__(self, server: web.Server, connections: Connections, *, loop: asyncio.AbstractEventLoop) -> None:
        limits = connections.limits
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.lingering_s,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]
        )
        self._connections = connections
        self._line: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered on it."""
        return not self._request_in_progress and not self._messages

    def cut(self) -> None:
        if self._line is not None:
            self._line.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._line = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if not self._connections.admit(self, address_of(peer, self._connections.section.trusted_proxies)):
            log.warning("a connection was refused: %d are open", len(self._connections.opened))
            self._line.abort()
            return
        _give_up_on_the_dead(transport)
        super().connection_made(transport)
        self._deadline = self._loop.call_later(self._connections.limits.headers_within_s, self._cut_slow)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.forget(self)
        for timer in (self._deadline, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _cut_slow(self) -> None:
        if self._request_count == 0:
            self.cut()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self._loop.call_later(self._connections.limits.stalled_s, self.cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never reached the application: a request that cannot be read, or a bug beyond its middlewares."""
        with tracing(new_trace()):
            return self._refusal(request, exc)

    def _refusal(self, request: web.BaseRequest, exc: BaseException | None) -> web.Response:
        if isinstance(exc, HttpProcessingError):
            log.info("a request that cannot be read (%s)", type(exc).__name__)
            response = json_error(Refused("bad_request", "the request cannot be read"))
        else:
            bug = Bug.numbered()
            log.error("bug %s beyond the application: %s", bug.details["number"], where_of(exc))
            response = json_error(bug)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, and no other can follow")
        security.put_headers(response, self._connections.section.public_url)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what aiohttp would with a traceback. Its words may hold a header, so only the place is told."""
        log.error("bug on a connection: %s", where_of(kw.get("exc_info")))


def _give_up_on_the_dead(transport: asyncio.BaseTransport) -> None:
    """Have the system end a connection whose other end confirms nothing: a stream is pinged, so it soon shows."""
    line = transport.get_extra_info("socket")
    if line is not None and line.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNCONFIRMED_MS)


def address_of(peername: Any, trusted: tuple[str, ...] = ()) -> str:
    """Return what connections are counted by; empty for this machine itself, and for a proxy that speaks for many."""
    address = parse_address(str(peername[0])) if peername else None
    if address is None or address.is_loopback or is_trusted(address, trusted):
        return ""
    return network_of(str(address))


def _in_our_shape(handle: Handler) -> Handler:
    """Wrap the application: what aiohttp refuses before its middlewares, as an unknown Expect, is Hub's refusal too."""

    async def handled(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return json_error(error_of_status(error.status))

    return handled


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, limits: Limits | None = None, shutdown_s: float = 10
) -> AsyncIterator[tuple[str, int]]:
    """Serve the application until the block ends; gives the address. Raises OSError where it cannot listen."""
    runner = web.AppRunner(app, shutdown_timeout=shutdown_s)
    await runner.setup()
    try:
        server = runner.server
        assert server is not None
        loop = asyncio.get_running_loop()
        server.request_handler = _in_our_shape(server.request_handler)
        connections = Connections(limits or Limits(), app[SERVICES].settings.web)
        listener = await loop.create_server(
            lambda: Connection(server, connections, loop=loop), host, port, backlog=BACKLOG
        )
        try:
            address = listener.sockets[0].getsockname()
            yield address[0], address[1]
        finally:
            listener.close()
    finally:
        await runner.cleanup()
