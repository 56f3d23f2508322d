"""Names that are not UTF-8 on the wire are read in the charset that they are written in, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.telephony.line.charsets import LineDecoder
from hub.telephony.line.wire import FrameReader

NAMES = (
    "Иван|Иван Петров|иван|ИВАН|Анна|Ольга Кузнецова|ООО Ромашка|Ёлкин Пётр|Щукин|Юлия|Эдуард Яшин|Петров И.И.|Фёдор|"
    "Ян|Цой|ЗАО ЛУЧ|Секретарь приёмная|бухгалтерия|Доставка еды|Анна (sales)"
).split("|")
GREETING = b"Asterisk Call Manager/11.0.0\r\n"


def frames(raw: bytes, *, cut: int | None = None) -> list[dict[str, str]]:
    reader = FrameReader()
    parts = [raw] if cut is None else [raw[:cut], raw[cut:]]
    return [frame for part in parts for frame in reader.feed(part)]


def named(name: bytes) -> bytes:
    return b"Event: Newchannel\r\nCallerIDNum: 84951234567\r\nCallerIDName: " + name + b"\r\nUniqueid: 1.1\r\n\r\n"


@pytest.mark.parametrize("charset", ["cp1251", "koi8-r", "cp866"])
@pytest.mark.parametrize("name", NAMES)
def test_a_russian_name_in_an_old_charset_is_read_as_written(charset: str, name: str) -> None:
    raw = GREETING + named(name.encode(charset))
    (frame,) = frames(raw)
    assert (frame["CallerIDName"], frame["Uniqueid"]) == (name, "1.1")
    for cut in range(len(GREETING), len(raw)):
        assert frames(raw, cut=cut) == [frame]


@pytest.mark.parametrize("name", ["José García", "Müller", "Ångström", "François"])
def test_a_latin_name_in_an_old_charset_is_no_russian_one(name: str) -> None:
    (frame,) = frames(GREETING + named(name.encode("latin-1")))
    assert frame["CallerIDName"] == name


def test_utf8_that_asterisk_cut_in_mid_letter_stays_utf8() -> None:
    (frame,) = frames(GREETING + named("Иван Петров".encode()[:-1]))
    assert frame["CallerIDName"] == "Иван Петро\N{REPLACEMENT CHARACTER}"


def test_one_packets_utf8_name_and_anothers_koi8_each_stay_what_they_are() -> None:
    both = GREETING + named("Иван".encode()) + named("Пётр".encode("koi8-r")) + named("Иван".encode())
    assert [frame["CallerIDName"] for frame in frames(both)] == ["Иван", "Пётр", "Иван"]


def test_what_a_connection_has_clearly_spoken_decides_a_short_word() -> None:
    decoder = LineDecoder()
    assert decoder.decode("Name: Иван Петров".encode("koi8-r")) == "Name: Иван Петров"
    # The same bytes are "хо" in windows-1251 and "УН" in KOI8-R.
    ambiguous = b"\xf5\xee"
    assert decoder.decode(b"Name: " + ambiguous) == "Name: " + ambiguous.decode("koi8-r")


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert isinstance(LineDecoder().decode(raw), str)
