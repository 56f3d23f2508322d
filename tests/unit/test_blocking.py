"""Who is kept out: numbers however they are written, patterns, and those who hide their number."""

from __future__ import annotations

import fnmatch
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.crm.blocking import Block, BlockKind, blocked_by, caller, normal_rule
from hub.errors import Refused


def rule(kind: BlockKind, text: str = "", region: str = "RU") -> Block:
    return Block(1, kind, normal_rule(kind, text, region, set()), "", datetime.now(UTC))


@pytest.mark.parametrize("written", ["+7 495 123-45-67", "84951234567", "8 (495) 123 45 67", "74951234567"])
@pytest.mark.parametrize("shown", ["84951234567", "+74951234567", "74951234567"])
def test_a_number_is_blocked_however_it_is_written_and_shown(written: str, shown: str) -> None:
    assert blocked_by(caller(shown, "RU"), [rule("number", written)])
    assert not blocked_by(caller("84951234568", "RU"), [rule("number", written)])


@pytest.mark.parametrize(
    ("pattern", "number", "hit"),
    [
        ("+7900*", "89001234567", True),
        ("7900*", "89001234567", True),
        ("+7900*", "89011234567", False),
        ("+7 (495) 123-45-??", "84951234567", True),
        ("+7495123456?", "849512345671", False),
        ("*4567", "84951234567", True),
        ("+44*", "+442071234567", True),
        ("8495*", "84951234567", True),
        ("1??", "101", True),
        ("1??", "1011", False),
    ],
)
def test_a_pattern_has_stars_and_question_marks(pattern: str, number: str, hit: bool) -> None:
    assert bool(blocked_by(caller(number, "RU"), [rule("pattern", pattern)])) is hit


@pytest.mark.parametrize(
    ("number", "presentation", "hit"),
    [
        ("", "", True),
        ("anonymous", "allowed", True),
        ("84951234567", "prohib_passed_screen", True),
        ("84951234567", "prohib", True),
        ("84951234567", "allowed_not_screened", False),
        ("101", "unavailable", False),
    ],
)
def test_whoever_hides_the_number_is_hidden(number: str, presentation: str, hit: bool) -> None:
    assert bool(blocked_by(caller(number, "RU", presentation=presentation), [rule("hidden")])) is hit


@pytest.mark.parametrize("text", ["*", "?", "+*", "***", "??????????"])
def test_a_pattern_that_keeps_everybody_out_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="every caller"):
        normal_rule("pattern", text, "RU", set())


@pytest.mark.parametrize("kind", ["number", "pattern"])
@pytest.mark.parametrize("text", ["", "abc", "12;34", "1*" * 20, "١٢٣*", "+7495\n*", "*)|.*", "(.+)+$"])
def test_what_is_no_number_or_pattern_is_refused(kind: BlockKind, text: str) -> None:
    with pytest.raises(Refused):
        normal_rule(kind, text, "RU", set())


def test_a_rule_that_names_a_number_of_the_companys_own_is_refused() -> None:
    for kind, text in (("number", "8 495 000-01-00"), ("pattern", "+7*")):
        with pytest.raises(Refused, match="of your own"):
            normal_rule(kind, text, "RU", {"+74950000100"})  # type: ignore[arg-type]


@given(st.text("0123456789*?", min_size=1, max_size=20), st.text("0123456789", max_size=20))
def test_patterns_match_as_those_of_files_do(pattern: str, number: str) -> None:
    who = caller(number, "ZZ")
    if number:
        expected = any(fnmatch.fnmatchcase(way, pattern) for way in who.ways if not way.startswith("+"))
        found = blocked_by(who, [Block(1, "pattern", pattern, "", datetime.now(UTC))])
        assert bool(found) is expected or any(way.startswith("+") for way in who.ways)


def test_the_worst_pattern_costs_no_time() -> None:
    worst = [Block(1, "pattern", "1*1*1*1*1*1*1*1*1*1*1*1*1*1*2", "", datetime.now(UTC))] * 500
    begun = time.process_time()
    assert not blocked_by(caller("1" * 40, "RU"), worst)
    assert time.process_time() - begun < 1, "five hundred of the worst, on a slow machine"
