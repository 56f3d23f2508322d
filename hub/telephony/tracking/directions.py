"""Who is at a channel's other end, and which way a call goes. Pure.

Decides phone or outside line, extension, and direction, from a channel's name and the context it was born in: the
endpoint's context is what the operator configured, while a number may look like anything. Invariant: a channel
that is only wiring inside Asterisk is never a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.telephony.tracking.calls import Direction

# Halves of Local channels and Asterisk's own helpers: they carry sound, but nobody speaks there.
_WIRING = frozenset(
    "Local Message Surrogate Announcer Recorder Snoop Bridge CBAnn CBRec ConfBridgeRecorder AsyncGoto Parked "
    "UnicastRTP MulticastRTP AudioSocket Console OutgoingSpoolFailed Substitute".split()
)
_SUFFIX = re.compile(r"-[0-9a-f]{6,}(;[12])?(<[A-Z]+>)?$")
_SHORT_NUMBER = re.compile(r"[0-9]{2,6}")
_EXTENSION = re.compile(r"[0-9]{1,10}")
_DIALLED = re.compile(r"\+?[0-9]+")
_LONG_ENOUGH = re.compile(r"\+?[0-9]{3,20}")
_DIAL_ID = re.compile(r"hub-[0-9a-f]{16}")

SUPERVISOR = "hubspy-"
"""What the uniqueid of a phone that listens in begins with: Hub gave it that."""

UNKNOWN_WORDS = frozenset(("", "<unknown>", "unknown", "anonymous", "s"))
"""What Asterisk writes where there is no number, name or extension."""


# What Asterisk's samples and FreePBX call the contexts of phones and of trunks; names that begin so count as well.
_INSIDE = ("internal", "from-internal", "from-phones", "phones", "ext-", "from-queue", "macro-dial")
_OUTSIDE = (
    "from-trunk", "from-pstn", "from-did", "from-sip-external", "from-external", "from-outside", "from-dahdi",
    "from-zaptel", "from-analog", "from-provider", "from-siptrunk", "ext-did", "trunk", "inbound", "incoming",
    "external", "pstn",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxRules:
    """What the operator said of one PBX.

    `internal_contexts` are those of the phones' endpoints; None where nothing was said: then the usual names count,
    and under an unusual one an endpoint that is called like an extension is a phone.
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
    technology, _, rest = name.partition("/")
    endpoint = _SUFFIX.sub("", rest)
    if technology in _WIRING or "<ZOMBIE>" in name:
        return Party(endpoint, is_wiring=True, is_phone=False, extension=None)
    is_phone = counts_as_phone(endpoint, rules, context=context)
    extension = None
    if is_phone:
        extension = next((word for word in (endpoint, caller_id) if _EXTENSION.fullmatch(word)), None)
    return Party(endpoint, is_wiring=False, is_phone=is_phone, extension=extension)


def counts_as_phone(endpoint: str, rules: PbxRules, *, context: str | None) -> bool:
    """Say whether an endpoint whose channels are born in this context is a phone of ours."""
    if context is not None:
        if rules.internal_contexts is not None:
            return context in rules.internal_contexts
        # Trunks first: FreePBX has both ext-local, where phones are rung, and ext-did, where trunks come in.
        if is_outside_context(context):
            return False
        if context.startswith(_INSIDE):
            return True
    return bool(_SHORT_NUMBER.fullmatch(endpoint)) and endpoint not in rules.own_numbers


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
    """Return the number dialled on an outside line, else its caller id.

    `dial_string` is the technology's: `+7495…@trunk`, `trunk/sip:7495…@host` (PJSIP), `trunk/7495…` (SIP, DAHDI).
    The trunk itself may be called by a number, and that one is ours.
    """
    if digits := _DIALLED.match(dial_string.rpartition("sip:")[2] if "sip:" in dial_string else ""):
        return digits[0]
    peer, _, after = dial_string.partition("/")
    for part in (*after.split("/"), peer.partition("@")[0]):
        if _LONG_ENOUGH.fullmatch(part):
            return part
    return known(caller_id) or None


def word_for(channel_name: str) -> str:
    """Return whom a Local channel leads to (`Local/102@from-internal-…;1` is `102`), empty for any other."""
    return channel_name[6:].partition("@")[0] if channel_name.startswith("Local/") else ""
