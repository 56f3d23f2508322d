"""Length and waveform of recorded files: each codec that Asterisk writes, and files that are not what they say."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.telephony.recordings.audio import BUCKETS, Measured, NotAudio, measure
from tests.testbed.audio_files import riff, wav


def measured(data: bytes, suffix: str = "wav") -> Measured:
    return measure(io.BytesIO(data), size_bytes=len(data), suffix=suffix)


def test_the_waveform_shows_where_it_is_loud_and_where_silent() -> None:
    found = measured(wav(3.0, loudness=lambda at: 0.0 if at < 1 else 0.25 if at < 2 else 1.0))
    assert found.duration_s == 3.0
    assert found.peaks is not None
    assert len(found.peaks) == BUCKETS
    assert set(found.peaks[:199]) == {0}
    assert {24, 25} >= set(found.peaks[201:399]) != {0}
    assert set(found.peaks[401:]) <= {99, 100}


@pytest.mark.parametrize(
    ("sound", "about", "peaks"),
    [
        # The loudest and the softest code of each law (ITU-T G.711), and unsigned 8 bit.
        (bytes([0x80] * 800 + [0xFF] * 800), {"codec": 7, "bits": 8}, (100, 0)),
        (bytes([0xAA] * 800 + [0xD5] * 800), {"codec": 6, "bits": 8}, (100, 0)),
        (bytes([255] * 800 + [128] * 800), {"codec": 1, "bits": 8}, (100, 0)),
        (struct.pack("<1600h", *[-32768] * 800, *[0] * 800), {"bits": 16}, (100, 0)),
    ],
)
def test_each_codec_is_read_at_its_own_scale(sound: bytes, about: dict[str, int], peaks: tuple[int, int]) -> None:
    found = measured(riff(sound, **about))
    assert found.duration_s == 0.2
    assert found.peaks is not None
    assert (found.peaks[0], found.peaks[-1]) == peaks


def test_gsm_has_a_length_and_no_waveform() -> None:
    assert measured(riff(bytes(65 * 50), codec=49, bits=0, block=65), "WAV") == Measured(65 * 50 + 44, 2.0, None)


def test_a_kind_without_a_header_has_its_size_only() -> None:
    assert measured(b"\xff\xfb" * 100, "mp3") == Measured(200, None, None)


def test_a_file_that_asterisk_never_closed_is_read_to_its_end() -> None:
    torn = bytearray(wav(1.0))
    torn[40:44] = bytes(4)
    assert measured(bytes(torn)).duration_s == 1.0
    torn[40:44] = b"\xff\xff\xff\xff"
    assert measured(bytes(torn)).duration_s == 1.0


def test_a_call_that_nobody_answered_leaves_nothing_to_hear() -> None:
    assert measured(riff(b"")).duration_s == 0.0
    assert measured(b"").duration_s == 0.0


def test_chunks_that_nobody_knows_are_passed_over() -> None:
    data = wav(0.5)
    assert measured(data[:12] + b"LIST\x03\x00\x00\x00abc\x00" + data[12:]).duration_s == 0.5


@pytest.mark.parametrize(
    "data",
    [
        b"MZ this is no sound",
        b"RIFF\x00\x00\x00\x00WAVE",
        riff(b"ab" * 80, rate=1),
        riff(b"ab" * 80, channels=200),
        riff(b"ab" * 80, block=9),
        b"RIFF\x00\x00\x00\x00WAVEdata\x10\x00\x00\x00" + bytes(16),
    ],
)
def test_what_is_no_sound_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(NotAudio):
        measured(data)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(tail: bytes) -> None:
    for data in (tail, b"RIFF\x00\x00\x00\x00WAVE" + tail, wav(0.01)[:36] + tail):
        try:
            found = measured(data)
        except NotAudio:
            continue
        assert found.duration_s is not None
        assert found.duration_s >= 0
        assert found.peaks is None or all(0 <= peak <= 100 for peak in found.peaks)
