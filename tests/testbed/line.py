"""A TCP line on loopback that a test cuts and mends at will: what a bad network does to a conversation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Line:
    """Forwards to `target_port`. While cut, connections are refused as soon as they are made."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.is_cut = False
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Abort what is connected, and let nobody through until `mend`."""
        self.is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.is_cut:
                return
            with contextlib.suppress(ConnectionError):
                peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
                self._writers |= {writer, peer_writer}
                try:
                    ways = [self._forward(reader, peer_writer), self._forward(peer_reader, writer)]
                    tasks = [asyncio.ensure_future(way) for way in ways]
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                finally:
                    self._writers -= {writer, peer_writer}
                    peer_writer.transport.abort()
        finally:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def running_line(target_port: int) -> AsyncIterator[Line]:
    line = Line(target_port)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.cut()
