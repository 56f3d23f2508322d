"""The parser under mail that nobody wrote: the corpus cut, spliced, doubled, relabelled, with noise in it.

Whatever comes: it is read without an exception, in bounded time, and the database takes every string. A few seconds
in CI; `HUB_FUZZ_EXAMPLES=20000 pytest tests/attacks/test_mail_fuzz.py` looks longer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.mail.reading import events, quotes, rtf, sealed, tnef, uuencoded
from hub.mail.reading.charsets import decode
from hub.mail.reading.parsing import read
from hub.mail.reading.sanitize import safe_html
from tests.corpus.make import FOLDER
from tests.corpus.making import containers
from tests.corpus.storable import assert_fits

EXAMPLES = int(os.environ.get("HUB_FUZZ_EXAMPLES", "250"))
WITHIN_S = 2.0
CORPUS = [path.read_bytes() for path in sorted(FOLDER.glob("*.eml"))]
LABELS = [
    "utf-8",
    "utf-7",
    "utf-16",
    "koi8-r",
    "cp1251",
    "gb2312",
    "iso-2022-jp",
    "hz",
    "x-unknown",
    "zlib",
    "",
    "\xff",
]
CODECS = [b"base64", b"quoted-printable", b"x-uuencode", b"8bit", b"rubbish"]
KINDS = [
    *(b"multipart/mixed", b"multipart/related", b"message/rfc822", b"text/html", b"text/rtf", b"text/enriched"),
    *(b"text/calendar", b"application/ms-tnef", b"application/pkcs7-mime", b"multipart/digest", b"text/plain", b""),
]
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

letters = st.sampled_from(CORPUS)
noise = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b"\0", b"\r", b"\n", b"\r\n\r\n", b"=?utf-8?B?", b"?=", b'"', b"(", b"<", b"--b1", b"--b1--", b"%", b"\x1b$B"]
    ),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message of the corpus with up to four things done to it."""
    raw = draw(letters)
    for _ in range(draw(st.integers(1, 4))):
        place, end = sorted((draw(st.integers(0, len(raw))), draw(st.integers(0, len(raw)))))
        head = max(0, raw.find(b"\r\n\r\n"))
        match draw(st.integers(0, 8)):
            case 0:
                raw = raw[:place]
            case 1:
                raw = raw[:place] + raw[end:]
            case 2:
                raw = raw[:end] + raw[place:]
            case 3:
                other = draw(letters)
                raw = raw[:place] + other[draw(st.integers(0, len(other))) :]
            case 4:
                raw = raw[:place] + draw(noise) + raw[place:]
            case 5:
                place = place % (head + 1)
                raw = raw[:place] + draw(noise) + raw[place:]
            case 6:
                label = draw(st.sampled_from(LABELS)).encode("latin-1")
                raw = raw.replace(b"charset=utf-8", b"charset=" + label).replace(b"utf-8?", label + b"?")
            case 7:
                raw = raw.replace(b"base64", draw(st.sampled_from(CODECS)))
            case _:
                raw = raw.replace(draw(st.sampled_from(KINDS)) or b"\r\n", draw(st.sampled_from(KINDS)))
        raw = raw[:200_000]
    return raw


def timed(work: Callable[[], object]) -> None:
    began = time.process_time()
    work()
    took_s = time.process_time() - began
    assert took_s < WITHIN_S, f"{took_s:.2f} s"


@fuzz
@given(mutated())
def test_mutated_mail_is_read_and_can_be_stored(raw: bytes) -> None:
    timed(lambda: assert_fits(read(raw, mark="mark")))


@fuzz
@given(st.binary(max_size=400), st.sampled_from(KINDS), st.sampled_from(CODECS), st.sampled_from(LABELS))
def test_noise_under_any_type_is_read_and_can_be_stored(raw: bytes, kind: bytes, codec: bytes, label: str) -> None:
    head = b"From: " + raw[:40] + b"\nSubject: " + raw[40:80] + b"\nContent-Type: " + kind + b"; boundary=b; charset="
    head += label.encode("latin-1") + b"; name=" + raw[80:100] + b"\nContent-Transfer-Encoding: " + codec + b"\n\n"
    timed(lambda: assert_fits(read(head + b"--b\n" + raw, mark="mark")))


