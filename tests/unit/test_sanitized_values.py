"""What a wire, a file or a person says goes through a door, or not at all."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import sanitize
from hub.errors import Refused


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nAction: Originate", "a\0b", "a\x1bb", "a\u2028b", "x" * 901])
def test_what_could_end_a_line_never_stands_in_one(value: str) -> None:
    with pytest.raises(Refused):
        sanitize.one_line(value, field="name")


def test_an_ordinary_text_stands_in_a_line_unchanged() -> None:
    assert sanitize.one_line("ООО «Ромашка», доб. 12", field="name") == "ООО «Ромашка», доб. 12"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "31mred"),
        ("a\r\n b\tc", "a b c"),
        ("x" * 300, "x" * 199 + "…"),
        ("lone \udc80 surrogate", "lone ? surrogate"),
        ("<b>", "<b>"),
    ],
)
def test_a_strangers_text_is_shown_on_one_line_without_tricks(said: str, shown: str) -> None:
    assert sanitize.shown(said) == shown


@pytest.mark.parametrize("value", ["PJSIP/1&PJSIP/2", "1,2", "", "+", "12 34", "１２３", "9" * 21, "*8"])
def test_only_digits_are_dialled(value: str) -> None:
    with pytest.raises(Refused):
        sanitize.dial_digits(value)


@pytest.mark.parametrize(
    "value",
    ["javascript:alert(1)", "java\nscript:x", "//host", "http://", "ftp://x", "http://u:p@h", "data:text/html,x"],
)
def test_only_http_addresses_are_links(value: str) -> None:
    with pytest.raises(Refused):
        sanitize.http_url(value)


def test_an_http_address_is_kept() -> None:
    assert sanitize.http_url(" https://пример.рф/путь?x=1 ") == "https://пример.рф/путь?x=1"


_HOSTILE = st.text(alphabet="=+-@;,\t\r\n\"' |%a1＝", max_size=12)


@given(st.lists(_HOSTILE, min_size=1, max_size=4), st.sampled_from([",", ";", "\t"]))
def test_no_reader_of_an_exported_row_meets_a_formula(cells: list[str], divider: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=divider, lineterminator="\r\n").writerow([sanitize.csv_cell(cell) for cell in cells])
    row = text.getvalue()
    for separator in (",", ";", "\t"):
        read = [one for line in csv.reader(io.StringIO(row), delimiter=separator) for one in line]
        split = row.removesuffix("\r\n").split(separator)
        for cell in read + split:
            assert not cell.strip(' "\t\r\n').startswith(("=", "+", "-", "@", "＝")), (cell, row)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("  \t=1", "'=1"),
        ("Acme;=HYPERLINK(1)", "Acme;'=HYPERLINK(1)"),
        ('Acme;"=cmd', "Acme;\"'=cmd"),
        ("Acme,\t@SUM(A1)", "Acme, '@SUM(A1)"),
        ("|calc", "'|calc"),
        ("e=mc2; a-b", "e=mc2; a-b"),
        ("anna@client.example", "anna@client.example"),
    ],
)
def test_a_cell_begins_no_formula_at_its_start_nor_behind_a_separator(text: str, cell: str) -> None:
    assert sanitize.csv_cell(text) == cell
