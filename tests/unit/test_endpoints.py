"""An extension is known by its channel's name in any form, and a number by its dial string in any form."""

from __future__ import annotations

import pytest

from hub.crm.addresses import parse_phone
from hub.telephony.tracking.dial_strings import caller_number, is_same_number, number_in
from hub.telephony.tracking.directions import PbxRules, party_of
from hub.telephony.tracking.endpoints import parts_of

RULES = PbxRules(pbx="office")


@pytest.mark.parametrize(
    ("name", "caller_id", "extension"),
    [
        ("PJSIP/101-0000000a", "", "101"),
        ("SIP/101-08c5b5f8", "", "101"),
        ("SIP/101-1a2b", "", "101"),
        ("IAX2/101-7245", "", "101"),
        ("SCCP/101-0000000A", "", "101"),
        ("SCCP/101-1", "", "101"),
        ("Skinny/101@SEP0011-1", "", "101"),
        ("MGCP/aaln/1@101-1", "", "101"),
        ("PJSIP/tenant-101-0000000a", "", "101"),
        ("PJSIP/101-tenant-0000000a", "", "101"),
        ("SIP/101*tenant-0000000a", "", "101"),
        ("PJSIP/t2_101-0000000a", "", "101"),
        ("PJSIP/101@acme-0000000a", "", "101"),
        ("PJSIP/99101-00000002", "101", "101"),
        ("PJSIP/2005101-00000002", "5101", "5101"),
        ("PJSIP/anna-00000002", "101", "101"),
        ("DAHDI/7-1", "112", "112"),
        ("DAHDI/i1/84951234567-3", "112", "112"),
        ("Mobile/adapter-1a2b", "113", "113"),
        # A name that is a number counts, whatever the phone shows; a line's number is never an extension.
        ("PJSIP/101-0000000a", "74950000100", "101"),
        ("PJSIP/101-0000000a", "200", "101"),
        ("DAHDI/12-1", "", None),
        ("PJSIP/anna-0000000a", "84951234567", None),
        ("SIP/10.0.0.5-00000001", "", None),
    ],
)
def test_a_phone_is_known_by_its_channel_in_any_form(name: str, caller_id: str, extension: str | None) -> None:
    party = party_of(name, RULES, context="from-internal", caller_id=caller_id)
    assert (party.is_phone, party.extension) == (True, extension)


@pytest.mark.parametrize(
    ("name", "context", "is_phone"),
    [
        ("PJSIP/acme-101-0000000a", "acme", True),
        ("PJSIP/101*acme-0000000a", "acme-users", True),
        ("PJSIP/zadarma-123456-0000000a", "acme", False),
        ("DAHDI/12-1", "office", False),
        ("PJSIP/acme-101-0000000a", "from-trunk", False),
    ],
)
def test_a_tenants_phone_is_told_from_a_trunk_by_its_context(name: str, context: str, is_phone: bool) -> None:
    assert party_of(name, RULES, context=context).is_phone is is_phone


def test_the_suffix_is_no_part_of_an_endpoint() -> None:
    names = ["IAX2/101-7245", "DAHDI/7-1", "Local/102@from-queue-0000001a;2", "PJSIP/trunk-0000001a<MASQ>"]
    assert [parts_of(name)[1] for name in names] == ["101", "7", "102@from-queue", "trunk"]


@pytest.mark.parametrize(
    ("dial_string", "number"),
    [
        ("84951234567@trunk", "84951234567"),
        ("+74951234567@trunk", "+74951234567"),
        ("trunk/sip:84951234567@sip.example", "84951234567"),
        ("trunk/sip:0001%2384951234567@sip.example", "84951234567"),
        ("trunk/sip:+74951234567@sip.example:5060;transport=tcp", "+74951234567"),
        ("trunk/84951234567", "84951234567"),
        ("trunk/0001#84951234567", "84951234567"),
        ("user:secret@10.0.0.1/84951234567@outbound", "84951234567"),
        ("84951234567:secret@10.0.0.1:5060", "84951234567"),
        ("g1/84951234567", "84951234567"),
        ("g1/9w84951234567", "84951234567"),
        ("1-1/84951234567ww12", "84951234567"),
        ("dongle0/84951234567", "84951234567"),
        ("84951234567@from-internal/n", "84951234567"),
        ("#31#84951234567", "84951234567"),
        ("*6784951234567", "84951234567"),
        ("100500/84951234567", "84951234567"),
        ("trunk", None),
        ("anna/sip:anna@10.0.0.7", None),
        ("", None),
    ],
)
def test_the_number_stands_in_a_dial_string_of_any_driver(dial_string: str, number: str | None) -> None:
    assert number_in(dial_string) == number


@pytest.mark.parametrize(
    ("shown", "number"),
    [
        ("84951234567@sip.example", "84951234567"),
        ("sip:+74951234567@10.0.0.1;user=phone", "+74951234567"),
        ("<sip:84951234567@sip.example>", "84951234567"),
        ("+74951234567;phone-context=ims", "+74951234567"),
        ("84951234567", "84951234567"),
        ("anna@sip.example", "anna@sip.example"),
    ],
)
def test_a_callers_number_stands_without_its_host(shown: str, number: str) -> None:
    assert caller_number(shown) == number


def test_a_number_at_a_host_is_that_number_wherever_it_is_read() -> None:
    read = [parse_phone(raw, "RU") for raw in ("84951234567@sip.example", "sip:+74951234567;user=phone@10.0.0.1")]
    assert [phone.value for phone in read if phone] == ["+74951234567"] * 2
    assert parse_phone("anna@sip.example", "RU") is None


def test_one_number_with_and_without_its_prefixes_is_the_same() -> None:
    assert is_same_number("+74951234567", "84951234567")
    assert is_same_number("4951234567", "984951234567")
    assert not is_same_number("84951234567", "84951234568")
    assert not is_same_number("101", "84950000101")
