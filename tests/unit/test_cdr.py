"""Rows of Asterisk's records: what is read, what is passed over, and what calls they tell of."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.telephony.backfill.cdr import MAX_ROW_CHARS, read_csv, read_rows
from hub.telephony.backfill.cdr_calls import calls_of, corrected
from hub.telephony.tracking.calls import Call
from hub.telephony.tracking.directions import PbxRules, numbers_called

RULES = PbxRules(pbx="office", hub_queues=frozenset(("hub-sales",)), own_numbers=frozenset(("+74950000100",)))
T0 = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
EPOCH = int(T0.timestamp())

REAL = (
    '"","84951110001","sales","hub-in","""84951110001"" <84951110001>","PJSIP/trunk-00000000","","Queue",'
    '"hub-sales,,,,120","2026-11-25 10:00:00","2026-11-25 10:00:00","2026-11-25 10:00:02",2,1,"ANSWERED",'
    f'"DOCUMENTATION","{EPOCH}.0"\n'
)
"""As Asterisk 22 wrote it of a caller who gave up in Hub's queue; its day and epoch are those of these tests."""


def row(**more: object) -> str:
    """A row of Master.csv as Asterisk would write it: a call from outside that phone 101 answered and had 20 s."""
    values = {
        "accountcode": "", "src": "84951234567", "dst": "74950000101", "dcontext": "from-trunk",
        "clid": '"ROMASHKA" <84951234567>', "channel": "PJSIP/trunk-00000001", "dstchannel": "PJSIP/101-00000002",
        "lastapp": "Dial", "lastdata": "PJSIP/101,20", "start": "2026-11-25 10:00:00", "answer": "", "end": "",
        "duration": 25, "billsec": 20, "disposition": "ANSWERED", "amaflags": "DOCUMENTATION",
        "uniqueid": f"{EPOCH}.1",
    } | more  # fmt: skip
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow(values.values())
    return text.getvalue()


def calls(text: str, rules: PbxRules = RULES) -> list[Call]:
    return [told.call for told in calls_of(read_csv(text, zone=UTC).records, rules)]


def test_a_caller_who_gave_up_in_the_queue_is_an_abandoned_call_of_its_team() -> None:
    (call,) = calls(REAL)
    assert (call.direction, call.outcome, call.queue, call.from_raw) == (
        "inbound", "abandoned", "hub-sales", "84951110001",
    )  # fmt: skip
    assert (call.started_at, call.ended_at, call.wait_s) == (T0, T0 + timedelta(seconds=2), 2.0)
    assert (call.answered_at, call.talk_s, call.from_name) == (None, 0.0, "")
    assert (call.state, call.estimated, call.boot) == ("ended", True, "cdr-20261125T100000")


def test_an_answered_call_names_who_answered_and_how_long_they_spoke() -> None:
    (call,) = calls(row())
    assert (call.outcome, call.answered_extension, call.talk_s, call.wait_s) == ("answered", "101", 20.0, 5.0)
    assert (call.from_name, call.did, call.answered_at) == ("ROMASHKA", "74950000101", T0 + timedelta(seconds=5))
    assert [(leg.extension, leg.number, leg.role, leg.result) for leg in call.legs] == [
        (None, "84951234567", "caller", "answered"),
        ("101", None, "callee", "answered"),
    ]


def test_a_caller_who_went_on_to_the_teams_fallback_still_is_that_teams() -> None:
    beyond = {"dcontext": "hub-fallback", "dst": "sales", "lastdata": "PJSIP/101&PJSIP/102,20,m", "billsec": 0}
    (call,) = calls(row(disposition="NO ANSWER", **beyond))
    assert (call.queue, call.outcome) == ("hub-sales", "missed")
    (taken,) = calls(row(disposition="NO ANSWER", **(beyond | {"dcontext": "hub-in"})))
    assert (taken.queue, taken.outcome) == ("hub-sales", "abandoned"), "hung up while the one who took it was rung"
    (over,) = calls(row(dcontext="hub-in", dst="h", dstchannel="", lastapp="Hangup"))
    assert (over.queue, over.to_raw, over.outcome) == (None, "", "missed")


