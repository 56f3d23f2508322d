"""Messages to one SMTP server, and what became of each for every recipient. The only importer of aiosmtplib.

Decides what an answer, a silence or a cut means: before the end of the data went out, nothing was sent; after it,
without an answer, nobody knows. Retries nothing but a line that had gone to sleep. Invariants: a line that failed is
never used again; where TLS is asked for, neither password nor message goes out in clear text; every wait has an end;
a message in a file is never in memory as a whole.

Source: RFC 5321 §4.2, §4.5.3.2, RFC 1870, 3207, 6531; aiosmtplib 5.1.3, whose `data()` does not tell "before" from
"after" the final dot, so the data is written here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTPResponse
from aiosmtplib.errors import (
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from aiosmtplib.protocol import SMTPProtocol

from hub import sanitize
from hub.errors import HubError
from hub.mail.accounts import wire
from hub.mail.reading.charsets import decode
from hub.mail.sending import dots, signing, verdicts
from hub.mail.sending.outcomes import Deferred, Outcome, PartlySent, Refused, Reply, Sent, TakenBack, Unknown
from hub.settings import MailServer

__all__ = ["BeforeData", "Deferred", "Outcome", "PartlySent", "Refused", "Reply", "Sent", "SmtpLine", "TakenBack"]
__all__ += ["Unknown", "send", "sign_in_only"]

COMMAND_WITHIN_S = 60.0
QUIT_WITHIN_S = 3.0
CHUNK_BYTES = 64 * 1024
HELD_BYTES = 512 * 1024
"""A message of up to this size is sent from memory, a larger one from its file, chunk by chunk."""
MESSAGES_OF_A_LINE = 100
"""Servers grow tired of a line sooner or later; a fresh one costs 2 ms."""
_NO_UTF8 = "this mail server takes no address with letters outside ASCII before the @ (it does not offer SMTPUTF8)"
LOCAL_NAME = "[127.0.0.1]"
"""What EHLO says: an address literal is always valid, and tells a provider nothing of the company's network."""


BeforeData = Callable[[], Awaitable[bool]]
"""Asked once the recipients are accepted, right before DATA; False: leave the message. It may take its time."""


async def _always() -> bool:
    return True


async def send(
    server: MailServer, *, envelope_from: str, recipients: Sequence[str], raw: bytes | Path, deadline: timedelta
) -> Outcome:
    """Send one message over a line of its own and return what became of it. See `SmtpLine.send`."""
    line = SmtpLine(server)
    try:
        outcome = await line.send(envelope_from=envelope_from, recipients=recipients, raw=raw, deadline=deadline)
        assert not isinstance(outcome, TakenBack)
        return outcome
    finally:
        await line.close()


