"""Asking a virus scanner about a file: clamd's INSTREAM over a socket.

Decides nothing about what is done with the answer. Invariants: every wait has a deadline, an answer is bounded, and
whatever is not a plain "OK" or "FOUND" is no verdict but `Unavailable`, or `Unfit` where clamd will never take it.

Source: clamd(8), "COMMANDS": zINSTREAM, chunks of a 32-bit length in network order, a chunk of length 0 at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hub import sanitize
from hub.errors import Refused, Unavailable

CONNECT_WITHIN_S = 5.0
SCAN_WITHIN_S = 120.0
CHUNK_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 4096


class Unfit(Refused):
    """A file that the scanner will not look at, however often it is asked: it is over its limits."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the scanner found; `name` is the infection's, empty for a clean file."""

    name: str

    @property
    def is_clean(self) -> bool:
        return not self.name


@dataclass(frozen=True, slots=True)
class Clamd:
    """A clamd at `unix:/path` or `host:port`."""

    address: str
    within_s: float = SCAN_WITHIN_S

    async def scan(self, path: Path) -> Verdict:
        """Have a file looked at.

        Raises Unavailable `scanner_away` when clamd is not there, Unavailable `scanner` when it gives no verdict on
        this file, Unfit when it never will.
        """
        try:
            async with asyncio.timeout(self.within_s):
                answer = await self._ask(path)
        except TimeoutError:
            raise Unavailable("scanner", f"clamd at {self.address} did not answer in {self.within_s:.0f} s") from None
        return _read(answer)

    async def ping(self) -> None:
        """Ask whether clamd is there. Raises Unavailable."""
        reader, writer = await self._connect()
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                writer.write(b"zPING\0")
                answer = await _answer(reader)
        except TimeoutError:
            answer = b""
        finally:
            writer.close()
        if answer != b"PONG\0":
            raise Unavailable("scanner_away", f"clamd at {self.address} does not answer PING")

    async def _ask(self, path: Path) -> bytes:
        reader, writer = await self._connect()
        try:
            file = await asyncio.to_thread(path.open, "rb")
            try:
                # At its size limit clamd says so and hangs up, while the rest of the file is still being sent.
                async with asyncio.TaskGroup() as tasks:
                    answer = tasks.create_task(_answer(reader))
                    with contextlib.suppress(ConnectionError):
                        await _send(writer, file)
                return answer.result()
            finally:
                file.close()
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                if self.address.startswith("unix:"):
                    return await asyncio.open_unix_connection(self.address.removeprefix("unix:"))
                host, _, port = self.address.rpartition(":")
                return await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or "no answer"
            raise Unavailable("scanner_away", f"clamd at {self.address}: {reason}") from error


async def _send(writer: asyncio.StreamWriter, file: BinaryIO) -> None:
    writer.write(b"zINSTREAM\0")
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        writer.write(struct.pack("!L", len(chunk)) + chunk)
        await writer.drain()
    writer.write(struct.pack("!L", 0))
    await writer.drain()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    try:
        while b"\0" not in answer and len(answer) <= MAX_ANSWER_BYTES:
            piece = await reader.read(MAX_ANSWER_BYTES)
            if not piece:
                break
            answer += piece
    except ConnectionError:
        pass
    return answer


def _read(answer: bytes) -> Verdict:
    text = answer.partition(b"\0")[0].decode("utf-8", "replace").strip()
    if text == "stream: OK":
        return Verdict("")
    if found := re.fullmatch(r"stream: (.+) FOUND", text):
        return Verdict(sanitize.shown(found[1], max_chars=150))
    if "size limit exceeded" in text:
        raise Unfit("over_scan_limit", "larger than clamd takes (StreamMaxLength)")
    raise Unavailable("scanner", f"clamd said {sanitize.shown(text)!r}")
