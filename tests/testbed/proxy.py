"""A TCP proxy on loopback that cuts the line after so many bytes: what a bad network does to a conversation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager


class CuttingProxy:
    """Forwards to `target_port`; the n-th connection is cut once the server has said `cut_after_bytes[n]` bytes."""

    def __init__(self, target_port: int, cut_after_bytes: Sequence[int]) -> None:
        self.port = 0
        self.cuts = 0
        self._target_port = target_port
        self._limits = list(cut_after_bytes)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = self._limits.pop(0) if self._limits else None
        with contextlib.suppress(ConnectionError):
            peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                async with asyncio.TaskGroup() as tasks:
                    up = tasks.create_task(self._forward(reader, peer_writer, None))
                    tasks.create_task(self._forward(peer_reader, writer, limit)).add_done_callback(
                        lambda _: up.cancel()
                    )
            finally:
                peer_writer.transport.abort()
                writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                if limit is not None and passed + len(data) > limit:
                    writer.write(data[: limit - passed])
                    await writer.drain()
                    self.cuts += 1
                    return
                passed += len(data)
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def running_proxy(target_port: int, *, cut_after_bytes: Sequence[int]) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(target_port, cut_after_bytes)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


class Gate:
    """A TCP proxy whose line a test opens, cuts, refuses or lets fall silent, as it goes."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._passing = asyncio.Event()
        self._passing.set()
        self._is_open = True
        self._lines: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Cut every line and let no new one through."""
        self._is_open = False
        for writer in list(self._lines):
            writer.transport.abort()

    def silence(self) -> None:
        """Pass nothing on any more, and cut nothing: what a half-open connection is to its other end."""
        self._passing.clear()

    def open(self) -> None:
        self._is_open = True
        self._passing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.transport.abort()
            return
        with contextlib.suppress(ConnectionError, OSError):
            peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._lines |= {writer, peer_writer}
            try:
                await asyncio.gather(self._pass(reader, peer_writer), self._pass(peer_reader, writer))
            finally:
                self._lines -= {writer, peer_writer}
                peer_writer.transport.abort()
                writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        # One side's end is the line's end.
        writer.transport.abort()


@asynccontextmanager
async def running_gate(target_port: int) -> AsyncIterator[Gate]:
    gate = Gate(target_port)
    server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        server.close()
        gate.open()
        gate.close()


class CommandCutter:
    """Forwards to `target_port` and cuts the first line at its n-th command: the server never hears that one."""

    def __init__(self, target_port: int, *, at: int) -> None:
        self.port = 0
        self.was_cut = False
        self._target_port, self._left = target_port, at

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                await asyncio.gather(
                    self._commands(reader, peer_writer), self._answers(peer_reader, writer, peer_writer)
                )
            finally:
                peer_writer.transport.abort()
                writer.transport.abort()

    async def _commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # None of what the tests send holds a literal, so each line is a command.
        while line := await reader.readline():
            self._left -= 1
            if self._left == 0:
                self.was_cut = True
                break
            writer.write(line)
            await writer.drain()
        writer.transport.abort()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
        other.transport.abort()


@asynccontextmanager
async def running_command_cutter(target_port: int, *, at: int) -> AsyncIterator[CommandCutter]:
    cutter = CommandCutter(target_port, at=at)
    server = await asyncio.start_server(cutter.serve, "127.0.0.1", 0)
    cutter.port = server.sockets[0].getsockname()[1]
    try:
        yield cutter
    finally:
        server.close()


class DelayingProxy:
    """Forwards to `target_port`, each byte `delay_s` later, both ways: a distant server with a broad line."""

    def __init__(self, target_port: int, delay_s: float) -> None:
        self.port = 0
        self._target_port, self._delay_s = target_port, delay_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                await asyncio.gather(self._pass(reader, peer_writer), self._pass(peer_reader, writer))
            finally:
                peer_writer.transport.abort()
                writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65536):
            # Timers of one delay go off in the order in which they were set.
            loop.call_later(self._delay_s, writer.write, data)
        loop.call_later(self._delay_s, writer.transport.abort)


@asynccontextmanager
async def running_delay(target_port: int, *, delay_s: float) -> AsyncIterator[DelayingProxy]:
    proxy = DelayingProxy(target_port, delay_s)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
