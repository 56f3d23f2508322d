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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aioimaplib import IMAP4ClientProtocol

from hub import guard
from hub.errors import HubError, Refused, Unavailable, Unknown
from hub.mail.imap.grammar import (
    MAX_RESPONSE_BYTES,
    BadServer,
    Response,
    ResponseReader,
    Token,
    folder_bytes,
    folder_name,
    is_number,
    moment,
    number,
    only,
    quoted,
    tokens,
    told,
    uid_set,
)
from hub.mail.imap.sign_in import MOST_ROUNDS
from hub.mail.imap.signing import sign_in
from hub.mail.wire import require_named, tls_context, way_to, why_untrusted
from hub.settings import MailServer

CONNECT_WITHIN = timedelta(seconds=20)
ANSWER_WITHIN = timedelta(seconds=60)
FETCH_WITHIN = timedelta(minutes=2)
LONGEST_ANSWER = timedelta(hours=1)
"""The deadlines of commands count silence, so a big message may take its time on a slow line; this ends a drip."""
APPEND_WITHIN = timedelta(minutes=10)
IDLE_AT_MOST = timedelta(minutes=9)
"""Servers and NATs forget a silent line after 10 to 30 minutes."""


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    special_use: str
    """`sent`, `drafts`, `junk`, `trash`, `archive`, `all`, or empty (RFC 6154)."""
    selectable: bool


@dataclass(frozen=True, slots=True)
class Selected:
    uidvalidity: int
    uidnext: int
    exists: int


@dataclass(frozen=True, slots=True)
class Size:
    uid: int
    size: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """One message of the server: its bytes as they are there."""

    uid: int
    flags: tuple[str, ...]
    internaldate: datetime
    raw: bytes


@dataclass(slots=True)
class _Pending:
    tag: bytes
    done: asyncio.Future[Response]
    go_on: asyncio.Future[bytes]
    """What follows the plus of a continuation."""
    untagged: list[Response] = field(default_factory=list)
    held_bytes: int = 0
    deadline: asyncio.Timeout | None = None
    patience_s: float = 0.0
    latest: float = 0.0

    def heard(self, now: float) -> None:
        """Something came: the deadline moves on, though never past the latest moment."""
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(min(now + self.patience_s, self.latest))


