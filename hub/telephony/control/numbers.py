"""Which numbers may be called by a click or handed a call. Pure.

Decides by libphonenumber's metadata and what the operator allows; limits in time are `limits`'. Invariants: only a
whole, valid, ordinary number comes out, so neither an emergency call nor a service number, a premium line or a
satellite phone; and never the company's own number, which would call itself in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberType

from hub import guard
from hub.crm.addresses import parse_phone
from hub.errors import Forbidden, Refused

_COSTLY_TYPES = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.PERSONAL_NUMBER, PhoneNumberType.PAGER})
_SATELLITE_CODES = frozenset({870, 881, 882, 883})
"""Inmarsat, satellite and international networks: whoever gets hold of a session calls there, by the minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRules:
    """What the operator allows. `countries` empty is everywhere; the limits count calls asked for."""

    region: str
    countries: frozenset[str] = frozenset()
    own_numbers: frozenset[str] = frozenset()
    per_user_per_min: int = 10
    per_user_per_hour: int = 120
    per_min: int = 120


def allowed_number(raw: str, rules: DialRules) -> str:
    """Return the number in E.164. Raises Refused for what is no number, Forbidden for what may not be called."""
    phone = parse_phone(raw, rules.region)
    number = phonenumbers.parse(phone.value) if phone else None
    if phone is None or number is None or not phonenumbers.is_valid_number(number):
        raise Refused("bad_number", f"{guard.shown(raw)!r} is not a phone number", field="to")
    shown = phone.value
    if shown in rules.own_numbers:
        raise Refused("own_number", f"{shown} is the company's own number", field="to")
    if phonenumbers.number_type(number) in _COSTLY_TYPES or number.country_code in _SATELLITE_CODES:
        raise Forbidden("costly_number", f"{shown} is a premium number: dial it on the phone itself", field="to")
    country = phonenumbers.region_code_for_number(number)
    is_free = phonenumbers.number_type(number) == PhoneNumberType.TOLL_FREE
    if rules.countries and country not in rules.countries and not (is_free and country == "001"):
        raise Forbidden("country_not_allowed", f"calls to {country} are not allowed here", field="to", country=country)
    return guard.dial_digits(shown)
