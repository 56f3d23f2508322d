"""Which numbers go out by a click: whole and ordinary ones, to where the operator allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.errors import Forbidden, Refused
from hub.telephony.control.numbers import DialRules, allowed_number

RU = DialRules(region="RU", own_numbers=frozenset({"+74950000100"}))


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("8 (495) 123-45-67", "+74951234567"),
        ("+7 916 123 45 67", "+79161234567"),
        ("8 800 555-35-35", "+78005553535"),
        ("+49 30 901820", "+4930901820"),
        ("84951234567 доб. 12", "+74951234567"),
    ],
)
def test_an_ordinary_number_goes_out_in_one_form(written: str, dialled: str) -> None:
    assert allowed_number(written, RU) == dialled


@pytest.mark.parametrize(
    "written", ["112", "01", "911", "+112", "*21*84951234567#", "+7495&1", "PJSIP/1", "", "+7 495", "tel:112", "0" * 80]
)
def test_emergency_codes_and_what_is_no_number_never_do(written: str) -> None:
    with pytest.raises(Refused) as refused:
        allowed_number(written, RU)
    assert refused.value.code == "bad_number"


@pytest.mark.parametrize(
    "written", ["8 809 505 12 34", "+44 909 879 0000", "+1 900 234 5678", "+881 612 345 678", "+882 16 1234567"]
)
def test_premium_lines_and_satellite_phones_never_do(written: str) -> None:
    with pytest.raises(Refused) as refused:
        allowed_number(written, RU)
    assert refused.value.code in ("costly_number", "bad_number")


def test_a_premium_number_says_why_it_is_refused() -> None:
    with pytest.raises(Forbidden, match="premium"):
        allowed_number("+44 909 879 0000", RU)


def test_a_list_of_countries_keeps_calls_within_it() -> None:
    near = replace(RU, countries=frozenset({"RU", "KZ"}))
    assert allowed_number("8 495 123-45-67", near) == "+74951234567"
    assert allowed_number("+7 727 250 00 00", near) == "+77272500000", "one code, two countries: Kazakhstan"
    with pytest.raises(Forbidden) as refused:
        allowed_number("+7 727 250 00 00", replace(RU, countries=frozenset({"RU"})))
    assert (refused.value.code, refused.value.details["country"]) == ("country_not_allowed", "KZ")
    with pytest.raises(Forbidden):
        allowed_number("+53 7 8361234", near)


def test_the_companys_own_number_would_call_itself_in_a_circle() -> None:
    for written in ("+74950000100", "8 (495) 000-01-00"):
        with pytest.raises(Refused) as refused:
            allowed_number(written, RU)
        assert refused.value.code in ("own_number", "bad_number")
