"""A tiny AMI server for tests of the link: it greets, takes the sign-in, and answers as the test says.

Not a PBX: it knows no calls. What it does by itself is what Asterisk 22 does at a sign-in; all else is scripted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Action = dict[str, str]
Answer = Callable[[Action], str | None]


def packet(**headers: str) -> str:
    return "".join(f"{key}: {value}\r\n" for key, value in headers.items()) + "\r\n"


@dataclass
class AmiServer:
    """One listening port. `answers` maps an action's name to its whole answer; None leaves it unanswered."""

    password: str = "open sesame"
    startup_time: str = "10:00:00"
    uptime_s: int = 100
    greeting: str = "Asterisk Call Manager/11.0.0\r\n"
    core_status: bool = True
    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    received: list[Action] = field(default_factory=list)
    raw: bytes = b""
    connections: int = 0
    probes: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, data: str | bytes) -> None:
        """Write to the newest connection."""
        self._writers[-1].write(data.encode() if isinstance(data, str) else data)

    def drop(self) -> None:
        """Cut the newest connection without a goodbye."""
        self._writers[-1].transport.abort()

    async def until(self, done: Callable[[], object], *, deadline_s: float = 5) -> None:
        """Wait until `done()` is true; it is asked whenever something arrives."""
        async with asyncio.timeout(deadline_s):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def arrived(self, name: str, count: int = 1) -> list[Action]:
        """Wait until `count` actions of that name have come, over all connections."""
        await self.until(lambda: len(self.named(name)) >= count)
        return self.named(name)

    def named(self, name: str) -> list[Action]:
        return [action for action in self.received if action["Action"] == name]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        self._news.set()
        writer.write(self.greeting.encode())
        headers: list[tuple[str, str]] = []
        try:
            while line := await reader.readline():
                self.raw += line
                if text := line.decode().rstrip("\r\n"):
                    key, _, value = text.partition(": ")
                    headers.append((key, value))
                    continue
                action, headers = dict(headers), []
                self.received.append(action)
                self._news.set()
                if (answer := self._answer(action)) is not None:
                    writer.write(answer.encode())
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            self._news.set()

    def _answer(self, action: Action) -> str | None:
        name, action_id = action["Action"], action["ActionID"]
        if name in self.answers:
            return self.answers[name](action)
        if name == "Login":
            if action["Secret"] != self.password:
                return packet(Response="Error", ActionID=action_id, Message="Authentication failed")
            accepted = packet(Response="Success", ActionID=action_id, Message="Authentication accepted")
            booted = packet(Event="FullyBooted", Privilege="system,all", Uptime=str(self.uptime_s), LastReload="1")
            return accepted + booted
        if name == "Ping":
            return packet(Response="Success", ActionID=action_id, Ping="Pong", Timestamp="1795464970.000000")
        if name == "CoreStatus" and self.core_status:
            run = {"CoreStartupDate": "2026-11-24", "CoreStartupTime": self.startup_time}
            return packet(Response="Success", ActionID=action_id, **run, CoreCurrentCalls="0")
        if name == "CoreSettings" and self.core_status:
            return packet(Response="Success", ActionID=action_id, AsteriskVersion="22.10.0", SystemName="office")
        if name in ("CoreStatus", "CoreSettings"):
            return packet(Response="Error", ActionID=action_id, Message="Permission denied")
        return packet(Response="Success", ActionID=action_id, Message="Done")


@asynccontextmanager
async def ami_server(**settings: object) -> AsyncIterator[AmiServer]:
    """Serve on a free loopback port."""
    server = AmiServer(**settings)  # type: ignore[arg-type]
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for writer in server._writers:
            writer.transport.abort()
        await listening.wait_closed()
