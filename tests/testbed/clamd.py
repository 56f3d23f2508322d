"""A scripted clamd: speaks INSTREAM on a real socket, and finds what carries a mark of the tests' own."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

MARK = b"HUB-TEST-NOT-A-VIRUS"


@dataclass
class ScriptedClamd:
    """What it heard and how it behaves. `answer` replaces the verdict; `silent` answers nothing; `limit` in bytes."""

    address: str = ""
    heard: list[bytes] = field(default_factory=list)
    answer: bytes | None = None
    silent: bool = False
    limit: int = 25 * 1024 * 1024

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._session(reader, writer)
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readuntil(b"\0")
        if command == b"zPING\0":
            writer.write(b"PONG\0" if self.answer is None else self.answer)
            await writer.drain()
            return
        assert command == b"zINSTREAM\0", command
        content = b""
        while size := struct.unpack("!L", await reader.readexactly(4))[0]:
            content += await reader.readexactly(size)
            if len(content) > self.limit:
                writer.write(b"INSTREAM size limit exceeded. ERROR\0")
                await reader.read()  # to hang up now would take the answer along
                return
        self.heard.append(content)
        if self.silent:
            await reader.read()
            return
        verdict = b"stream: Hub.Test.Mark FOUND\0" if MARK in content else b"stream: OK\0"
        writer.write(verdict if self.answer is None else self.answer)
        await writer.drain()


@contextlib.asynccontextmanager
async def running_clamd(socket: Path | None = None) -> AsyncIterator[ScriptedClamd]:
    """Listen on a free loopback port, or on a socket of the file system."""
    clamd = ScriptedClamd()
    if socket is not None:
        server: asyncio.Server = await asyncio.start_unix_server(clamd.serve, socket)
        clamd.address = f"unix:{socket}"
    else:
        server = await asyncio.start_server(clamd.serve, "127.0.0.1", 0)
        clamd.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield clamd
    finally:
        server.close()
