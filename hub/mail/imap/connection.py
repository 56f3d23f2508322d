"""The line to one mailbox: aioimaplib, hardened. The only module that imports it.

Keeps aioimaplib's protocol and its idea of states and tags, and replaces what breaks on real servers: its parser
(recursion, text lost inside lines), its commands (a lost connection told nobody), its names (neither quoted nor
UTF-7). Decides nothing about messages. Invariants: one command at a time; every command ends by an answer, its
deadline or the end of the line; what the server says unasked is never dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aioimaplib import IMAP4ClientProtocol

from hub import sanitize
from hub.errors import HubError, Refused, Unavailable, Unknown
from hub.mail.accounts.wire import require_named, tls_context, way_to, why_untrusted
from hub.mail.imap.asking import ANSWER_WITHIN as ANSWER_WITHIN
from hub.mail.imap.asking import Asking
from hub.mail.imap.asking import Fetched as Fetched
from hub.mail.imap.asking import Folder as Folder
from hub.mail.imap.asking import Selected as Selected
from hub.mail.imap.grammar import MAX_RESPONSE_BYTES, BadServer, Response, ResponseReader, number, quoted, ranges
from hub.mail.imap.refusals import Throttled, goodbye, refusal, suggested_pause
from hub.mail.imap.sign_in import MOST_ROUNDS
from hub.mail.imap.signing import sign_in
from hub.settings import MailServer

CONNECT_WITHIN = timedelta(seconds=20)
LONGEST_ANSWER = timedelta(hours=1)
"""The deadlines of commands count silence, so a big message may take its time on a slow line; this ends a drip."""
APPEND_WITHIN = timedelta(minutes=10)
IDLE_AT_MOST = timedelta(minutes=9)
"""Servers and NATs forget a silent line after 10 to 30 minutes."""


_NEWS = re.compile(rb"\* (?:(\d+) (EXISTS|EXPUNGE|FETCH)\b|VANISHED ([\d:,]+))", re.IGNORECASE)
"""What the server says unasked of the selected folder; `VANISHED (EARLIER)` is an answer."""


@dataclass(slots=True)
class _Pending:
    tag: bytes
    done: asyncio.Future[Response]
    go_on: asyncio.Future[bytes]
    """What follows the plus of a continuation."""
    asks_for_rows: bool = False
    untagged: list[Response] = field(default_factory=list)
    held_bytes: int = 0
    deadline: asyncio.Timeout | None = None
    patience_s: float = 0.0
    latest: float = 0.0

    def heard(self, now: float) -> None:
        """Something came: the deadline moves on, though never past the latest moment."""
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(min(now + self.patience_s, self.latest))


@dataclass(frozen=True, slots=True)
class _Wait:
    """How long and for what is waited; see `ImapConnection.idle`."""

    at_most: timedelta
    calm: timedelta
    is_growth_heeded: bool
    or_until: Callable[[], Awaitable[Any]] | None


class _Protocol(IMAP4ClientProtocol):  # type: ignore[misc]
    """aioimaplib's protocol with a parser that cannot overflow and an end that everybody hears of."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.greeting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.pending: _Pending | None = None
        self.changed = asyncio.Event()
        """Something happened in the selected folder, or the line ended."""
        self.grown = asyncio.Event()
        """The folder has more messages than it had."""
        self.over = asyncio.Event()
        """The line ended."""
        self.exists = 0
        """How many messages the selected folder has."""
        self.ended: HubError | None = None
        self._reader = ResponseReader()

    def data_received(self, d: bytes) -> None:
        if self.pending:
            self.pending.heard(asyncio.get_running_loop().time())
        try:
            for response in self._reader.feed(d):
                self._take(response)
        except BadServer as error:
            self._end(error)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Unavailable("imap_lost", f"the mail server hung up: {exc or 'without a word'}"))

    def forget_what_came(self) -> None:
        """Drop what the server said before TLS: an attacker in between may have said it."""
        self._reader = ResponseReader()

    def _take(self, response: Response) -> None:
        line = response.line
        if not self.greeting.done():
            self.greeting.set_result(response)
        elif line.startswith(b"+"):
            if self.pending and not self.pending.go_on.done():
                self.pending.go_on.set_result(line[1:].strip())
        elif line.startswith(b"* "):
            self._take_untagged(response)
        elif self.pending and line.split(b" ", 1)[0] == self.pending.tag and not self.pending.done.done():
            self.pending.done.set_result(response)

    def _take_untagged(self, response: Response) -> None:
        if self.pending:
            self.pending.untagged.append(response)
            self.pending.held_bytes += 200 + sum(map(len, response.parts))
            if self.pending.held_bytes > MAX_RESPONSE_BYTES:
                raise BadServer("sends an answer without end")
        if news := _NEWS.match(response.line):
            self._take_news(news)
        elif response.line[:5].upper() == b"* BYE":
            self._end(goodbye(_text_of(response.line[5:])))

    def _take_news(self, news: re.Match[bytes]) -> None:
        word = (news[2] or b"VANISHED").upper()
        if word == b"EXISTS":
            before, self.exists = self.exists, number(news[1])
            if self.exists == before:
                # Some servers say it again at each NOOP, or several times a second: that is no news.
                return
            if self.exists > before:
                self.grown.set()
        elif word == b"EXPUNGE":
            self.exists -= 1
        elif word == b"VANISHED":
            self.exists -= sum(last - first + 1 for first, last in ranges(news[3]))
        # Rows that answer our own question are no news.
        if word != b"FETCH" or self.pending is None or not self.pending.asks_for_rows:
            self.changed.set()

    def _end(self, error: HubError) -> None:
        self.ended = self.ended or error
        self.changed.set()
        self.over.set()
        waiting: list[asyncio.Future[Any]] = [self.greeting]
        if self.pending:
            waiting += [self.pending.done, self.pending.go_on]
        for future in waiting:
            if not future.done():
                future.set_exception(self.ended)
                # Whoever waits hears it; where nobody does, nothing is to be logged.
                future.exception()


