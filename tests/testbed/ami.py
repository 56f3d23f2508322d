"""A raw AMI connection for the tests and recordings: it keeps every byte that came and waits for what comes.

Logs in as the user that Hub ships, so it sees what Hub would see, filters and all.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.testbed.asterisk import Asterisk

CLAIM = "0123456789abcdef"
OTHER_CLAIM = "fedcba9876543210"

JOINED, HUNG_UP, RINGS = b"Event: QueueCallerJoin", b"Event: Hangup\r\n", b"DialStatus: RINGING"
IN_TALK = b"Event: BridgeEnter"


class Ami:
    """A raw AMI connection that keeps every byte that came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.stream = b""
        self._numbers = iter(range(1, 10_000))

    @classmethod
    async def open(cls, asterisk: Asterisk) -> Ami:
        ami = cls(*await asyncio.open_connection("127.0.0.1", asterisk.ami_port))
        await ami.send("Login", Username="hub", Secret=asterisk.SECRET)
        await ami.count(b"Authentication accepted", 1)
        return ami

    async def send(self, action: str, **fields: str) -> None:
        lines = [f"Action: {action}", f"ActionID: rec-{next(self._numbers)}", *(f"{k}: {v}" for k, v in fields.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    async def count(self, wanted: bytes, times: int, *, deadline_s: float = 30) -> None:
        """Read until `wanted` has come `times` times."""
        try:
            async with asyncio.timeout(deadline_s):
                while self.stream.count(wanted) < times:
                    self.stream += await self._reader.read(65536)
        except TimeoutError:
            frames = [frame for frame in self.stream.split(b"\r\n\r\n") if b"QueueMemberStatus" not in frame]
            last = b"\r\n\r\n".join(frames[-12:]).decode("utf-8", "replace")
            raise AssertionError(f"{wanted!r} did not come {times} times; the last that came:\n{last}") from None

    async def take(
        self, extension: str = "101", claim: str = CLAIM, *, queue: str = "hub-sales", channel: str = ""
    ) -> None:
        """Take the caller who came first, or the one on `channel`, out of the queue."""
        channel = channel or self.header(b"Event: QueueCallerJoin", b"Channel")
        await self.send("QueueWithdrawCaller", Queue=queue, Caller=channel, WithdrawInfo=f"{claim}-{extension}")

    async def dial(self, number: str, extension: str = "101", *, channel: str = "") -> None:
        """Click to call: `number` is put through to the extension, or to what `channel` names."""
        await self.send(
            "Originate",
            Channel=channel or f"PJSIP/{extension}",
            Context="hub-out",
            Exten=number,
            Priority="1",
            ChannelId=f"hub-{CLAIM}",
            CallerID=number,
            Timeout="4000",
            Async="true",
            Variable=f"HUB_DIAL=hub-{CLAIM}\r\nVariable: HUB_EXTENSION={extension}",
        )

    def header(self, event: bytes, name: bytes) -> str:
        frame = next(f for f in self.stream.split(b"\r\n\r\n") if event in f)
        line = next(line for line in frame.split(b"\r\n") if line.startswith(name + b": "))
        return line.partition(b": ")[2].decode()

    def channel(self, prefix: str, nth: int = -1) -> str:
        """Return the name of the last (or nth) channel that was born with this beginning, e.g. `PJSIP/101-`."""
        names = re.findall(rb"^Event: Newchannel\r\n(?:.*\r\n)*?Channel: (.*)\r\n", self.stream, re.MULTILINE)
        found: list[str] = [name.decode() for name in names if name.startswith(prefix.encode())]
        return found[nth]

    async def gone(self, channel: str) -> None:
        """Read until this channel has hung up."""
        await self.matches(rb"Event: Hangup\r\n(?:.+\r\n)*?Channel: " + re.escape(channel.encode()) + rb"\r\n")

    async def all_gone(self, *, deadline_s: float = 15) -> None:
        """Read until every channel that was born has hung up."""
        async with asyncio.timeout(deadline_s):
            while self.stream.count(HUNG_UP) < self.stream.count(b"Event: Newchannel\r\n"):
                self.stream += await self._reader.read(65536)

    async def matches(self, pattern: bytes, *, deadline_s: float = 30) -> None:
        """Read until this regular expression is found; `(?:.+\\r\\n)*?` passes over headers of one event."""
        async with asyncio.timeout(deadline_s):
            while not re.search(pattern, self.stream):
                self.stream += await self._reader.read(65536)

    async def in_talk(self, prefix: str) -> None:
        """Read until a channel of this beginning is in a bridge."""
        await self.matches(rb"Event: BridgeEnter\r\n(?:.+\r\n)*?Channel: " + re.escape(prefix.encode()))

    async def born(self, prefix: str) -> str:
        """Read until a channel of this beginning is there; return its name."""
        await self.matches(rb"Event: Newchannel\r\n(?:.+\r\n)*?Channel: " + re.escape(prefix.encode()))
        return self.channel(prefix)

    async def until(self, wanted: bytes, again: Callable[[], Awaitable[None]], *, deadline_s: float = 10) -> None:
        """Do something again and again until `wanted` has come."""
        async with asyncio.timeout(deadline_s):
            while wanted not in self.stream:
                await again()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        self.stream += await self._reader.read(65536)
