"""A voice for a sipp phone: RTP both ways on the port it told Asterisk, so that who hears whom can be proved.

Each voice is a tone of its own; `hears` finds it in what came back, through whatever Asterisk mixed. A phone without
a voice sends nothing, and Asterisk takes a key (DTMF) from such a line only with delay.
"""

from __future__ import annotations

import asyncio
import math
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.testbed.sipp import SippCall
from tests.testbed.waiting import wait_for

RATE_HZ, FRAME = 8_000, 160
LISTENED_FRAMES = 25
"""Half a second of the latest sound."""


def _ulaw(sample: int) -> int:
    """Encode one linear sample (ITU-T G.711)."""
    sign, value = (0x80, -sample) if sample < 0 else (0, sample)
    value = min(value, 32_635) + 132
    exponent = max(value.bit_length() - 8, 0)
    return ~(sign | exponent << 4 | value >> (exponent + 3) & 0x0F) & 0xFF


def _linear(code: int) -> int:
    code = ~code & 0xFF
    value = (((code & 0x0F) << 3) + 132 << ((code & 0x70) >> 4)) - 132
    return -value if code & 0x80 else value


def tone(hz: int, *, frames: int = 50) -> list[bytes]:
    """One second of a tone, in packets of 20 ms; `hz` should divide into whole periods of a second."""
    samples = [_ulaw(int(9_000 * math.sin(2 * math.pi * hz * n / RATE_HZ))) for n in range(frames * FRAME)]
    return [bytes(samples[n : n + FRAME]) for n in range(0, len(samples), FRAME)]


def strength(packets: list[bytes], hz: int) -> float:
    """How much of a tone is in these payloads: 1.0 is as loud as `tone` makes it (Goertzel's algorithm)."""
    samples = [_linear(code) for packet in packets for code in packet]
    if not samples:
        return 0.0
    step = 2 * math.pi * hz / RATE_HZ
    real = sum(value * math.cos(step * n) for n, value in enumerate(samples))
    imaginary = sum(value * math.sin(step * n) for n, value in enumerate(samples))
    return 2 * math.hypot(real, imaginary) / len(samples) / 9_000


@asynccontextmanager
async def speaking(call: SippCall, hz: int) -> AsyncIterator[SippCall]:
    """Have a phone say its tone from when Asterisk has told it where to, until the end."""
    task = asyncio.ensure_future(_speak(call, tone(hz)))
    try:
        yield call
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _speak(call: SippCall, packets: list[bytes]) -> None:
    clock = asyncio.get_running_loop().time
    number, at = 0, clock()
    while True:
        ports = re.findall(r"^m=audio (\d+) RTP/AVP", call.received(), re.MULTILINE)
        for _ in range(10):
            if ports:
                header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * FRAME & 0xFFFFFFFF, call.port)
                call.media.sendto(header + packets[number % len(packets)], ("127.0.0.1", int(ports[-1])))
                number += 1
            at += 0.02
            await asyncio.sleep(max(0.0, at - clock()))


def heard(call: SippCall, hz: int) -> float:
    """How loud a tone is in the last half second that came to this phone."""
    call.music_packets()
    return strength([packet[12:] for packet in call.heard[-LISTENED_FRAMES:]], hz)


async def hears(call: SippCall, hz: int, *, deadline_s: float = 8) -> None:
    """Wait until this phone hears the voice of this tone."""
    await wait_for(lambda: _hears(call, hz), what=f"{hz} Hz is heard", deadline_s=deadline_s)


async def _hears(call: SippCall, hz: int) -> bool:
    call.heard.clear()
    await asyncio.sleep(LISTENED_FRAMES * 0.02)
    return heard(call, hz) > 0.2


async def is_deaf_to(call: SippCall, hz: int) -> None:
    """Listen for half a second of sound and find nothing of this tone."""
    call.music_packets()
    before = len(call.heard)
    await wait_for(lambda: _more(call, before + LISTENED_FRAMES), what="half a second of sound")
    assert heard(call, hz) < 0.05, f"{hz} Hz is heard"


async def _more(call: SippCall, wanted: int) -> bool:
    return call.music_packets() >= wanted
