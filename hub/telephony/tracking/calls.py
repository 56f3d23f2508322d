"""What a call is, and what the tracker says about it: immutable snapshots and effects.

Decides nothing. A `Call` is the whole truth of one call at one moment, keyed by `(pbx, boot, linked_id)`; writing
the same snapshot twice changes nothing. Invariants: `started_at <= answered_at <= ended_at`, no negative duration,
and `CallEnded` comes exactly once for each key, as the last effect of that key, unless `CallMerged` ended it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType

Channel = NewType("Channel", str)
"""A channel's name as Asterisk shows it, e.g. `PJSIP/101-000003eb`. It can change; its uniqueid cannot."""

Direction = Literal["inbound", "outbound", "internal"]
State = Literal["ringing", "waiting", "connecting", "talking", "held", "ended"]
Outcome = Literal["answered", "missed", "abandoned", "busy", "rejected", "failed", "voicemail"]
Role = Literal["caller", "callee"]
LegResult = Literal["answered", "no_answer", "busy", "rejected", "cancelled", "failed"]
TransferKind = Literal["blind", "attended"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One phone or trunk line that took part in a call, or was only rung."""

    channel: Channel
    uniqueid: str
    extension: str | None
    number: str | None
    role: Role
    rang_at: datetime | None = None
    answered_at: datetime | None = None
    left_at: datetime | None = None
    result: LegResult | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """One hand-over of a call from `by` to `to`, both extensions or numbers."""

    kind: TransferKind
    by: str
    to: str
    completed: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """One call at one moment. Durations are seconds; `talk_s` counts only stretches of talk that are over."""

    pbx: str
    boot: str
    linked_id: str
    direction: Direction
    state: State
    started_at: datetime
    outcome: Outcome | None = None
    estimated: bool = False
    """Some of its times or its outcome were not seen, but concluded after a gap."""
    from_raw: str = ""
    from_name: str = ""
    from_extension: str | None = None
    to_raw: str = ""
    to_extension: str | None = None
    did: str | None = None
    answered_at: datetime | None = None
    """When a person other than the caller first spoke with the caller; an IVR or music is no person."""
    ended_at: datetime | None = None
    wait_s: float = 0.0
    talk_s: float = 0.0
    answered_extension: str | None = None
    queue: str | None = None
    """The Hub queue it stands or stood in."""
    queue_channel: Channel | None = None
    """The caller's channel: what to withdraw from the queue, or to hang up."""
    manager_channel: Channel | None = None
    claim_id: str | None = None
    claim_extension: str | None = None
    is_left_waiting: bool = False
    """Was answered, then put into a queue of Hub's, and nobody has spoken with the caller since. Not stored."""
    dial_id: str | None = None
    legs: tuple[Leg, ...] = ()
    transfers: tuple[Transfer, ...] = ()


@dataclass(frozen=True, slots=True)
class CallChanged:
    """Something visible changed. Comes before the other effects of the same frame, `CallEnded` excepted."""

    call: Call


@dataclass(frozen=True, slots=True)
class CallOffered:
    """The caller stands in a Hub queue: for the first time, or `again` after a claim that failed."""

    call: Call
    again: bool


@dataclass(frozen=True, slots=True)
class ClaimConnected:
    """The manager who claimed the call and the caller are in one bridge."""

    call: Call
    claim_id: str


@dataclass(frozen=True, slots=True)
class ClaimFailed:
    """The dialplan gave the claim up, or it cannot succeed any more (`caller_gone`: `CallEnded` follows)."""

    call: Call
    claim_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class CallMerged:
    """Another call has become part of this one, as when an attended transfer joins two.

    `gone` is the (boot, linked_id) of the other, of which nothing is told after this: its legs are `call`'s now.
    """

    call: Call
    gone: tuple[str, str]


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The last word on a call, exactly once; `call.state` is `ended` and `call.outcome` is set."""

    call: Call


@dataclass(frozen=True, slots=True)
class Announced:
    """The dialplan said something of a call that is not the tracker's to act upon: `name` as in UserEvent.

    `fields` are the event's own headers, as hostile as everything from a wire.
    """

    call: Call
    name: str
    fields: Mapping[str, str]


Effect = Announced | CallChanged | CallMerged | CallOffered | ClaimConnected | ClaimFailed | CallEnded
