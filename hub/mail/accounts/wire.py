"""The way to a mail server: where it leads, whose certificate is believed, and the secret that is shown there.

What settings say of it is `settings.MailServer`; what only a running Hub knows (a token that is renewed, which
addresses a person's host may have) rides in `LiveServer`. Invariants: a certificate is verified, or it is exactly the
one that was named; a host that a person named is reached at the address that was judged.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from cryptography import x509

from hub import sanitize
from hub.errors import Refused, Unavailable
from hub.hosts import Reach, open_socket
from hub.settings import MailServer

Kind = Literal["imap", "smtp"]
LOOK_WITHIN_S = 10.0
MAX_LINE = 4096


class LiveServer(MailServer, frozen=True, kw_only=True):
    """A mail server with what only a running Hub knows."""

    reach: Reach | None = None
    """Which addresses the host may have; None where the configuration names it."""
    token: Callable[[str], Awaitable[str]] | None = None
    """Gives an access token, another than the one it is told is stale. Raises Refused `auth_refused`, Unavailable."""


async def secret_of(server: MailServer, *, stale: str = "") -> str:
    """Return the password, or the access token of the moment. Raises Refused for one that no line may carry."""
    if isinstance(server, LiveServer) and server.token is not None:
        return await server.token(stale)
    return sanitize.one_line(server.password.reveal(), field="password")


async def way_to(server: MailServer) -> dict[str, Any]:
    """Return what a connection is opened by: `host` and `port`, or a `sock` to an address that was judged."""
    if isinstance(server, LiveServer) and server.reach is not None:
        return {"sock": await open_socket(server.host, server.port, server.reach)}
    return {"host": server.host, "port": server.port}


def tls_context(server: MailServer) -> ssl.SSLContext:
    """Trust the system's authorities, and `ca_file` beside them; or no one but the certificate that was named.

    Raises Unavailable that names a bad file.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if server.tls_exception:
        # Verified by `require_named` before anything is said: the authorities cannot know this certificate.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif server.ca_file:
        try:
            context.load_verify_locations(server.ca_file)
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror
            raise Unavailable("imap_ca_file", f"ca_file {server.ca_file}: {reason}") from error
    return context


def require_named(server: MailServer, transport: asyncio.BaseTransport | None) -> None:
    """Hold the peer's certificate against `tls_exception`, where there is one. Raises Unavailable that names both."""
    if not server.tls_exception:
        return
    line = transport.get_extra_info("ssl_object") if transport is not None else None
    seen = fingerprint(line.getpeercert(binary_form=True) or b"") if line is not None else "no certificate"
    wanted = server.tls_exception.lower().replace(":", "").removeprefix("sha256")
    if seen.removeprefix("sha256:") != wanted:
        text = f"{server.host}: the certificate is another than tls_exception names: {seen}"
        raise Unavailable("tls_other_certificate", text)


def fingerprint(der: bytes) -> str:
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server showed, believed or not."""

    fingerprint: str
    subject: str
    issuer: str
    not_after: datetime
    not_before: datetime


def read_certificate(der: bytes) -> Certificate:
    """Raises ValueError for what is no certificate."""
    read = x509.load_der_x509_certificate(der)
    subject, issuer = (sanitize.shown(name.rfc4514_string(), max_chars=120) for name in (read.subject, read.issuer))
    return Certificate(fingerprint(der), subject, issuer, read.not_valid_after_utc, read.not_valid_before_utc)


async def shown_certificate(server: MailServer, kind: Kind) -> Certificate | None:
    """Look at the certificate that a server shows, without believing it; None where it shows none in time."""
    try:
        async with asyncio.timeout(LOOK_WITHIN_S):
            return await _look(server, kind)
    except (
        OSError,
        ValueError,
        TimeoutError,
        Refused,
        Unavailable,
        asyncio.IncompleteReadError,
        asyncio.LimitOverrunError,
    ):
        return None


async def _look(server: MailServer, kind: Kind) -> Certificate | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = server.host
    direct: dict[str, Any] = {"ssl": context, "server_hostname": name} if server.tls == "tls" else {}
    reader, writer = await asyncio.open_connection(**await way_to(server), **direct, limit=MAX_LINE)
    try:
        if server.tls == "starttls":
            if not await _ask_for_tls(reader, writer, kind):
                return None
            await writer.start_tls(context, server_hostname=name)
        line = writer.get_extra_info("ssl_object")
        der = line.getpeercert(binary_form=True) if line is not None else None
        return read_certificate(der) if der else None
    finally:
        writer.transport.abort()


async def _ask_for_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: Kind) -> bool:
    await _answer(reader, kind)
    words = ("a STARTTLS",) if kind == "imap" else ("EHLO [127.0.0.1]", "STARTTLS")
    answer = b""
    for word in words:
        writer.write(word.encode("ascii") + b"\r\n")
        answer = await _answer(reader, kind, b"a ")
    return answer.upper().startswith(b"A OK" if kind == "imap" else b"220")


async def _answer(reader: asyncio.StreamReader, kind: Kind, tag: bytes = b"* ") -> bytes:
    for _ in range(50):
        line = await reader.readuntil(b"\n")
        if line.startswith(tag) if kind == "imap" else line[3:4] != b"-":
            return line
    return b""


async def why_untrusted(server: MailServer, kind: Kind, error: ssl.SSLCertVerificationError) -> str:
    """Say why a certificate is not believed, and the line that would accept exactly this one."""
    reason = sanitize.shown(str(error.verify_message or error), max_chars=120)
    text = f"{server.host}: TLS: the certificate is not trusted: {reason}"
    if (seen := await shown_certificate(server, kind)) is None:
        return text
    dates = f"valid {seen.not_before:%Y-%m-%d} to {seen.not_after:%Y-%m-%d}"
    if seen.not_after < datetime.now(UTC):
        dates = f"expired on {seen.not_after:%Y-%m-%d}"
    return f'{text} ({dates}). To accept exactly this one: tls_exception = "{seen.fingerprint}"'
