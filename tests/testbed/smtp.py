"""A scripted SMTP peer for what a well-behaved server cannot be made to do: stalls, TLS tricks, cuts to the byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from hub.settings import MailServer

STALL = "stall"
CUT = "cut"


@dataclass(slots=True)
class ScriptedSmtp:
    """Answers each verb with `answers[verb]`: a line (or several), `STALL` for silence, `CUT` for a reset.

    Verbs: GREETING, EHLO, STARTTLS, AUTH, MAIL, RCPT (in turn, if it is a list), DATA, END, QUIT. `raw_answers` are
    bytes as they are. `heard` keeps every line that came in, `data` every whole message, and `was_clear` what came
    before TLS.
    """

    answers: dict[str, str | list[str]] = field(default_factory=dict)
    raw_answers: dict[str, bytes] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    port: int = 0
    heard: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    was_clear: list[str] = field(default_factory=list)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    def server(self, **changes: object) -> MailServer:
        return MailServer(**({"host": "127.0.0.1", "port": self.port, "tls": "none"} | changes))  # type: ignore[arg-type]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._talk(reader, writer)
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_tls = writer.get_extra_info("sslcontext") is not None
        if not await self._say(writer, "GREETING", "220 peer ESMTP"):
            return
        while line := await reader.readline():
            text = line.decode("latin-1").rstrip()
            self.heard.append(text)
            if not is_tls:
                self.was_clear.append(text)
            verb = text.split(" ")[0].upper()
            default = {"EHLO": "250-peer\r\n250 8BITMIME", "DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 ok")
            if not await self._say(writer, verb, default):
                return
            if verb == "STARTTLS" and self._is(verb, default).startswith("220"):
                await writer.start_tls(self.tls or ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
                is_tls = True
            if verb == "DATA" and self._is(verb, default).startswith("354"):
                self.data.append(await reader.readuntil(b"\r\n.\r\n"))
                if not await self._say(writer, "END", "250 kept"):
                    return

    def _is(self, verb: str, default: str) -> str:
        answer = self.answers.get(verb, default)
        return answer if isinstance(answer, str) else default

    async def _say(self, writer: asyncio.StreamWriter, verb: str, default: str) -> bool:
        answer = self.answers.get(verb, default)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else default
        if answer == CUT:
            return False
        if answer == STALL:
            self.stalled.set()
            await asyncio.Event().wait()
        writer.write(self.raw_answers.get(verb, answer.encode()) + b"\r\n")
        await writer.drain()
        return True


@contextlib.asynccontextmanager
async def running_peer(
    *, implicit_tls: bool = False, tls: ssl.SSLContext | None = None, **answers: str | list[str]
) -> AsyncIterator[ScriptedSmtp]:
    """Run a scripted peer on a free loopback port within the block."""
    peer = ScriptedSmtp(dict(answers), tls=tls)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls if implicit_tls else None)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()


def self_signed(directory: Path, *, name: str = "IP:127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """Return a server context with a fresh certificate for `name`, and the file by which clients may trust it."""
    certificate, key = directory / "peer.pem", directory / "peer.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=peer", "-addext", f"subjectAltName={name}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context, certificate
