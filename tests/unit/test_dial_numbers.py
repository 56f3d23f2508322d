"""Which numbers go out by a click: whole and ordinary ones, to where the operator allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.errors import Forbidden, Refused
from hub.telephony.control.dial_format import written
from hub.telephony.control.numbers import Dialled, DialRules, number_alone, number_and_keys

RU = DialRules(region="RU", own_numbers=frozenset({"+74950000100"}))


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("8 (495) 123-45-67", "+74951234567"),
        ("+7 916 123 45 67", "+79161234567"),
        ("8 800 555-35-35", "+78005553535"),
        ("+49 30 901820", "+4930901820"),
        ("84951234567/68", "+74951234567"),
    ],
)
def test_an_ordinary_number_goes_out_in_one_form(written: str, dialled: str) -> None:
    assert number_alone(written, RU) == dialled


@pytest.mark.parametrize("raw", ["*21*84951234567#", "+7495&1", "PJSIP/1", "", "+7 495", "0" * 80, "105", "8 800, 12"])
def test_what_is_no_number_never_does(raw: str) -> None:
    with pytest.raises(Refused) as refused:
        number_alone(raw, RU)
    assert refused.value.code == "bad_number"


@pytest.mark.parametrize("raw", ["84951234567;ext=123456789", "tel:+7-495-123-45-67;ext=12345678901234"])
def test_an_extension_that_is_too_long_to_keep_is_refused(raw: str) -> None:
    with pytest.raises(Refused, match="more than 8 digits"):
        number_and_keys(raw, RU)


@pytest.mark.parametrize(
    ("raw", "region", "is_emergency"),
    [
        ("112", "RU", True),
        ("01", "RU", True),
        ("04", "RU", True),
        ("104", "RU", True),
        (" 1-1-2 ", "RU", True),
        ("+112", "RU", True),
        ("tel:112", "RU", True),
        ("911", "RU", True),
        ("110", "DE", True),
        ("112", "DE", True),
        ("999", "GB", True),
        ("999", "RU", False),
        ("04", "DE", False),
    ],
)
def test_emergency_numbers_of_the_region_have_a_refusal_of_their_own(raw: str, region: str, is_emergency: bool) -> None:
    with pytest.raises(Refused) as refused:
        number_alone(raw, DialRules(region=region))
    assert refused.value.code == ("emergency_number" if is_emergency else "bad_number")


def test_the_operators_own_emergency_numbers_count_alone() -> None:
    rules = replace(RU, emergency=frozenset({"2222"}))
    for raw, code in (("2222", "emergency_number"), ("112", "bad_number")):
        with pytest.raises(Refused) as refused:
            number_alone(raw, rules)
        assert refused.value.code == code


@pytest.mark.parametrize(
    "raw",
    [
        "8 (495) 123-45-67 доб. 12",
        "84951234567 доб 12",
        "84951234567доб12",
        "84951234567 (доб. 12)",
        "84951234567, добавочный: 12",
        "84951234567 вн. 12",
        "84951234567 внутр. 12",
        "84951234567 ext 12",
        "84951234567 ext.12",
        "84951234567 extension 12",
        "84951234567;ext=12",
        "tel:+7-495-123-45-67;ext=12",
        "84951234567 x12",
        "84951234567x12",
        "84951234567#12",
        "84951234567,12",
        "84951234567, 12",
        "+74951234567,,12#",
        "84951234567p12",
        "84951234567w12",
    ],
)
def test_an_extension_is_kept_apart_to_be_pressed_or_is_refused_and_never_dropped(raw: str) -> None:
    assert number_and_keys(raw, RU) == Dialled("+74951234567", "12")
    with pytest.raises(Refused) as refused:
        number_alone(raw, RU)
    assert (refused.value.code, refused.value.details["keys"]) == ("extension_not_here", "12")


def test_two_numbers_are_no_number_with_an_extension() -> None:
    assert number_and_keys("+7 495 123-45-67, +7 916 123-45-67", RU) == Dialled("+74951234567")


@pytest.mark.parametrize(
    "raw", ["1-800-FLOWERS", "+1 800 FLOWERS", "+7 495 АБВ-45-67", "8495123456О", "+7 495 1234567 Иван"]
)
def test_letters_are_refused_by_their_own_name(raw: str) -> None:
    with pytest.raises(Refused) as refused:
        number_and_keys(raw, RU)
    assert refused.value.code == "letters_in_number"


def test_letters_are_read_off_the_keys_where_the_operator_says_so() -> None:
    rules = replace(RU, letters="keypad")
    assert number_alone("+1-800-FLOWERS", rules) == "+18003569377"
    assert number_alone("1-800-FLOWERS", replace(rules, region="US")) == "+18003569377"
    assert number_alone("+7 495 АБВ-45-67", rules) == "+74952224567"
    with pytest.raises(Refused):
        number_alone("+7 495 電話-45-67", rules)


@pytest.mark.parametrize(
    ("form", "at_home", "abroad", "in_kazakhstan"),
    [
        ("e164", "+74951234567", "+4930901820", "+77272500000"),
        ("digits", "74951234567", "4930901820", "77272500000"),
        ("national", "84951234567", "8104930901820", "87272500000"),
        ("subscriber", "4951234567", "8104930901820", "7272500000"),
        ("9{national}", "984951234567", "98104930901820", "987272500000"),
        ("00{digits}", "0074951234567", "004930901820", "0077272500000"),
    ],
)
def test_a_number_is_written_as_the_routes_take_it(form: str, at_home: str, abroad: str, in_kazakhstan: str) -> None:
    numbers = ("+74951234567", "+4930901820", "+77272500000")
    assert [written(number, form, "RU") for number in numbers] == [at_home, abroad, in_kazakhstan]


@pytest.mark.parametrize(
    ("region", "number", "dialled"),
    [
        ("DE", "+4930901820", "030901820"),
        ("DE", "+74951234567", "0074951234567"),
        ("US", "+12125550123", "12125550123"),
        ("US", "+74951234567", "01174951234567"),
        ("KZ", "+77272500000", "87272500000"),
    ],
)
def test_national_is_the_regions_own_way(region: str, number: str, dialled: str) -> None:
    assert written(number, "national", region) == dialled


@pytest.mark.parametrize(
    "written", ["8 809 505 12 34", "+44 909 879 0000", "+1 900 234 5678", "+881 612 345 678", "+882 16 1234567"]
)
def test_premium_lines_and_satellite_phones_never_do(written: str) -> None:
    with pytest.raises(Refused) as refused:
        number_alone(written, RU)
    assert refused.value.code in ("costly_number", "bad_number")


def test_a_premium_number_says_why_it_is_refused() -> None:
    with pytest.raises(Forbidden, match="premium"):
        number_alone("+44 909 879 0000", RU)


def test_a_list_of_countries_keeps_calls_within_it() -> None:
    near = replace(RU, countries=frozenset({"RU", "KZ"}))
    assert number_alone("8 495 123-45-67", near) == "+74951234567"
    assert number_alone("+7 727 250 00 00", near) == "+77272500000", "one code, two countries: Kazakhstan"
    with pytest.raises(Forbidden) as refused:
        number_alone("+7 727 250 00 00", replace(RU, countries=frozenset({"RU"})))
    assert (refused.value.code, refused.value.details["country"]) == ("country_not_allowed", "KZ")
    with pytest.raises(Forbidden):
        number_alone("+53 7 8361234", near)


def test_the_companys_own_number_would_call_itself_in_a_circle() -> None:
    for raw in ("+74950000100", "8 (495) 000-01-00"):
        with pytest.raises(Refused) as refused:
            number_alone(raw, RU)
        assert refused.value.code in ("own_number", "bad_number")
