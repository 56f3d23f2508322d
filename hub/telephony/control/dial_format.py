"""How the PBX's outbound routes want a number written. Pure.

Hub keeps and shows numbers in E.164; what it gives to the dialplan is written as `pbx.dial_format` says. Invariant:
what comes out is digits with at most a leading plus, whatever the number.
"""

from __future__ import annotations

import re

import phonenumbers

from hub import sanitize

_PATTERN = re.compile(r"([0-9]*)\{?(e164|digits|national|subscriber)\}?")


def written(number: str, dial_format: str, region: str) -> str:
    """Return an E.164 number in the form `dial_format`, as dialled from `region`.

    `e164` +74951234567 · `digits` 74951234567 · `national` 84951234567, and 810… abroad, with the country's own
    prefixes · `subscriber` 4951234567, and as `national` abroad · a pattern puts digits before one of these:
    `9{national}`. Settings have checked the pattern.
    """
    found = _PATTERN.fullmatch(dial_format)
    assert found is not None, "settings refuse any other"
    return sanitize.dial_digits(found[1] + _in_form(number, found[2], region))


def _in_form(number: str, form: str, region: str) -> str:
    if form == "e164":
        return number
    if form == "digits":
        return number.removeprefix("+")
    parsed = phonenumbers.parse(number)
    if form == "subscriber" and parsed.country_code == phonenumbers.country_code_for_region(region):
        return phonenumbers.national_significant_number(parsed)
    # "8 (495) 123-45-67", "8~10 49 30 901820": national in the number's own country, else by the international prefix.
    return re.sub(r"[^0-9]", "", phonenumbers.format_out_of_country_calling_number(parsed, region))


def any_number(region: str) -> str:
    """Return a number of a region that is only asked about: whether [hub-trunk] would dial it."""
    example = phonenumbers.example_number(region)
    if region == "RU" or example is None:
        return "+74950000000"
    return phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
