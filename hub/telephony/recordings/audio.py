"""What a recorded file is: its kind by its name, its length and its waveform by its bytes. Pure but for reading a file.

Decides what a browser may be offered to play, and under which type; the file's own words never decide that. Reads
RIFF/WAVE with 8 and 16 bit PCM, mu-law and A-law, and knows the length of GSM in it (Asterisk's wav49). Invariant:
whatever stands in a file, reading it ends, raises `NotAudio` at worst, and takes no more memory than one bucket.
"""

from __future__ import annotations

import array
import struct
import sys
from dataclasses import dataclass
from typing import BinaryIO

BUCKETS = 600
"""Points of a waveform; a page draws fewer."""
MAX_HEADER_BYTES = 1024 * 1024
PCM, ALAW, MULAW, GSM, EXTENSIBLE = 1, 6, 7, 49, 0xFFFE


class NotAudio(ValueError):
    """The file is not what its name says."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of recording: the type it is served under, and whether browsers can play it."""

    content_type: str
    is_playable: bool = True


KINDS = {
    "wav": Kind("audio/wav"),
    "mp3": Kind("audio/mpeg"),
    "ogg": Kind("audio/ogg"),
    "opus": Kind("audio/ogg"),
    # GSM, which no browser plays: to be downloaded.
    "WAV": Kind("audio/x-wav", is_playable=False),
    "wav49": Kind("audio/x-wav", is_playable=False),
    "gsm": Kind("audio/x-gsm", is_playable=False),
}
"""By the end of the file's name, as MixMonitor takes it: upper case matters to Asterisk."""


@dataclass(frozen=True, slots=True)
class Measured:
    """`duration_s` and `peaks` are None where the kind does not tell. Peaks are 0 to 100, full scale is 100."""

    size_bytes: int
    duration_s: float | None = None
    peaks: list[int] | None = None


@dataclass(frozen=True, slots=True)
class _Wave:
    codec: int
    rate: int
    block_bytes: int
    bits: int
    data_at: int
    data_bytes: int

    @property
    def duration_s(self) -> float:
        blocks = self.data_bytes // self.block_bytes
        return blocks * (320 if self.codec == GSM else 1) / self.rate


def measure(file: BinaryIO, *, size_bytes: int, suffix: str) -> Measured:
    """Return length and waveform of an open file. Raises NotAudio where a WAVE file is none."""
    if size_bytes == 0:
        return Measured(0, 0.0)
    if suffix not in ("wav", "WAV", "wav49"):
        return Measured(size_bytes)
    wave = _read_header(file, size_bytes)
    return Measured(size_bytes, round(wave.duration_s, 3), _peaks(file, wave))


def _read_header(file: BinaryIO, size_bytes: int) -> _Wave:
    """Find `fmt ` and `data`. Source: Microsoft's RIFF/WAVE; a length of zero is a file that was never closed."""
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise NotAudio("not a RIFF/WAVE file")
    at, fmt = 12, b""
    while at < min(size_bytes, MAX_HEADER_BYTES):
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        at += 8
        if name == b"fmt ":
            fmt = file.read(min(length, 64))
        elif name == b"data":
            rest = size_bytes - at
            return _wave(fmt, at, rest if not 0 < length <= rest else length)
        at += length + length % 2
    raise NotAudio("no sound in the file")


def _wave(fmt: bytes, data_at: int, data_bytes: int) -> _Wave:
    if len(fmt) < 16:
        raise NotAudio("no format in the file")
    codec, channels, rate, _, block_bytes, bits = struct.unpack("<HHIIHH", fmt[:16])
    if codec == EXTENSIBLE and len(fmt) >= 26:
        codec = struct.unpack("<H", fmt[24:26])[0]
    if not (1 <= channels <= 8 and 1000 <= rate <= 384_000 and 1 <= block_bytes <= 4096):
        raise NotAudio("a format that cannot be")
    if codec in (PCM, ALAW, MULAW) and block_bytes != channels * (bits // 8 or 1):
        raise NotAudio("a format that cannot be")
    return _Wave(codec, rate, block_bytes, bits, data_at, data_bytes)


def _peaks(file: BinaryIO, wave: _Wave) -> list[int] | None:
    """Return the loudest sample of each of up to `BUCKETS` equal stretches; None for a codec not read here."""
    loudness = _LOUDNESS.get((wave.codec, wave.bits))
    blocks = wave.data_bytes // wave.block_bytes
    if loudness is None and (wave.codec, wave.bits) != (PCM, 16):
        return None
    if blocks == 0:
        return []
    file.seek(wave.data_at)
    found: list[int] = []
    count = min(BUCKETS, blocks)
    for n in range(count):
        length = (blocks * (n + 1) // count - blocks * n // count) * wave.block_bytes
        sound = file.read(length)
        if loudness is not None:
            loudest = max(sound.translate(loudness), default=0) / 255
        else:
            loudest = _loudest_of_pcm16(sound[: len(sound) // 2 * 2]) / 32768
        found.append(min(100, round(loudest * 100)))
    return found


def _loudest_of_pcm16(sound: bytes) -> int:
    samples = array.array("h", sound)
    if sys.byteorder == "big":
        samples.byteswap()
    return max(max(samples), -min(samples)) if samples else 0


def _mulaw(code: int) -> int:
    """The size of a mu-law sample, 0 to 32124 (ITU-T G.711)."""
    code = ~code & 0xFF
    return (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84


def _alaw(code: int) -> int:
    """The size of an A-law sample, 8 to 32256 (ITU-T G.711)."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 0x0F
    return (mantissa << 4) + 8 if exponent == 0 else (mantissa << 4) + 0x108 << exponent - 1


_LOUDNESS = {
    (MULAW, 8): bytes(min(255, _mulaw(code) * 255 // 32124) for code in range(256)),
    (ALAW, 8): bytes(min(255, _alaw(code) * 255 // 32256) for code in range(256)),
    (PCM, 8): bytes(min(255, abs(code - 128) * 2) for code in range(256)),
}
"""What each byte is worth, 0 to 255: a table makes an hour of sound a matter of a second."""
