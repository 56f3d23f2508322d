"""Outlook's Thread-Index: held against the format's description and an index that Outlook itself wrote."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from hub.mail.sending import thread_index

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def when(index: bytes) -> datetime:
    """Read the time of the first message, as MS-OXOMSG says: the upper six bytes of a FILETIME."""
    ticks = int.from_bytes(index[:6], "big") << 16
    return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)


def after(index: bytes, block: int) -> timedelta:
    """Read how long after the first message the answer of the `block`-th block was written."""
    word = int.from_bytes(index[22 + 5 * block :][:4], "big")
    ticks = (word & 0x7FFFFFFF) << (23 if word >> 31 else 18)
    return timedelta(microseconds=ticks // 10)


def test_a_new_conversation_has_the_time_and_an_id_of_its_own() -> None:
    index = thread_index.first("<1@hub.example>", at=AT)
    assert len(index) == 22 and index[0] == 1
    assert timedelta(0) <= AT - when(index) < timedelta(seconds=1)
    other = thread_index.first("<2@hub.example>", at=AT)
    assert index[6:] != other[6:] and index[:6] == other[:6]


@pytest.mark.parametrize("later", [timedelta(seconds=90), timedelta(days=40), timedelta(days=800)])
def test_an_answer_keeps_its_parents_index_and_says_how_much_later_it_is(later: timedelta) -> None:
    first = thread_index.first("<1@hub.example>", at=AT)
    answer = thread_index.answer(first, "<2@hub.example>", at=AT + later)
    again = thread_index.answer(answer, "<3@hub.example>", at=AT + later * 1.2)
    assert answer[:22] == first and again[:27] == answer and len(again) == 32
    off = timedelta(seconds=2)
    assert abs(after(answer, 0) - later) < off and abs(after(again, 1) - later * 1.2) < off
    assert answer[26] & 0x0F == 0, "no answer of the same moment before it"


def test_an_answer_before_its_parent_or_far_down_is_still_of_the_format() -> None:
    index = thread_index.first("<1@hub.example>", at=AT)
    assert after(thread_index.answer(index, "<2@x>", at=AT - timedelta(days=9)), 0) == timedelta(0)
    for number in range(200):
        index = thread_index.answer(index, f"<{number}@x>", at=AT)
    assert len(index) == 22 + 5 * 60


@pytest.mark.parametrize(
    ("head", "length"),
    [
        # An index of 22 bytes and one block, folded.
        (b"Thread-Index: " + base64.b64encode(b"\x01" * 27) + b"\r\nX: y\r\n\r\n", 27),
        (b"From: a\r\nthread-index:\r\n " + base64.b64encode(b"\x01" * 27)[:20] + b"\r\n\t"
         + base64.b64encode(b"\x01" * 27)[20:] + b"\r\n\r\n", 27),
        (b"Thread-Index: AdRQcEHqPwE8sZJfSgWgmYe3W5Wb4w==\r\n\r\n", 22),
        (b"Thread-Index: !!!\r\n\r\n", None),
        (b"Thread-Index: AAAA\r\n\r\n", None),
        (b"Thread-Index: " + base64.b64encode(b"\x01" * 24) + b"\r\n\r\n", None),
        (b"From: a\r\n\r\nThread-Index: " + base64.b64encode(b"\x01" * 22) + b"\r\n", None),
        (b"", None),
    ],
)  # fmt: skip
def test_a_parents_index_is_read_from_its_head_alone(head: bytes, length: int | None) -> None:
    index = thread_index.of_head(head)
    assert (len(index) if index is not None else None) == length
