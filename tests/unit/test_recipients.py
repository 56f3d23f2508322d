"""Typed addresses: read as they were meant, or refused; a letter never goes to somebody who was not named."""

from __future__ import annotations

import time

import pytest

from hub.errors import Refused
from hub.mail.sending.recipients import read_addresses


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", []),
        (" a@b.example ; c@d.example,, ", [("", "a@b.example"), ("", "c@d.example")]),
        ("Иван Петров <i@p.example>, <x@y.example>", [("Иван Петров", "i@p.example"), ("", "x@y.example")]),
        (r'"Петров, \"Иван\"" <i@p.example>', [('Петров, "Иван"', "i@p.example")]),
        ("Anna (boss) <a@b.example>", [("Anna (boss)", "a@b.example")]),
        ("a@пример.рф", [("", "a@пример.рф")]),
    ],
)
def test_what_people_type_is_read(line: str, wanted: list[tuple[str, str]]) -> None:
    assert [(one.name, one.address) for one in read_addresses(line, field="to")] == wanted


@pytest.mark.parametrize(
    "line",
    [
        '"a b"@c.example',
        '"a"@c.example',
        "a b@c.example",
        "a(b)@c.example",
        "a@b.example c@d.example",
        "a@b.example <c@d.example> e@f.example",
        "friends: a@b.example;",
        "a@b.example\r\nBcc: c@d.example",
        "<a@b.example",
        "name",
    ],
)
def test_what_could_mean_somebody_else_is_refused(line: str) -> None:
    with pytest.raises(Refused):
        read_addresses(line, field="to")


def test_a_line_made_to_be_slow_is_not() -> None:
    began = time.process_time()
    for line in ("<" * 8000, '"\\' * 4000, "a " * 4000, "a@" * 4000, ("a" * 79 + ",") * 100):
        with pytest.raises(Refused):
            read_addresses(line, field="to")
    assert time.process_time() - began < 1
