"""What a stranger sends becomes a typed value or a refusal: cursors, ids, names, filters, addresses to go on to."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Refused
from hub.web import sse
from hub.web.api.filters import party_or_moment
from hub.web.auth import safe_next
from hub.web.files import disposition
from hub.web.request_context import parse_id, parse_moment, read_cursor, read_time_cursor, write_cursor


@given(st.text(max_size=50), st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_gives_back_what_it_was_written_of(key: str, row_id: int) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    assert read_cursor(write_cursor(key, row_id)) == (key, row_id)


@given(st.text(max_size=80))
def test_a_made_up_cursor_is_refused_and_never_a_bug(text: str) -> None:
    with contextlib.suppress(Refused):
        read_time_cursor(text)


def test_a_time_cursor_keeps_the_microsecond() -> None:
    at = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
    assert read_time_cursor(write_cursor(at, 5)) == (at, 5)


@pytest.mark.parametrize("text", ["-1", "1e3", "٣", " 1", "9223372036854775808", "1" * 30, ""])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_id(text, field="id")


def test_from_and_to_name_a_party_or_bound_a_time() -> None:
    assert party_or_moment(None, field="from") == (None, None)
    assert party_or_moment("+7 495 123-45-67", field="from") == ("+7 495 123-45-67", None)
    assert party_or_moment("84951234567", field="from") == ("84951234567", None)
    assert party_or_moment("2026-11-24", field="from")[1] == datetime(2026, 11, 24, tzinfo=UTC)
    mended = party_or_moment("2026-11-24T03:00:00 03:00", field="from")[1]
    assert mended == parse_moment("2026-11-24T00:00:00Z", field="from")
    with pytest.raises(Refused):
        party_or_moment("2026-13-24", field="from")


@given(st.text(max_size=400))
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "/" not in header
    assert "\\" not in header


def test_a_file_keeps_its_name_as_far_as_it_is_harmless() -> None:
    assert disposition("Счёт № 5.pdf").endswith("filename*=UTF-8''%D0%A1%D1%87%D1%91%D1%82%20%E2%84%96%205.pdf")
    assert 'filename="passwd"' in disposition("../../etc/passwd")
    assert 'filename="file"' in disposition("...")


@given(st.text(max_size=60))
def test_a_next_page_is_always_our_own(text: str) -> None:
    target = safe_next(text)
    assert target == "" or (target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable())


@pytest.mark.parametrize(
    "text", ["//[", "http://[", "//\u2100", "//evil.example", "/\\evil.example", "javascript:1", "/\r\nx"]
)
def test_what_is_no_page_of_our_own_is_nowhere_to_go(text: str) -> None:
    assert safe_next(text) == ""


def test_an_event_is_one_frame_whatever_a_caller_is_called() -> None:
    name = "</script>\nevent: reset\rdata: x\u2028"
    frame = sse.event("change", sse.Position(1, 2), {"name": name, "at": str(timedelta(0))}).decode()
    lines = frame.split("\n")
    assert lines[:2] == ["id: 1.2", "event: change"]
    assert lines[2].startswith("data: {")
    assert lines[3:] == ["", ""]
    assert "\r" not in frame