class SmtpLine:
    """A line to a server that carries one message after the other. Not for use by two tasks at once."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._client: aiosmtplib.SMTP | None = None
        self._carried = 0

    async def send(
        self,
        *,
        envelope_from: str,
        recipients: Sequence[str],
        raw: bytes | Path,
        deadline: timedelta,
        before_data: BeforeData = _always,
    ) -> Outcome | TakenBack:
        """Send `raw` (CRLF lines), or the file of that path, and return what became of it. Never raises for what the
        peer does.

        Raises hub.errors.Refused for an address that no SMTP line may carry, OSError where the file cannot be read
        before anything went out; CancelledError passes.
        """
        for address in (envelope_from, *recipients):
            sanitize.one_line(address, field="address", max_bytes=254)
        if isinstance(raw, Path):
            raw = await asyncio.to_thread(_held_if_small, raw)
        size, is_ascii, fault = await asyncio.to_thread(_weighed, raw) if isinstance(raw, Path) else _weighed(raw)
        if fault:
            # A lone line feed before a dot ends the message for some servers and not for others: smuggling.
            return Refused(fault, tuple(Reply(address, "refused", None, fault) for address in recipients))
        transaction = _Transaction(tuple(recipients), before_data)
        is_done = False
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                client = await self._awake() or await self._opened()
                transaction.begin(client)
                outcome = await transaction.run(envelope_from, raw, size, is_ascii=is_ascii)
            self._carried += 1
            is_done = transaction.is_line_clean and self._carried < MESSAGES_OF_A_LINE
            if not is_done and transaction.is_line_clean:
                await self._quit()
            return outcome
        except (SMTPException, OSError, ssl.SSLError, TimeoutError, ValueError) as error:
            return transaction.outcome_of(error)
        finally:
            if not is_done:
                self._drop()

    @property
    def is_open(self) -> bool:
        return self._client is not None

    async def open(self, *, deadline: timedelta) -> Deferred | None:
        """Connect and sign in; return what is wrong, or nothing."""
        is_open = False
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                await self._opened()
            is_open = True
        except (SMTPException, OSError, ssl.SSLError, TimeoutError, ValueError) as error:
            outcome = _Transaction((), _always).outcome_of(error)
            return outcome if isinstance(outcome, Deferred) else Deferred(_reason(error), (), is_line=True)
        finally:
            if not is_open:
                self._drop()
        return None

    async def close(self) -> None:
        """Say goodbye if the server still listens; the line is closed in any case."""
        try:
            if self._client is not None:
                await self._quit()
        finally:
            self._drop()

    async def _quit(self) -> None:
        with contextlib.suppress(SMTPException, OSError, TimeoutError):
            if self._client is not None and self._client.is_connected:
                await self._client.quit(timeout=QUIT_WITHIN_S)

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client, self._carried = None, 0

    async def _awake(self) -> aiosmtplib.SMTP | None:
        """The line as it is, wiped clean of the message before; None where it went to sleep meanwhile."""
        if self._client is None or not self._carried:
            return self._client
        try:
            await self._client.rset(timeout=QUIT_WITHIN_S)
        except (SMTPException, OSError, TimeoutError):
            self._drop()
        return self._client

    async def _opened(self) -> aiosmtplib.SMTP:
        self._drop()
        self._client = client = await _client_of(self._server)
        await _connect(client, self._server)
        if client.is_ehlo_or_helo_needed:
            try:
                await client.ehlo()
            except SMTPHeloError:
                await client.helo()
        await _sign_in(client, self._server)
        return client


async def sign_in_only(server: MailServer, *, deadline: timedelta) -> str:
    """Connect, sign in and say goodbye; return what is wrong, or nothing. For `hub doctor`; never raises."""
    line = SmtpLine(server)
    try:
        failed = await line.open(deadline=deadline)
        return failed.reason if failed else ""
    finally:
        await line.close()


async def _client_of(server: MailServer) -> aiosmtplib.SMTP:
    """A client that is not connected yet. Raises SMTPException where the way there is barred."""
    try:
        way = await wire.way_to(server)
        tls_context = await asyncio.to_thread(wire.tls_context, server) if server.tls != "none" else None
    except HubError as error:
        raise SMTPException(error.message) from error
    if "sock" in way:
        way |= {"hostname": server.host}
    else:
        way = {"hostname": way["host"], "port": way["port"]}
    return aiosmtplib.SMTP(
        **way,
        timeout=COMMAND_WITHIN_S,
        use_tls=server.tls == "tls",
        start_tls=server.tls == "starttls",
        tls_context=tls_context,
        local_hostname=LOCAL_NAME,
    )


async def _connect(client: aiosmtplib.SMTP, server: MailServer) -> None:
    """Connect, with TLS where it is asked for. Raises SMTPException, OSError."""
    try:
        await client.connect()
    except (SMTPException, OSError) as error:
        # By TLS the library wraps it, by STARTTLS it comes as it is.
        cause = error if isinstance(error, ssl.SSLCertVerificationError) else error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise SMTPException(await wire.why_untrusted(server, "smtp", cause)) from error
        raise


async def _sign_in(client: aiosmtplib.SMTP, server: MailServer) -> None:
    transport = client.transport
    is_encrypted = transport is not None and transport.get_extra_info("ssl_object") is not None
    try:
        wire.require_named(server, transport)
        if not server.username:
            return
        code, text = await signing.sign_in(client, server, is_encrypted=is_encrypted)
    except HubError as error:
        if error.code == "auth_refused":
            raise _SignInRefused(error.message) from error
        raise SMTPException(error.message) from error
    if code != 235:
        raise (_SignInRefused if verdicts.refuses_sign_in(code) else _NoSignInNow)(_said(code, text))


class _SignInRefused(SMTPException):
    """The mailbox is not let in: by the answer to AUTH, or by whoever gives the access token."""


class _NoSignInNow(SMTPException):
    """An answer to AUTH that says nothing of the password."""


def _chunks(raw: bytes | Path) -> Iterator[bytes]:
    if isinstance(raw, bytes):
        yield from (raw[start : start + CHUNK_BYTES] for start in range(0, len(raw), CHUNK_BYTES))
        return
    with raw.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _held_if_small(path: Path) -> bytes | Path:
    """Read a file that is small enough to be held; one look at the disk instead of several."""
    return path.read_bytes() if os.stat(path).st_size <= HELD_BYTES else path


def _weighed(raw: bytes | Path) -> tuple[int, bool, str]:
    """Return a message's size, whether it is ASCII, and why it must not go out, or nothing."""
    size = len(raw) if isinstance(raw, bytes) else os.stat(raw).st_size
    is_ascii = all(chunk.isascii() for chunk in _chunks(raw))
    return size, is_ascii, dots.faults([raw] if isinstance(raw, bytes) else _chunks(raw))