class ImapConnection(Asking):
    """A signed-in connection. Open it with `connected`; not for use by two tasks at once."""

    def __init__(self, server: MailServer) -> None:
        super().__init__()
        self._server = server
        self._protocol = _Protocol()
        self.signed_in_by = ""
        self._is_open = False

    # Open and close

    async def open(self) -> None:
        """Connect and sign in. Raises Unavailable, or Refused `auth_refused` when the password is wrong."""
        server = self._server
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_WITHIN.total_seconds()):
                context = tls_context(server) if server.tls == "tls" else None
                await loop.create_connection(
                    lambda: self._protocol,
                    **await way_to(server),
                    ssl=context,
                    server_hostname=server.host if context else None,
                )
                if context:
                    require_named(server, self._protocol.transport)
                is_signed_in = _require_greeting(await self._protocol.greeting)
                if server.tls == "starttls":
                    if is_signed_in:
                        # After a sign-in nobody may ask for TLS any more (RFC 3501, 6.2.1): the line would stay clear.
                        raise Unavailable("imap_no_starttls", f"{server.host} signs us in before the line is encrypted")
                    await self._start_tls()
                await self._sign_in(is_done=is_signed_in)
                self._is_open = True
        except ssl.SSLCertVerificationError as error:
            raise Unavailable("imap_tls", await why_untrusted(server, "imap", error)) from error
        except ssl.SSLError as error:
            raise Unavailable("imap_tls", f"{server.host}: TLS: {error.reason or error}") from error
        except TimeoutError as error:
            raise Unavailable("imap_silent", f"{server.host}:{server.port} does not answer") from error
        except OSError as error:
            raise Unavailable("imap_unreachable", f"{server.host}:{server.port}: {error.strerror or error}") from error
        except UnicodeError as error:
            raise Unavailable("imap_unreachable", f"{server.host!r} is no host name") from error

    async def _start_tls(self) -> None:
        if "STARTTLS" not in await self._ask_capabilities():
            raise Unavailable("imap_no_starttls", f"{self._server.host} offers no STARTTLS; nothing goes in clear")
        await self.ask(b"STARTTLS")
        self._protocol.forget_what_came()
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(
            self._protocol.transport, self._protocol, tls_context(self._server), server_hostname=self._server.host
        )
        self._protocol.transport = transport
        require_named(self._server, transport)

    @property
    def is_encrypted(self) -> bool:
        return self._protocol.transport.get_extra_info("ssl_object") is not None

    async def _sign_in(self, *, is_done: bool) -> None:
        await self._ask_capabilities()
        if is_done:
            self.signed_in_by = "PREAUTH"
            return
        self.signed_in_by = await sign_in(self, self._server)
        await self._ask_capabilities()

    async def log_in(self, user: str, secret: str) -> None:
        await self.ask(b"LOGIN", user, secret)

    async def authenticate(self, command: bytes, reply: Callable[[bytes], bytes]) -> None:
        """Send a command and answer each challenge by `reply`. Raises Refused, Unavailable, and what `reply` does."""
        pending = self._write(command)
        try:
            for _ in range(MOST_ROUNDS):
                waits: list[asyncio.Future[Any]] = [pending.go_on, pending.done]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if pending.done.done():
                    return _require_ok(pending.done.result())
                challenge, pending.go_on = pending.go_on.result(), asyncio.get_running_loop().create_future()
                self._protocol.transport.write(reply(challenge) + b"\r\n")
            raise BadServer("asks without end at the sign-in")
        finally:
            self._protocol.pending = None

    async def _ask_capabilities(self) -> frozenset[str]:
        untagged = await self.ask(b"CAPABILITY")
        words = [r.line.split() for r in untagged if r.line.upper().startswith(b"* CAPABILITY")]
        self.capabilities = frozenset(word.decode("ascii", "replace").upper() for line in words for word in line[2:])
        return self.capabilities

    async def close(self) -> None:
        """Say goodbye if the server still listens; the line is closed in any case."""
        transport = self._protocol.transport
        if transport is None:
            return
        if self._is_open and self._protocol.ended is None and self._protocol.pending is None:
            with contextlib.suppress(HubError, TimeoutError):
                async with asyncio.timeout(2):
                    await self.ask(b"LOGOUT")
        transport.abort()

    # Messages

    async def append(self, folder: str, raw: bytes, *, flags: Iterable[str], at: datetime) -> int | None:
        """Put a message into a folder; return its UID where the server tells it (UIDPLUS).

        Raises Unknown when the bytes went out and no answer came: it may be there.
        """
        words = b" ".join(flag.encode("ascii") for flag in flags)
        when = at.astimezone(UTC).strftime('"%d-%b-%Y %H:%M:%S +0000"').encode("ascii")
        name = self._addressed(folder)
        if name is None:
            raise Refused("folder_unnamable", f"{folder}: its name cannot be written in this command")
        head = b"APPEND " + name + b" (" + words + b") " + when
        answer = await self._command_with_literal(head, raw)
        match = re.search(rb"\[APPENDUID \d+ (\d+)\]", answer.line, re.IGNORECASE)
        return int(match[1]) if match else None

    async def idle(
        self,
        *,
        at_most: timedelta,
        calm: timedelta = timedelta(0),
        is_growth_heeded: bool = True,
        or_until: Callable[[], Awaitable[Any]] | None = None,
    ) -> bool:
        """Wait until the server says that something changed; False when `at_most` has passed in silence.

        For `calm` only more messages are heeded, and not even they unless `is_growth_heeded`. Ends early, as well,
        when what `or_until` waits for is there. Where the server has no IDLE, or refuses it, it is asked once, by NOOP,
        after the wait. Raises Unavailable when the line ends.
        """
        protocol = self._protocol
        wait = _Wait(min(at_most, IDLE_AT_MOST), calm, is_growth_heeded, or_until)
        must_wait = bool(calm) or not protocol.changed.is_set()
        if must_wait and ("IDLE" not in self.capabilities or not await self._idle(wait)):
            await self._news(wait)
            await self.ask(b"NOOP")
        self._raise_if_ended()
        changed = protocol.changed.is_set()
        self.heed_no_news()
        return changed

    async def _idle(self, wait: _Wait) -> bool:
        """Wait in IDLE; False where the server refuses it, and then it is not asked again."""
        pending = self._write(b"IDLE")
        try:
            async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                await _go_on_or_refused(pending)
            await self._news(wait)
            self._protocol.transport.write(b"DONE\r\n")
            async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                _require_ok(await pending.done)
            return True
        except Refused:
            self.capabilities -= {"IDLE"}
            return False
        except TimeoutError as error:
            raise self._dead() from error
        finally:
            self._protocol.pending = None

    async def _news(self, wait: _Wait) -> None:
        """Wait for a word of the server; hear at once when the line ends."""
        protocol = self._protocol
        calm_s = min(wait.calm, wait.at_most).total_seconds()
        others = [wait.or_until] if wait.or_until else []
        if calm_s:
            heeded = protocol.grown if wait.is_growth_heeded else protocol.over
            if await _first([heeded.wait, protocol.over.wait, *others], within_s=calm_s):
                return self._raise_if_ended()
        await _first([protocol.changed.wait, *others], within_s=wait.at_most.total_seconds() - calm_s)
        return self._raise_if_ended()

    @property
    def has_news(self) -> bool:
        """Whether the server said unasked that something changed in the selected folder."""
        return self._protocol.changed.is_set()

    @property
    def exists(self) -> int:
        """How many messages the selected folder has, as far as the server has said."""
        return self._protocol.exists

    def heed_no_news(self) -> None:
        if self._protocol.ended is None:
            self._protocol.changed.clear()
            self._protocol.grown.clear()

    # Commands

    async def exchange(
        self, line: bytes, *arguments: str | bytes, tail: bytes = b"", within: timedelta = ANSWER_WITHIN
    ) -> tuple[list[Response], Response]:
        pieces = [quoted(argument) if isinstance(argument, str) else None for argument in arguments]
        if all(piece is not None for piece in pieces):
            pending = self._write(b" ".join([line, *(piece for piece in pieces if piece is not None)]) + tail)
        else:
            pending = self._write(line + b" {%d}" % len(_bytes(arguments[0])))
        try:
            async with asyncio.timeout(within.total_seconds()) as pending.deadline:
                pending.patience_s = within.total_seconds()
                pending.latest = asyncio.get_running_loop().time() + LONGEST_ANSWER.total_seconds()
                if any(piece is None for piece in pieces):
                    await self._send_literals(pending, [_bytes(argument) for argument in arguments], tail)
                answer = await pending.done
                _require_ok(answer)
        except TimeoutError as error:
            raise self._dead() from error
        finally:
            self._protocol.pending = None
        return pending.untagged, answer

    async def _send_literals(self, pending: _Pending, literals: list[bytes], tail: bytes) -> None:
        """Send arguments one by one, each when the server asks for it."""
        loop = asyncio.get_running_loop()
        for at, literal in enumerate(literals):
            await _go_on_or_refused(pending)
            pending.go_on = loop.create_future()
            following = literals[at + 1 : at + 2]
            end = b" {%d}\r\n" % len(following[0]) if following else tail + b"\r\n"
            self._protocol.transport.write(literal + end)

    async def _command_with_literal(self, head: bytes, literal: bytes) -> Response:
        pending = self._write(head + b" {%d}" % len(literal))
        sent = False
        try:
            async with asyncio.timeout(APPEND_WITHIN.total_seconds()):
                await _go_on_or_refused(pending, is_writing=True)
                self._protocol.transport.write(literal + b"\r\n")
                sent = True
                answer = await pending.done
        except (TimeoutError, Unavailable) as error:
            if not isinstance(error, Unavailable):
                self._dead()
            if sent:
                raise Unknown("append_unknown", "the mail server took the message and did not answer") from error
            raise Unavailable("imap_lost", str(error) or "the mail server does not answer") from error
        finally:
            self._protocol.pending = None
        _require_ok(answer, is_writing=True)
        return answer

    def _write(self, line: bytes) -> _Pending:
        self._raise_if_ended()
        assert self._protocol.pending is None, "one command at a time"
        loop = asyncio.get_running_loop()
        tag = self._protocol.new_tag().encode("ascii")
        asks_for_rows = line.startswith((b"UID FETCH", b"UID STORE"))
        self._protocol.pending = _Pending(tag, loop.create_future(), loop.create_future(), asks_for_rows)
        self._protocol.transport.write(tag + b" " + line + b"\r\n")
        return self._protocol.pending

    def _raise_if_ended(self) -> None:
        if self._protocol.ended is not None:
            raise self._protocol.ended

    def _dead(self) -> Unavailable:
        """A silent line is of no further use: what comes late would answer the wrong question."""
        self._protocol.transport.abort()
        return Unavailable("imap_silent", f"{self._server.host} does not answer")


