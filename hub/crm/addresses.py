"""The normal form of a phone or an e-mail, however it was written: the address table is searched by it.

Pure. Phones become E.164 with the extension kept apart, e-mails lower case with the domain in IDNA form.
Invariant: two ways of writing one number give one value; what is no number gives None, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import idna
import phonenumbers

AddressKind = Literal["phone", "email", "domain"]

_SEVERAL = re.compile(r"[;,](?!\s*ext=)|(?<=\d)\s*/\s*(?=\+?\d{2})")
_INSIDE = re.compile(r"\bвн(?:утр(?:енний)?)?\b\.?(?=[\s:]*\d{1,8}\s*$)", re.IGNORECASE)
"""A Russian word for an extension that libphonenumber does not know."""
_ONLY_DIGITS = re.compile(r"\+?\d+")
_AT_A_HOST = re.compile(r"(?:sips?:)?(\+?\d[\d().\- ]*)(?:;[^@]*)?@\S*")


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone in its normal form. `value` is E.164; `extension` are the digits behind "доб."/"ext"."""

    value: str
    extension: str = ""


def parse_phone(raw: str, region: str) -> Phone | None:
    """Read one phone as written in `region` (ISO 3166, for numbers without a country code).

    "84951234567/68" and "+7 495 123-45-67, +7 916 …" give the first number. Source: libphonenumber's metadata.
    """
    if at_a_host := _AT_A_HOST.fullmatch(raw.strip()):
        raw = at_a_host[1]  # a SIP address: the number is its user
    first = _INSIDE.sub("ext. ", _SEVERAL.split(raw.strip(), maxsplit=1)[0].strip().removeprefix("tel:"))
    if first.startswith("00"):
        first = f"+{first[2:]}"
    if len(first) > 60 or not any(c.isdigit() for c in first):
        return None
    for attempt in (first, f"+{first}" if _ONLY_DIGITS.fullmatch(first) and len(first) > 10 else None):
        if attempt is None:
            continue
        try:
            number = phonenumbers.parse(attempt, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return _phone(number)
    try:
        number = phonenumbers.parse(first, region)
    except phonenumbers.NumberParseException:
        return None
    return _phone(number) if first.startswith("+") and phonenumbers.is_possible_number(number) else None


def _phone(number: phonenumbers.PhoneNumber) -> Phone:
    extension = number.extension or ""
    number.extension = None
    return Phone(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), extension)


def parse_email(raw: str) -> str | None:
    """Return an address in its normal form, or None where there is no `@` with something on both sides."""
    local, at, domain = raw.strip().strip("<>").rpartition("@")
    if not at or not local or len(raw) > 254 or re.search(r"[\s<>\x00-\x1f]", local + domain):
        return None
    host = parse_domain(domain)
    return f"{local.lower()}@{host}" if host else None


def parse_domain(raw: str) -> str | None:
    """Return a domain in lower-case IDNA form, or None."""
    text = raw.strip().lower().rstrip(".")
    if not text or len(text) > 253:
        return None
    try:
        return idna.encode(text, uts46=True).decode("ascii") if not text.isascii() else _ascii_domain(text)
    except idna.IDNAError:
        return None


def _ascii_domain(text: str) -> str | None:
    return text if re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?", text) else None


def is_public_provider(domain: str) -> bool:
    """Tell whether strangers share this domain, so that it says nothing of the company."""
    return domain in _PUBLIC or any(domain.endswith(f".{one}") for one in ("gmail.com", "yahoo.com"))


_PUBLIC = frozenset(
    line
    for line in resources.files("hub.crm").joinpath("public_domains.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
)
