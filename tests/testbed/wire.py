"""HTTP by hand: requests that no client library would send, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(port: int, head: bytes, body: bytes = b"", *, deadline_s: float = 15) -> Answer:
    """Send raw bytes on a connection of its own and read one answer; a server may cut off the rest of the body."""
    async with asyncio.timeout(deadline_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head + body)
            sending = asyncio.ensure_future(writer.drain())
            answer = await read_answer(reader)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            return answer
        finally:
            writer.transport.abort()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read status, headers and a body of a told length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in filter(None, head[1:]):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split()[1]), headers, body)


@dataclass(slots=True)
class Stall:
    """The longest time for which the event loop did nothing else."""

    worst_s: float = 0.0


@contextlib.asynccontextmanager
async def measured_stall() -> AsyncIterator[Stall]:
    """Watch this thread's event loop while the block runs."""
    loop, stall = asyncio.get_running_loop(), Stall()

    async def tick() -> None:
        before = loop.time()
        while True:
            await asyncio.sleep(0.002)
            stall.worst_s, before = max(stall.worst_s, loop.time() - before), loop.time()

    ticking = asyncio.ensure_future(tick())
    try:
        yield stall
        # The tick that a stall delayed is measured too.
        await asyncio.sleep(0.005)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
