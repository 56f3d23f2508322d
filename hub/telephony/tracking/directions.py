"""Who is at a channel's other end, and which way a call goes. Pure.

Decides phone or outside line, extension, and direction, from a channel's name and the context it was born in: the
endpoint's context is what the operator configured, while a number may look like anything. Invariant: a channel
that is only wiring inside Asterisk is never a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.telephony.tracking.calls import Call, Direction
from hub.telephony.tracking.dial_strings import number_in
from hub.telephony.tracking.endpoints import SHORT_NUMBER, extension_of, is_by_hardware, parts_of, tenant_in

# Halves of Local channels and Asterisk's own helpers: they carry sound, but nobody speaks there.
_WIRING = frozenset(
    "Local Message Surrogate Announcer Recorder Snoop Bridge CBAnn CBRec ConfBridgeRecorder AsyncGoto Parked "
    "UnicastRTP MulticastRTP AudioSocket Console OutgoingSpoolFailed Substitute".split()
)
_DIALLED = re.compile(r"\+?[0-9]+")
_LONGEST_PREFIX = 2
_DIAL_ID = re.compile(r"hub-[0-9a-f]{16}")

SUPERVISOR = "hubspy-"
"""What the uniqueid of a phone that listens in begins with: Hub gave it that."""

UNKNOWN_WORDS = frozenset(("", "<unknown>", "unknown", "anonymous", "s"))
"""What Asterisk writes where there is no number, name or extension."""


# What Asterisk's samples and FreePBX call the contexts of phones and of trunks; names that begin so count as well.
_INSIDE = (
    "internal", "from-internal", "from-inside", "from-phones", "phones", "ext-", "from-queue", "macro-dial",
)  # fmt: skip
_OUTSIDE = (
    "from-trunk", "from-pstn", "from-did", "from-sip-external", "from-external", "from-outside", "from-dahdi",
    "from-zaptel", "from-analog", "from-provider", "from-siptrunk", "ext-did", "trunk", "inbound", "incoming",
    "external", "pstn",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxRules:
    """What the operator said of one PBX.

    `internal_contexts` are those of the phones' endpoints; None where nothing was said: then the usual names count,
    and under an unusual one an endpoint that is called like an extension is a phone, also beside its tenant's name.
    """

    pbx: str
    internal_contexts: frozenset[str] | None = None
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
    technology, endpoint = parts_of(name)
    if technology in _WIRING or "<ZOMBIE>" in name:
        return Party(endpoint, is_wiring=True, is_phone=False, extension=None)
    is_phone = counts_as_phone(endpoint, rules, context=context, is_by_extension=not is_by_hardware(technology))
    if is_phone:
        return phone_of(name, caller_id=caller_id)
    return Party(endpoint, is_wiring=False, is_phone=False, extension=None)


def phone_of(name: str, *, caller_id: str) -> Party:
    """Classify a channel that is known to be a phone."""
    technology, endpoint = parts_of(name)
    extension = extension_of(technology, endpoint, caller_id)
    return Party(endpoint, is_wiring=False, is_phone=True, extension=extension)


def counts_as_phone(endpoint: str, rules: PbxRules, *, context: str | None, is_by_extension: bool = True) -> bool:
    """Say whether an endpoint whose channels are born in this context is a phone of ours.

    `is_by_extension`: its technology names endpoints as the operator likes, not after hardware.
    """
    if context is not None:
        if rules.internal_contexts is not None:
            return context in rules.internal_contexts
        # Trunks first: FreePBX has both ext-local, where phones are rung, and ext-did, where trunks come in.
        if is_outside_context(context):
            return False
        if context.startswith(_INSIDE):
            return True
        tenant = tenant_in(endpoint)
        if is_by_extension and tenant and tenant.lower() in context.lower():
            return True
    return is_by_extension and bool(SHORT_NUMBER.fullmatch(endpoint)) and endpoint not in rules.own_numbers


def is_decided_by_context(rules: PbxRules, context: str) -> bool:
    """Say whether a context alone tells a phone from an outside line."""
    return rules.internal_contexts is not None or context.startswith((*_OUTSIDE, *_INSIDE))


def is_telling(rules: PbxRules, context: str) -> bool:
    """Say whether a context that a channel was not seen to be born in may be taken for that one."""
    if rules.internal_contexts is not None:
        return context in rules.internal_contexts
    return is_decided_by_context(rules, context)


def is_outside_context(context: str) -> bool:
    """Say whether a context is called as those that trunks come in by usually are."""
    return context.startswith(_OUTSIDE)


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
    """Return the number dialled on an outside line, else its caller id."""
    return number_in(dial_string) or known(caller_id) or None


def numbers_called(call: Call) -> tuple[str, ...]:
    """Return in what order to look for the number that an outbound call goes to: as dialled, or as the trunk is asked.

    Where the trunk is asked for the end of what was dialled, the rest was a prefix for the outside line: at most
    `_LONGEST_PREFIX` digits, for 810 and 011 lead abroad.
    """
    lines = (leg.number for leg in call.legs if leg.role == "callee" and leg.extension is None and leg.number)
    dialled, asked = call.to_raw, next(lines, None)
    if not asked or asked == dialled:
        return (dialled,)
    is_short = len(dialled) - len(asked) <= _LONGEST_PREFIX
    is_behind_prefix = is_short and dialled.endswith(asked) and not dialled.startswith(("+", "00"))
    return (asked, dialled) if is_behind_prefix else (dialled, asked)


def word_for(channel_name: str) -> str:
    """Return whom a Local channel leads to (`Local/102@from-internal-…;1` is `102`), empty for any other."""
    return channel_name[6:].partition("@")[0] if channel_name.startswith("Local/") else ""
