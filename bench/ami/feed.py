"""A PBX that only talks: it takes a sign-in and then writes a recorded stream as fast as its peer reads it.

Runs as a process of its own (`python -m bench.ami.feed CAPTURE EVENTS`), prints its port and how many events it will
write, serves one connection after another, and closes each behind the last event: that is how a peer knows the end.
"""

from __future__ import annotations

import asyncio
import lzma
import re
import sys
from pathlib import Path

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
BOOTED = b"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 100\r\nLastReload: 1\r\nStatus: Fully Booted\r\n\r\n"
RUN = b"CoreStartupDate: 2026-11-24\r\nCoreStartupTime: 10:00:00\r\nAsteriskVersion: 22.10.0\r\n"
_EPOCH = re.compile(rb"\b(1[0-9]{9})(\.[0-9]+)")


def events_of(capture: Path, *, at_least: int) -> bytes:
    """Return the capture's events behind its sign-in, repeated with later uniqueids until there are enough."""
    with lzma.open(capture) as file:
        whole = file.read()
    booted = whole.index(b"Event: FullyBooted")
    events = whole[whole.index(b"\r\n\r\n", booted) + 4 : whole.rindex(b"\r\n\r\n") + 4]
    times = -(-at_least // max(count(events), 1))
    return b"".join(events if n == 0 else _later(events, n) for n in range(times))


def _later(events: bytes, n: int) -> bytes:
    return _EPOCH.sub(lambda found: b"%d%s" % (int(found[1]) + 10_000 * n, found[2]), events)


def count(events: bytes) -> int:
    return events.count(b"Event: ")


async def answer_sign_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, until: str) -> None:
    """Greet, and say yes to whatever is asked, up to and with the action `until`."""
    writer.write(GREETING)
    while True:
        packet = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.partition(": ")[::2] for line in packet.split("\r\n") if line)
        action, action_id = headers["Action"].lower(), headers.get("ActionID", "").encode()
        answer = b"Response: Success\r\nActionID: " + action_id + b"\r\nMessage: Authentication accepted\r\n"
        writer.write(answer + (RUN if action.startswith("core") else b"") + b"\r\n")
        if action == "login":
            writer.write(BOOTED)
        if action == until:
            return


async def _serve(events: bytes, until: dict[str, str]) -> None:
    async def feed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer_sign_in(reader, writer, until=until["now"])
            for start in range(0, len(events), 65_536):
                writer.write(events[start : start + 65_536])
                await writer.drain()
            writer.write_eof()
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(feed, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], count(events), flush=True)
    loop = asyncio.get_running_loop()
    # Each line of the driver names the action that the next peer's sign-in ends with.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        until["now"] = line.strip()
        print("ready", flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(events_of(Path(sys.argv[1]), at_least=int(sys.argv[2])), {"now": "login"}))
