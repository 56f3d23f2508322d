"""Which of all that is known of a person is shown, and when a day begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub.crm.presence import SEEN_FOR, SILENT, OnPhone, Said, effective
from hub.telephony.presence.wallboard import Today, midnight

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=3)
HERE = NOW - timedelta(seconds=20)


@pytest.mark.parametrize("state", ["available", "away", "dnd", "after_call"])
def test_a_call_is_seen_and_beats_every_word(state: str) -> None:
    for seen_at in (HERE, None):
        said = Said(state, BEFORE, None, seen_at)  # type: ignore[arg-type]
        assert effective(said, OnPhone("in_call", BEFORE), now=NOW).state == "in_call"
        assert effective(said, OnPhone("ringing", BEFORE), now=NOW).state == "ringing"


def test_without_an_open_page_nobody_is_free_whatever_they_said_last() -> None:
    assert effective(SILENT, None, now=NOW).state == "offline"
    assert effective(Said("available", BEFORE, None, NOW - SEEN_FOR), None, now=NOW).state == "offline"
    assert effective(Said("available", BEFORE, None, HERE), None, now=NOW).state == "free"


def test_after_call_work_ends_at_its_time_also_where_nobody_has_written_so() -> None:
    said = Said("after_call", BEFORE, NOW + timedelta(seconds=1), HERE)
    assert effective(said, None, now=NOW).state == "after_call"
    over = effective(said, None, now=NOW + timedelta(seconds=1))
    assert (over.state, over.since, over.until) == ("free", said.until, None)


@pytest.mark.parametrize("state", ["away", "dnd"])
def test_who_is_away_or_not_to_be_disturbed_is_so_until_they_say_otherwise(state: str) -> None:
    said = Said(state, BEFORE, None, HERE)  # type: ignore[arg-type]
    assert effective(said, None, now=NOW).state == state
    assert effective(said, None, now=NOW).since == BEFORE


def test_the_service_level_leaves_out_who_hung_up_before_it_could_be_met() -> None:
    day = Today(NOW, answered=8, answered_in_time=7, missed=1, abandoned=3, abandoned_soon=2, service_level_s=20)
    assert day.offered == 12
    assert day.service_level == 7 / 10


def test_a_day_without_callers_has_no_service_level() -> None:
    assert Today(NOW, 0, 0, 0, 0, 0, 20).service_level is None
    assert Today(NOW, 0, 0, 0, abandoned=2, abandoned_soon=2, service_level_s=20).service_level is None


@pytest.mark.parametrize(
    ("zone", "began"),
    [
        ("Europe/Moscow", datetime(2026, 11, 24, 21, 0, tzinfo=UTC)),
        ("Asia/Vladivostok", datetime(2026, 11, 25, 14, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 25, 5, 0, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_the_teams_own_midnight(zone: str, began: datetime) -> None:
    now = datetime(2026, 11, 25, 20, 30, tzinfo=UTC)
    assert midnight(now, zone) == began


def test_a_day_on_which_clocks_change_begins_before_they_do() -> None:
    # Berlin, 25 October 2026: summer time ends at 01:00 UTC, and midnight was still summer.
    assert midnight(datetime(2026, 10, 25, 12, 0, tzinfo=UTC), "Europe/Berlin") == datetime(
        2026, 10, 24, 22, 0, tzinfo=UTC
    )


@pytest.mark.parametrize("zone", ["", "Nowhere/Land", "../../etc/passwd", "/etc/localtime", "\x00"])
def test_a_zone_that_is_none_is_this_machines(zone: str) -> None:
    assert midnight(NOW, zone) == midnight(NOW, "")