async def _stuffed(raw: bytes | Path) -> AsyncIterator[bytes]:
    """Yield what goes onto the wire, reading a file off the event loop."""
    stuffing, chunks = dots.Stuffing(), _chunks(raw)
    while chunk := await asyncio.to_thread(next, chunks, b"") if isinstance(raw, Path) else next(chunks, b""):
        yield stuffing.feed(chunk)


class _Transaction:
    """One attempt: how far it came decides what a failure means."""

    def __init__(self, recipients: tuple[str, ...], before_data: BeforeData) -> None:
        self._recipients = recipients
        self._before_data = before_data
        self._replies: dict[str, Reply] = {}
        self._dot_went_out = False
        self._client: aiosmtplib.SMTP | None = None
        self.is_line_clean = False
        """The server stands where another message may begin."""

    def begin(self, client: aiosmtplib.SMTP) -> None:
        """There is a line: what fails from here on is about this message."""
        self._client = client

    async def run(self, envelope_from: str, raw: bytes | Path, size: int, *, is_ascii: bool) -> Outcome | TakenBack:
        client = self._line()
        if too_large := _over_the_limit(client, size):
            self.is_line_clean = True
            return Refused(too_large, self._settled("refused", too_large))
        takes_utf8 = client.supports_extension("smtputf8")
        if not takes_utf8 and not envelope_from.isascii():
            self.is_line_clean = True
            return Refused(_NO_UTF8, self._settled("refused", _NO_UTF8))
        options = [f"SIZE={size}"] if client.supports_extension("size") else []
        if takes_utf8 and not (is_ascii and all(one.isascii() for one in (envelope_from, *self._recipients))):
            options += ["BODY=8BITMIME", "SMTPUTF8"]
        await client.mail(envelope_from, options=options or None, encoding="utf-8")
        for address in self._recipients:
            if not takes_utf8 and not address.isascii():
                self._replies[address] = Reply(address, "refused", None, _NO_UTF8)
                continue
            answer = await self._name(client, address)
            if answer.code == 421:
                # The server says goodbye, to the whole message and not to this recipient (RFC 5321 §3.8).
                del self._replies[address]
                return self._rejected(answer)
        if not any(reply.state == "sent" for reply in self._replies.values()):
            self.is_line_clean = True
            return self._nobody()
        if not await self._before_data():
            self.is_line_clean = True
            return TakenBack()
        ready = await client.execute_command(b"DATA")
        if ready.code != 354:
            return self._rejected(ready)
        answer = await self._write(raw)
        if not 200 <= answer.code < 600 or 300 <= answer.code < 400:
            return Unknown(_said(answer.code, answer.message), self._settled("unknown"))
        self.is_line_clean = answer.code != 421
        return self._accepted() if answer.code < 300 else self._rejected(answer)

    async def _name(self, client: aiosmtplib.SMTP, address: str) -> SMTPResponse:
        try:
            answer = await client.rcpt(address, encoding="utf-8")
            self._replies[address] = _reply(address, "sent", answer)
        except SMTPRecipientRefused as error:
            answer = SMTPResponse(error.code, error.message)
            is_final = verdicts.judge(answer.code, answer.message).is_final
            self._replies[address] = _reply(address, "refused" if is_final else "deferred", answer)
        return answer

    async def _write(self, raw: bytes | Path) -> SMTPResponse:
        """Write the data, wait until the socket has taken all but its last buffer, then write the final dot."""
        protocol = self._protocol()
        async for chunk in _stuffed(raw):
            protocol.write(chunk)
            try:
                async with asyncio.timeout(COMMAND_WITHIN_S):
                    await protocol._drain_helper()
            except TimeoutError:
                raise SMTPServerDisconnected("the server takes no more data") from None
        await asyncio.sleep(0)
        protocol = self._protocol()
        self._dot_went_out = True
        protocol.write(b".\r\n")
        return await protocol.read_response()

    def _line(self) -> aiosmtplib.SMTP:
        if self._client is None:
            raise SMTPServerDisconnected("Connection lost")
        return self._client

    def _protocol(self) -> SMTPProtocol:
        protocol = self._line().protocol
        if protocol is None or not protocol.is_connected:
            raise SMTPServerDisconnected("Connection lost")
        return protocol

    def _accepted(self) -> Outcome:
        replies = self._in_order()
        return Sent(replies) if all(one.state == "sent" for one in replies) else PartlySent(replies)

    def _nobody(self) -> Outcome:
        """No recipient was accepted: refused if all were for good, else there is something to try again."""
        replies = self._in_order()
        reasons = [_said(one.code, one.text) if one.code is not None else one.text for one in replies]
        deferred = next((reason for one, reason in zip(replies, reasons, strict=True) if one.state == "deferred"), "")
        if deferred:
            return Deferred(deferred, replies)
        return Refused(reasons[0] if reasons else "no recipient", replies)

    def _rejected(self, answer: SMTPResponse) -> Outcome:
        """The server answered the message as a whole with a refusal: nobody gets it."""
        reason = _said(answer.code, answer.message)
        if verdicts.judge_message(reason).is_final:
            return Refused(reason, self._settled("refused", reason))
        return Deferred(reason, self._settled("deferred", reason))

    def outcome_of(self, error: Exception) -> Outcome:
        reason = _reason(error)
        if self._dot_went_out:
            return Unknown(reason, self._settled("unknown"))
        if isinstance(error, _SignInRefused | _NoSignInNow):
            is_sign_in = isinstance(error, _SignInRefused)
            return Deferred(reason, self._settled("deferred"), is_sign_in=is_sign_in, is_line=True)
        if isinstance(error, SMTPSenderRefused):
            answer = SMTPResponse(error.code, error.message)
            # A server that wants a sign-in first says so to every message.
            if not verdicts.wants_sign_in(answer.code):
                return self._rejected(answer)
            return Deferred(reason, self._settled("deferred", reason), is_line=True)
        # A refused connection or greeting (also 5xx) is the server's bad day.
        return Deferred(reason, self._settled("deferred"), is_line=self._client is None)

    def _settled(self, state: Literal["deferred", "refused", "unknown"], text: str = "") -> tuple[Reply, ...]:
        """Recipients that were accepted, or not yet named, share the fate of the message; others keep theirs."""
        return tuple(
            one
            if (one := self._replies.get(a)) and one.state in ("refused", "deferred")
            else Reply(a, state, None, text)
            for a in self._recipients
        )

    def _in_order(self) -> tuple[Reply, ...]:
        return tuple(self._replies[address] for address in self._recipients)


