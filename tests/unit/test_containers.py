"""What other formats hide in mail, and what their bombs cost: TNEF, RTF, calendars, seals, uuencode."""

from __future__ import annotations

import struct
import time

import pytest

from hub.mail.reading import events, rtf, sealed, tnef, uuencoded
from tests.corpus.making.containers import frame, lzfu, one_event, properties, signed, tnef_file
from tests.corpus.making.containers import tnef as made

# MS-OXRTFCP §4.1.1 and 4.1.2: the two worked examples.
PUBLISHED = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)
ROUND = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")


def test_compressed_rich_text_is_unpacked_as_its_specification_shows() -> None:
    assert rtf.decompressed(PUBLISHED) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert rtf.decompressed(ROUND) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    assert rtf.to_text(rtf.decompressed(PUBLISHED) or b"") == "hello world"
    assert rtf.decompressed(lzfu(b"{\\rtf1 x}")) == b"{\\rtf1 x}"
    assert rtf.decompressed(struct.pack("<IIII", 20, 4, 0x414C454D, 0) + b"abcd") == b"abcd"
    assert rtf.decompressed(b"x") is None and rtf.decompressed(b"x" * 99) is None


def test_html_that_exchange_hid_in_rich_text_is_read_as_its_words() -> None:
    hidden = (
        rb"{\rtf1\ansi\ansicpg1251\fromhtml1 {\fonttbl{\f0 Arial;}}{\*\htmltag64 <p>}\htmlrtf \par \htmlrtf0 "
        rb"\'cf\'f0\'e8\'e2\'e5\'f2 {\*\htmltag84 <b>}Ivan{\*\htmltag92 </b>}{\pict 0a0b}}"
    )
    assert rtf.to_text(hidden) == "Привет Ivan"


BOMBS = {
    "groups": b"{" * 2_000_000,
    "closed groups": b"{}" * 500_000,
    "words": b"\\b" * 500_000,
    "letters": b"\\u1048?" * 500_000,
    "fonts": b"{\\fonttbl" + b"{\\f1\\fcharset204}" * 200_000,
    "codes": b"\\'cf" * 500_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_rich_text_bombs_are_read_in_bounded_time(name: str) -> None:
    began = time.process_time()
    assert len(rtf.to_text(BOMBS[name])) <= rtf.MAX_CHARS
    assert time.process_time() - began < 4


def test_compressed_text_that_says_it_is_huge_is_cut() -> None:
    run = struct.pack("<IIII", 0, 0xFFFFFFFF, 0x75465A4C, 0) + (b"\xff" + b"\x00\x0f" * 8) * 300_000
    began = time.process_time()
    assert len(rtf.decompressed(run) or b"") <= rtf.MAX_BYTES + 20
    assert time.process_time() - began < 4


TNEF_BOMBS = {
    "many frames": made(frame(1, 0x8004, b"") * 500_000),
    "4 billion properties": made(frame(1, 0x9003, struct.pack("<I", 0xFFFFFFFF) + b"\0" * 100)),
    "4 billion values": made(frame(1, 0x9003, struct.pack("<IHHI", 1, 0x1002, 0x1000, 0xFFFFFFFF))),
    "4 billion strings": made(frame(1, 0x9003, struct.pack("<IHHI", 1, 0x1E, 0x1000, 0xFFFFFFFF) + b"\0" * 400_000)),
    "a frame longer than all": made(struct.pack("<BHHI", 1, 0x800C, 6, 0xFFFFFFFF)),
    "many files": made(tnef_file("a", b"x") * 5_000),
    "files within files": made(*[frame(2, 0x9002, b""), frame(2, 0x9005, properties((0xD, 0x3701, b"\7" * 99)))]),
    "a name without an end": made(
        frame(1, 0x9003, struct.pack("<IHH", 1, 0x1E, 0x9000) + b"\1" * 16 + b"\1\0\0\0" * 2)
    ),
}


@pytest.mark.parametrize("name", TNEF_BOMBS)
def test_hostile_winmail_never_raises_and_ends(name: str) -> None:
    began = time.process_time()
    found = tnef.unpack(TNEF_BOMBS[name])
    assert found is None or len(found.files) <= tnef.MAX_FILES
    assert time.process_time() - began < 2


def test_a_message_within_winmail_is_read_and_no_deeper_than_wanted() -> None:
    signature = b"\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
    inner = made(frame(1, 0x800C, b"deep\0", 2), tnef_file("in.pdf", b"%PDF"))
    for _ in range(10):
        wrapped = properties((0xD, 0x3701, signature + inner))
        inner = made(frame(2, 0x9002, b"\0" * 14), frame(2, 0x9005, wrapped))
    found, depth = tnef.unpack(inner), 0
    while found and found.files and found.files[0].message:
        found, depth = found.files[0].message, depth + 1
    assert depth == tnef.MAX_NESTING


CALENDAR_BOMBS = {
    "endless recurrence": one_event("DTSTART:20260101T000000Z", "RRULE:FREQ=SECONDLY;COUNT=2000000000"),
    "a zone that never ends": "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:00010101T000000\n"
    "TZOFFSETFROM:+0000\nTZOFFSETTO:+0300\nRRULE:FREQ=SECONDLY\nEND:STANDARD\nEND:VTIMEZONE\n"
    + one_event("DTSTART;TZID=X:20260101T100000"),
    "100,000 attendees": one_event(*["ATTENDEE:mailto:a@x.example"] * 100_000),
    "100,000 events": "BEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\n" * 100_000,
    "nesting": "BEGIN:VEVENT\n" * 100_000,
    "one line of 5 MB": one_event("SUMMARY:" + "x" * 5_000_000),
    "folded lines": one_event("SUMMARY:x" + "\n " * 500_000),
    "parameters": one_event("ATTENDEE" + ";A=B" * 50_000 + ":mailto:a@x.example"),
    "quotes": one_event('ATTENDEE;CN="' + '"' * 15_000 + ":x"),
}


@pytest.mark.parametrize("name", CALENDAR_BOMBS)
def test_calendar_bombs_are_read_in_bounded_time_and_never_expanded(name: str) -> None:
    began = time.process_time()
    event = events.read(CALENDAR_BOMBS[name])
    assert time.process_time() - began < 2
    assert event is None or len(event["attendees"]) <= events.MAX_ATTENDEES
    if name == "a zone that never ends":
        assert event and event["start"]["at"] == "2026-01-01T10:00:00+03:00"


def test_what_is_signed_in_the_open_comes_out_and_rubbish_does_not() -> None:
    assert sealed.signed_content(signed(b"inner")) == ("signed", b"inner")
    for raw in (b"", b"\x30\x80" * 50_000, b"\x30\x84\xff\xff\xff\xff" + b"x" * 100, b"\xff" * 1000):
        began = time.process_time()
        assert sealed.signed_content(raw)[1] is None
        assert time.process_time() - began < 2


def test_uuencoded_bombs_end() -> None:
    for text in ("begin 644 a\n" * 100_000, "begin 644 a\n" + "\n" * 500_000, "begin 644 a\nM\n" * 50_000):
        began = time.process_time()
        uuencoded.take_out(text)
        assert time.process_time() - began < 2
