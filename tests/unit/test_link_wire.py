"""Bytes to frames and actions to bytes: every cut, every bound, every value that would become something else."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from hub.errors import Refused
from hub.telephony.line.wire import BadPeer, FrameReader, action_bytes

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
NAMED = "Event: Newchannel\r\nChannel: PJSIP/101-1\r\nCallerIDName: Иван Ёлкин 🙂\r\nAccountCode: \r\n\r\n".encode()
FULL = Path(__file__).parents[1] / "data" / "ami" / "two-party-calls.txt.xz"


def reader(**bounds: int) -> FrameReader:
    made = FrameReader(**bounds)  # type: ignore[arg-type]
    made.feed(GREETING)
    return made


@pytest.mark.parametrize("cut", range(len(GREETING + NAMED)))
def test_a_cut_anywhere_even_in_a_utf8_character_loses_nothing(cut: int) -> None:
    stream = GREETING + NAMED
    frames = FrameReader()
    told = frames.feed(stream[:cut]) + frames.feed(stream[cut:])
    assert [f["CallerIDName"] for f in told] == ["Иван Ёлкин 🙂"]
    assert told[0]["AccountCode"] == ""
    assert frames.version == "11.0.0"


def test_a_real_stream_byte_by_byte_is_the_same_as_in_one_piece() -> None:
    stream = lzma.decompress(FULL.read_bytes())
    whole = FrameReader(skip=frozenset()).feed(stream)
    piecemeal = FrameReader(skip=frozenset())
    told = [frame for i in range(len(stream)) for frame in piecemeal.feed(stream[i : i + 1])]
    assert told == whole
    assert len(whole) > 500


def test_unwanted_events_are_dropped_by_name_before_parsing() -> None:
    stream = lzma.decompress(FULL.read_bytes())
    names = {frame.get("Event") for frame in FrameReader().feed(stream)}
    assert "Newchannel" in names
    assert not names & {"VarSet", "Newexten", "TestEvent"}


def test_bytes_that_are_no_utf8_are_shown_as_such_and_lose_nothing_else() -> None:
    told = reader().feed(b"Event: Newchannel\r\nCallerIDName: \xff\xfe\r\nUniqueid: 1.1\r\n\r\n")
    assert told == [{"Event": "Newchannel", "CallerIDName": "\ufffd\ufffd", "Uniqueid": "1.1"}]


def test_a_line_that_is_no_header_does_not_cost_the_frame() -> None:
    told = reader().feed(b"Event: UserEvent\r\nnonsense\r\nEmpty:\r\nUniqueid: 1.1\r\n\r\n")
    assert told == [{"Event": "UserEvent", "Empty": "", "Uniqueid": "1.1"}]


def test_a_stranger_at_the_port_is_named_as_one() -> None:
    with pytest.raises(BadPeer, match="not an Asterisk manager"):
        FrameReader().feed(b"SSH-2.0-OpenSSH_9.2\r\n")


def test_a_greeting_without_end_is_cut() -> None:
    with pytest.raises(BadPeer, match="greeting"):
        FrameReader().feed(b"Asterisk Call Manager/" + b"1" * 300)


def test_a_body_without_end_is_cut_at_the_bound() -> None:
    frames = reader(max_frame_bytes=10_000)
    for _ in range(10):
        assert frames.feed(b"x" * 1_000) == []
    with pytest.raises(BadPeer, match="longer than 10000"):
        frames.feed(b"x")


def test_a_huge_frame_that_does_end_is_cut_too() -> None:
    with pytest.raises(BadPeer, match="longer than"):
        reader(max_frame_bytes=10_000).feed(b"Event: X\r\nA: " + b"x" * 20_000 + b"\r\n\r\nEvent: Y\r\n\r\n")


def test_a_flood_of_headers_is_cut() -> None:
    with pytest.raises(BadPeer, match="more than 100 headers"):
        reader(max_headers=100).feed(b"Event: X\r\n" + b"A: b\r\n" * 200 + b"\r\n")


def test_an_action_is_written_as_asterisk_reads_it() -> None:
    sent = action_bytes("Originate", {"Exten": "+7495", "Variable": ["A=1", "B=2"]}, action_id="hub-1")
    assert sent == (
        b"Action: Originate\r\nActionID: hub-1\r\nExten: +7495\r\nVariable: A=1\r\nVariable: B=2\r\n\r\n"
    )  # fmt: skip


@pytest.mark.parametrize("bad", ["\r\nAction: Command", "a\nb", "a\rb", "a\0b", "a\x1b[2Jb", "a\u2028b", "\ud800"])
@pytest.mark.parametrize("key", ["Exten", "CallerID", "Variable", "Queue", "WithdrawInfo"])
def test_a_value_that_could_end_its_line_is_refused(key: str, bad: str) -> None:
    with pytest.raises(Refused):
        action_bytes("Originate", {key: "1" + bad}, action_id="hub-1")


@pytest.mark.parametrize("key", ["Exten\r\nX", "Exten: 1", "", "Action", "ActionID", "actionid", "Номер"])
def test_a_header_name_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(Refused):
        action_bytes("Originate", {key: "1"}, action_id="hub-1")


@pytest.mark.parametrize("name", ["", "Ping\r\nAction: Command", "Core Status", "Пинг"])
def test_an_action_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        action_bytes(name, {}, action_id="hub-1")


def test_a_comma_in_a_variable_would_be_a_second_variable_and_is_refused() -> None:
    with pytest.raises(Refused, match="comma"):
        action_bytes("Originate", {"Variable": ["HUB_DIAL=1,CALLERID(num)=2"]}, action_id="hub-1")
    assert b"Ivanov, Ivan" in action_bytes("Originate", {"CallerID": "Ivanov, Ivan"}, action_id="hub-1")


def test_a_line_that_asterisk_would_cut_is_refused_and_the_longest_one_is_not() -> None:
    fits = 1_024 - len("CallerID: \r\n")
    assert action_bytes("Originate", {"CallerID": "x" * fits}, action_id="hub-1")
    with pytest.raises(Refused, match="1024"):
        action_bytes("Originate", {"CallerID": "x" * (fits + 1)}, action_id="hub-1")
    with pytest.raises(Refused, match="1024"):
        action_bytes("Originate", {"CallerID": "Ж" * (fits // 2 + 1)}, action_id="hub-1")


def test_headers_that_asterisk_would_ignore_are_refused() -> None:
    assert action_bytes("Originate", {"Variable": ["A=1"] * 126}, action_id="hub-1")
    with pytest.raises(Refused, match="128 headers"):
        action_bytes("Originate", {"Variable": ["A=1"] * 127}, action_id="hub-1")


def test_a_zero_byte_in_a_value_never_gets_past_the_reader() -> None:
    """PostgreSQL refuses text that holds one, and a batch of calls with it."""
    reader = FrameReader()
    reader.feed(b"Asterisk Call Manager/11.0.0\r\n")
    (frame,) = reader.feed(b"Event: Newchannel\r\nCallerIDName: Ro\0mash\0ka\r\n\r\n")
    assert frame["CallerIDName"] == "Romashka"
