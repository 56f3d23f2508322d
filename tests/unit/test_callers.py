"""Who calls whom, where a channel's birth does not tell it: `to` by the trunk's leg, names and numbers put right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.telephony.tracking.calls import Call, CallChanged, ClaimConnected
from hub.telephony.tracking.directions import numbers_called
from hub.telephony.tracking.tracker import CallTracker, PbxRules
from tests.unit.ami_script import BOOT, CHANNELS, Chan, Play, ended, holds_for_every_call, replay

CASES = Path(__file__).parents[1] / "data" / "ami_cases"
RULES = PbxRules(pbx="office", hub_queues=frozenset({"hub-sales", "hub-support"}))


def case(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text("utf-8").splitlines()]


def only_call(frames: list[dict[str, str]]) -> Call:
    effects = replay(frames, tracker=CallTracker(RULES, boot=BOOT))
    holds_for_every_call(effects)
    (call,) = ended(effects)
    return call


@pytest.mark.parametrize("name", ["originate_of_the_phone", "analog_phone_dials", "nine_for_an_outside_line"])
def test_the_number_of_an_outbound_call_is_known_wherever_it_stands(name: str) -> None:
    call = only_call(case(name))
    assert (call.direction, call.outcome) == ("outbound", "answered")
    assert numbers_called(call)[0] == "84951234567"
    assert call.from_extension == ("112" if name.startswith("analog") else "101")
    assert call.from_raw == call.from_extension


@pytest.mark.parametrize(
    ("name", "extension"),
    [("iax_decimal_call_number", "101"), ("analog_phone_rung", "112"), ("freepbx_browser_phone", "101")],
)
def test_who_answered_is_known_by_the_channel_or_a_later_caller_id(name: str, extension: str) -> None:
    call = only_call(case(name))
    assert (call.direction, call.outcome, call.answered_extension) == ("inbound", "answered", extension)
    assert [leg.extension for leg in call.legs] == [None, extension]
    assert call.to_extension == extension


def without(frames: list[dict[str, str]], event: str) -> list[dict[str, str]]:
    return [frame for frame in frames if frame["Event"] != event]


@pytest.mark.parametrize("name", ["analog_phone_rung", "freepbx_browser_phone"])
def test_the_dial_tells_the_extension_where_no_new_caller_id_is_heard_of(name: str) -> None:
    expected = only_call(case(name)).answered_extension
    assert only_call(without(case(name), "NewCallerid")).answered_extension == expected


def test_a_browser_phone_without_a_caller_id_is_its_desk_phones_extension() -> None:
    play = Play(CallTracker(RULES, boot=BOOT))
    desk = CHANNELS["desk"].headers() | {"Event": "Newchannel", "Context": "from-internal"}
    play.feed(desk)
    play.feed({**desk, "Event": "Hangup", "Cause": "16"})
    frames = without(case("freepbx_browser_phone"), "NewCallerid")
    for frame in frames:
        play.feed({key: "<unknown>" if key.endswith("CallerIDNum") else value for key, value in frame.items()})
    assert ended(play.effects)[-1].answered_extension == "101"


def outbound(dialled: str, dial_string: str) -> Call:
    """A call of phone 101 that dials `dialled`, over a trunk that is asked for `dial_string`; the client answers."""
    play = Play(CallTracker(RULES, boot=BOOT))
    desk = Chan("PJSIP/101-00000004", "20.1", "20.1", "from-internal", dialled, "101").headers()
    trunk = Chan("PJSIP/trunk-00000005", "20.2", "20.1", "from-trunk", "s")
    play.feed({"Event": "Newchannel", **desk})
    play.feed({"Event": "Newchannel", **trunk.headers()})
    play.feed({"Event": "DialBegin", **desk, **trunk.headers("Dest"), "DialString": dial_string})
    return play.effects[-1].call


@pytest.mark.parametrize(
    ("dialled", "dial_string", "first"),
    [
        ("984951234567", "84951234567@trunk", "84951234567"),
        # +98 916 … is a number of its own: what the trunk is asked for tells that this is a 9 before 8916….
        ("989161234567", "89161234567@trunk", "89161234567"),
        ("84951234567", "000184951234567@trunk", "84951234567"),
        ("84951234567", "g1/0001#84951234567", "84951234567"),
        ("0048221234567", "48221234567@trunk", "0048221234567"),
        ("+48221234567", "48221234567@trunk", "+48221234567"),
        # Berlin, not Ivanovo: who dials 810 dials abroad, and the trunk is asked without it.
        ("8104930901820", "4930901820@trunk", "8104930901820"),
        ("01148221234567", "48221234567@trunk", "01148221234567"),
        ("", "trunk/sip:84951234567@sip.example", "84951234567"),
        ("*55", "84951234567@trunk", "*55"),
        ("112", "112@trunk", "112"),
    ],
)
def test_the_number_dialled_counts_without_the_prefix_for_an_outside_line(
    dialled: str, dial_string: str, first: str
) -> None:
    call = outbound(dialled, dial_string)
    assert call.direction == "outbound"
    assert numbers_called(call)[0] == first


def test_behind_a_speed_dial_stands_the_number_that_the_trunk_is_asked_for() -> None:
    assert numbers_called(outbound("*55", "84951234567@trunk")) == ("*55", "84951234567")


def test_a_client_who_is_rung_before_the_manager_is_called_by_us() -> None:
    play = Play(CallTracker(RULES, boot=BOOT))
    client = Chan("PJSIP/trunk-00000005", "50.1", "50.1", "from-trunk", "s", "74950000100")
    phone = Chan("PJSIP/101-00000006", "50.2", "50.1", "from-internal", "s")
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Down", **client.headers()})
    play.feed({"Event": "DialBegin", **client.headers("Dest"), "DialString": "84951234567@trunk"})
    play.feed({"Event": "Newstate", "ChannelStateDesc": "Up", **client.headers()})
    play.feed({"Event": "Newchannel", **phone.headers()})
    play.feed({"Event": "DialBegin", **client.headers(), **phone.headers("Dest"), "DialString": "101"})
    play.feed({"Event": "Newstate", "ChannelStateDesc": "Up", **phone.headers()})
    for channel in (client, phone):
        play.feed({"Event": "BridgeEnter", "BridgeUniqueid": "b1", **channel.headers()})
    for channel in (phone, client):
        play.feed({"Event": "Hangup", "Cause": "16", **channel.headers()})
    (call,) = ended(play.effects)
    assert (call.direction, call.outcome) == ("outbound", "answered")
    assert (call.from_extension, call.to_raw, call.did) == ("101", "84951234567", None)


def test_a_phone_without_an_extension_stays_the_caller_when_its_call_is_handed_to_a_colleague() -> None:
    play = Play(CallTracker(RULES, boot=BOOT))
    desk = Chan("PJSIP/anna-00000004", "20.1", "20.1", "from-internal", "84951234567").headers()
    client = Chan("PJSIP/trunk-00000005", "20.2", "20.1", "from-trunk", "s").headers()
    colleague = Chan("PJSIP/102-00000006", "20.3", "20.1", "from-internal", "s")
    play.feed({"Event": "Newchannel", **desk})
    play.feed({"Event": "Newchannel", **client})
    dest = {f"Dest{key}": value for key, value in client.items()}
    play.feed({"Event": "DialBegin", **desk, **dest, "DialString": "84951234567@trunk"})
    for channel in (desk, client):
        play.feed({"Event": "Newstate", "ChannelStateDesc": "Up", **channel})
        play.feed({"Event": "BridgeEnter", "BridgeUniqueid": "b1", **channel})
    play.feed({"Event": "Newchannel", **colleague.headers()})
    play.feed({"Event": "DialBegin", **client, **colleague.headers("Dest"), "DialString": "102"})
    call = play.effects[-1].call
    assert (call.direction, call.from_extension) == ("outbound", None)


# Inbound: number and name after the birth

PHONE = CHANNELS["phone"].headers() | {"Context": "from-internal"}


def inbound(*caller_ids: tuple[str, str], birth: str = "84951234567", then: str = "phone") -> Call:
    """A call from outside whose caller id becomes these one after the other before anybody is rung."""
    play = Play(CallTracker(RULES, boot=BOOT))
    caller = CHANNELS["caller"].headers() | {"CallerIDNum": birth, "CallerIDName": "<unknown>"}
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Ring", **caller})
    for number, name in caller_ids:
        play.feed({"Event": "NewCallerid", **caller, "CallerIDNum": number, "CallerIDName": name})
    if then == "phone":
        dest = {f"Dest{key}": value for key, value in PHONE.items()}
        play.feed({"Event": "Newchannel", "ChannelStateDesc": "Down", **PHONE})
        play.feed({"Event": "DialBegin", **caller, **dest, "DialString": "101"})
    elif then == "mobile":
        mobile = Chan("PJSIP/trunk-00000009", "10.9", "10.1", "from-trunk", "s").headers("Dest")
        play.feed({"Event": "DialBegin", **caller, **mobile, "DialString": "79161112233@trunk"})
    elif then == "queue":
        play.feed({"Event": "QueueCallerJoin", **caller, "Queue": "hub-sales"})
    else:
        play.feed({"Event": "Hangup", **caller, "Cause": "16"})
    return play.effects[-1].call


@pytest.mark.parametrize("then", ["phone", "queue", "hangup"])
@pytest.mark.parametrize(
    ("birth", "corrected", "number"),
    [
        ("4951234567", "84951234567", "84951234567"),
        ("984951234567", "84951234567", "84951234567"),
        ("84951234567", "1234567", "84951234567"),
        ("account7", "84951234567", "84951234567"),
        ("74959999999", "84951234567", "84951234567"),
        ("<unknown>", "84951234567", "84951234567"),
        ("84951234567@sip.example", "84951234567@sip.example", "84951234567"),
        ("84951234567", "101", "84951234567"),
        ("84951234567", "74950000100", "84951234567"),
    ],
)
def test_the_number_that_the_dialplan_puts_right_is_the_callers(
    birth: str, corrected: str, number: str, then: str
) -> None:
    assert inbound((corrected, "<unknown>"), birth=birth, then=then).from_raw == number


@pytest.mark.parametrize("then", ["phone", "queue", "hangup"])
def test_the_name_that_the_pbxs_phone_book_gives_is_the_callers(then: str) -> None:
    call = inbound(("84951234567", "Иван Петров"), then=then)
    assert (call.from_raw, call.from_name) == ("84951234567", "Иван Петров")


def test_a_queues_prefix_is_no_name() -> None:
    assert inbound(("84951234567", "Sales:84951234567")).from_name == ""
    assert inbound(("84951234567", "Sales:")).from_name == ""
    assert inbound(("84951234567", "Ivan"), ("84951234567", "Sales:Ivan")).from_name == "Ivan"


@pytest.mark.parametrize("own", ["74950000100", "74959999999"])
def test_what_the_company_shows_on_a_trunk_is_no_caller(own: str) -> None:
    call = inbound(("84951234567", "Company"), (own, "Company"), then="mobile")
    assert (call.from_raw, call.from_name) == ("84951234567", "")


def test_once_a_phone_was_rung_the_caller_stays_who_it_was() -> None:
    play = Play(CallTracker(RULES, boot=BOOT))
    caller = CHANNELS["caller"].headers()
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Ring", **caller})
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Down", **PHONE})
    dest = {f"Dest{key}": value for key, value in PHONE.items()}
    play.feed({"Event": "DialBegin", **caller, **dest, "DialString": "101"})
    play.feed({"Event": "NewCallerid", **caller, "CallerIDNum": "74959999999", "CallerIDName": "Company"})
    changed = [effect for effect in play.effects if isinstance(effect, CallChanged)]
    assert (changed[-1].call.from_raw, changed[-1].call.from_name) == ("84951234567", "Иван")


@pytest.mark.parametrize(
    ("channel", "dial_string", "shown", "extension"),
    [
        ("PJSIP/anna-00000002", "anna/sip:anna@10.0.0.7", "101", "101"),
        ("PJSIP/anna-00000002", "anna", "101", "101"),
        ("IAX2/reception-77", "reception", "101", "101"),
        ("PJSIP/provider-00000002", "112@provider", "112", None),
        ("DAHDI/1-1", "g1/112", "112", None),
        ("PJSIP/provider-00000002", "79161112233@provider", "101", None),
    ],
)
def test_who_is_rung_without_a_number_in_an_unusual_context_is_a_phone(
    channel: str, dial_string: str, shown: str, extension: str | None
) -> None:
    play = Play(CallTracker(RULES, boot=BOOT))
    caller = CHANNELS["caller"].headers()
    rung = Chan(channel, "10.2", "10.1", "office", "s", shown).headers()
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Ring", **caller})
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Down", **rung})
    dest = {f"Dest{key}": value for key, value in rung.items()}
    play.feed({"Event": "DialBegin", **caller, **dest, "DialString": dial_string})
    assert play.effects[-1].call.legs[1].extension == extension


@pytest.mark.parametrize("name", ["PJSIP/99101-00000002", "PJSIP/7101-00000002"])
def test_a_claim_is_taken_on_the_second_device_of_an_extension_alone(name: str) -> None:
    """The desk phone is not there, and the device's caller id does not say whose it is."""
    play = Play(CallTracker(RULES, boot=BOOT))
    caller = CHANNELS["caller"].headers()
    device = Chan(name, "10.2", "10.1", "from-internal", "s").headers()
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Ring", **caller})
    play.feed({"Event": "QueueCallerJoin", "Queue": "hub-sales", **caller})
    play.feed({"Event": "QueueCallerLeave", "Queue": "hub-sales", **caller})
    claim = {"UserEvent": "HubClaimStarted", "Claim": "0123456789abcdef", "Extension": "101"}
    play.feed({"Event": "UserEvent", **claim, **caller})
    play.feed({"Event": "Newchannel", **device})
    dest = {f"Dest{key}": value for key, value in device.items()}
    play.feed({"Event": "DialBegin", **caller, **dest, "DialString": device["Channel"][6:-9]})
    for channel in (device, caller):
        play.feed({"Event": "BridgeEnter", "BridgeUniqueid": "b1", **channel})
    connected = play.effects[-1]
    assert isinstance(connected, ClaimConnected)
    assert (connected.call.answered_extension, connected.call.manager_channel) == ("101", device["Channel"])


def test_a_colleague_who_is_rung_while_a_claim_is_open_is_not_the_claims_manager() -> None:
    play = Play(CallTracker(RULES, boot=BOOT))
    caller = CHANNELS["caller"].headers()
    colleague = Chan("PJSIP/102-00000002", "10.2", "10.1", "from-internal", "s").headers()
    play.feed({"Event": "Newchannel", "ChannelStateDesc": "Ring", **caller})
    play.feed({"Event": "QueueCallerJoin", "Queue": "hub-sales", **caller})
    claim = {"UserEvent": "HubClaimStarted", "Claim": "0123456789abcdef", "Extension": "101"}
    play.feed({"Event": "UserEvent", **claim, **caller})
    play.feed({"Event": "Newchannel", **colleague})
    dest = {f"Dest{key}": value for key, value in colleague.items()}
    play.feed({"Event": "DialBegin", **caller, **dest, "DialString": "102"})
    assert [leg.extension for leg in play.effects[-1].call.legs] == [None, "102"]
