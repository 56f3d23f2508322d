"""A PBX on which so many calls a second begin, each a new one: `python -m bench.storing.feed RATE SECONDS`.

The calls are recorded ones with uniqueids, channels, bridges and callers of their own: six in ten go straight to a
phone (the unfiltered capture), two stand in a Hub queue and are taken, one is given up there, one is internal. Half
of the callers are clients. Prints its port, then `done` once the last event is written; ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import lzma
import re
import sys
import time

from bench.ami.__main__ import CAPTURE, SMALL
from bench.ami.feed import BOOTED, GREETING, RUN

STREAMS = SMALL.parent
LASTS_S = 2.0
CLIENTS = 2_000
_UNIQUEID = re.compile(rb"\b1[0-9]{9}\.[0-9]+\b")
_CHANNEL = re.compile(rb"(?<=-)[0-9a-f]{8}\b(?!-)")
_BRIDGE = re.compile(rb"\b[0-9a-f]{8}(?=-[0-9a-f]{4}-[0-9a-f]{4}-)")
_CALLER = re.compile(rb"\b(sipp|84951234567)\b")
_CLAIM = re.compile(rb"\b[0-9a-f]{16}\b")


def client_number(n: int) -> str:
    """The phone of the n-th client."""
    return f"8495{2_000_000 + n % CLIENTS}"


class Recorded:
    """One recorded call as a pattern: `frames(n)` gives the n-th call made from it."""

    def __init__(self, whole: bytes) -> None:
        self._names: dict[bytes, str] = {}
        pattern = whole.replace(b"%", b"%%")
        for letter, expression in (("b", _BRIDGE), ("u", _UNIQUEID), ("c", _CHANNEL), ("k", _CLAIM)):
            pattern = expression.sub(lambda found, letter=letter: self._name(letter, found[0]), pattern)
        self._pattern = _CALLER.sub(b"%(caller)s", pattern)

    def _name(self, letter: str, old: bytes) -> bytes:
        name = self._names.setdefault(old, f"{letter}{len(self._names)}")
        return b"%%(%s)s" % name.encode()

    def frames(self, n: int, caller: str) -> list[bytes]:
        new: dict[bytes, bytes] = {b"caller": caller.encode()}
        for at, name in enumerate(self._names.values()):
            one = n * 20 + at
            shapes = {"u": f"1795500000.{one}", "c": f"{one:08x}", "b": f"{one:08x}", "k": f"{one:016x}"}
            new[name.encode()] = shapes[name[0]].encode()
        whole = self._pattern % new
        return [frame + b"\r\n\r\n" for frame in whole.split(b"\r\n\r\n") if frame]


def _one_of_the_capture() -> bytes:
    with lzma.open(CAPTURE if CAPTURE.exists() else SMALL) as file:
        frames = file.read().split(b"\r\n\r\n")
    linked = next(line for frame in frames for line in frame.split(b"\r\n") if line.startswith(b"Linkedid: "))
    of_call = [frame for frame in frames if linked in frame.split(b"\r\n")]
    bridges = {line for frame in of_call for line in frame.split(b"\r\n") if line.startswith(b"BridgeUniqueid: ")}
    mine = [frame for frame in frames if linked in frame.split(b"\r\n") or bridges & set(frame.split(b"\r\n"))]
    return b"\r\n\r\n".join(mine)


def _stream(name: str) -> bytes:
    frames = (STREAMS / f"{name}.txt").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").split(b"\r\n\r\n")
    return b"\r\n\r\n".join(frame for frame in frames if b"Linkedid: " in frame or b"BridgeUniqueid: " in frame)


def kinds() -> list[Recorded]:
    """The ten calls that follow each other, over and over."""
    plain = Recorded(_one_of_the_capture())
    taken, given_up = Recorded(_stream("taken_and_manager_hangs_up")), Recorded(_stream("abandoned_while_waiting"))
    internal = Recorded(_stream("from_one_phone_to_another"))
    return [plain, taken, plain, plain, given_up, plain, taken, plain, internal, plain]


def caller_of(n: int) -> str:
    return client_number(n // 2) if n % 2 else f"8916{n % 10_000_000:07d}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ready: asyncio.Event) -> None:
    writer.write(GREETING)
    while True:
        packet = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.partition(": ")[::2] for line in packet.split("\r\n") if line)
        action, action_id = headers["Action"].lower(), headers.get("ActionID", "").encode()
        answer = b"Response: Success\r\nActionID: " + action_id + b"\r\nMessage: Authentication accepted\r\n"
        writer.write(answer + (RUN if action.startswith("core") else b"") + b"\r\n")
        if action == "login":
            writer.write(BOOTED)
        if action == "coreshowchannels":
            ready.set()


async def _pace(writer: asyncio.StreamWriter, rate: float, seconds: float) -> None:
    made, total, patterns = 0, int(rate * seconds), kinds()
    due: list[tuple[float, int, int, list[bytes]]] = []
    began = time.monotonic()
    while made < total or due:
        now = time.monotonic() - began
        while made < total and made / rate <= now:
            frames = patterns[made % len(patterns)].frames(made, caller_of(made))
            heapq.heappush(due, (made / rate, made, 0, frames))
            made += 1
        batch = []
        while due and due[0][0] <= now:
            at, n, index, frames = heapq.heappop(due)
            batch.append(frames[index])
            if index + 1 < len(frames):
                heapq.heappush(due, (at + LASTS_S / len(frames), n, index + 1, frames))
        if batch:
            writer.write(b"".join(batch))
            await writer.drain()
        await asyncio.sleep(0.003)


async def _serve(rate: float, seconds: float) -> None:
    async def feed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = asyncio.Event()
        answering = asyncio.ensure_future(_answer(reader, writer, ready))
        await ready.wait()
        await asyncio.sleep(0.3)
        await _pace(writer, rate, seconds)
        print("done", flush=True)
        # Pings are answered until the driver is done: then everything here ends with the process.
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await answering

    server = await asyncio.start_server(feed, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), float(sys.argv[2])))