@contextlib.asynccontextmanager
async def connected(server: MailServer) -> Any:
    """A signed-in `ImapConnection` within the block. Raises as `ImapConnection.open`."""
    connection = ImapConnection(server)
    try:
        await connection.open()
        yield connection
    finally:
        await connection.close()


async def _first(waits: Sequence[Callable[[], Awaitable[Any]]], *, within_s: float) -> bool:
    """Wait for the first of some things; False when none came in time."""
    tasks = [asyncio.ensure_future(wait()) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=max(within_s, 0), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return bool(done)


def _bytes(argument: str | bytes) -> bytes:
    return argument.encode() if isinstance(argument, str) else argument


async def _go_on_or_refused(pending: _Pending, *, is_writing: bool = False) -> None:
    waits: list[asyncio.Future[Any]] = [pending.go_on, pending.done]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if pending.done.done():
        _require_ok(pending.done.result(), is_writing=is_writing)
        raise BadServer("answers before it was asked")
    pending.go_on.result()


def _require_ok(response: Response, *, is_writing: bool = False) -> None:
    words = response.line.split(b" ", 2)
    status = words[1].upper() if len(words) > 1 else b""
    if status != b"OK":
        error = refusal(_text_of(words[2]) if len(words) > 2 else "no reason given", is_writing=is_writing)
        if status == b"BAD":
            error.details["is_bad"] = True
        raise error


def _text_of(wire: bytes) -> str:
    return sanitize.shown(wire[:1000].decode("utf-8", "replace").strip())


def _require_greeting(greeting: Response) -> bool:
    """Tell whether the server has signed us in by itself. Raises Unavailable where it turns us away."""
    text = greeting.line[:200].decode("utf-8", "replace")
    word = text[:10].upper()
    if word.startswith("* BYE"):
        said = sanitize.shown(text[5:])
        raise Throttled(f"the mail server turns us away: {said}", pause=suggested_pause(said), code="imap_bye")
    if not word.startswith(("* OK", "* PREAUTH")):
        raise BadServer(f"does not greet as IMAP: {sanitize.shown(text, max_chars=80)!r}")
    return word.startswith("* PREAUTH")
