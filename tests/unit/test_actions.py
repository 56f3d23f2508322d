"""What an intent becomes on the wire, kind by kind, and what no value can make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from hub.errors import Refused
from hub.settings import Pbx
from hub.telephony.control.actions import COMPLETE_KEYS, Action, actions_of, channel_name, questions_of
from hub.telephony.control.intents import Intent, Kind, channel_id
from hub.telephony.line.wire import action_bytes

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OFFICE = Pbx(name="office", username="hub")
ANNA, CLIENT = "PJSIP/101-000003eb", "PJSIP/trunk-000003ea"
BASE = Intent(
    id=1,
    pbx="office",
    kind="blind",
    state="new",
    user_id=5,
    call_id=7,
    claim_id="0123456789abcdef",
    channel_id="hubblind-0123456789abcdef",
    extension="101",
    number=None,
    channel=ANNA,
    queue="hub-sales",
    target="102",
    peer_channel=CLIENT,
    created_at=NOW,
    deadline=NOW,
    settled_at=None,
    reason="",
)
OUTSIDE = {"number": "+74951230000", "target": None}


def sent(kind: Kind, **about: Any) -> list[tuple[str, dict[str, Any]]]:
    """The actions of an intent; each can be written on the wire."""
    actions = actions_of(replace(BASE, kind=kind, **about), OFFICE, told={COMPLETE_KEYS: "C"})
    for action in actions:
        assert action_bytes(action.name, action.fields, action_id="x").count(b"\r\n\r\n") == 1
    return [(action.name, dict(action.fields)) for action in actions]


def test_each_kind_becomes_its_action_in_the_shipped_dialplan() -> None:
    assert sent("hangup") == [("Hangup", {"Channel": ANNA, "Cause": "16"})]
    assert sent("blind") == [("BlindTransfer", {"Channel": ANNA, "Context": "hub-transfer", "Exten": "102"})]
    assert sent("blind", **OUTSIDE)[0][1] | {"Channel": ""} == {
        "Channel": "",
        "Context": "hub-transfer-out",
        "Exten": "74951230000",
    }
    assert sent("attended") == [("Atxfer", {"Channel": ANNA, "Context": "hub-transfer", "Exten": "102#"})]
    assert sent("attended", **OUTSIDE)[0][1]["Exten"] == "74951230000#"
    assert sent("complete") == [("PlayDTMF", {"Channel": ANNA, "Receive": "true", "Digit": "C"})]
    assert sent("cancel") == [("CancelAtxfer", {"Channel": ANNA})]
    assert sent("park") == [("Park", {"Channel": CLIENT, "TimeoutChannel": ANNA})]
    assert [name for name, _ in sent("hold")] == ["Setvar", "Redirect"]
    told, moved = (fields for _, fields in sent("hold"))
    assert (told["Channel"], told["Variable"], told["Value"]) == (ANNA, "HUB_PEER", CLIENT)
    assert (moved["Channel"], moved["Exten"], moved["ExtraChannel"], moved["ExtraExten"]) == (
        CLIENT,
        "client",
        ANNA,
        "manager",
    )
    assert sent("unhold") == [("Redirect", {"Channel": ANNA, "Context": "hub-hold", "Exten": "join", "Priority": "1"})]


@pytest.mark.parametrize(
    ("kind", "place", "variable"),
    [
        ("retrieve", ("hub-retrieve", "s"), f"HUB_PEER={CLIENT}"),
        ("listen", ("hub-spy", "listen"), f"HUB_SPY={ANNA}"),
        ("whisper", ("hub-spy", "whisper"), f"HUB_SPY={ANNA}"),
        ("barge", ("hub-spy", "barge"), f"HUB_SPY={ANNA}"),
    ],
)
def test_a_phone_is_rung_into_a_context_and_never_into_an_application(
    kind: Kind, place: tuple[str, str], variable: str
) -> None:
    ((name, fields),) = sent(kind)
    assert (name, fields["Channel"], fields["Context"], fields["Exten"]) == ("Originate", "PJSIP/101", *place)
    assert fields["Variable"] == [variable]
    assert fields["ChannelId"] == BASE.channel_id
    assert not {"Application", "Data"} & set(fields)


def test_what_completes_a_transfer_is_asked_of_the_channel_itself() -> None:
    (question,) = questions_of(replace(BASE, kind="complete"), OFFICE)
    assert question.is_needed
    assert question.action() == Action("Getvar", {"Channel": ANNA, "Variable": COMPLETE_KEYS}, prepares=True)
    completing = replace(BASE, kind="complete")
    keys = [action.fields["Digit"] for action in actions_of(completing, OFFICE, told={COMPLETE_KEYS: "*2"})]
    assert keys == ["*", "2"]
    for hostile in ("", "C\r\nAction: Command", "C" * 11, "system", "C,D"):
        with pytest.raises(Refused):
            actions_of(completing, OFFICE, told={COMPLETE_KEYS: hostile})
    rings = {"dial", "retrieve", "listen", "whisper", "barge"}
    asking = {kind for kind in get_args(Kind) if questions_of(replace(BASE, kind=kind), OFFICE)}
    assert asking == {"complete", *rings}


ONE, TWO = "PJSIP/101/sip:101@10.0.0.7:5060", "PJSIP/101/sip:101@10.0.0.7:5060&PJSIP/101/sip:a@10.0.0.8"
DEVICES, RINGS_ALL = "PJSIP_DIAL_CONTACTS(101)", "DIALPLAN_EXISTS(hub-ring,101,1)"


@pytest.mark.parametrize(
    ("told", "channel"),
    [
        ({}, "PJSIP/101"),
        ({DEVICES: "", RINGS_ALL: "1"}, "PJSIP/101"),
        ({DEVICES: ONE, RINGS_ALL: "1"}, "PJSIP/101"),
        ({DEVICES: TWO, RINGS_ALL: "0"}, "PJSIP/101"),  # a dialplan before version 3
        ({DEVICES: TWO}, "PJSIP/101"),
        ({DEVICES: TWO, RINGS_ALL: "1"}, "Local/101@hub-ring"),
        ({DEVICES: "x&Local/8@trunk,1", RINGS_ALL: "1"}, "Local/101@hub-ring"),
        ({DEVICES: ONE, "HUB_SECOND_PREFIX": "99", RINGS_ALL: "1"}, "Local/101@hub-ring"),
    ],
)
def test_several_devices_are_rung_by_the_dialplan_and_hub_names_no_more_than_the_extension(
    told: dict[str, str], channel: str
) -> None:
    intent = replace(BASE, kind="dial", channel_id="hub-0123456789abcdef", **OUTSIDE)
    assert [one.variable for one in questions_of(intent, OFFICE)] == [DEVICES, "HUB_SECOND_PREFIX", RINGS_ALL]
    assert not any(one.is_needed for one in questions_of(intent, OFFICE))
    (action,) = actions_of(intent, OFFICE, told=told)
    assert action.fields["Channel"] == channel
    assert action.fields["Exten"] == "+74951230000", "Hub learns from the answer what was dialled"
    about = ["HUB_DIAL=hub-0123456789abcdef", "HUB_EXTENSION=101"]
    if channel == "PJSIP/101":
        assert (action.fields["Context"], action.fields["Variable"]) == ("hub-out", about)
    else:
        assert action.fields["Context"] == "hub-rung"
        going_on = ["HUB_NEXT=hub-out", "HUB_NEXT_EXTEN=+74951230000"]
        assert action.fields["Variable"] == [f"_{one}" for one in [*going_on, *about]]


def test_only_pjsip_has_several_devices() -> None:
    old = Pbx(name="office", username="hub", phone_tech="SIP")
    assert questions_of(replace(BASE, kind="dial", **OUTSIDE), old) == []


HOSTILE = [
    "",
    "PJSIP/101-1\r\nAction: Command\r\nCommand: core stop now",
    "PJSIP/101-1\nApplication: System",
    "PJSIP/101-1\x00",
    "PJSIP/101-1,HUB_X=1",
    "PJSIP/101-1&PJSIP/102-1",
    "PJSIP/101-1|System",
    "PJSIP/${SHELL(true)}",
    "PJSIP/101-1 PJSIP/102-1",
    "/^PJSIP.*/",
    "PJSIP/" + "1" * 200,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_channels_name_becomes_another_action_channel_or_application(name: str) -> None:
    with pytest.raises(Refused):
        channel_name(name)
    for kind in ("hangup", "blind", "attended", "complete", "cancel", "hold", "unhold", "park", "listen", "barge"):
        with pytest.raises(Refused):
            actions_of(replace(BASE, kind=kind, channel=name), OFFICE, told={COMPLETE_KEYS: "C"})
    for kind in ("hold", "park", "retrieve"):
        with pytest.raises(Refused):
            actions_of(replace(BASE, kind=kind, peer_channel=name), OFFICE)


@pytest.mark.parametrize("word", ["102&103", "102,1", "102/n", "102\r\nX: y", "102\x00", "x", "", "1" * 11, "102#"])
def test_no_extension_becomes_a_second_phone_or_an_option(word: str) -> None:
    for kind in ("blind", "attended"):
        with pytest.raises(Refused):
            actions_of(replace(BASE, kind=kind, target=word), OFFICE)
    for kind in ("retrieve", "listen", "take"):
        with pytest.raises(Refused):
            actions_of(replace(BASE, kind=kind, extension=word), OFFICE)
    with pytest.raises(Refused):
        actions_of(replace(BASE, kind="dial", number="+74951234567", extension=word), OFFICE)


@pytest.mark.parametrize("word", ["+7495&1", "7495,1", "+7495\r\nX: y", "*72", "911#", "+" + "1" * 21])
def test_no_number_becomes_a_feature_code_or_a_second_number(word: str) -> None:
    for kind in ("blind", "attended", "dial"):
        with pytest.raises(Refused):
            actions_of(replace(BASE, kind=kind, number=word), OFFICE)


@pytest.mark.parametrize("name", ["SIP/sip-provider-00000f", "DAHDI/i1/84951234567-3", "IAX2/peer-12", "Local/1@c-0;2"])
def test_channels_of_older_and_other_drivers_have_names_too(name: str) -> None:
    assert channel_name(name) == name


def test_a_click_has_one_name_that_fits_into_a_channels_id() -> None:
    one = channel_id("hubattended", 5, "7:click")
    assert one == channel_id("hubattended", 5, "7:click") != channel_id("hubattended", 6, "7:click")
    assert len(one) <= 40


TODAYS = "DIALPLAN_EXISTS(hub-colleague,1,1)"
CLICK = replace(BASE, kind="dial", channel_id="hub-0123456789abcdef", number="+74951230000", target=None)


@pytest.mark.parametrize(
    ("form", "is_todays", "exten", "more"),
    [
        ("e164", False, "+74951230000", []),
        ("e164", True, "+74951230000", []),
        ("national", True, "+74951230000", ["HUB_AS=84951230000"]),
        # A dialplan that does not know HUB_AS passes on what it is sent.
        ("national", False, "84951230000", []),
        ("9{digits}", True, "+74951230000", ["HUB_AS=974951230000"]),
    ],
)
def test_the_dialplan_gets_a_number_as_the_routes_take_it(
    form: str, is_todays: bool, exten: str, more: list[str]
) -> None:
    office = Pbx(name="office", username="hub", dial_format=form)
    (action,) = actions_of(CLICK, office, told={TODAYS: "1" if is_todays else "0"}, region="RU")
    assert (action.fields["Exten"], action.fields["CallerID"]) == (exten, "+74951230000")
    assert action.fields["Variable"] == ["HUB_DIAL=hub-0123456789abcdef", "HUB_EXTENSION=101", *more]


def test_a_transfer_outside_is_written_as_the_routes_take_it() -> None:
    office = Pbx(name="office", username="hub", dial_format="national")
    (blind,) = actions_of(replace(BASE, kind="blind", **OUTSIDE), office, region="RU")
    assert (blind.fields["Context"], blind.fields["Exten"]) == ("hub-transfer-as", "84951230000")


def test_an_extension_behind_the_number_or_a_colleague_needs_todays_dialplan_and_is_refused_else() -> None:
    for intent, place in (
        (replace(CLICK, keys="12"), ("hub-out", "+74951230000")),
        (replace(CLICK, number=None, target="102"), ("hub-colleague", "102")),
    ):
        assert TODAYS in [one.variable for one in questions_of(intent, OFFICE)]
        (action,) = actions_of(intent, OFFICE, told={TODAYS: "1"})
        assert (action.fields["Context"], action.fields["Exten"]) == place
        assert ("HUB_KEYS=12" in action.fields["Variable"]) == (intent.keys is not None)
        for told in ({}, {TODAYS: "0"}):
            with pytest.raises(Refused) as refused:
                actions_of(intent, OFFICE, told=told)
            assert refused.value.details["reason"] == "dialplan_old"


@pytest.mark.parametrize("keys", ["1,2", "12)g", "w", "1&2", "1" * 11])
def test_no_extension_behind_a_number_becomes_an_option_of_dial(keys: str) -> None:
    with pytest.raises(Refused):
        actions_of(replace(CLICK, keys=keys), OFFICE, told={TODAYS: "1"})
