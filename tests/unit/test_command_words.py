"""What commands read and print: lengths of time, tables, browsers' names."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.commands.words import print_table, read_duration, read_id
from hub.crm.browsers import browser_name
from hub.errors import Refused

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("text", "length"),
    [("30m", timedelta(minutes=30)), ("24h", timedelta(days=1)), ("90d", timedelta(days=90)), ("2w", timedelta(14))],
)
def test_a_length_of_time_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert read_duration(text, word="--expires", at_most=timedelta(days=100)) == length


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5h", "1 d", "9999999d", "101d", "1y", "٣d", "1d\n"])
def test_what_is_no_length_of_time_is_refused_and_the_word_named(text: str) -> None:
    with pytest.raises(Refused, match="--expires"):
        read_duration(text, word="--expires", at_most=timedelta(days=100))


def test_a_table_is_one_line_a_row_whatever_a_cell_holds(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "name"), [("1", "a\nb\x1b[31m"), ("22", None)])
    assert capsys.readouterr().out == "id  name\n1   a b\n22  -\n"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (CHROME, "Chrome 141, Windows"),
        (CHROME + " Edg/141.0.0.0", "Edge 141, Windows"),
        (CHROME.replace("Chrome/141", "Chrome/140 YaBrowser/25"), "Yandex Browser 25, Windows"),
        (IPHONE + " Version/18.0 Mobile/15E148 Safari/604.1", "Safari 18, iPhone"),
        (IPHONE + " FxiOS/143.0 Mobile/15E148 Safari/605.1.15", "Firefox 143, iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox 143, Linux"),
        (CHROME.replace("Chrome/", "HeadlessChrome/"), "Chrome 141, Windows"),
        ("curl/8.14.1", "curl/8.14.1"),
        ("", ""),
    ],
)
def test_a_browser_has_a_name(agent: str, name: str) -> None:
    assert browser_name(agent) == name


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²", "9" * 20])
def test_what_is_no_number_of_a_list_is_refused_by_the_word_it_came_with(text: str) -> None:
    assert read_id("17", word="--end") == 17
    with pytest.raises(Refused, match="--end"):
        read_id(text, word="--end")
