"""Who is at a channel's other end, and which way a call goes. Pure.

Decides phone or outside line, extension, and direction, from a channel's name and the context it was born in: the
endpoint's context is what the operator configured, while a number may look like anything. Invariant: a channel
that is only wiring inside Asterisk is never a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.telephony.calls import Direction

# Halves of Local channels and Asterisk's own helpers: they carry sound, but nobody speaks there.
_WIRING = frozenset(
    "Local Message Surrogate Announcer Recorder Snoop Bridge CBAnn CBRec ConfBridgeRecorder AsyncGoto Parked "
    "UnicastRTP MulticastRTP AudioSocket Console OutgoingSpoolFailed Substitute".split()
)
_SUFFIX = re.compile(r"-[0-9a-f]{6,}(;[12])?(<[A-Z]+>)?$")
_SHORT_NUMBER = re.compile(r"[0-9]{2,6}")
_EXTENSION = re.compile(r"[0-9]{1,10}")
_DIALLED = re.compile(r"\+?[0-9]+")
_DIAL_ID = re.compile(r"hub-[0-9a-f]{16}")

SUPERVISOR = "hubspy-"
"""What the uniqueid of a phone that listens in begins with: Hub gave it that."""

UNKNOWN_WORDS = frozenset(("", "<unknown>", "unknown", "anonymous", "s"))
"""What Asterisk writes where there is no number, name or extension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxRules:
    """What the operator said of one PBX. `internal_contexts` are those of the phones' endpoints."""

    pbx: str
    internal_contexts: frozenset[str] = frozenset({"internal"})
    hub_queues: frozenset[str] = frozenset()
    own_numbers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Party:
    """Who is at a channel: a phone of ours, an outside line, or wiring."""

    endpoint: str
    is_wiring: bool
    is_phone: bool
    extension: str | None


def party_of(name: str, rules: PbxRules, *, context: str | None, caller_id: str = "") -> Party:
    """Classify a channel. `context` is the one it was born in, or None where its birth was not seen."""
    technology, _, rest = name.partition("/")
    endpoint = _SUFFIX.sub("", rest)
    if technology in _WIRING or "<ZOMBIE>" in name:
        return Party(endpoint, is_wiring=True, is_phone=False, extension=None)
    if context is not None:
        is_phone = context in rules.internal_contexts
    else:
        is_phone = bool(_SHORT_NUMBER.fullmatch(endpoint)) and endpoint not in rules.own_numbers
    extension = None
    if is_phone:
        extension = next((word for word in (endpoint, caller_id) if _EXTENSION.fullmatch(word)), None)
    return Party(endpoint, is_wiring=False, is_phone=is_phone, extension=extension)


def known(word: str | None) -> str:
    """Return `word`, or nothing where it only says that it is unknown."""
    return "" if word is None or word.lower() in UNKNOWN_WORDS else word


def name_beside(number: str, name: str | None) -> str:
    """Return a caller's name, or nothing where the trunk only repeats the number there."""
    shown = known(name)
    return "" if shown == number else shown


def dial_id_of(linked_id: str) -> str | None:
    """Return the dial that made a call, since a click-to-call's channel carries it as its uniqueid."""
    return linked_id if _DIAL_ID.fullmatch(linked_id) else None


def first_guess(*, from_phone: bool, dial_id: str | None, dialled: str) -> Direction:
    """Say which way a call goes before anybody was rung: short numbers are colleagues until a trunk is dialled."""
    if dial_id is not None:
        return "outbound"
    if not from_phone:
        return "inbound"
    return "outbound" if len(dialled.lstrip("+")) > 6 and _DIALLED.fullmatch(dialled) else "internal"


def dialled_number(dial_string: str, caller_id: str) -> str | None:
    """Return the number dialled on an outside line (`+7495…@trunk`, `trunk/sip:7495…@host`), else its caller id."""
    for part in (dial_string, dial_string.rpartition("sip:")[2]):
        if digits := _DIALLED.match(part):
            return digits[0]
    return known(caller_id) or None
