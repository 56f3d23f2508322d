"""When a team works: by the wall clock of its own zone, past midnight, over the change of the clocks, on holidays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.crm.hours import DAYS, Holiday, Shift, check_holidays, check_hours, openness, read_zone
from hub.errors import Refused

BERLIN = ZoneInfo("Europe/Berlin")
WORKDAYS: dict[str, list[Shift]] = {day: [("09:00", "18:00")] for day in DAYS[:5]}
NIGHT: dict[str, list[Shift]] = {day: [("22:00", "06:00")] for day in DAYS}


def berlin(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-25 08:59", False),  # a Wednesday
        ("2026-11-25 09:00", True),
        ("2026-11-25 17:59", True),
        ("2026-11-25 18:00", False),
        ("2026-11-28 12:00", False),  # a Saturday
    ],
)
def test_a_shift_begins_with_its_first_minute_and_ends_before_its_last(at: str, is_open: bool) -> None:
    assert openness(WORKDAYS, (), berlin(at), BERLIN).is_open is is_open


def test_a_team_without_hours_works_always_but_for_its_holidays() -> None:
    new_year = [Holiday(date="2027-01-01", name="Neujahr")]
    assert openness({}, new_year, berlin("2026-12-31 23:59"), BERLIN).why == "always"
    closed = openness({}, new_year, berlin("2027-01-01 12:00"), BERLIN)
    assert (closed.is_open, closed.why, closed.holiday) == (False, "holiday", "Neujahr")
    assert closed.opens_at == berlin("2027-01-02 00:00")


def test_a_team_that_is_closed_every_day_is_closed() -> None:
    closed = openness({day: [] for day in DAYS}, (), berlin("2026-11-25 12:00"), BERLIN)
    assert (closed.is_open, closed.opens_at) == (False, None)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [("2026-11-25 21:59", False), ("2026-11-25 22:00", True), ("2026-11-26 05:59", True), ("2026-11-26 06:00", False)],
)
def test_a_night_shift_goes_on_past_midnight(at: str, is_open: bool) -> None:
    assert openness(NIGHT, (), berlin(at), BERLIN).is_open is is_open


def test_a_night_shift_belongs_to_the_day_it_begins_on_also_before_a_holiday() -> None:
    christmas = [Holiday(date="2026-12-25")]
    assert openness(NIGHT, christmas, berlin("2026-12-25 05:00"), BERLIN).is_open, "began on the 24th"
    assert not openness(NIGHT, christmas, berlin("2026-12-25 23:00"), BERLIN).is_open
    assert not openness(NIGHT, christmas, berlin("2026-12-26 05:00"), BERLIN).is_open, "would have begun on the 25th"


def test_a_short_day_has_its_own_hours() -> None:
    eve = [Holiday(date="2026-12-24", name="Heiligabend", hours=(("09:00", "12:00"),))]
    assert openness(WORKDAYS, eve, berlin("2026-12-24 11:59"), BERLIN).is_open
    closed = openness(WORKDAYS, eve, berlin("2026-12-24 12:00"), BERLIN)
    assert (closed.is_open, closed.why, closed.opens_at) == (False, "holiday", berlin("2026-12-25 09:00"))


def test_when_the_clocks_go_back_both_of_the_doubled_hours_are_open() -> None:
    """2026-10-25 in Berlin: 02:00 to 03:00 comes twice."""
    night: dict[str, list[Shift]] = {"sat": [("22:00", "03:00")]}
    assert openness(night, (), berlin("2026-10-25 02:30"), BERLIN).is_open
    assert openness(night, (), berlin("2026-10-25 02:30", fold=1), BERLIN).is_open
    assert not openness(night, (), berlin("2026-10-25 03:00"), BERLIN).is_open
    open_for = [
        openness(night, (), berlin("2026-10-24 22:00") + timedelta(minutes=n), BERLIN).is_open for n in range(600)
    ]
    assert open_for.count(True) == 6 * 60, "the shift of five hours lasts six"


def test_when_the_clocks_go_forward_the_shift_is_an_hour_shorter() -> None:
    """2027-03-28 in Berlin: after 01:59 comes 03:00."""
    night: dict[str, list[Shift]] = {"sat": [("22:00", "02:30")]}
    minutes = [
        openness(night, (), berlin("2027-03-27 22:00") + timedelta(minutes=n), BERLIN).is_open for n in range(600)
    ]
    assert minutes.count(True) == 4 * 60
    day: dict[str, list[Shift]] = {"sun": [("09:00", "18:00")]}
    assert openness(day, (), datetime(2027, 3, 28, 7, 0, tzinfo=UTC), BERLIN).is_open, "09:00 is 07:00 UTC from then on"
    assert not openness(day, (), datetime(2027, 3, 28, 6, 59, tzinfo=UTC), BERLIN).is_open
    assert openness(day, (), datetime(2027, 3, 27, 12, tzinfo=UTC), BERLIN).opens_at == berlin("2027-03-28 09:00")


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ({"monday": []}, "no weekday"),
        ({"mon": [("9:00", "18:00")]}, "mon: '9:00' is not a time"),
        ({"mon": [("09:00", "25:00")]}, "mon: '25:00' is not a time"),
        ({"mon": [("09:00", "09:00")]}, "no length"),
        ({"mon": [("24:00", "06:00")]}, "no length"),
        ({"tue": [("00:00", "01:00")] * 7}, "tue: at most 6"),
    ],
)
def test_hours_that_cannot_be_are_refused_by_their_day(hours: dict[str, list[Shift]], said: str) -> None:
    with pytest.raises(Refused, match=said):
        check_hours(hours)


def test_holidays_that_cannot_be_are_refused_by_their_date() -> None:
    for wrong, said in ((("2026-02-30",), "2026-02-30"), (("2027-01-01", "2027-01-01"), "twice"), (("x",), "date")):
        with pytest.raises(Refused, match=said):
            check_holidays([Holiday(date=day) for day in wrong])
    with pytest.raises(Refused, match="at most 400"):
        check_holidays([Holiday(date="2027-01-01")] * 401)


def test_a_zone_that_is_not_there_is_refused() -> None:
    for name in ("Europe/Nowhere", "../etc/passwd", "/etc/localtime", "Europe/Berlin\x00"):
        with pytest.raises(Refused, match="no time zone"):
            read_zone(name)


clock = st.builds(lambda m: f"{m // 60:02}:{m % 60:02}", st.integers(0, 1439))
shifts = st.lists(st.tuples(clock, clock).filter(lambda s: s[0] != s[1]), max_size=3)


@given(
    st.dictionaries(st.sampled_from(DAYS), shifts),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "UTC"]).map(ZoneInfo),
)
def test_while_closed_it_opens_when_it_says_it_will(
    hours: dict[str, list[Shift]], at: datetime, zone: ZoneInfo
) -> None:
    check_hours(hours)
    now = openness(hours, (), at, zone)
    if now.opens_at is not None:
        assert now.opens_at > at
        # In the hour that the clocks skip there is no such minute: it is open as soon as there is one again.
        later = now.opens_at.astimezone(UTC) + timedelta(hours=1)
        opened = openness(hours, (), now.opens_at, zone).is_open or openness(hours, (), later, zone).is_open
        real = now.opens_at.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == now.opens_at.replace(tzinfo=None)
        assert opened or not real
