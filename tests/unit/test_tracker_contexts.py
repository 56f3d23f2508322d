"""Phones are told from trunks where the operator named no contexts: as FreePBX and Asterisk's samples call them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.telephony.tracking.calls import CallEnded
from hub.telephony.tracking.directions import PbxRules, dialled_number, party_of
from hub.telephony.tracking.tracker import CallTracker
from tests.unit.ami_script import BOOT, RULES, read_stream, replay
from tests.unit.test_tracker_streams import STREAMS

UNSAID = replace(RULES, internal_contexts=None)
SAID = replace(RULES, internal_contexts=frozenset({"internal", "from-internal"}))


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name.split(".")[0])
def test_an_operator_who_says_nothing_sees_the_same_calls(path: Path) -> None:
    frames = read_stream(path)
    by_default = replay(frames, tracker=CallTracker(UNSAID, boot=BOOT))
    assert [e for e in by_default if isinstance(e, CallEnded)] == [
        e for e in replay(frames, tracker=CallTracker(SAID, boot=BOOT)) if isinstance(e, CallEnded)
    ]


@pytest.mark.parametrize(
    ("name", "context", "is_phone"),
    [
        ("PJSIP/101-00000001", "from-internal", True),
        ("PJSIP/anna-00000001", "from-internal-custom", True),
        ("SIP/101-0000001f", "from-internal-xfer", True),
        ("PJSIP/101-00000001", "ext-local", True),
        ("SIP/provider-00000001", "from-trunk", False),
        ("PJSIP/provider-00000001", "from-trunk-sip-provider", False),
        ("PJSIP/4951234-00000001", "from-pstn-toheader", False),
        ("PJSIP/500-00000001", "from-pstn", False),
        ("PJSIP/500-00000001", "from-sip-external", False),
        ("SIP/500-00000001", "from-did-direct", False),
        ("SIP/500-00000001", "ext-did-0002", False),
        # A name of the operator's own: an endpoint that is called like an extension is one.
        ("PJSIP/101-00000001", "office", True),
        ("PJSIP/provider-00000001", "office", False),
        ("SIP/74950000100-00000001", "sip-in", False),
    ],
)
def test_what_a_context_says_of_an_endpoint(name: str, context: str, is_phone: bool) -> None:
    assert party_of(name, PbxRules(pbx="office"), context=context).is_phone == is_phone


def test_what_the_operator_said_is_all_that_counts() -> None:
    rules = PbxRules(pbx="office", internal_contexts=frozenset({"office"}))
    assert party_of("PJSIP/anna-00000001", rules, context="office").is_phone
    assert not party_of("PJSIP/101-00000001", rules, context="from-internal").is_phone


def test_a_trunk_that_is_called_by_our_own_number_is_no_phone() -> None:
    rules = PbxRules(pbx="office", own_numbers=frozenset({"4950"}))
    assert not party_of("SIP/4950-00000001", rules, context="sip-in").is_phone


@pytest.mark.parametrize(
    ("dial_string", "number"),
    [
        ("+74951234567@provider", "+74951234567"),
        ("89161234567@provider", "89161234567"),
        ("provider/sip:74951234567@192.0.2.1:5060", "74951234567"),
        ("provider/89161234567", "89161234567"),
        ("74950000100/89161234567", "89161234567"),
        ("i1/89161234567", "89161234567"),
        ("provider", "84951112233"),
        ("", "84951112233"),
    ],
)
def test_the_number_on_an_outside_line_is_the_one_dialled_never_the_trunks(dial_string: str, number: str) -> None:
    assert dialled_number(dial_string, "84951112233") == number
