"""One message to one SMTP server, and what became of it for each recipient. The only importer of aiosmtplib.

Decides what an answer, a silence or a cut means: before the end of the data went out, nothing was sent; after it,
without an answer, nobody knows. Retries nothing and remembers nothing. Invariants: each sending has a connection of
its own; where TLS is asked for, neither password nor message goes out in clear text; every wait has an end.

Source: RFC 5321 §4.2, §4.5.3.2, RFC 3207; aiosmtplib 5.1.3, whose `data()` does not tell "before" from "after" the
final dot, so the data is written here.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTPResponse
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from aiosmtplib.protocol import SMTPProtocol

from hub import guard
from hub.errors import HubError
from hub.mail import wire
from hub.mail.sending import signing
from hub.settings import MailServer

COMMAND_WITHIN_S = 60.0
QUIT_WITHIN_S = 3.0
CHUNK_BYTES = 64 * 1024
LOCAL_NAME = "[127.0.0.1]"
"""What EHLO says: an address literal is always valid, and tells a provider nothing of the company's network."""

_BARE_BREAK = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said to one recipient. `code` None: it said nothing."""

    address: str
    state: Literal["sent", "deferred", "refused", "unknown"]
    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the message for every recipient."""

    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class PartlySent:
    """The server took the message for some; the replies of the others say refused or deferred."""

    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was sent, and trying again would change nothing."""

    reason: str
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Deferred:
    """Surely nothing was sent; it may be tried again. `is_sign_in`: the server does not take the password."""

    reason: str
    replies: tuple[Reply, ...]
    is_sign_in: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message may have been sent: the answer to the end of the data never came."""

    reason: str
    replies: tuple[Reply, ...]


Outcome = Sent | PartlySent | Refused | Deferred | Unknown


async def send(
    server: MailServer, *, envelope_from: str, recipients: Sequence[str], raw: bytes, deadline: timedelta
) -> Outcome:
    """Send `raw` (CRLF lines) and return what became of it. Never raises for what the peer does.

    Raises hub.errors.Refused for an address that no SMTP line may carry; CancelledError passes.
    """
    for address in (envelope_from, *recipients):
        guard.one_line(address, field="address", max_bytes=254)
    if _BARE_BREAK.search(raw) or not raw.endswith(b"\r\n"):
        # A lone line feed before a dot ends the message for some servers and not for others: smuggling.
        reason = "bare line break in the message"
        return Refused(reason, tuple(Reply(address, "refused", None, reason) for address in recipients))
    try:
        client = await _client_of(server)
    except SMTPException as error:
        reason = _reason(error)
        return Deferred(reason, tuple(Reply(address, "deferred", None, "") for address in recipients))
    transaction = _Transaction(client, server, tuple(recipients))
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            return await transaction.run(envelope_from, raw)
    except (SMTPException, OSError, ssl.SSLError, TimeoutError, ValueError) as error:
        return transaction.outcome_of(error)
    finally:
        client.close()


async def sign_in_only(server: MailServer, *, deadline: timedelta) -> str:
    """Connect, sign in and say goodbye; return what is wrong, or nothing. For `hub doctor`; never raises."""
    try:
        client = await _client_of(server)
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                await _opened(client, server)
                with contextlib.suppress(SMTPException, OSError, TimeoutError):
                    await client.quit(timeout=QUIT_WITHIN_S)
        finally:
            client.close()
    except (SMTPException, OSError, ssl.SSLError, TimeoutError, ValueError) as error:
        return _reason(error)
    return ""


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


async def _opened(client: aiosmtplib.SMTP, server: MailServer) -> None:
    """Connect and sign in. Raises SMTPException, OSError."""
    try:
        await client.connect()
    except (SMTPException, OSError) as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            raise SMTPException(await wire.why_untrusted(server, "smtp", error.__cause__)) from error
        raise
    await _sign_in(client, server)


async def _sign_in(client: aiosmtplib.SMTP, server: MailServer) -> None:
    transport = client.transport
    is_encrypted = transport is not None and transport.get_extra_info("ssl_object") is not None
    try:
        wire.require_named(server, transport)
        if not server.username:
            return
        await client._ehlo_or_helo_if_needed()
        code, text = await signing.sign_in(client, server, is_encrypted=is_encrypted)
    except HubError as error:
        if error.code == "auth_refused":
            raise SMTPAuthenticationError(535, error.message) from error
        raise SMTPException(error.message) from error
    if code != 235:
        raise (SMTPAuthenticationError if code >= 500 else SMTPResponseException)(code, text)


