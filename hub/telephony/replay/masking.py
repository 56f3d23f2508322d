"""What must not leave the house with a recorded stream: secrets always, numbers and names if asked. Pure.

Decides by the header's name and the value's shape. A number becomes another of the same length, and always the same
one, so that the tracker tells the same of it. Extensions of up to six digits stay, and so do the names of phones,
trunks and queues, since a wrong call is told by them. Invariant: numbers that differ have masks that differ.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
from collections.abc import Callable, Iterable

from hub.telephony.tracking.directions import UNKNOWN_WORDS

HIDDEN = "***"
NATIONAL = 10
"""Digits that a number is known by: `8…` and `+7…` before them are one number written in two ways."""

_SECRET = re.compile(r"secret|passw|pwd|^pin|pin$|auth|token|cookie|challenge|md5|^key|key$", re.IGNORECASE)
_NO_NUMBER = re.compile(
    r"(uniqueid|linkedid|timestamp|actionid|privilege|claim|dial|sequence|lastcall|lastpause|logintime)[12]?$"
    r"|^(event|hub-\w+)$",
    re.IGNORECASE,
)
_NUMBER_HEADER = re.compile(r"(num|exten|extension|did|to|callerid[12]?|dnid|rdnis|ani)$", re.IGNORECASE)
_CALLER_NUMBER = re.compile(r"(callerid|connectedline|ani)num$", re.IGNORECASE)
_NAME_HEADER = re.compile(r"(callerid|connectedline|member|agent|ani|account|user)name$|^(name|agent)$", re.IGNORECASE)
_CALLER = re.compile(r'(?P<quote>"?)(?P<name>[^"<]*)(?P=quote) *<(?P<number>[^>]*)>')
_CHANNEL = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_]*/.*)(?P<suffix>-[0-9a-f]{1,8}(;[12])?(<[A-Z]+>)?)", re.DOTALL)
_DIGITS = re.compile(r"\d{7,}")
_WRITTEN = re.compile(r"\d(?:[\s()./-]{0,3}\d){6,24}")
_SPOKEN = re.compile(r"[^\W\d_]")


class Mask:
    """The masks of one recording. `key` makes them another recording's no more; throw it away."""

    def __init__(self, key: bytes, *, hide_numbers: bool) -> None:
        self._key = key
        self._hide_numbers = hide_numbers
        self._masks: dict[str, str] = {}
        """By number or word."""
        self._taken: set[str] = set()
        self._names: dict[str, str] = {}

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return a packet's headers with what is to be hidden in them hidden."""
        packet = list(headers)
        application = next((value for key, value in packet if key == "Application"), "")
        numbers = {value for key, value in packet if _CALLER_NUMBER.search(key)}
        return [(key, self._value(key, value, numbers, application)) for key, value in packet]

    def number(self, text: str) -> str:
        """Return a number's mask; what is none, or is a short one, comes back as it is."""
        if not self._hide_numbers:
            return text
        return _WRITTEN.sub(lambda found: self._written(found[0]), text)

    def _value(self, key: str, value: str, numbers: set[str], application: str) -> str:
        if _SECRET.search(key):
            return HIDDEN
        if key in ("ApplicationData", "AppData") and application != "Queue":
            return HIDDEN  # Authenticate(1234), AGI with a token in its address
        if "variable" in key.lower():
            name, equals, _ = value.partition("=")
            return f"{name}={HIDDEN}" if equals else value
        if not self._hide_numbers or _NO_NUMBER.search(key):
            return value
        if _CALLER_NUMBER.search(key):
            return self._caller_number(value)
        if _NAME_HEADER.search(key):
            # Many trunks send the number in the name's place, and the tracker shows no name then.
            return self._caller_number(value) if value in numbers else self._name(value)
        if channel := _CHANNEL.fullmatch(value):
            return self._digits(channel["name"]) + channel["suffix"]
        if caller := _CALLER.fullmatch(value):
            quote = caller["quote"]
            return f"{quote}{self._name(caller['name'])}{quote} <{self._caller_number(caller['number'])}>"
        if _NUMBER_HEADER.search(key):
            return self.number(value)
        return self._digits(value)

    def _digits(self, value: str) -> str:
        return _DIGITS.sub(lambda found: self._written(found[0]), value)

    def _written(self, text: str) -> str:
        """Put the mask's digits where the number's stood, its brackets and dashes left."""
        digits = "".join(str(int(c)) for c in text if c.isdecimal())
        core = digits[-NATIONAL:]
        masked = iter(digits[: -len(core)] + self._mask(core, _digit))
        return "".join(next(masked) if c.isdecimal() else c for c in text)

    def _caller_number(self, value: str) -> str:
        """A caller's number, or the word that a telephone put in its place: often a person's name."""
        if value.lower() in UNKNOWN_WORDS or len(value) < 3 or not _SPOKEN.search(value):
            return self.number(value)
        masked = iter(self._mask("".join(c for c in value if c.isalnum()), _letter))
        return "".join(next(masked) if c.isalnum() else c for c in value)

    def _name(self, value: str) -> str:
        """Name a person `Name 1`, `Name 2`; a word that is no name stays, a number in a name's place is masked."""
        bare = value.strip()
        if not bare or bare.lower() in UNKNOWN_WORDS:
            return value
        if not _SPOKEN.search(bare):
            return self.number(value)
        return self._names.setdefault(bare, f"Name {len(self._names) + 1}")

    def _mask(self, text: str, drawn: Callable[[int, int], str]) -> str:
        """Return the mask of a number's digits or a word's letters: as long, and no other's."""
        attempt = 0
        while text not in self._masks:
            digest = hmac.new(self._key, f"{attempt}/{text}".encode("utf-8", "replace"), hashlib.sha512).digest()
            mask = "".join(drawn(byte, at) for at, byte in zip(range(len(text)), itertools.cycle(digest), strict=False))
            # Short words have few masks: two of them may share one rather than be looked for without end.
            if mask not in self._taken or attempt > 100:
                self._taken.add(mask)
                self._masks[text] = mask
            attempt += 1
        return self._masks[text]


def _digit(byte: int, at: int) -> str:
    return str(byte % 10) if at else str(1 + byte % 9)


def _letter(byte: int, _at: int) -> str:
    return chr(ord("a") + byte % 26)
