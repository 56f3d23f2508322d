"""What a message's page is told of an invitation: only what could be read."""

from __future__ import annotations

import re
from pathlib import Path

import hub.mail.reading
from hub.web.letter import DEFECTS, event_of


def test_an_invitation_is_told_as_far_as_it_can_be_read() -> None:
    event = event_of(
        {
            "event": {
                "summary": "Встреча\nвтроём",
                "start": "2026-11-25T10:00:00+03:00",
                "end": "tomorrow",
                "organizer": {"name": "", "address": "a@b.example"},
                "method": "CANCEL",
                "location": 7,
            }
        }
    )
    assert event is not None
    assert (event.summary, event.organizer, event.location) == ("Встреча втроём", "a@b.example", "")
    assert (event.starts, event.ends, event.is_all_day, event.is_cancelled) == (
        "2026-11-25T10:00:00+03:00",
        "",
        False,
        True,
    )


def test_a_day_is_a_whole_day_and_a_strange_event_is_no_crash() -> None:
    event = event_of({"event": {"start": "2026-11-25", "summary": None}})
    assert event is not None
    assert (event.is_all_day, event.summary) == (True, "")
    for about in (None, {}, {"event": None}, {"event": []}, {"event": "x"}):
        assert event_of(about) is None


def test_every_defect_that_the_parser_names_has_words() -> None:
    named: set[str] = set()
    for path in (Path(hub.mail.reading.__file__).parent).glob("*.py"):
        named |= set(re.findall(r"defects\.(?:append|add)\(\"([a-z_]+)\"\)", path.read_text("utf-8")))
    assert "several_from" in named, "the search below still finds what it looks for"
    assert named - {"unparsed"} <= set(DEFECTS)
