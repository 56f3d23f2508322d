"""Device states of a PBX: what frames make of them, whatever comes, however often and in whichever words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.telephony.line.wire import UNWANTED
from hub.telephony.presence.devices import EVENTS, MAX_DEVICES, Device, DeviceBoard, extension_of

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


def change(device: str, state: str) -> dict[str, str]:
    return {"Event": "DeviceStateChange", "Device": device, "State": state}


def contact(name: str, status: str, uri: str = "sip:101@127.0.0.1:5060") -> dict[str, str]:
    return {"Event": "ContactStatus", "EndpointName": name, "AOR": name, "URI": uri, "ContactStatus": status}


def state_of(board: DeviceBoard, name: str) -> str | None:
    return next((device.state for device in board.devices() if device.name == name), None)


def contact_of(board: DeviceBoard, name: str) -> str | None:
    return next((device.contact for device in board.devices() if device.name == name), None)


def test_what_the_board_reads_is_not_dropped_on_the_wire() -> None:
    assert EVENTS.isdisjoint(UNWANTED)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("NOT_INUSE", "idle"),
        ("INUSE", "in_use"),
        ("RINGINUSE", "in_use"),
        ("RINGING", "ringing"),
        ("BUSY", "busy"),
        ("ONHOLD", "on_hold"),
        ("UNAVAILABLE", "unavailable"),
        ("INVALID", "unavailable"),
        ("UNKNOWN", "unknown"),
        ("", "unknown"),
        ("A WORD OF ASTERISK 31", "unknown"),
    ],
)
def test_each_word_of_asterisk_is_a_state_and_a_strange_one_is_unknown_never_busy(said: str, state: str) -> None:
    board = DeviceBoard()
    assert board.handle(change("PJSIP/101", said), now=NOW)
    assert state_of(board, "PJSIP/101") == state


def test_the_same_state_told_twice_keeps_its_beginning_and_writes_nothing() -> None:
    board = DeviceBoard()
    board.handle(change("PJSIP/101", "INUSE"), now=NOW)
    board.settle(board.pending())
    assert not board.handle(change("PJSIP/101", "INUSE"), now=NOW + timedelta(seconds=9))
    assert not board.pending()
    assert board.devices() == [Device("PJSIP/101", "in_use", NOW)]


def test_of_a_burst_only_the_end_is_stored_and_nothing_where_it_ends_as_it_began() -> None:
    board = DeviceBoard([Device("PJSIP/101", "idle", NOW)])
    for said in ("RINGING", "INUSE", "RINGING", "INUSE"):
        board.handle(change("PJSIP/101", said), now=NOW)
    assert [device.state for device in board.pending().changed] == ["in_use"]


def test_what_changes_while_a_batch_is_being_stored_is_in_the_next_one() -> None:
    board = DeviceBoard()
    board.handle(change("PJSIP/101", "INUSE"), now=NOW)
    batch = board.pending()
    board.handle(change("PJSIP/101", "NOT_INUSE"), now=NOW)
    board.settle(batch)
    assert [device.state for device in board.pending().changed] == ["idle"]


@pytest.mark.parametrize(
    "name",
    ["Queue:hub-sales", "Queue:hub-sales_avail", "MWI:101@default", "park:701@parkedcalls", "confbridge:1", "",
     "PJSIP/", "Local/101@internal", "PJSIP/101\x00", "PJSIP/" + "1" * 61, "PJSIP/101&PJSIP/102", "PJSIP/<b>"],
)  # fmt: skip
def test_what_is_no_phone_and_no_line_is_not_kept(name: str) -> None:
    board = DeviceBoard()
    assert not board.handle(change(name, "INUSE"), now=NOW)
    assert board.devices() == []


def test_the_list_after_a_connection_is_the_whole_truth() -> None:
    """The call that ended while nobody listened, and the phone that was taken away, leave nothing "busy" behind."""
    stored = [Device("PJSIP/101", "in_use", NOW), Device("PJSIP/102", "in_use", NOW), Device("PJSIP/103", "idle", NOW)]
    board = DeviceBoard(stored)
    later = NOW + timedelta(minutes=10)
    board.take_list([change("PJSIP/101", "NOT_INUSE"), change("PJSIP/103", "NOT_INUSE")], now=later)
    pending = board.pending()
    assert pending.changed == (Device("PJSIP/101", "idle", later),)
    assert pending.gone == ("PJSIP/102",)
    board.settle(pending)
    assert not board.pending()


def test_a_pbx_that_gives_no_list_has_no_devices_until_it_tells_of_them() -> None:
    board = DeviceBoard([Device("PJSIP/101", "in_use", NOW)])
    board.take_list([], now=NOW)
    assert board.pending().gone == ("PJSIP/101",)
    board.handle(change("PJSIP/101", "RINGING"), now=NOW)
    assert board.pending().gone == ()


def test_a_phone_with_two_contacts_is_as_reachable_as_the_better_one() -> None:
    board = DeviceBoard([Device("PJSIP/101", "idle", NOW)])
    board.handle(contact("101", "NonQualified", "sip:a"), now=NOW)
    assert contact_of(board, "PJSIP/101") == "registered"
    board.handle(contact("101", "Reachable", "sip:b"), now=NOW)
    assert contact_of(board, "PJSIP/101") == "reachable"
    board.handle(contact("101", "Unreachable", "sip:b"), now=NOW)
    assert contact_of(board, "PJSIP/101") == "registered"
    board.handle(contact("101", "Removed", "sip:a"), now=NOW)
    assert contact_of(board, "PJSIP/101") == "unreachable"
    board.handle(contact("101", "Removed", "sip:b"), now=NOW)
    assert contact_of(board, "PJSIP/101") == "none"
    assert state_of(board, "PJSIP/101") == "idle", "whether it can be rung is the device state's to say"


def test_a_registration_renewed_does_not_undo_what_qualifying_found() -> None:
    board = DeviceBoard([Device("PJSIP/101", "idle", NOW)])
    board.handle(contact("101", "Unreachable"), now=NOW)
    assert not board.handle(contact("101", "Updated"), now=NOW)
    assert contact_of(board, "PJSIP/101") == "unreachable"


def test_what_asterisk_sums_up_of_a_pjsip_phone_is_left_to_its_contacts() -> None:
    board = DeviceBoard([Device("PJSIP/101", "idle", NOW)])
    summed = {"Event": "PeerStatus", "ChannelType": "PJSIP", "Peer": "PJSIP/101", "PeerStatus": "Reachable"}
    assert not board.handle(summed, now=NOW)
    board.handle(contact("101", "NonQualified"), now=NOW)
    assert contact_of(board, "PJSIP/101") == "registered"


def test_an_old_chan_sip_tells_by_hints_peers_and_its_own_list() -> None:
    board = DeviceBoard()
    board.take_list(
        [
            {"Event": "PeerEntry", "Channeltype": "SIP", "ObjectName": "101", "Status": "OK (12 ms)"},
            {"Event": "PeerEntry", "Channeltype": "SIP", "ObjectName": "102", "Status": "UNREACHABLE"},
            {"Event": "PeerEntry", "Channeltype": "SIP", "ObjectName": "103", "Status": "Unmonitored"},
            {"Event": "PeerlistComplete"},
        ],
        now=NOW,
    )
    states = [(state_of(board, f"SIP/{n}"), contact_of(board, f"SIP/{n}")) for n in (101, 102, 103)]
    assert states == [("unknown", "reachable"), ("unavailable", "unreachable"), ("unknown", "registered")]
    hints = {"0": "idle", "1": "in_use", "2": "busy", "4": "unavailable", "8": "ringing", "9": "in_use",
             "16": "on_hold", "-1": "unknown", "-2": "unknown", "x": "unknown", "99999999999": "unknown"}  # fmt: skip
    for bits, state in hints.items():
        board.handle({"Event": "ExtensionStatus", "Exten": "101", "Hint": "SIP/101", "Status": bits}, now=NOW)
        assert state_of(board, "SIP/101") == state, bits
    board.handle({"Event": "PeerStatus", "Peer": "SIP/103", "PeerStatus": "Unregistered"}, now=NOW)
    assert contact_of(board, "SIP/103") == "none"


def test_a_flood_of_devices_is_bounded() -> None:
    board = DeviceBoard()
    for n in range(MAX_DEVICES + 50):
        board.handle(change(f"PJSIP/{n}", "INUSE"), now=NOW)
        board.handle(contact(f"x{n}", "Reachable"), now=NOW)
    assert len(board.devices()) <= MAX_DEVICES


@pytest.mark.parametrize(
    ("device", "extension"),
    [
        ("PJSIP/101", "101"),
        ("SIP/trunk", None),
        ("PJSIP/101-web", "101"),
        ("PJSIP/acme-101", "101"),
        ("PJSIP/101*acme", "101"),
        ("DAHDI/12", None),
        ("PJSIP/10.0.0.5", None),
    ],
)
def test_a_device_is_a_persons_when_it_is_named_after_an_extension(device: str, extension: str | None) -> None:
    assert extension_of(device) == extension


_KEYS = "Event Device State EndpointName AOR URI ContactStatus Peer PeerStatus Hint Status ObjectName".split()
_WORDS = ["PJSIP/101", "SIP/102", "Queue:x", "101", "INUSE", "Reachable", "Removed", "16", "-1", "", "\x00", "²"]
_frames = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from([*sorted(EVENTS), "PeerEntry", *_WORDS]), max_size=6)


@given(st.lists(_frames, max_size=12), st.lists(_frames, max_size=4))
def test_no_frame_raises_and_storing_what_is_pending_leaves_nothing_pending(
    frames: list[dict[str, str]], rows: list[dict[str, str]]
) -> None:
    board = DeviceBoard([Device("PJSIP/101", "in_use", NOW)])
    for frame in frames:
        board.handle(frame, now=NOW)
    board.take_list(rows, now=NOW)
    for frame in frames * 2:
        board.handle(frame, now=NOW)
    board.settle(board.pending())
    assert not board.pending()


def test_a_browser_phone_beside_its_desk_phone_is_the_same_persons() -> None:
    board = DeviceBoard()
    board.take_list([change("PJSIP/99101", "INUSE"), change("PJSIP/101", "NOT_INUSE")], now=NOW)
    assert board.pending().extensions == {"PJSIP/99101": "101", "PJSIP/101": "101"}
    alone = DeviceBoard()
    alone.take_list([change("PJSIP/99101", "INUSE")], now=NOW)
    assert alone.pending().extensions == {"PJSIP/99101": "99101"}