def _over_the_limit(client: aiosmtplib.SMTP, size: int) -> str:
    """Say that the server takes no message of this size, before it is sent (RFC 1870)."""
    told = client.esmtp_extensions.get("size", "").strip()
    limit = int(told) if told.isascii() and told.isdigit() and len(told) < 16 else 0
    if not limit or size <= limit:
        return ""
    return f"the message has {_megabytes(size)} MB, and this mail server takes {_megabytes(limit)} MB at most"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f}"


def _reply(address: str, state: Literal["sent", "deferred", "refused"], answer: SMTPResponse) -> Reply:
    return Reply(address, state, answer.code, _text(answer.message))


def _said(code: int, message: str) -> str:
    """The server's answer as it is shown. What is no answer of SMTP has no code: the library's -1 is none."""
    return _text(f"{code} {message}" if 100 <= code < 1000 else message)


def _text(message: str) -> str:
    """An answer fit for a page, also one that came in another encoding than UTF-8."""
    if any("\udc80" <= letter <= "\udcff" for letter in message):
        message = decode(message.encode("utf-8", "surrogateescape"), None)[0]
    return sanitize.shown(message, max_chars=280)


def _reason(error: Exception) -> str:
    """Say in one line what went wrong, for the outbox and the log; a password is in none of these texts."""
    if isinstance(error, SMTPResponseException):
        return _said(error.code, error.message)
    if isinstance(error, TimeoutError):
        return _text(str(error) or "no answer in time")
    return _text(str(error) or type(error).__name__)
