"""Callers and phones by sipp: each is one process with one scenario, whose every message is written down.

A caller calls and holds for a while; a phone answers, is busy, rejects or rings on. What came over the wire is read
from sipp's own message log, so a test can say "no BYE reached the caller".
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.testbed.asterisk import Asterisk, free_udp_port
from tests.testbed.waiting import wait_for

SCENARIOS = Path(__file__).parent / "scenarios"
WAYS: tuple[Literal["received", "sent"], ...] = ("received", "sent")
Behaviour = Literal["answer", "busy", "reject", "no_answer", "forward", "late", "keys"]


@dataclass
class SippCall:
    """One sipp process. `music` counts the RTP packets that came to the port it told Asterisk."""

    process: asyncio.subprocess.Process
    port: int
    log: Path
    folder: tempfile.TemporaryDirectory[str]
    media: socket.socket
    heard: list[bytes] = field(default_factory=list)
    sequence: int = 1
    """Of the next RTP packet that it sends."""

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
        await self.established()
        self.trigger()
        # sipp passes over what comes while it is between two steps: then it is told once more.
        with contextlib.suppress(AssertionError):
            await wait_for(self._has_ended_it, what="this side has hung up", deadline_s=10)
            return
        self.trigger()

    async def _has_ended_it(self) -> bool:
        return not self.is_alive or any(line.startswith("BYE") for way in WAYS for line in self.first_lines(way))

    async def give_up(self) -> None:
        """Have a caller who hears it ring cancel (only one that was started with `gives_up`)."""
        await wait_for(self._is_ringing, what="the caller hears it ring", deadline_s=10)
        self.trigger()

    async def _is_ringing(self) -> bool:
        return any(line.startswith("SIP/2.0 180") for line in self.first_lines("received"))

    def trigger(self) -> None:
        """Say the INFO that the scenario waits for."""
        call_id = re.findall(r"^Call-ID: *(\S+)", self.messages(), re.MULTILINE)[-1]
        lines = [f"INFO sip:test@127.0.0.1:{self.port} SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKtest"]
        lines += ["From: <sip:test@127.0.0.1>;tag=test", "To: <sip:test@127.0.0.1>", f"Call-ID: {call_id}"]
        lines += ["CSeq: 99 INFO", "Max-Forwards: 70", "Content-Length: 0", "", ""]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as told:
            told.sendto("\r\n".join(lines).encode(), ("127.0.0.1", self.port))

    async def established(self) -> None:
        """Wait until the call is up on both sides: what is asked of it before its ACK may be passed over."""
        await wait_for(self._is_established, what="the call is up", deadline_s=10)

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
    command += [
        "-trace_msg",
        "-message_file",
        str(log),
        "-nostdin",
        "-p",
        str(port),
        "-aa",
        "-recv_timeout",
        str(lasts_ms),
    ]
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
    gives_up: bool = False,
) -> AsyncIterator[SippCall]:
    """Somebody who dials `did` and holds for `hold_ms`, or until Asterisk hangs up; from outside, or from a phone."""
    # Any port will do, so several may call at once: a phone is known by its name.
    port = free_udp_port()
    words = ["-s", did, "-m", "1", "-key", "number", number, "-key", "shown", name or number]
    scenario = "caller_gives_up.xml" if gives_up else "caller.xml"
    call = await _start(scenario, asterisk, port, *words, lasts_ms=hold_ms)
    try:
        yield call
    finally:
        await call.stop()


@asynccontextmanager
async def callers(
    asterisk: Asterisk, numbers: Sequence[str], *, per_s: int, patience_ms: int, did: str = "74950000100"
) -> AsyncIterator[SippCall]:
    """Many strangers, `per_s` of them a second, each of whom hangs up after `patience_ms` unless somebody did before.

    All their sound goes to one port, and their calls are told apart by `Call-ID` (`fates`).
    """
    with tempfile.TemporaryDirectory(prefix="hub-sipp-numbers-") as folder:
        scenario = Path(folder) / "callers.xml"
        text = (SCENARIOS / "caller.xml").read_text()
        scenario.write_text(text.replace("[number]", "[field0]").replace("[shown]", "[field0]"))
        listed = Path(folder) / "numbers.csv"
        listed.write_text("SEQUENTIAL\n" + "".join(f"{number};\n" for number in numbers))
        words = ["-s", did, "-m", str(len(numbers)), "-r", str(per_s), "-l", "1000", "-inf", str(listed)]
        call = await _start(str(scenario), asterisk, free_udp_port(), *words, lasts_ms=patience_ms)
        try:
            yield call
        finally:
            await call.stop()


def fates(call: SippCall) -> dict[str, Literal["caller", "asterisk", "open"]]:
    """Say of each call in a log, by its caller's number, who ended it."""
    numbers: dict[str, str] = {}
    ends: dict[str, Literal["caller", "asterisk", "open"]] = {}
    blocks = re.findall(r"message (received|sent)[^\n]*\n\n(.+?)(?=\n-{10,}|\Z)", call.messages(), re.DOTALL)
    for way, text in blocks:
        found = re.search(r"^Call-ID: *(\S+)", text, re.MULTILINE)
        call_id = found[1] if found else ""
        if text.startswith("INVITE") and (number := re.search(r"^From:[^<]*<sip:(\d+)@", text, re.MULTILINE)):
            numbers[call_id] = number[1]
            ends.setdefault(number[1], "open")
        elif text.startswith("BYE") and call_id in numbers and ends[numbers[call_id]] == "open":
            ends[numbers[call_id]] = "caller" if way == "sent" else "asterisk"
    return ends


@asynccontextmanager
async def phone(
    asterisk: Asterisk,
    extension: str,
    behaviour: Behaviour = "answer",
    *,
    talk_ms: int = 60_000,
    calls: int = 1,
    forward_to: str = "",
) -> AsyncIterator[SippCall]:
    """A manager's phone; one that answers hangs up after `talk_ms`, if nobody has before."""
    port = asterisk.trunk_port if extension == "trunk" else asterisk.phone_ports[extension]
    words = ["-m", str(calls), "-key", "forward_to", forward_to or "nobody"]
    call = await _start(f"phone_{behaviour}.xml", asterisk, port, *words, lasts_ms=talk_ms)
    try:
        await wait_for(lambda: _is_bound(port), what=f"phone {extension} listens", deadline_s=20)
        yield call
    finally:
        await call.stop()


async def _is_bound(port: int) -> bool:
    wanted = f"0100007F:{port:04X}"
    return wanted in Path("/proc/net/udp").read_text()