def test_the_tries_at_several_phones_are_one_call() -> None:
    first = row(disposition="NO ANSWER", billsec=0, duration=10)
    second = row(dstchannel="PJSIP/102-00000003", start="2026-11-25 10:00:10", duration=30, billsec=30)
    (call,) = calls(second + first)
    assert (call.started_at, call.ended_at, call.answered_extension) == (T0, T0 + timedelta(seconds=40), "102")
    assert [(leg.extension, leg.result) for leg in call.legs[1:]] == [("101", "no_answer"), ("102", "answered")]


@pytest.mark.parametrize(
    ("disposition", "app", "outcome"),
    [
        ("NO ANSWER", "Dial", "missed"),
        ("BUSY", "Dial", "busy"),
        ("FAILED", "Dial", "failed"),
        ("CONGESTION", "Dial", "failed"),
        ("NO ANSWER", "VoiceMail", "voicemail"),
        ("NO ANSWER", "Queue", "abandoned"),
    ],
)
def test_how_an_unanswered_call_ended(disposition: str, app: str, outcome: str) -> None:
    (call,) = calls(row(disposition=disposition, lastapp=app, billsec=0))
    assert (call.outcome, call.answered_at, call.talk_s) == (outcome, None, 0.0)


def test_music_or_a_menu_that_answers_is_no_answer() -> None:
    (call,) = calls(row(dstchannel="", lastapp="Playback"))
    assert (call.outcome, call.answered_at) == ("missed", None)


@pytest.mark.parametrize(
    ("fields", "direction", "to"),
    [
        ({"dst": "84951110002", "dstchannel": "PJSIP/trunk-2"}, "outbound", "84951110002"),
        ({"dst": "s", "dstchannel": "PJSIP/trunk-2", "lastdata": "SIP/t/84951110002,60"}, "outbound", "84951110002"),
        ({"dst": "102", "dstchannel": "PJSIP/102-00000002"}, "internal", "102"),
        ({"dst": "9", "dstchannel": ""}, "internal", "9"),
    ],
)  # fmt: skip
def test_a_call_from_a_phone_goes_the_way_the_tracker_says(fields: dict[str, str], direction: str, to: str) -> None:
    (call,) = calls(row(channel="PJSIP/101-00000001", src="101", dcontext="internal", clid="101", **fields))
    assert (call.direction, call.from_extension, call.to_raw) == (direction, "101", to)


def test_a_trunk_called_by_a_number_is_no_phone() -> None:
    (call,) = calls(row(channel="PJSIP/1000-00000001"))
    assert (call.direction, call.from_extension) == ("inbound", None)


def test_a_caller_who_was_led_to_a_number_outside_spoke_with_that_number() -> None:
    (forwarded,) = calls(row(dstchannel="Local/89161234567@internal-00000001;1"))
    (dialled,) = calls(row(dstchannel="PJSIP/trunk-00000009", lastdata="PJSIP/89161234567@trunk,60"))
    for call in (forwarded, dialled):
        assert (call.direction, call.outcome, call.answered_extension) == ("inbound", "answered", None)
        assert [(leg.extension, leg.number) for leg in call.legs[1:]] == [(None, "89161234567")]


def test_wiring_and_phones_that_were_called_make_no_calls_of_their_own() -> None:
    local = row(channel="Local/102@from-queue-00000001;2", uniqueid=f"{EPOCH}.2")
    called = row(channel="PJSIP/101-00000002", lastapp="AppDial", dstchannel="", uniqueid=f"{EPOCH}.3")
    spy = row(channel="PJSIP/109-00000009", uniqueid="hubspy-0123456789abcdef")
    assert [call.linked_id for call in calls(row() + local + called + spy)] == [f"{EPOCH}.1"]


