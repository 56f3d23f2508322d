"""Dots and line breaks on their way into DATA, at every place where a chunk may end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from hub.mail.sending.dots import Stuffing, faults


def every_cutting(message: bytes) -> Iterator[list[bytes]]:
    for cuts in itertools.product((False, True), repeat=len(message) - 1):
        parts, start = [], 0
        for place, is_cut in enumerate(cuts, 1):
            if is_cut:
                parts.append(message[start:place])
                start = place
        yield [*parts, message[start:]]


@pytest.mark.parametrize(
    ("message", "on_the_wire"),
    [
        (b"a\r\n.\r\n..\r\n.b\r\n", b"a\r\n..\r\n...\r\n..b\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n..\r\n"),
        (b"a.b\r\nc.\r\n", b"a.b\r\nc.\r\n"),
    ],
)
def test_dots_are_doubled_the_same_wherever_the_chunks_end(message: bytes, on_the_wire: bytes) -> None:
    for chunks in every_cutting(message):
        stuffing = Stuffing()
        assert b"".join(map(stuffing.feed, chunks)) == on_the_wire, chunks
        assert faults(chunks) == "", chunks


@pytest.mark.parametrize(
    "message", [b"a\n.\r\nb\r\n", b"a\r.\r\n", b"a\r\r\n", b"x", b"x\r", b"x\n", b"a\r\n\n", b"\n.\r\n"]
)
def test_a_bare_line_break_is_found_wherever_the_chunks_end(message: bytes) -> None:
    for chunks in every_cutting(message):
        assert faults(chunks), chunks


def test_nothing_at_all_is_no_fault_and_empty_chunks_change_nothing() -> None:
    stuffing = Stuffing()
    assert [stuffing.feed(chunk) for chunk in (b"", b".", b"", b".\r\n")] == [b"", b"..", b"", b".\r\n"]
    assert faults([b"", b"a\r", b"", b"\n"]) == ""
