"""Speech of sipp's callers and phones: RTP of a tone from the media port that they told Asterisk."""

from __future__ import annotations

import asyncio
import math
import re
import struct
import time

from tests.testbed.sipp import SippCall
from tests.testbed.waiting import wait_for

PACKET_S = 0.02


def _mulaw(sample: int) -> int:
    """Encode one 16 bit sample (ITU-T G.711)."""
    sign, size = (0x80, -sample) if sample < 0 else (0, sample)
    size = min(size, 32635) + 0x84
    exponent = size.bit_length() - 8
    return ~(sign | exponent << 4 | size >> exponent + 3 & 0x0F) & 0xFF


TONE = bytes(_mulaw(int(16000 * math.sin(n * 400 * math.tau / 8000))) for n in range(160))
"""20 ms of 400 Hz: eight whole waves, so that packets join without a click."""


async def speak(call: SippCall, *, seconds: float) -> None:
    """Send a tone to Asterisk at its pace, from when it has said where to."""

    async def asterisk_media_port() -> int | None:
        found = re.findall(r"o=- [^\n]*\n[\s\S]*?^m=audio ([0-9]+) ", call.messages(), re.MULTILINE)
        return int(found[-1]) if found else None

    port = await wait_for(asterisk_media_port, what="Asterisk names its media port")
    began = time.monotonic()
    # Numbered by the clock: who speaks again goes on where they were, for old numbers would be dropped as a replay.
    first = int(began / PACKET_S)
    for n in range(int(seconds / PACKET_S)):
        head = struct.pack("!BBHII", 0x80, 0, (first + n) & 0xFFFF, (first + n) * 160 & 0xFFFFFFFF, 0x1234)
        call.media.sendto(head + TONE, ("127.0.0.1", port))
        await asyncio.sleep(max(0.0, began + (n + 1) * PACKET_S - time.monotonic()))