def test_the_linked_id_puts_a_calls_channels_together_where_it_is_recorded() -> None:
    new_columns = {"peeraccount": "", "linkedid": f"{EPOCH}.1", "sequence": "4"}
    through = row(dstchannel="Local/102@from-queue-00000001;1", **new_columns)
    beyond = row(channel="Local/102@from-queue-00000001;2", dstchannel="PJSIP/102-00000003", uniqueid=f"{EPOCH}.3")
    beyond = beyond.rstrip("\n") + f',"","{EPOCH}.1","5"\n'
    told = calls_of(read_csv(through + beyond, zone=UTC).records, RULES)
    assert [(one.call.linked_id, one.call.answered_extension) for one in told] == [(f"{EPOCH}.1", "102")]
    assert told[0].uniqueids == {f"{EPOCH}.1", f"{EPOCH}.3"}


def test_a_row_with_quotes_commas_and_line_ends_in_the_name_is_one_row() -> None:
    hostile = row(clid='"a "b", c\nd,e\r\n",,,\n" <84951234567>')
    read = read_csv(REAL + hostile + REAL, zone=UTC)
    assert (len(read.records), read.malformed) == (3, 0)
    assert "\n" not in read.records[1].name


def test_a_forged_row_within_a_name_is_no_row() -> None:
    forged = row(clid="x\n" + row(src="84957654321", uniqueid=f"{EPOCH}.9") + "y")
    assert [one.src for one in read_csv(forged, zone=UTC).records] == ["84951234567"]


@pytest.mark.parametrize(
    "broken",
    [
        "x" * (1 << 20),
        '"' + "x" * MAX_ROW_CHARS,
        '"an open quote',
        row(start="soon"),
        row(start="9999-12-31 23:59:59"),
        row(start="0001-01-01 00:00:00"),
        row(duration="-5"),
        row(duration="9" * 30),
        row(uniqueid=""),
        row(uniqueid="a b"),
        row(channel=""),
        row(disposition="UNHEARD OF"),
        ",".join(["1"] * 17),
        ",".join(["1"] * 400),
        b"\xff\xfe\x00\xd0".decode("utf-8", "replace"),
    ],
)
def test_a_broken_row_is_counted_and_the_rows_beside_it_are_read(broken: str) -> None:
    read = read_csv(REAL + broken.rstrip("\n") + "\n" + row(), zone=UTC)
    assert [one.src for one in read.records] == ["84951110001", "84951234567"]
    assert read.malformed >= 1


def test_a_name_in_another_encoding_is_read_as_far_as_it_goes() -> None:
    text = row(clid='"Ромашка" <84951234567>').encode("cp1251").decode("utf-8", "replace")
    (call,) = calls(text)
    assert (call.from_raw, call.outcome) == ("84951234567", "answered")


def test_control_characters_that_postgresql_would_refuse_are_gone() -> None:
    (call,) = calls(row(channel="PJSIP/trunk\x00-00000001", src="8495\x001"))
    assert "\x00" not in repr(call)


@pytest.mark.parametrize(
    ("zone", "shown", "uniqueid", "wanted"),
    [
        ("UTC", "2026-11-25 10:00:00", "x", T0),
        ("Europe/Moscow", "2026-11-25 13:00:00", "x", T0),
        ("Europe/Berlin", "2026-10-25 02:30:00", "1792888200.1", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("Europe/Berlin", "2026-10-25 02:30:00", "pbx-1792891800.1", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_times_are_of_the_pbxs_zone_and_the_uniqueid_tells_the_hour_that_comes_twice(
    zone: str, shown: str, uniqueid: str, wanted: datetime
) -> None:
    (record,) = read_csv(row(start=shown, uniqueid=uniqueid), zone=ZoneInfo(zone)).records
    assert record.start == wanted


@given(st.text(alphabet=st.sampled_from('"\n\r,x1 \x00\ud800é'), max_size=400))
def test_no_text_makes_it_raise(text: str) -> None:
    for whole in (text, REAL + text, text + REAL, REAL[:-1] + text):
        read = read_csv(whole, zone=UTC)
        calls_of(read.records, RULES)


_any = st.one_of(st.none(), st.text(max_size=30), st.integers(), st.floats(), st.datetimes(), st.binary(max_size=9))
_likely = st.sampled_from([
    f"{EPOCH}.1", "PJSIP/101-1", "Local/1@x;1", "Queue", "ANSWERED", "BUSY", "2026-11-25 10:00:00", "5", "", "<", "/",
])  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])  # of the machine, not of the code
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                "src dst channel duration billsec disposition uniqueid clid dcontext dstchannel lastapp lastdata "
                "linkedid did start calldate".split()
            ),
            _any | _likely,
        ),
        max_size=6,
    )
)
def test_no_row_of_a_table_makes_it_raise_and_every_call_keeps_its_order_of_times(
    rows: list[dict[str, object]],
) -> None:
    for told in calls_of(read_rows(rows, zone=ZoneInfo("America/New_York")).records, RULES):
        call = told.call
        assert call.ended_at is not None
        assert call.started_at <= (call.answered_at or call.started_at) <= call.ended_at
        assert call.wait_s >= 0 and call.talk_s >= 0


