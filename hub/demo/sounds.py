"""Speech-like sound of the demo's recordings: two voices that take turns, made by arithmetic. Pure.

Nobody's voice is shipped. A few dozen syllables are made once (buzz of a throat through the first formants of a
vowel) and strung together, so that minutes of talk cost milliseconds. Invariant: the same seed gives the same bytes.
"""

from __future__ import annotations

import math
import random
import struct
from functools import cache

RATE = 8000
VOWELS = ((730, 1090), (270, 2290), (300, 870), (530, 1840), (570, 840))
"""First and second formant, Hz, of a, i, u, e, o (Peterson and Barney, 1952)."""
SILENCE = b"\xff"
"""Zero in mu-law."""


def conversation(seconds: float, *, seed: int) -> bytes:
    """Return a WAVE file, mu-law at 8 kHz, of two people talking for so long."""
    dice = random.Random(seed)  # noqa: S311
    wanted = int(seconds * RATE)
    pieces: list[bytes] = []
    length, voice = 0, 0
    while length < wanted:
        turn = _turn(voice, dice)
        pieces.append(turn)
        length += len(turn)
        voice = 1 - voice
    return _wave(b"".join(pieces)[:wanted])


def _turn(voice: int, dice: random.Random) -> bytes:
    """A few phrases of one person, and the breath before the other speaks."""
    words: list[bytes] = []
    for _phrase in range(dice.randint(1, 4)):
        for _word in range(dice.randint(2, 7)):
            words += dice.choices(_syllables(voice), k=dice.randint(1, 4))
            words.append(SILENCE * dice.randint(200, 700))
        words.append(SILENCE * dice.randint(1500, 5000))
    return b"".join(words) + SILENCE * dice.randint(1000, 6000)


@cache
def _syllables(voice: int) -> tuple[bytes, ...]:
    dice = random.Random(voice)  # noqa: S311
    pitch = (115.0, 195.0)[voice]
    return tuple(
        _syllable(pitch * dice.uniform(0.9, 1.2), vowel, dice.uniform(0.11, 0.24), dice.uniform(0.35, 1.0))
        for vowel in VOWELS
        for _ in range(3)
    )


def _syllable(pitch: float, vowel: tuple[int, int], length_s: float, loudness: float) -> bytes:
    harmonics = []
    for n in range(1, int(3400 / pitch)):
        near = sum(share / (1 + ((n * pitch - at) / 110) ** 2) for at, share in zip(vowel, (1.0, 0.5), strict=True))
        harmonics.append((n * pitch * math.tau / RATE, near + 0.25 / n))
    harmonics = sorted(harmonics, key=lambda one: -one[1])[:10]
    whole = sum(share for _, share in harmonics)
    count = int(length_s * RATE)
    sound = bytearray()
    for at in range(count):
        swell = math.sin(math.pi * at / count) ** 0.6 * loudness
        sample = sum(share * math.sin(step * at) for step, share in harmonics) / whole
        sound.append(_mulaw(int(sample * swell * 26000)))
    return bytes(sound)


def _mulaw(sample: int) -> int:
    """Encode one 16 bit sample (ITU-T G.711)."""
    sign, size = (0x80, -sample) if sample < 0 else (0, sample)
    size = min(size, 32635) + 0x84
    exponent = size.bit_length() - 8
    return ~(sign | exponent << 4 | size >> exponent + 3 & 0x0F) & 0xFF


def _wave(sound: bytes) -> bytes:
    fmt = struct.pack("<HHIIHHH", 7, 1, RATE, RATE, 1, 8, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)