class _Transaction:
    """One attempt: how far it came decides what a failure means."""

    def __init__(self, client: aiosmtplib.SMTP, server: MailServer, recipients: tuple[str, ...]) -> None:
        self._client = client
        self._server = server
        self._recipients = recipients
        self._replies: dict[str, Reply] = {}
        self._dot_went_out = False

    async def run(self, envelope_from: str, raw: bytes) -> Outcome:
        await _opened(self._client, self._server)
        await self._client.mail(envelope_from)
        for address in self._recipients:
            await self._name(address)
        if not any(reply.state == "sent" for reply in self._replies.values()):
            return self._nobody()
        ready = await self._client.execute_command(b"DATA")
        if ready.code != 354:
            return self._rejected(ready)
        answer = await self._write(_LEADING_DOT.sub(b"..", raw))
        if not 200 <= answer.code < 600 or 300 <= answer.code < 400:
            return Unknown(_text(f"{answer.code} {answer.message}"), self._settled("unknown", None))
        outcome = self._accepted() if answer.code < 300 else self._rejected(answer)
        with contextlib.suppress(SMTPException, OSError, TimeoutError):
            await self._client.quit(timeout=QUIT_WITHIN_S)
        return outcome

    async def _name(self, address: str) -> None:
        try:
            answer = await self._client.rcpt(address)
            self._replies[address] = _reply(address, "sent", answer)
        except SMTPRecipientRefused as error:
            state: Literal["refused", "deferred"] = "refused" if 500 <= error.code < 600 else "deferred"
            self._replies[address] = _reply(address, state, SMTPResponse(error.code, error.message))

    async def _write(self, stuffed: bytes) -> SMTPResponse:
        """Write the data, wait until the socket has taken all but its last buffer, then write the final dot."""
        protocol = self._protocol()
        for start in range(0, len(stuffed), CHUNK_BYTES):
            protocol.write(stuffed[start : start + CHUNK_BYTES])
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

    def _protocol(self) -> SMTPProtocol:
        protocol = self._client.protocol
        if protocol is None or not protocol.is_connected:
            raise SMTPServerDisconnected("Connection lost")
        return protocol

    def _accepted(self) -> Outcome:
        replies = self._in_order()
        return Sent(replies) if all(one.state == "sent" for one in replies) else PartlySent(replies)

    def _nobody(self) -> Outcome:
        """No recipient was accepted: refused if all were for good, else there is something to try again."""
        replies = self._in_order()
        reason = next((f"{one.code} {one.text}" for one in replies if one.state == "deferred"), "")
        if reason:
            return Deferred(reason, replies)
        return Refused(f"{replies[0].code} {replies[0].text}" if replies else "no recipient", replies)

    def _rejected(self, answer: SMTPResponse) -> Outcome:
        """The server answered the message as a whole with a refusal: nobody gets it."""
        reason = _text(f"{answer.code} {answer.message}")
        if 500 <= answer.code < 600:
            return Refused(reason, self._settled("refused", answer))
        return Deferred(reason, self._settled("deferred", answer))

    def outcome_of(self, error: Exception) -> Outcome:
        reason = _reason(error)
        if self._dot_went_out:
            return Unknown(reason, self._settled("unknown", None))
        if isinstance(error, SMTPAuthenticationError) or "AUTH" in str(error):
            return Deferred(reason, self._settled("deferred", None), is_sign_in=True)
        if isinstance(error, SMTPResponseException) and error.code in (530, 534, 535):
            return Deferred(reason, self._settled("deferred", None), is_sign_in=True)
        # A refused MAIL FROM is final; a refused connection or greeting (also 5xx) is the server's bad day.
        if isinstance(error, SMTPSenderRefused) and 500 <= error.code < 600:
            return Refused(reason, self._settled("refused", SMTPResponse(error.code, error.message)))
        return Deferred(reason, self._settled("deferred", None))

    def _settled(
        self, state: Literal["deferred", "refused", "unknown"], answer: SMTPResponse | None
    ) -> tuple[Reply, ...]:
        """Recipients that were accepted, or not yet named, share the fate of the message; others keep theirs."""
        return tuple(
            one if (one := self._replies.get(a)) and one.state in ("refused", "deferred") else _reply(a, state, answer)
            for a in self._recipients
        )

    def _in_order(self) -> tuple[Reply, ...]:
        return tuple(self._replies[address] for address in self._recipients)


def _reply(
    address: str, state: Literal["sent", "deferred", "refused", "unknown"], answer: SMTPResponse | None
) -> Reply:
    return Reply(address, state, answer.code if answer else None, _text(answer.message) if answer else "")


def _text(message: str) -> str:
    return guard.shown(message, max_chars=280)


def _reason(error: Exception) -> str:
    """Say in one line what went wrong, for the outbox and the log; a password is in none of these texts."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _text(f"the certificate of the mail server is not trusted: {cause.verify_message}")
    if isinstance(error, SMTPResponseException):
        return _text(f"{error.code} {error.message}")
    if isinstance(error, TimeoutError):
        return _text(str(error) or "no answer in time")
    return _text(str(error) or type(error).__name__)
