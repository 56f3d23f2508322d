"""Callers and phones by sipp: each is one process with one scenario, whose every message is written down.

A caller calls and holds for a while; a phone answers, is busy, rejects or rings on. What came over the wire is read
from sipp's own message log, so a test can say "no BYE reached the caller".
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.testbed.asterisk import Asterisk, free_udp_port
from tests.testbed.waiting import wait_for

SCENARIOS = Path(__file__).parent / "scenarios"
Behaviour = Literal["answer", "busy", "reject", "no_answer"]


@dataclass
class SippCall:
    """One sipp process. `music` counts the RTP packets that came to the port it told Asterisk."""

    process: asyncio.subprocess.Process
    port: int
    log: Path
    folder: tempfile.TemporaryDirectory[str]
    media: socket.socket
    heard: list[bytes] = field(default_factory=list)

    def messages(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def first_lines(self, way: Literal["received", "sent"]) -> list[str]:
        """The first lines of all messages that came in, or went out, in order."""
        found = re.findall(rf"message {way}[^\n]*\n\n?([^\n]+)", self.messages())
        return [line.strip() for line in found]

    def received(self) -> str:
        """Everything that came in, message after message."""
        pieces = re.split(r"(?m)^-{20,}.*$", self.messages())
        return "\n".join(piece for piece in pieces if "message received" in piece)

    def music_packets(self) -> int:
        """Read what has come to the media port; return how many RTP packets so far."""
        while True:
            try:
                self.heard.append(self.media.recv(2048))
            except BlockingIOError:
                return len(self.heard)

    async def hang_up(self) -> None:
        """Have this side hang up now, before its time is over; waits until there is a call to end."""
        await wait_for(self._is_established, what="the call is up", deadline_s=10)
        call_id = re.findall(r"^Call-ID: *(\S+)", self.messages(), re.MULTILINE)[-1]
        lines = [f"INFO sip:test@127.0.0.1:{self.port} SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKtest"]
        lines += ["From: <sip:test@127.0.0.1>;tag=test", "To: <sip:test@127.0.0.1>", f"Call-ID: {call_id}"]
        lines += ["CSeq: 99 INFO", "Max-Forwards: 70", "Content-Length: 0", "", ""]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as told:
            told.sendto("\r\n".join(lines).encode(), ("127.0.0.1", self.port))

    async def _is_established(self) -> bool:
        return any(line.startswith("ACK") for line in self.first_lines("sent") + self.first_lines("received"))

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None

    async def ended(self, *, deadline_s: float = 15) -> None:
        async with asyncio.timeout(deadline_s):
            await self.process.wait()

    async def stop(self) -> None:
        if self.is_alive:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()
        self.media.close()
        self.folder.cleanup()


async def _start(scenario: str, asterisk: Asterisk, port: int, *words: str, lasts_ms: int) -> SippCall:
    folder = tempfile.TemporaryDirectory(prefix="hub-sipp-", ignore_cleanup_errors=True)
    log = Path(folder.name) / "messages.log"
    media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    media.bind(("127.0.0.1", 0))
    media.setblocking(False)
    command = ["sipp", f"127.0.0.1:{asterisk.sip_port}", "-sf", str(SCENARIOS / scenario), "-i", "127.0.0.1"]
    command += ["-trace_msg", "-message_file", str(log), "-nostdin", "-p", str(port), "-recv_timeout", str(lasts_ms)]
    # sipp binds its own media port, so the scenario names this one under another word.
    command += ["-key", "rtp", str(media.getsockname()[1])]
    process = await asyncio.create_subprocess_exec(
        *command,
        *words,
        cwd=folder.name,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return SippCall(process, port, log, folder, media)


@asynccontextmanager
async def caller(
    asterisk: Asterisk,
    number: str,
    *,
    name: str = "",
    did: str = "74950000100",
    hold_ms: int = 60_000,
    line: str = "trunk",
) -> AsyncIterator[SippCall]:
    """Somebody who dials `did` and holds for `hold_ms`, or until Asterisk hangs up; from outside, or from a phone."""
    # From outside any port will do, so several may call at once.
    port = free_udp_port() if line == "trunk" else asterisk.phone_ports[line]
    words = ["-s", did, "-m", "1", "-key", "number", number, "-key", "shown", name or number]
    call = await _start("caller.xml", asterisk, port, *words, lasts_ms=hold_ms)
    try:
        yield call
    finally:
        await call.stop()


@asynccontextmanager
async def phone(
    asterisk: Asterisk, extension: str, behaviour: Behaviour = "answer", *, talk_ms: int = 60_000, calls: int = 1
) -> AsyncIterator[SippCall]:
    """A manager's phone; one that answers hangs up after `talk_ms`, if nobody has before."""
    port = asterisk.trunk_port if extension == "trunk" else asterisk.phone_ports[extension]
    call = await _start(f"phone_{behaviour}.xml", asterisk, port, "-m", str(calls), lasts_ms=talk_ms)
    try:
        await wait_for(lambda: _is_bound(port), what=f"phone {extension} listens", deadline_s=5)
        yield call
    finally:
        await call.stop()


async def _is_bound(port: int) -> bool:
    wanted = f"0100007F:{port:04X}"
    return wanted in Path("/proc/net/udp").read_text()