TNEF_SEED = containers.tnef(
    containers.frame(1, 0x800C, b"body\0", 2),
    containers.frame(1, 0x9003, containers.properties((0x102, 0x1009, containers.lzfu(containers.RTF)))),
    containers.tnef_file("a.pdf", b"%PDF", (0x1F, 0x370E, "image/png\0".encode("utf-16-le"))),
)


@fuzz
@given(st.lists(st.tuples(st.integers(4, len(TNEF_SEED) - 1), st.integers(0, 255)), max_size=12), st.integers(0, 400))
def test_winmail_with_wrong_bytes_never_raises(changes: list[tuple[int, int]], cut: int) -> None:
    raw = bytearray(TNEF_SEED)
    for place, byte in changes:
        raw[place] = byte
    timed(lambda: tnef.unpack(bytes(raw[: len(raw) - cut])))


@fuzz
@given(st.binary(max_size=300))
def test_rich_text_uuencode_seals_and_charsets_never_raise(raw: bytes) -> None:
    for label in (None, *LABELS):
        decode(raw, label)[0].encode("utf-8")
    rtf.to_text(b"{\\rtf1" + raw).encode("utf-8")
    rtf.decompressed(b"\0\0\0\0\xff\xff\0\0LZFu\0\0\0\0" + raw)
    sealed.signed_content(raw)
    uuencoded.take_out("begin 644 x\n" + raw.decode("latin-1"))


ICS = ["BEGIN:VEVENT", "END:VEVENT", "BEGIN:VTIMEZONE", "TZID:X", "TZOFFSETTO:+9999", "DTSTART;TZID=X:99990101T000000"]
ICS += [
    "DTEND;VALUE=DATE:00010101",
    "DURATION:P99999W",
    "RRULE:FREQ=WEEKLY;BYDAY=1MO,,XX;COUNT=-1",
    'ATTENDEE;CN="a:b":x@y',
]
ICS += [
    "ORGANIZER:",
    "SUMMARY:\\n\\,\\;",
    "DTSTART:20260101T000000Z",
    " folded",
    "METHOD:REQUEST",
    "SEQUENCE:x",
    "UID",
    ":",
    ";=:",
]


@fuzz
@given(st.lists(st.one_of(st.sampled_from(ICS), st.text(max_size=20)), max_size=25).map("\n".join))
def test_calendars_of_any_lines_are_read(text: str) -> None:
    raw = b"From: a@x.example\nContent-Type: text/calendar; charset=utf-8\n\nBEGIN:VEVENT\n" + text.encode(
        "utf-8", "replace"
    )
    timed(lambda: assert_fits(read(raw, mark="mark")))
    events.read(text)


LINES = ["> a", ">> b", "own", "", "-- ", "--", "On Mon, Nov 3, 2025 at 10:12 Ivan <i@x.example> wrote:", "От: Иван"]
LINES += [
    "Отправлено: вчера",
    "Кому: Мария",
    "-----Original Message-----",
    "____________",
    "С уважением,",
    "03.11.2025 10:12, i@x пишет:",
]


@fuzz
@given(st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=15)), max_size=30).map("\n".join))
def test_the_parts_of_any_text_joined_are_the_text(text: str) -> None:
    parts = quotes.split(text)
    assert parts.own + parts.signature + parts.quoted == text
    html = safe_html(text, cid_url=lambda _cid: None, allow_remote=False)
    quotes.fold_html(html).encode("utf-8")


@pytest.mark.parametrize("cut", range(0, 100, 7))
def test_every_message_of_the_corpus_is_read_cut_anywhere(cut: int) -> None:
    for raw in CORPUS:
        assert_fits(read(raw[: len(raw) * cut // 100], mark="mark"))
