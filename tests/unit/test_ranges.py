"""HTTP Range as players ask it (RFC 9110, 14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web import waveform
from hub.web.ranges import Part, wanted_part

WHOLE = Part(0, 1000, is_whole=True)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (None, WHOLE),
        ("bytes=0-", Part(0, 1000)),
        ("bytes=0-0", Part(0, 1)),
        ("bytes=500-", Part(500, 500)),
        ("bytes=500-599", Part(500, 100)),
        ("bytes=500-5000", Part(500, 500)),
        ("bytes=-100", Part(900, 100)),
        ("bytes=-5000", Part(0, 1000)),
        ("bytes=999-", Part(999, 1)),
        # not to be satisfied
        ("bytes=1000-", None),
        ("bytes=1000-2000", None),
        ("bytes=-0", None),
        # not understood: the whole, as the RFC says
        ("bytes=", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=5-2", WHOLE),
        ("bytes=0-1,5-6", WHOLE),
        ("bytes=٣-٤", WHOLE),
        ("bytes=0x10-", WHOLE),
        ("items=0-1", WHOLE),
        ("bytes=99999999999999999999-", WHOLE),
    ],
)
def test_a_range_means_what_the_rfc_says(asked: str | None, meant: Part | None) -> None:
    assert wanted_part(asked, size=1000) == meant


def test_a_part_is_given_of_the_version_that_the_asker_knows_only() -> None:
    assert wanted_part("bytes=5-", size=10, if_range='"v1"', etag='"v1"') == Part(5, 5)
    assert wanted_part("bytes=5-", size=10, if_range='"v1"', etag='"v2"') == Part(0, 10, is_whole=True)


def test_nothing_of_an_empty_file_can_be_asked_for() -> None:
    assert wanted_part("bytes=0-", size=0) is None
    assert wanted_part(None, size=0) == Part(0, 0, is_whole=True)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(0, 10**9))
def test_a_part_lies_within_the_whole(asked: str, size: int) -> None:
    part = wanted_part(asked, size=size)
    if part is not None and not part.is_whole:
        assert part.length > 0
        assert 0 <= part.start < part.start + part.length <= size


def test_a_waveform_is_strokes_in_its_box_and_nothing_else() -> None:
    drawn = waveform.path([0, 50, 100] * 200)
    assert drawn.count("M") == waveform.BARS
    assert set(drawn) <= set("MV0123456789. ")
    heights = [float(y) for stroke in drawn.split("M")[1:] for y in stroke.partition(" ")[2].split("V")]
    assert 0 <= min(heights) < max(heights) <= waveform.HEIGHT
    assert waveform.path(None) == waveform.path([]) == ""
    assert waveform.path([0, 0, 0]).count("M") == 3
