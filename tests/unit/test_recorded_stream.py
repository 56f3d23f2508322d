"""Recording and replaying: the same calls, masked or not; and what a hostile file or a hostile caller cannot do."""

from __future__ import annotations

import argparse
import json
import lzma
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.commands.streams import packets_of
from hub.commands.streams import replay as replay_command
from hub.errors import Refused
from hub.telephony.replay.masking import HIDDEN, Mask
from hub.telephony.replay.recorder import Recorder
from hub.telephony.replay.replay import Replay, ToldCall
from hub.telephony.replay.stream_file import MAX_LINE_BYTES, Head, StreamReader
from hub.telephony.replay.telling import as_json, paragraph
from hub.telephony.tracking.calls import Call
from tests.unit.ami_script import RULES, ended, read_stream, replay

DATA = Path(__file__).parents[1] / "data" / "ami"
TWO_PARTY = DATA / "two-party-calls.txt.xz"
STREAMS = sorted(path for path in DATA.iterdir() if ".txt" in path.name)
START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
EMPTY = b"Event: CoreShowChannelsComplete\r\nEventList: Complete\r\nListItems: 0\r\n\r\n"
streams = pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name.split(".")[0])


def raw_of(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def recorded(raw: bytes, *, mask_numbers: bool = False, key: bytes = b"k", chunk: int = 1000) -> bytes:
    """What `hub record` writes when this stream comes over the line in pieces, 10 ms apart."""
    recorder = Recorder(
        Head(pbx="office", started_at=START, rules=RULES), Mask(key, hide_numbers=mask_numbers), max_bytes=10**9
    )
    now = START
    out = recorder.head + recorder.mark("begin", at=now) + recorder.mark("up", at=now, boot="b1")
    out += recorder.feed(b"Asterisk Call Manager/11.0.0\r\n" + EMPTY, at=now)
    raw = raw.partition(b"\r\n")[2] if raw.startswith(b"Asterisk") else raw
    for i in range(0, len(raw), chunk):
        now += timedelta(milliseconds=10)
        out += recorder.feed(raw[i : i + chunk], at=now)
    return out + recorder.mark("end", at=now)


def told(stream: bytes, *, chunk: int = 4096) -> list[ToldCall]:
    reader, machine = StreamReader(), Replay(RULES)
    calls: list[ToldCall] = []
    for i in range(0, len(stream), chunk):
        for packet in reader.feed(stream[i : i + chunk]):
            calls += machine.feed(packet)
    for packet in reader.close():
        calls += machine.feed(packet)
    return calls + list(machine.close())


def shape(call: Call) -> tuple[object, ...]:
    """All that is told of a call, but for names and for what a number's digits are."""

    def digits(text: str | None) -> str | None:
        return text if text is None or re.fullmatch(r"\d{1,6}", text) else re.sub(r"\w", "9", text)

    legs = [
        (re.sub(r"\d{7,}", "9", leg.channel), leg.uniqueid, leg.extension, digits(leg.number), leg.role, leg.rang_at,
         leg.answered_at, leg.left_at, leg.result)
        for leg in call.legs
    ]  # fmt: skip
    transfers = [(t.kind, digits(t.by), digits(t.to), t.completed, t.at) for t in call.transfers]
    hidden = replace(
        call,
        transfers=(),
        from_raw="",
        from_name="",
        to_raw="",
        did=None,
        legs=(),
        queue_channel=None,
        manager_channel=None,
    )
    lengths = len(call.from_raw), digits(call.to_raw), digits(call.did), bool(call.from_name)
    return hidden, *lengths, *legs, *transfers


@streams
def test_a_replayed_recording_tells_what_the_live_tracker_told(path: Path) -> None:
    live = ended(replay(read_stream(path)))
    again = [one.call for one in told(recorded(raw_of(path)))]
    assert [(c.linked_id, c.direction, c.outcome, c.from_raw, c.to_raw, c.answered_extension) for c in again] == [
        (c.linked_id, c.direction, c.outcome, c.from_raw, c.to_raw, c.answered_extension) for c in live
    ]
    assert [[(leg.extension, leg.result) for leg in c.legs] for c in again] == [
        [(leg.extension, leg.result) for leg in c.legs] for c in live
    ]


LEFT = re.compile(rb"4951234567|495000010\d|9161234567|9161112233|ROMASHKA|sipp")
"""Numbers and names that stand in the streams."""


@streams
def test_masked_a_stream_tells_the_same_calls_but_for_numbers_and_names_and_none_of_these_is_left(path: Path) -> None:
    stream = recorded(raw_of(path), mask_numbers=True)
    assert LEFT.findall(stream) == []
    plain, masked = told(recorded(raw_of(path))), told(stream)
    assert [shape(one.call) for one in masked] == [shape(one.call) for one in plain]
    assert [one.steps for one in masked] == [one.steps for one in plain]


def test_the_streams_do_hold_what_is_masked() -> None:
    assert len(set(LEFT.findall(b"".join(recorded(raw_of(path)) for path in STREAMS[:30])))) >= 3


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
def test_bytes_cut_anywhere_make_the_same_file_and_a_file_cut_anywhere_the_same_calls(chunk: int) -> None:
    raw = raw_of(DATA / "taken_and_caller_hangs_up.txt")
    headers = [p.headers for p in StreamReader().feed(recorded(raw, chunk=chunk))]
    assert headers == [p.headers for p in StreamReader().feed(recorded(raw, chunk=1000))]
    assert told(recorded(raw), chunk=chunk) == told(recorded(raw))


def test_a_file_that_an_editor_gave_other_line_ends_is_read_all_the_same() -> None:
    stream = recorded(raw_of(DATA / "taken_and_caller_hangs_up.txt"))
    assert told(stream.replace(b"\r\n", b"\n").rstrip(b"\n")) == told(stream)


def test_two_numbers_never_become_one_and_one_written_in_two_ways_stays_one() -> None:
    mask = Mask(b"key", hide_numbers=True)
    numbers = [f"8495{n:07d}" for n in range(3000)]
    masks = [mask.number(number) for number in numbers]
    assert len(set(masks)) == len(numbers)
    assert all(len(m) == 11 and m.startswith("8") and m not in numbers for m in masks)
    assert mask.number("+7" + numbers[0][1:]) == "+7" + masks[0][1:]
    written = mask.number("+7 (495) 000-00-00")
    assert re.fullmatch(r"\+7 \(\d{3}\) \d{3}-\d\d-\d\d", written)
    assert re.sub(r"\D", "", written) == "7" + masks[0][1:]
    assert mask.number("101") == "101"
    assert Mask(b"other", hide_numbers=True).number(numbers[0]) != masks[0]


def packet(**headers: str) -> bytes:
    return "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items()).encode() + b"\r\n"


def kept(raw: bytes, *, mask_numbers: bool = False) -> list[dict[str, str]]:
    stream = recorded(raw, mask_numbers=mask_numbers)
    return [frame for p in StreamReader().feed(stream) if "Hub-Mark" not in (frame := p.frame())][1:]


def test_secrets_are_hidden_whether_asked_or_not() -> None:
    frames = kept(
        packet(
            Event="Newchannel",
            Channel="PJSIP/101-00000001",
            ChanVariable="PIN=4711",
            AuthToken="t0",
            SIPAuthSecret="s1",
        )
        + packet(Event="CoreShowChannel", ActionID="hub-1-2", Application="Authenticate", ApplicationData="4711")
        + packet(Event="CoreShowChannel", ActionID="hub-1-2", Application="Queue", ApplicationData="hub-sales,,,,300")
    )
    assert [frames[0][name] for name in ("ChanVariable", "AuthToken", "SIPAuthSecret")] == [
        f"PIN={HIDDEN}",
        HIDDEN,
        HIDDEN,
    ]
    assert [frame["ApplicationData"] for frame in frames[1:]] == [HIDDEN, "hub-sales,,,,300"]


def test_dialled_digits_variables_answers_and_other_programs_words_are_never_written() -> None:
    raw = (
        packet(Event="DTMFEnd", Digit="4", Channel="PJSIP/101-00000001")
        + packet(Event="VarSet", Variable="CARD", Value="4111111111111111")
        + packet(Event="ContactStatus", URI="sip:101@10.0.0.5:5060", ContactStatus="Reachable")
        + packet(Event="ChallengeSent", Challenge="c", AccountID="hub")
        + packet(Event="UserEvent", UserEvent="CardPaid", Card="4111111111111111")
        + packet(Response="Success", ActionID="hub-1-1", CoreRunUser="asterisk")
        + packet(Event="ContactList", ActionID="hub-1-3", Uri="sip:101@10.0.0.5")
    )
    assert kept(raw) == []
    said = kept(packet(Event="UserEvent", UserEvent="HubWaiting", CallerIDName="\\r\\nActionID: hub-1"))
    assert [frame["UserEvent"] for frame in said] == ["HubWaiting"]


def test_names_are_masked_wherever_they_stand_and_ids_stay() -> None:
    (frame,) = kept(
        packet(
            Event="DialBegin", Channel="SIP/74951112233-0000a1b2", CallerIDNum="ivan.petrov",
            CallerIDName="ivan.petrov", DestChannel="Local/89161234567@from-queue-00000007;1",
            DestCallerIDName="Пётр Иванов", Uniqueid="pbx-1795538549.12345678",
            CallerID='"Anna" <89161234567>', DialString="89161234567@trunk", Exten="+74951112233",
        ),
        mask_numbers=True,
    )  # fmt: skip
    text = json.dumps(frame, ensure_ascii=False)
    assert not re.search("ivan|petrov|Пётр|Anna|4951112233|9161234567", text)
    assert frame["Uniqueid"] == "pbx-1795538549.12345678"
    assert frame["CallerIDNum"] == frame["CallerIDName"]
    assert re.fullmatch(r"SIP/7\d{10}-0000a1b2", frame["Channel"])
    assert frame["Channel"][4:15] == frame["Exten"][1:]
    assert re.fullmatch(r"Local/8\d{10}@from-queue-00000007;1", frame["DestChannel"])
    assert frame["DialString"][:11] == frame["DestChannel"][6:17]


def test_what_older_asterisks_call_by_number_keeps_its_ids_and_loses_its_numbers() -> None:
    bridge = packet(
        Event="Bridge", Channel1="SIP/74951112233-0000a1b2", Channel2="SIP/101-0000a1b3", Uniqueid1="pbx-1795538549.17",
        Uniqueid2="pbx-1795538549.18", CallerID1="84951234567", CallerID2="101",
    )  # fmt: skip
    (frame,) = kept(bridge, mask_numbers=True)
    assert (frame["Uniqueid1"], frame["Uniqueid2"]) == ("pbx-1795538549.17", "pbx-1795538549.18")
    assert (frame["Channel2"], frame["CallerID2"]) == ("SIP/101-0000a1b3", "101")
    assert not re.search("4951112233|4951234567", str(frame))


def test_a_recording_stops_at_its_size_and_the_file_is_whole() -> None:
    mask = Mask(b"k", hide_numbers=False)
    recorder = Recorder(Head(pbx="office", started_at=START, rules=RULES), mask, max_bytes=5_000)
    out = recorder.head
    raw = raw_of(DATA / "taken_and_caller_hangs_up.txt")
    out += recorder.feed(raw, at=START) + recorder.feed(raw, at=START)
    assert recorder.is_full
    assert 4_000 < len(out) <= 5_000
    assert out.endswith(b"\r\n\r\n")
    assert len(list(StreamReader().feed(out))) == recorder.packets


# What was up before, and what a cut line means


def test_a_call_that_was_up_before_the_recording_is_told_from_the_list_of_channels() -> None:
    row = packet(
        Event="CoreShowChannel", Channel="PJSIP/trunk-00000001", Uniqueid="10.1", Linkedid="10.1",
        ChannelStateDesc="Up", Context="hub-in", Exten="sales", CallerIDNum="84951234567", Application="Queue",
        ApplicationData="hub-sales,,,,300", Duration="00:02:00",
    )  # fmt: skip
    hangup = packet(Event="Hangup", Channel="PJSIP/trunk-00000001", Uniqueid="10.1", Linkedid="10.1", Cause="16")
    rules = RULES
    recorder = Recorder(
        Head(pbx="office", started_at=START, rules=rules), Mask(b"k", hide_numbers=True), max_bytes=10**6
    )
    out = recorder.head + recorder.mark("begin", at=START)
    # The hang-up is heard before the list that still shows the channel: the service holds it back, so must a replay.
    out += recorder.feed(hangup, at=START + timedelta(seconds=1))
    out += recorder.mark("up", at=START + timedelta(seconds=1), boot="b7")
    out += recorder.feed(row + EMPTY, at=START + timedelta(seconds=2))
    (one,) = told(out)
    assert (one.call.boot, one.call.outcome, one.call.estimated) == ("b7", "abandoned", True)
    assert [step.what for step in one.steps] == ["offered"]


def test_who_was_parked_before_the_recording_is_told_from_the_list_of_parked_calls() -> None:
    channel = {"Channel": "PJSIP/trunk-00000001", "Uniqueid": "10.1", "Linkedid": "10.1", "CallerIDNum": "84951234567"}
    parked = {f"Parkee{key}": value for key, value in channel.items()}
    stream = (
        packet(Event="ParkedCall", ActionID="hub-1-4", ParkingLot="default", ParkingSpace="701", **parked)
        + packet(Event="ParkedCallsComplete", ActionID="hub-1-4", EventList="Complete")
        + packet(Event="CoreShowChannel", ActionID="hub-1-5", ChannelStateDesc="Up", Context="hub-in", **channel)
        + packet(Event="CoreShowChannelsComplete", ActionID="hub-1-5", EventList="Complete")
    )
    recorder = Recorder(
        Head(pbx="office", started_at=START, rules=RULES), Mask(b"k", hide_numbers=True), max_bytes=10**6
    )
    out = recorder.head + recorder.mark("begin", at=START) + recorder.mark("up", at=START, boot="b7")
    (one,) = told(out + recorder.feed(stream, at=START))
    assert (one.call.state, one.call.outcome) == ("held", None)


def test_a_restart_within_a_recording_ends_its_calls_as_estimated() -> None:
    waiting = raw_of(DATA / "abandoned_while_waiting.txt").partition(b"Event: QueueCallerAbandon")[0]
    stream = recorded(waiting)
    again = Recorder(Head(pbx="office", started_at=START, rules=RULES), Mask(b"k", hide_numbers=False), max_bytes=10**6)
    later = START + timedelta(minutes=1)
    stream += (
        again.mark("down", at=later, reason="cut") + again.mark("up", at=later, boot="b2") + again.feed(EMPTY, at=later)
    )
    (one,) = told(stream)
    assert (one.call.outcome, one.call.estimated, one.call.boot) == ("abandoned", True, "b1")


# Hostile files

HEAD = b"# hub-record 1\r\n# started_at: 2026-11-24T10:00:00Z\r\n\r\n"


def test_a_header_of_a_gigabyte_is_refused_by_its_line_before_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xz"
    packer = lzma.LZMACompressor(preset=1)
    with path.open("wb") as file:
        file.write(packer.compress(b"# hub-record 1\r\nEvent: X\r\nCallerIDName: "))
        for _ in range(40):
            file.write(packer.compress(b"A" * 1_000_000))
        file.write(packer.flush())
    reader = StreamReader()
    with pytest.raises(Refused, match=rf"bomb.xz: line 3 is longer than {MAX_LINE_BYTES} bytes"):
        list(packets_of(path, reader))
    assert len(reader._rest) < 3 * MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"A: b\r\n" * 2_000, "line 1 begins a packet without end"),
        (b"\r\n\r\nEvent: X\r\n" + (b"B: " + b"c" * 60_000 + b"\r\n") * 10, "line 3 begins a packet without end"),
        (b"# hub-record 2\r\n", "line 1 names a format that this Hub does not know"),
        (b"# hub-record 1\r\n\r\nHub-At: 0\r\nEvent: X\r\n\r\n", "line 3 comes before a `# started_at:`"),
        (HEAD + b"Hub-At: nan\r\nEvent: X\r\n\r\n", "line 4 Hub-At"),
        (HEAD + b"Hub-At: 1e99\r\nEvent: X\r\n\r\n", "line 4 Hub-At"),
        (b"# hub-record 1\r\n# started_at: 0001-01-01T00:00:00+23:59\r\n\r\nEvent: X\r\n\r\n", "line 4 comes before"),
        (b"\xfd7zXZ\x00" + b"nonsense" * 10, "cannot be unpacked"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_one_line_that_names_the_place(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(Refused) as refused:
        list(packets_of(path))
    assert refused.value.message.startswith(f"{path}: {named}")


WORDS = st.sampled_from(
    b"""Event: Newchannel|Event: Hangup|Event: CoreShowChannelsComplete|Event: CoreShowChannel|Hub-At: 1|Hub-Mark: up
Hub-Mark: down|Hub-Mark: begin|Boot: 7|Uniqueid: 1.1|Linkedid: 1.1|ActionID: x|Channel: SIP/101-1|Timestamp: -1
Timestamp: 1e309|Event: ParkedCallsComplete|||# hub-record 1|# started_at: 2026-11-24T10:00:00Z
CallerIDNum: +7 (495) 123-45-67""".replace(b"\n", b"|").split(b"|")
)


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(st.one_of(WORDS, st.binary(max_size=40)), max_size=60), chunk=st.integers(1, 200))
def test_whatever_a_file_holds_it_is_told_or_refused(lines: list[bytes], chunk: int) -> None:
    try:
        calls = told(b"\r\n".join(lines), chunk=chunk)
    except Refused as refused:
        calls = []
        if not re.match(r"line \d+ ", refused.message):
            raise
    for one in calls:
        paragraph(one)
        json.dumps(as_json(one, number=1, region="RU"))


@settings(max_examples=200, deadline=None)
@given(
    value=st.text(max_size=60),
    key=st.sampled_from(["CallerIDNum", "CallerIDName", "Exten", "Channel", "X", "CallerID"]),
)
def test_a_mask_is_as_long_as_a_number_and_the_same_twice(key: str, value: str) -> None:
    mask = Mask(b"k", hide_numbers=True)
    ((_, once),) = mask.headers([(key, value)])
    assert mask.headers([(key, value)]) == [(key, once)]
    if re.fullmatch(r"\+?[0-9]{7,20}", value):
        assert len(once) == len(value)


def test_what_is_no_header_is_passed_over() -> None:
    stream = (
        b"Asterisk Call Manager/11.0.0\r\n-- noted by hand --\r\nEvent: X\r\nnonsense\r\n\xff\xfe: y\r\n\r\n\r\n\r\n"
    )
    stream += b"# aside\r\nEvent: Y\r\n\r\n"
    assert [p.frame()["Event"] for p in StreamReader().feed(stream)] == ["X", "Y"]


def test_a_packed_recording_that_was_cut_off_tells_what_came_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.xz"
    packed = lzma.compress(recorded(raw_of(TWO_PARTY)))
    path.write_bytes(packed[: len(packed) * 2 // 3])
    assert len(list(packets_of(path))) > 10
    assert "ends in the middle" in capsys.readouterr().err


def test_a_hostile_caller_name_does_not_steer_the_terminal() -> None:
    raw = raw_of(DATA / "taken_and_manager_hangs_up.txt")
    for evil in ("\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe", "\x9b31m\x00"):
        (one,) = told(recorded(raw.replace(b"ROMASHKA", evil.encode() + b"!")))
        text = paragraph(one)
        assert "!" in text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


async def test_the_command_tells_a_plain_capture_and_json_is_the_contracts_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = {"config": None, "pbx": None, "internal_context": [], "queue": [], "json": False}
    path = DATA / "phone_busy_then_taken.txt"
    assert await replay_command(argparse.Namespace(**words, file=path)) == 0
    out = capsys.readouterr().out
    assert "inbound call, answered by 102" in out
    assert "the take failed: BUSY" in out
    assert out.endswith("1 call: 1 answered\n")
    assert await replay_command(argparse.Namespace(**{**words, "json": True, "file": path})) == 0
    (call,) = map(json.loads, capsys.readouterr().out.splitlines())
    contract = "id pbx linked_id direction state outcome estimated from to did started_at answered_at ended_at wait_s"
    assert set(call) == {
        *contract.split(),
        *"talk_s answered_by legs transfers client contact link recordings result note steps".split(),
    }
    assert call["from"] == {"raw": "84951234567", "number": "+74951234567", "name": None, "extension": None}
    assert [step["what"] for step in call["steps"]] == ["offered", "claim failed", "offered again", "taken"]


def test_a_name_in_an_old_charset_is_recorded_as_written() -> None:
    recorder = Recorder(
        Head(pbx="office", started_at=START, rules=RULES), Mask(b"k", hide_numbers=False), max_bytes=10**6
    )
    channel = b"Channel: PJSIP/trunk-00000001\r\nUniqueid: 10.1\r\nLinkedid: 10.1\r\nContext: from-trunk\r\n"
    raw = b"Event: Newchannel\r\nCallerIDName: " + "Иван Петров".encode("koi8-r") + b"\r\n" + channel + b"\r\n"
    for stream in (recorder.head + recorder.feed(raw, at=START), raw):
        (one,) = told(stream)
        assert one.call.from_name == "Иван Петров"
