"""Which numbers may be called by a click or handed a call. Pure.

Decides by libphonenumber's metadata and what the operator allows; limits in time are `limits`', how the PBX's routes
want a number written is `dial_format`'s. Invariants: only a whole, valid, ordinary number comes out, so neither an
emergency call nor a service number, a premium line or a satellite phone; never the company's own number, which would
call itself in a circle; and an extension behind it is never dropped in silence.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

import phonenumbers
from phonenumbers import PhoneNumberType

from hub import sanitize
from hub.crm.addresses import parse_phone
from hub.errors import Forbidden, Refused

_COSTLY_TYPES = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.PERSONAL_NUMBER, PhoneNumberType.PAGER})
_SATELLITE_CODES = frozenset({870, 881, 882, 883})
"""Inmarsat, satellite and international networks: whoever gets hold of a session calls there, by the minute."""

EMERGENCY_EVERYWHERE = frozenset({"112", "911"})
"""Mobile networks everywhere know these two, whatever the country's own are."""
_MORE_EMERGENCY = {
    region: frozenset({"01", "02", "03", "04", "101", "102", "103", "104"}) for region in ("RU", "BY", "KZ", "UA")
}
"""Gas and the two-digit numbers still in use, which libphonenumber does not list."""

MAX_KEYS = 8
"""Digits of an extension, at most; libphonenumber reads up to 20 behind `;ext=`."""

_EXTENSION = re.compile(
    r"(?:;\s*ext=|[,;pw]+|(?<![^\W\d_])(?:доб(?:авочный)?|вн(?:утр(?:енний)?)?|ext(?:ension)?|extn)(?![^\W\d_])"
    r"|(?<=[\d)\s])[x#])[\s.:№#]*([0-9]{1,8})#?\s*\)?$",
    re.IGNORECASE,
)
"""What is pressed after the answer: "доб. 12", "вн. 12", "ext 12", ";ext=12", "x12", "#12", and pauses: ",,12"."""
_PHRASE = re.compile(r"[\w\s().+-]*")
_KEYPAD = {
    letter: str(digit)
    for digit, letters in {
        2: "abcабвг",
        3: "defдеёжз",
        4: "ghiийкл",
        5: "jklмноп",
        6: "mnoрсту",
        7: "pqrsфхцч",
        8: "tuvшщъы",
        9: "wxyzьэюя",
    }.items()
    for letter in letters
}
"""The digit that a letter stands on: ITU-T E.161, and the Russian telephones' Cyrillic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRules:
    """What the operator allows. `countries` empty is everywhere; the limits count calls asked for.

    `emergency` empty is the region's own numbers; `letters` is what happens to 1-800-FLOWERS.
    """

    region: str
    countries: frozenset[str] = frozenset()
    own_numbers: frozenset[str] = frozenset()
    emergency: frozenset[str] = frozenset()
    letters: Literal["refuse", "keypad"] = "refuse"
    per_user_per_min: int = 10
    per_user_per_hour: int = 120
    per_min: int = 120


@dataclass(frozen=True, slots=True)
class Dialled:
    """A number in E.164, and the digits of an extension that are pressed once it answers (empty for none)."""

    number: str
    keys: str = ""


def number_alone(raw: str, rules: DialRules) -> str:
    """Return the number in E.164, where nobody can press an extension later. Raises as `number_and_keys` does."""
    dialled = number_and_keys(raw, rules)
    if dialled.keys:
        message = f"an extension ({dialled.keys}) cannot be dialled here: leave it out and say it"
        raise Refused("extension_not_here", message, field="to", keys=dialled.keys)
    return dialled.number


def number_and_keys(raw: str, rules: DialRules) -> Dialled:
    """Return what is to be dialled. Raises Refused for what is no number, Forbidden for what may not be called."""
    written, keys = _split(raw)
    written = _without_letters(written, rules)
    require_no_emergency(written, rules)
    phone = parse_phone(written, rules.region)
    number = phonenumbers.parse(phone.value) if phone else None
    if phone is None or number is None or not phonenumbers.is_valid_number(number):
        raise Refused("bad_number", f"{sanitize.shown(raw)!r} is not a phone number", field="to")
    shown = phone.value
    if shown in rules.own_numbers:
        raise Refused("own_number", f"{shown} is the company's own number", field="to")
    if phonenumbers.number_type(number) in _COSTLY_TYPES or number.country_code in _SATELLITE_CODES:
        raise Forbidden("costly_number", f"{shown} is a premium number: dial it on the phone itself", field="to")
    country = phonenumbers.region_code_for_number(number)
    is_free = phonenumbers.number_type(number) == PhoneNumberType.TOLL_FREE
    if rules.countries and country not in rules.countries and not (is_free and country == "001"):
        raise Forbidden("country_not_allowed", f"calls to {country} are not allowed here", field="to", country=country)
    keys = keys or phone.extension
    if len(keys) > MAX_KEYS:
        raise Refused("bad_number", f"the extension {keys} has more than {MAX_KEYS} digits", field="to")
    return Dialled(sanitize.dial_digits(shown), keys)


def require_no_emergency(written: str, rules: DialRules) -> None:
    """Raise Forbidden `emergency_number` for a number that a person in need must dial on a telephone."""
    digits = re.sub(r"[\s().-]", "", written).removeprefix("tel:").removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 6:
        return
    more = EMERGENCY_EVERYWHERE | _MORE_EMERGENCY.get(rules.region, frozenset())
    is_emergency = (
        digits in rules.emergency
        if rules.emergency
        else digits in more or phonenumbers.is_emergency_number(digits, rules.region)
    )
    if is_emergency:
        message = f"{digits} is an emergency number: dial it on a telephone, Hub does not call it"
        raise Forbidden("emergency_number", message, field="to", number=digits)


def _split(raw: str) -> tuple[str, str]:
    """Return the number as written, and the digits of the extension behind it."""
    text = unicodedata.normalize("NFKC", raw).strip()
    found = _EXTENSION.search(text)
    # Before it must stand a whole number: "8 800, 12" is none.
    if found is None or sum(c.isdigit() for c in text[: found.start()]) < 7:
        return text, ""
    return text[: found.start()].rstrip(" ,;("), found[1]


def _without_letters(written: str, rules: DialRules) -> str:
    """Return a number without letters in it: refused or read off a telephone's keys, as the operator says."""
    scheme, rest = ("tel:", written[4:]) if written[:4].lower() == "tel:" else ("", written)
    letters = [c for c in rest if c.isalpha()]
    if not letters or len(rest) > 60 or not _PHRASE.fullmatch(rest) or sum(c.isalnum() for c in rest) < 7:
        return written
    if rules.letters == "keypad" and all(c.lower() in _KEYPAD for c in letters):
        return scheme + "".join(_KEYPAD.get(c.lower(), c) for c in rest)
    message = f"{sanitize.shown(written)!r} has letters in it: write it in digits"
    raise Refused("letters_in_number", message, field="to")