class _Protocol(IMAP4ClientProtocol):  # type: ignore[misc]
    """aioimaplib's protocol with a parser that cannot overflow and an end that everybody hears of."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.greeting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.pending: _Pending | None = None
        self.changed = asyncio.Event()
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
        if re.match(rb"\* (\d+ (EXISTS|EXPUNGE|RECENT|FETCH)|VANISHED)", response.line, re.IGNORECASE):
            self.changed.set()
        elif response.line[:5].upper() == b"* BYE":
            self._end(Unavailable("imap_bye", "the mail server says goodbye"))

    def _end(self, error: HubError) -> None:
        self.ended = self.ended or error
        self.changed.set()
        waiting: list[asyncio.Future[Any]] = [self.greeting]
        if self.pending:
            waiting += [self.pending.done, self.pending.go_on]
        for future in waiting:
            if not future.done():
                future.set_exception(self.ended)
                # Whoever waits hears it; where nobody does, nothing is to be logged.
                future.exception()


class ImapConnection:
    """A signed-in connection. Open it with `connected`; not for use by two tasks at once."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._protocol = _Protocol()
        self.capabilities: frozenset[str] = frozenset()
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
                _require_greeting(await self._protocol.greeting)
                if server.tls == "starttls":
                    await self._start_tls()
                await self._sign_in()
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
        await self._command(b"STARTTLS")
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

    async def _sign_in(self) -> None:
        await self._ask_capabilities()
        self.signed_in_by = await sign_in(self, self._server)
        await self._ask_capabilities()

    async def log_in(self, user: str, secret: str) -> None:
        await self._command(b"LOGIN", user, secret)

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
        untagged = await self._command(b"CAPABILITY")
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
                    await self._command(b"LOGOUT")
        transport.abort()

    # Folders

    async def list_folders(self) -> list[Folder]:
        """Return all folders with their special use where the server tells it."""
        untagged = await self._command(b'LIST "" "*"')
        found = []
        for response in only(rb"\* LIST ", untagged):
            match tokens(response):
                case [b"*", bytes() as word, list() as attributes, _, bytes() as name] if word.upper() == b"LIST":
                    flags = {a.decode("ascii", "replace").lower() for a in attributes if isinstance(a, bytes)}
                    uses = [u for u in ("sent", "drafts", "junk", "trash", "archive", "all") if f"\\{u}" in flags]
                    found.append(Folder(folder_name(name), (uses or [""])[0], "\\noselect" not in flags))
        return found

    async def quota(self) -> tuple[int, int] | None:
        """Return how much of INBOX's space is taken and how much there is, in KiB; None where nobody counts."""
        if "QUOTA" not in self.capabilities:
            return None
        text = b" ".join(row.line for row in await self._command(b"GETQUOTAROOT INBOX"))
        match = re.search(rb"\bSTORAGE (\d{1,15}) (\d{1,15})", text, re.IGNORECASE)
        return (int(match[1]), int(match[2])) if match and int(match[2]) else None

    async def select(self, folder: str) -> Selected:
        """Select a folder. Raises Refused where there is none."""
        untagged = await self._command(b"SELECT " + folder_bytes(folder))
        # What the answer itself says is no news; whoever selects asks for the UIDs next.
        self._protocol.changed.clear()
        text = b"\n".join(response.line for response in untagged)
        return Selected(
            told(rb"\[UIDVALIDITY (\d+)", text),
            told(rb"\[UIDNEXT (\d+)", text),
            told(rb"\* (\d+) EXISTS", text),
        )

    async def uids(self, criteria: bytes = b"ALL") -> list[int]:
        """Return the UIDs of the selected folder that match, ascending."""
        untagged = await self._command(b"UID SEARCH " + criteria)
        found: set[int] = set()
        for response in untagged:
            if response.line[:8].upper() == b"* SEARCH":
                # Where CONDSTORE is on, the numbers may end with (MODSEQ …).
                found.update(number(word) for word in response.line.split(b"(")[0].split()[2:])
        return sorted(found)

    async def with_message_id(self, message_id: str) -> list[int]:
        """Return the UIDs of the selected folder whose Message-ID is this."""
        wanted = quoted(guard.one_line(message_id, field="message_id"))
        return await self.uids(b"HEADER Message-ID " + wanted) if wanted else []

    # Messages

    async def sizes(self, uids: Sequence[int]) -> list[Size]:
        """Return the sizes in bytes of those of `uids` that are still there."""
        rows = await self._fetch(uids, b"(UID RFC822.SIZE)")
        named = [(uid, row.get(b"RFC822.SIZE")) for uid, row in rows]
        return [Size(uid, int(size)) for uid, size in named if isinstance(size, bytes) and is_number(size)]

    async def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        """Return those of `uids` that are still there, ascending, without marking them as read."""
        found = []
        for uid, row in await self._fetch(uids, b"(UID FLAGS INTERNALDATE BODY.PEEK[])"):
            raw, flags, at = row.get(b"BODY[]"), row.get(b"FLAGS"), row.get(b"INTERNALDATE")
            if isinstance(raw, bytes):
                words = flags if isinstance(flags, list) else []
                names = tuple(word.decode("ascii", "replace") for word in words if isinstance(word, bytes))
                found.append(Fetched(uid, names, moment(at), bytes(raw)))
        return sorted(found, key=lambda one: one.uid)

    async def _fetch(self, uids: Sequence[int], what: bytes) -> list[tuple[int, dict[bytes, Token]]]:
        if not uids:
            return []
        untagged = await self._command(b"UID FETCH " + uid_set(uids) + b" " + what, within=FETCH_WITHIN)
        wanted, found = set(uids), []
        for response in only(rb"\* \d+ FETCH ", untagged):
            match tokens(response):
                case [b"*", bytes(), bytes() as word, list() as items] if word.upper() == b"FETCH":
                    row = {
                        key.upper(): value
                        for key, value in zip(items[::2], items[1::2], strict=False)
                        if isinstance(key, bytes)
                    }
                    uid = row.get(b"UID")
                    if isinstance(uid, bytes) and is_number(uid) and int(uid) in wanted:
                        found.append((int(uid), row))
        return found

    async def append(self, folder: str, raw: bytes, *, flags: Iterable[str], at: datetime) -> int | None:
        """Put a message into a folder; return its UID where the server tells it (UIDPLUS).

        Raises Unknown when the bytes went out and no answer came: it may be there.
        """
        words = b" ".join(flag.encode("ascii") for flag in flags)
        when = at.astimezone(UTC).strftime('"%d-%b-%Y %H:%M:%S +0000"').encode("ascii")
        head = b"APPEND " + folder_bytes(folder) + b" (" + words + b") " + when
        answer = await self._command_with_literal(head, raw)
        match = re.search(rb"\[APPENDUID \d+ (\d+)\]", answer.line, re.IGNORECASE)
        return int(match[1]) if match else None

    async def idle(self, *, at_most: timedelta) -> bool:
        """Wait until the server says that something changed; False when `at_most` has passed in silence.

        Where the server has no IDLE, or refuses it, it is asked once, by NOOP, after the wait. Raises Unavailable when
        the line ends.
        """
        protocol = self._protocol
        if protocol.changed.is_set():
            protocol.changed.clear()
            self._raise_if_ended()
            return True
        if "IDLE" not in self.capabilities or not await self._idle(min(at_most, IDLE_AT_MOST)):
            await self._news(at_most)
            await self._command(b"NOOP")
        self._raise_if_ended()
        changed = protocol.changed.is_set()
        protocol.changed.clear()
        return changed

    async def _idle(self, at_most: timedelta) -> bool:
        """Wait in IDLE; False where the server refuses it, and then it is not asked again."""
        pending = self._write(b"IDLE")
        try:
            async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                await _go_on_or_refused(pending)
            await self._news(at_most)
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

    async def _news(self, at_most: timedelta) -> None:
        """Wait for a word of the server, for `at_most`; hear at once when the line ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most.total_seconds()):
                await self._protocol.changed.wait()
        self._raise_if_ended()

    # Commands

    async def _command(self, line: bytes, *arguments: str, within: timedelta = ANSWER_WITHIN) -> list[Response]:
        """Send a command; return what the server said meanwhile. Raises Refused on NO or BAD, Unavailable.

        `within` is how long the server may be silent.
        """
        pieces = [quoted(argument) for argument in arguments]
        if all(piece is not None for piece in pieces):
            pending = self._write(b" ".join([line, *(piece for piece in pieces if piece is not None)]))
        else:
            pending = self._write(line + b" {%d}" % len(arguments[0].encode()))
        try:
            async with asyncio.timeout(within.total_seconds()) as pending.deadline:
                pending.patience_s = within.total_seconds()
                pending.latest = asyncio.get_running_loop().time() + LONGEST_ANSWER.total_seconds()
                if any(piece is None for piece in pieces):
                    await self._send_literals(pending, [argument.encode() for argument in arguments])
                _require_ok(await pending.done)
        except TimeoutError as error:
            raise self._dead() from error
        finally:
            self._protocol.pending = None
        return pending.untagged

    async def _send_literals(self, pending: _Pending, literals: list[bytes]) -> None:
        """Send arguments one by one, each when the server asks for it."""
        loop = asyncio.get_running_loop()
        for at, literal in enumerate(literals):
            await _go_on_or_refused(pending)
            pending.go_on = loop.create_future()
            following = literals[at + 1 : at + 2]
            self._protocol.transport.write(literal + (b" {%d}\r\n" % len(following[0]) if following else b"\r\n"))

    async def _command_with_literal(self, head: bytes, literal: bytes) -> Response:
        pending = self._write(head + b" {%d}" % len(literal))
        sent = False
        try:
            async with asyncio.timeout(APPEND_WITHIN.total_seconds()):
                await _go_on_or_refused(pending)
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
        _require_ok(answer)
        return answer

    def _write(self, line: bytes) -> _Pending:
        self._raise_if_ended()
        assert self._protocol.pending is None, "one command at a time"
        loop = asyncio.get_running_loop()
        tag = self._protocol.new_tag().encode("ascii")
        self._protocol.pending = _Pending(tag, loop.create_future(), loop.create_future())
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


async def _go_on_or_refused(pending: _Pending) -> None:
    waits: list[asyncio.Future[Any]] = [pending.go_on, pending.done]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if pending.done.done():
        _require_ok(pending.done.result())
        raise BadServer("answers before it was asked")
    pending.go_on.result()


def _require_ok(response: Response) -> None:
    words = response.line.split(b" ", 2)
    if len(words) < 2 or words[1].upper() != b"OK":
        text = words[2].decode("utf-8", "replace") if len(words) > 2 else "no reason given"
        raise Refused("imap_refused", guard.shown(text))


def _require_greeting(greeting: Response) -> None:
    text = greeting.line[:200].decode("utf-8", "replace")
    if text.upper().startswith("* BYE"):
        raise Unavailable("imap_bye", f"the mail server turns us away: {guard.shown(text[5:])}")
    if not text.upper().startswith("* OK"):
        raise BadServer(f"does not greet as IMAP: {guard.shown(text, max_chars=80)!r}")
