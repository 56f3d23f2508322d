"""Periods of `within`: which days they are in the asker's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.crm.base.conditions.periods import Days, Moments, NotAPeriod, days, midnight, moments

NOON = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)  # a Monday
MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("today", date(2026, 11, 30), date(2026, 12, 1)),
        ("yesterday", date(2026, 11, 29), date(2026, 11, 30)),
        ("tomorrow", date(2026, 12, 1), date(2026, 12, 2)),
        ("overdue", None, date(2026, 11, 30)),
        ({"last": {"days": 1}}, date(2026, 11, 30), date(2026, 12, 1)),
        ({"last": {"days": 30}}, date(2026, 11, 1), date(2026, 12, 1)),
        ({"next": {"days": 7}}, date(2026, 11, 30), date(2026, 12, 7)),
        ({"last": {"weeks": 2}}, date(2026, 11, 17), date(2026, 12, 1)),
        ({"last": {"months": 3}}, date(2026, 9, 1), date(2026, 12, 1)),
        ({"next": {"months": 3}}, date(2026, 11, 30), date(2027, 2, 28)),
        ({"next": {"years": 1}}, date(2026, 11, 30), date(2027, 11, 30)),
        ({"this": "day"}, date(2026, 11, 30), date(2026, 12, 1)),
        ({"this": "week"}, date(2026, 11, 30), date(2026, 12, 7)),
        ({"previous": "week"}, date(2026, 11, 23), date(2026, 11, 30)),
        ({"next": "month"}, date(2026, 12, 1), date(2027, 1, 1)),
        ({"this": "quarter"}, date(2026, 10, 1), date(2027, 1, 1)),
        ({"previous": "quarter"}, date(2026, 7, 1), date(2026, 10, 1)),
        ({"this": "year"}, date(2026, 1, 1), date(2027, 1, 1)),
        ({"last": {"years": 100}}, date(1926, 12, 1), date(2026, 12, 1)),
    ],
)
def test_a_period_is_these_days(value: Any, start: date | None, end: date) -> None:
    assert days(value, now=NOON, zone=UTC) == Days(start, end)
    assert moments(value, now=NOON, zone=UTC) == (
        Moments(None, NOON)
        if value == "overdue"
        else Moments(midnight(start, UTC) if start else None, midnight(end, UTC))
    )


def test_half_past_midnight_is_today_in_vladivostok_and_in_kaliningrad() -> None:
    for zone, at in (("Asia/Vladivostok", "2026-11-29T14:30"), ("Europe/Kaliningrad", "2026-11-29T22:30")):
        now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        assert days("today", now=now, zone=ZoneInfo(zone)) == Days(date(2026, 11, 30), date(2026, 12, 1))
        today = moments("today", now=now, zone=ZoneInfo(zone))
        assert today.start is not None
        assert (now - today.start).total_seconds() == 30 * 60


def test_days_of_a_month_are_as_long_as_the_zone_makes_them() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spring = moments("today", now=datetime(2026, 3, 29, 12, tzinfo=UTC), zone=berlin)
    assert spring.start is not None
    assert spring.end is not None
    assert (spring.end - spring.start).total_seconds() == 23 * 3600


def test_hours_count_back_from_now_and_are_for_moments_alone() -> None:
    assert moments({"last": {"hours": 4}}, now=NOON, zone=MOSCOW) == Moments(NOON.replace(hour=5), NOON)
    assert moments({"next": {"hours": 1}}, now=NOON, zone=MOSCOW) == Moments(NOON, NOON.replace(hour=10))
    with pytest.raises(NotAPeriod):
        days({"last": {"hours": 4}}, now=NOON, zone=MOSCOW)


@pytest.mark.parametrize(
    "value",
    [
        None, 7, [], {}, "soon", {"last": 7}, {"last": {}}, {"last": {"days": 0}}, {"last": {"days": True}},
        {"last": {"days": "7"}}, {"last": {"days": 10**9}}, {"last": {"decades": 1}}, {"this": "decade"},
        {"this": {"days": 1}}, {"last": {"days": 1, "weeks": 1}}, {"last": {"days": 1}, "next": {"days": 1}},
        {"previous": {"days": 3}}, {"last": "week"}, {"last": {"hours": 1, "days": 1}},
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused(value: Any) -> None:
    with pytest.raises(NotAPeriod):
        days(value, now=NOON, zone=MOSCOW)
    with pytest.raises(NotAPeriod):
        moments(value, now=NOON, zone=MOSCOW)


def test_the_ends_of_the_calendar_hold() -> None:
    for year in (2, 9998):
        now = datetime(year, 6, 15, tzinfo=UTC)
        for value in ({"last": {"years": 100}}, {"next": {"years": 100}}, {"previous": "year"}, {"next": "year"}):
            found = moments(value, now=now, zone=UTC)
            assert found.start is not None
            assert found.end is not None
            assert found.start <= found.end
