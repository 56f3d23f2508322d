"""IMAP responses whatever way the bytes come: what broke aioimaplib's parser, each by its cause."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.mail.imap.grammar import (
    BadServer,
    Quoted,
    Response,
    ResponseReader,
    folder_bytes,
    folder_name,
    moment,
    number,
    quoted,
    tokens,
    uid_set,
)

STREAM = (
    b'* 5 * 3 "a (b" x\r\n'
    b'* 1 FETCH (UID 5 FLAGS (\\Seen) BODY[] {5}\r\nab\r\nc X "y")\r\n'
    b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"
    b"a1 OK done\r\n"
)


def read(*pieces: bytes) -> list[Response]:
    reader = ResponseReader()
    return [response for piece in pieces for response in reader.feed(piece)]


def test_any_cut_gives_the_same_responses() -> None:
    whole = read(STREAM)
    assert len(whole) == 4
    for cut in range(len(STREAM) + 1):
        assert read(STREAM[:cut], STREAM[cut:]) == whole


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_any_crumbs_give_the_same_responses(sizes: list[int]) -> None:
    pieces, rest = [], STREAM
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert read(*pieces, rest) == read(STREAM)


def test_ten_thousand_lines_in_one_chunk_are_no_recursion() -> None:
    assert len(read(b"* 1 EXISTS\r\n" * 10_000)) == 10_000


def test_a_star_inside_of_a_line_stays() -> None:
    assert tokens(read(b'* 7 FETCH (X "5 * 3")\r\n')[0])[3] == [b"X", b"5 * 3"]


def test_a_parenthesis_in_a_string_is_text() -> None:
    (first, second) = read(b'* 1 FETCH (A "x ( y" B (1 2))\r\n* 2 FETCH (A "z")\r\n')
    assert tokens(first)[3] == [b"A", b"x ( y", b"B", [b"1", b"2"]]
    assert tokens(second)[3] == [b"A", b"z"]


def test_a_literal_is_taken_by_its_length_whatever_it_holds() -> None:
    (one,) = read(b"* 1 FETCH (BODY[] {9}\r\na1 OK\r\n{3 UID 4)\r\n")
    assert tokens(one)[3] == [b"BODY[]", b"a1 OK\r\n{3", b"UID", b"4"]


def test_nil_in_quotes_is_a_word() -> None:
    assert tokens(read(b'* X (NIL "NIL")\r\n')[0])[2] == [None, b"NIL"]


@pytest.mark.parametrize(
    "line", [b"* X (a\r\n", b"* X a)\r\n", b'* X "open\r\n', b"* X " + b"(" * 100 + b")" * 100 + b"\r\n"]
)
def test_what_cannot_be_read_is_the_servers_fault(line: bytes) -> None:
    with pytest.raises(BadServer):
        tokens(read(line)[0])


def test_an_endless_literal_and_an_endless_line_are_cut() -> None:
    with pytest.raises(BadServer):
        read(b"* 1 FETCH (BODY[] {99999999999}\r\n")
    with pytest.raises(BadServer):
        read(*[b"x" * 1024 * 1024] * 20)


@pytest.mark.parametrize("name", ["INBOX", "Отправленные", "A & B", "a/b", "台北", 'q"uo\\te', "Ж&я", ""])
def test_a_folders_name_survives_the_wire(name: str) -> None:
    wire = folder_bytes(name)
    assert wire.isascii()
    assert folder_name(bytes(tokens(read(b"* X " + wire + b"\r\n")[0])[2])) == name  # type: ignore[arg-type]


@given(st.text(max_size=40))
def test_any_folder_name_stays_on_its_line(name: str) -> None:
    assert not {b"\r", b"\n"} & {folder_bytes(name)[i : i + 1] for i in range(len(folder_bytes(name)))}


@pytest.mark.parametrize("text", ["пароль", "a\nb", "a\r\nb LOGOUT"])
def test_what_is_no_quoted_string_is_never_written_as_one(text: str) -> None:
    assert quoted(text) is None


@pytest.mark.parametrize("status", [b"* OK [ALERT] quota {5}", b"a1 NO why {12}", b"* BYE {3}", b"+ go on {7}"])
def test_a_brace_at_the_end_of_a_text_for_people_announces_nothing(status: bytes) -> None:
    assert len(read(status + b"\r\na2 OK done\r\n")) == 2


def test_a_response_of_endless_literals_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.mail.imap.grammar.MAX_RESPONSE_BYTES", 1000)
    with pytest.raises(BadServer, match="without end"):
        read(b"* 1 FETCH (" + b"A {5}\r\nhello " * 200)


def test_a_line_of_a_hundred_thousand_words_is_read_in_linear_time() -> None:
    (one,) = read(b"* 1 FETCH (" + b"x " * 100_000 + b")\r\n")
    began = time.process_time()
    assert len(tokens(one)[3] or b"") == 100_000
    assert time.process_time() - began < 3


@pytest.mark.parametrize("digits", [b"4294967296", b"9" * 30, b"", b"-1", b"x"])
def test_a_number_that_fits_no_column_is_the_servers_fault(digits: bytes) -> None:
    with pytest.raises(BadServer):
        number(digits)
    assert number(b"4294967295") == 2**32 - 1


@pytest.mark.parametrize("at", [b"01-Jan-0001 00:00:00 +1400", b"31-Dec-9999 23:59:59 -1400", b"yesterday", b""])
def test_a_moment_that_is_none_is_long_ago(at: bytes) -> None:
    assert moment(Quoted(at)) == datetime.fromtimestamp(0, UTC)
    assert moment(Quoted(b" 4-Nov-2026 12:00:00 +0300")) == datetime(2026, 11, 4, 9, tzinfo=UTC)


def test_uids_are_written_as_runs() -> None:
    assert uid_set([7, 1, 2, 3, 9, 10]) == b"1:3,7,9:10"
