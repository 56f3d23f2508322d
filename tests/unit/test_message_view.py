"""What a message's page is told of an invitation: only what could be read."""

from __future__ import annotations

import re
import time
from pathlib import Path

import hub.mail.reading
from hub.mail.reading.quotes import Parts
from hub.web.message_view import DEFECTS, MAX_TEXT_CHARS, Attendee, event_of, linked


def test_an_invitation_is_told_as_far_as_it_can_be_read() -> None:
    event = event_of(
        {
            "event": {
                "summary": "Встреча\nвтроём",
                "start": {"at": "2026-11-25T10:00:00+03:00", "zone": "Europe/Moscow", "all_day": False},
                "end": {"at": "tomorrow"},
                "organiser": {"name": "", "address": "a@b.example"},
                "attendees": [{"name": "Анна"}, None, {"address": "b@b.example"}, "x"],
                "recurrence": {"en": "every week", "ru": "каждую неделю", "rule": {"FREQ": ["WEEKLY"]}},
                "method": "CANCEL",
                "place": 7,
            }
        }
    )
    assert event is not None
    assert (event.summary, event.organiser, event.place) == ("Встреча втроём", "a@b.example", "")
    assert (event.starts, event.ends, event.is_all_day) == ("2026-11-25T10:00:00+03:00", "", False)
    assert (event.is_cancelled, event.is_answer, event.attendees) == (
        True,
        False,
        (Attendee("Анна"), Attendee("b@b.example")),
    )
    assert event.recurrence == {"en": "every week", "ru": "каждую неделю"}


def test_a_day_is_a_whole_day_and_a_strange_event_is_no_crash() -> None:
    event = event_of({"event": {"start": {"at": "2026-11-25", "all_day": True}, "summary": None}})
    assert event is not None
    assert (event.is_all_day, event.starts, event.summary) == (True, "2026-11-25", "")
    for about in (None, {}, {"event": None}, {"event": []}, {"event": "x"}):
        assert event_of(about) is None
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 5, None):
        strange = event_of({"event": {"start": {"at": at}, "end": "x", "attendees": "x", "recurrence": []}})
        assert strange is not None
        assert strange.starts == ""


def test_a_text_is_escaped_and_its_addresses_are_links_in_time_that_grows_with_its_length() -> None:
    shown = linked(Parts("<b>\nhttps://a.example/?x=1&y=2 javascript:alert(1)\n\n", "", "> я\n"))
    assert shown["own"].startswith('&lt;b&gt;\n<a href="https://a.example/?x=1&amp;y=2"')
    assert "javascript:alert(1)" in shown["own"]
    assert 'href="javascript' not in shown["own"]
    assert (shown["signature"], shown["quoted"]) == ("", "&gt; я")
    for piece in ("a", "a@", ".", "http://", "http://a,", "<"):
        began = time.process_time()
        linked(Parts(piece * (MAX_TEXT_CHARS // len(piece)), "", ""))
        assert time.process_time() - began < 1, piece


def test_every_defect_that_the_parser_names_has_words() -> None:
    named: set[str] = set()
    for path in (Path(hub.mail.reading.__file__).parent).glob("*.py"):
        named |= set(re.findall(r"defects\.(?:append|add)\(\"([a-z_]+)\"\)", path.read_text("utf-8")))
    assert "several_from" in named, "the search below still finds what it looks for"
    assert named - {"unparsed"} <= set(DEFECTS)