def test_a_concluded_end_gets_the_true_one_and_was_answered_no_earlier_than_it_was_last_seen_waiting() -> None:
    (told,) = calls(row(duration=60, billsec=59))
    swept = replace(
        told, boot="b1", outcome="abandoned", answered_at=None, answered_extension=None, talk_s=0.0, queue="hub-sales",
        ended_at=T0 + timedelta(seconds=90), legs=told.legs[:1],
    )  # fmt: skip
    true = corrected(swept, told, not_before=T0 + timedelta(seconds=20))
    assert (true.outcome, true.answered_extension, true.boot) == ("answered", "101", "b1")
    assert (true.answered_at, true.ended_at) == (T0 + timedelta(seconds=20), T0 + timedelta(seconds=60))
    assert (true.wait_s, true.talk_s, len(true.legs)) == (20.0, 40.0, 2)
    assert corrected(true, told, not_before=T0 + timedelta(seconds=20)) == true, "the second time changes nothing"


def test_what_was_seen_answered_stays_so_whatever_the_record_says() -> None:
    (told,) = calls(row(disposition="NO ANSWER", billsec=0, duration=60))
    seen = replace(told, outcome="answered", answered_at=T0 + timedelta(seconds=9), answered_extension="103")
    true = corrected(seen, told, not_before=T0)
    assert (true.outcome, true.answered_extension, true.talk_s) == ("answered", "103", 51.0)


@pytest.mark.parametrize(
    ("channel", "extension"), [("IAX2/101-7245", "101"), ("SCCP/101-0000000A", "101"), ("PJSIP/101-00000002", "101")]
)
def test_who_answered_is_known_by_a_channel_in_any_form(channel: str, extension: str) -> None:
    (call,) = calls(row(dstchannel=channel))
    assert call.answered_extension == extension


def test_an_outbound_call_behind_a_nine_is_of_the_number_that_the_trunk_was_asked_for() -> None:
    out = {"src": "101", "dst": "984951234567", "dcontext": "internal", "channel": "PJSIP/101-00000001"}
    (call,) = calls(row(**out, dstchannel="PJSIP/trunk-00000002", lastdata="PJSIP/84951234567@trunk,60"))
    assert (call.direction, call.to_raw) == ("outbound", "984951234567")
    assert numbers_called(call) == ("84951234567", "984951234567")


def test_talked_sent_to_a_queue_and_given_up_there_is_left_waiting() -> None:
    queued = {
        "dst": "sales",
        "dcontext": "hub-in",
        "dstchannel": "",
        "lastapp": "Queue",
        "lastdata": "hub-sales,,,,120",
    }
    later = row(**queued, start="2026-11-25 10:00:25", duration=30, billsec=30)
    (call,) = calls(row() + later)
    assert (call.outcome, call.answered_extension, call.queue, call.is_left_waiting) == (
        "answered", "101", "hub-sales", True,
    )  # fmt: skip
    (talked,) = calls(row(**queued, disposition="NO ANSWER", billsec=0, start="2026-11-25 09:59:00") + row())
    assert not talked.is_left_waiting
