"""Where a quote begins: the lines that programs write before one, and prose that only looks so."""

from __future__ import annotations

import time

import pytest

from hub.mail.reading.quotes import split


@pytest.mark.parametrize(
    "text",
    [
        "В 10:12 звонил клиент, он написал мне следующее:\nхочу скидку\n",
        "Клиент ivan@x.example пишет:\nхочу скидку",
        "Вчера, 5 марта, Иван пишет:\nдайте скидку",
        "Среда, 10:30. Иван пишет:\nскидку",
        "On 5 March our client wrote:\nplease give us a discount",
        "5 марта 2026 в договоре написали:\nцена 5 руб",
    ],
)
def test_prose_that_ends_in_writes_is_no_quote(text: str) -> None:
    assert split(text).quoted == ""


LINES = {
    "broken after the bracket": "чт, 5 мар. 2026 г. в 10:12, Константин Константинопольский <\nkk@x.example>:\n",
    "broken before wrote": "On Thu, Mar 5, 2026 at 10:12 AM Konstantin\nKonstantinopolsky <k@x.example>\nwrote:\n",
    "broken after the bracket in English": "On Thu, Mar 5, 2026 at 10:12 AM Konstantin K <\nk@x.example> wrote:\n",
    "in one line": "чт, 5 мар. 2026 г. в 10:12, Иван <i@x.example>:",
}


@pytest.mark.parametrize("name", LINES)
def test_the_line_before_a_quote_belongs_to_it_however_it_is_broken(name: str) -> None:
    parts = split(f"Согласен\n\n{LINES[name]}\n> старое\n")
    assert parts.own.strip() == "Согласен"
    assert parts.quoted.startswith(LINES[name].split("\n")[0])


@pytest.mark.parametrize(
    "line",
    [
        '05.03.2026, 10:12, "Иван" <i@x.example>:',
        "5 марта 2026 г. 10:12 пользователь Иван <i@x.example> написал:",
        "On 5 Mar 2026, at 10:12, Ivan wrote:",
    ],
)
def test_a_dated_line_begins_a_quote_without_marks(line: str) -> None:
    assert split(f"Ok\n\n{line}\n\nold text").own.strip() == "Ok"


@pytest.mark.parametrize("line", ["-" + " " * 490 + "-", "--original message" + " " * 470 + "x"])
def test_lines_of_blanks_are_looked_through_in_bounded_time(line: str) -> None:
    began = time.process_time()
    assert split(f"{line}\n" * 1_000).quoted == ""
    assert time.process_time() - began < 2
