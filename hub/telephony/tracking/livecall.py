"""One call while it lives: its channels, its place in a queue, its claim; and the snapshot of it. Pure.

Decides state, outcome, times and leg results from what the tracker noted; reads no frames. Invariants: no time of
a call lies before its start, talk is counted while two persons share a bridge and never twice, and a call that was
answered stays answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hub.telephony.tracking.calls import Call, Channel, Direction, Leg, LegResult, Outcome, State, Transfer
from hub.telephony.tracking.directions import Party, dial_id_of, first_guess

MAX_LEGS = 200
"""A queue that rings its members for an hour makes legs without end; the first ones tell the story."""

_BY_STATUS: dict[str, LegResult] = {
    "ANSWER": "answered",
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "cancelled",
    "CONGESTION": "failed",
    "CHANUNAVAIL": "failed",
    "DONTCALL": "rejected",
    "TORTURE": "rejected",
    "INVALIDARGS": "failed",
}
# Q.850: what the phone itself said is finer than DIALSTATUS, which calls a declined call NOANSWER.
_BY_CAUSE: dict[int, LegResult] = {
    17: "busy",
    18: "no_answer",
    19: "no_answer",
    21: "rejected",
    26: "cancelled",
    **dict.fromkeys((1, 2, 3, 20, 22, 27, 28, 34, 38, 41, 42, 44, 58, 66), "failed"),
}


@dataclass(slots=True, eq=False)
class LiveChannel:
    """One channel. `party.is_wiring` ones keep a call alive but are no legs.

    It stands for the one who is at the other end: when a masquerade moves that one to another place in Asterisk,
    `uniqueid` is the new place's, while `leg_id` stays.
    """

    uniqueid: str
    name: str
    party: Party
    call: LiveCall
    number: str | None = None
    is_up: bool = False
    rang_at: datetime | None = None
    answered_at: datetime | None = None
    left_at: datetime | None = None
    bridge: str | None = None
    last_bridge: str | None = None
    """The one that it left for this, or that it left last."""
    on_hold: bool = False
    """Has put the others on hold."""
    is_held: bool = False
    """Was found put on hold by another, nobody knows by whom."""
    was_dialled: bool = False
    dialled_by: LiveChannel | None = None
    dial_status: str = ""
    cause: int = 0
    hung_up_itself: bool = False
    was_turned_away: bool = False
    """The dialplan hung up, not who is there."""
    has_placed_a_call: bool = False
    """Began a call, be it one that has become part of another since."""
    other_half: LiveChannel | None = None
    """Of a Local channel."""
    leg_id: str = ""
    _leg: Leg | None = None

    def __post_init__(self) -> None:
        self.leg_id = self.uniqueid

    @property
    def is_person(self) -> bool:
        return not self.party.is_wiring

    @property
    def is_originated(self) -> bool:
        """Tell whether this call began by ringing this one, as a click-to-call does or another program's Originate."""
        return self.call.root is self and (self.call.dial_id is not None or self.was_dialled)

    @property
    def answers_as(self) -> str:
        """Who answers here: the extension, else what the phone is called; a call that was answered has an answerer."""
        return self.party.extension or (
            self.name.rpartition("-")[0] if self.party.endpoint.isdigit() else self.party.endpoint
        )

    @property
    def shown(self) -> str:
        """What this one goes by in a transfer: extension, else number, else the endpoint's name."""
        return self.party.extension or self.number or self.party.endpoint

    def changed(self) -> None:
        """Have the leg made anew for the next snapshot."""
        self._leg = None

    def leg(self) -> Leg:
        if self._leg is None:
            self._leg = Leg(
                channel=Channel(self.name),
                uniqueid=self.leg_id,
                extension=self.party.extension,
                number=self.number,
                role="caller" if self.call.root is self else "callee",
                rang_at=self.rang_at,
                answered_at=self.answered_at,
                left_at=self.left_at,
                result=self.result(),
            )
        return self._leg

    def result(self) -> LegResult | None:
        """How it went for this leg: None while that is open."""
        if self.answered_at is not None:
            return "answered"
        if self.has_placed_a_call and not self.is_originated:
            # The caller's own line: it has no dial status, it gave up or was turned away.
            if self.left_at is None:
                return None
            return "cancelled" if self.hung_up_itself else _BY_CAUSE.get(self.cause, "cancelled")
        by_status = _BY_STATUS.get(self.dial_status)
        if self.left_at is None:
            return by_status
        if by_status in (None, "no_answer", "failed"):
            return _BY_CAUSE.get(self.cause, by_status or "no_answer")
        return by_status


@dataclass(frozen=True, slots=True)
class Handover:
    """A transfer that has not arrived yet: the last of the call's `transfers`, and who hands the call over."""

    index: int
    extension: str | None
    leg_ids: frozenset[str]

    def is_by(self, channel: LiveChannel) -> bool:
        extension = channel.party.extension
        return channel.leg_id in self.leg_ids or (extension is not None and extension == self.extension)


@dataclass(frozen=True, slots=True)
class Consultation:
    """Who is calling a third one while the other waits in the bridge `home`; `to` is whom."""

    by: LiveChannel
    home: str
    to: str


@dataclass(slots=True, eq=False)
class LiveCall:
    """One call that has begun."""

    pbx: str
    boot: str
    linked_id: str
    started_at: datetime
    estimated: bool = False
    direction: Direction = "inbound"
    from_raw: str = ""
    from_name: str = ""
    from_extension: str | None = None
    to_raw: str = ""
    to_extension: str | None = None
    did: str | None = None
    dial_id: str | None = None
    corrected: tuple[str, str] | None = None
    """Number and name that the dialplan gave the caller since, and that nobody was shown yet."""
    is_presented: bool = False
    """Somebody was rung, or the caller has joined a queue: who calls is settled."""
    root: LiveChannel | None = None
    channels: dict[str, LiveChannel] = field(default_factory=dict)
    """Those not hung up yet."""
    legs: dict[str, LiveChannel] = field(default_factory=dict)
    answered_at: datetime | None = None
    answered_extension: str | None = None
    talk_since: datetime | None = None
    talk_s: float = 0.0
    ended_at: datetime | None = None
    queue: str | None = None
    in_queue: str | None = None
    queue_channel: LiveChannel | None = None
    has_left_queue: bool = False
    """Left it, and nobody was rung since but for a claim."""
    is_left_waiting: bool = False
    """Joined one after a talk, and nobody has spoken with the caller since."""
    times_offered: int = 0
    claim_id: str | None = None
    claim_extension: str | None = None
    is_claim_open: bool = False
    """Started, and neither connected nor failed."""
    claims_over: set[str] = field(default_factory=set)
    """Connected or failed: an event that comes twice opens none of them again."""
    manager: LiveChannel | None = None
    said_outcome: Outcome | None = None
    """What the dialplan said became of a caller whom nobody spoke with."""
    transfers: list[Transfer] = field(default_factory=list)
    handover: Handover | None = None
    consultation: Consultation | None = None
    successor: tuple[LiveChannel, LiveChannel] | None = None
    """A phone that handed the call over from within an application, and who steps into its place there."""
    parked: LiveChannel | None = None
    """Who is parked."""
    parked_by: str = ""
    has_voicemail: bool = False
    """The caller left a message."""
    linked_ids: list[str] = field(default_factory=list)
    """Every linkedid that leads here, its own first."""
    merged_into: LiveCall | None = None
    told: Call | None = None
    """The last snapshot given out."""

    def add(self, channel: LiveChannel) -> None:
        """Take a channel in. Its own uniqueid names the caller; where that one is wiring, the first person is it."""
        first = self.channels.get(self.linked_id)
        channel.call = self
        self.channels[channel.uniqueid] = channel
        if not channel.is_person or len(self.legs) >= MAX_LEGS:
            return
        self.legs[channel.leg_id] = channel
        if channel.uniqueid == self.linked_id or (self.root is None and first is not None and not first.is_person):
            self.set_root(channel)

    def take_in(self, other: LiveCall) -> None:
        """Make the channels, legs and whatever this call lacks of another call its own."""
        for channel in [*other.channels.values(), *other.legs.values()]:
            channel.call = self
            channel.changed()
        self.channels |= other.channels
        for leg_id, leg in other.legs.items():
            if len(self.legs) < MAX_LEGS:
                self.legs[leg_id] = leg
        self.linked_ids += other.linked_ids
        self.transfers += other.transfers
        self.claims_over |= other.claims_over
        self.handover = self.handover or other.handover
        self.consultation = self.consultation or other.consultation
        if self.parked is None and other.parked is not None:
            self.parked, self.parked_by = other.parked, other.parked_by
        self.has_voicemail |= other.has_voicemail
        if self.root is None and other.root is not None:
            self.set_root(other.root)
            for name in ("direction", "from_raw", "from_name", "from_extension", "to_raw", "to_extension", "did"):
                setattr(self, name, getattr(other, name))
        if self.queue is None or (self.in_queue is None and other.in_queue is not None):
            for name in ("queue", "in_queue", "queue_channel", "has_left_queue"):
                setattr(self, name, getattr(other, name))
            self.times_offered += other.times_offered
        if not self.is_claim_open and other.is_claim_open:
            for name in ("claim_id", "claim_extension", "is_claim_open", "manager"):
                setattr(self, name, getattr(other, name))
        other.merged_into = self
        other.channels, other.legs = {}, {}

    def drop_claim(self) -> None:
        """Be nobody's: who stands in a queue of Hub's has been given up by whoever had them."""
        self.claim_id = self.claim_extension = self.manager = None
        self.is_claim_open = False

    def set_root(self, channel: LiveChannel) -> None:
        """Name the caller."""
        if channel is self.root or not channel.is_person:
            return
        if self.root is not None:
            self.root.changed()
        self.root = channel
        channel.has_placed_a_call = True
        channel.changed()

    def describe_caller(self, *, number: str, name: str, dialled: str) -> None:
        """Say who calls whom, from the caller's channel at its birth (or as first seen)."""
        assert self.root is not None
        party = self.root.party
        self.dial_id = dial_id_of(self.linked_id)
        self.direction = first_guess(from_phone=party.is_phone, dial_id=self.dial_id, dialled=dialled)
        self.from_extension = party.extension
        self.from_raw = (party.extension or number) if party.is_phone or self.dial_id else number
        self.from_name = "" if self.dial_id else name
        self.to_raw = "" if self.dial_id else dialled
        self.did = None
        if self.direction == "inbound":
            self.did = dialled or None
            self.root.number = number or None

    def describe_callee(self, callee: LiveChannel, *, number: str, name: str) -> None:
        """Say what is known where only somebody who was called has been seen: the other side, as shown to them."""
        self.dial_id = dial_id_of(self.linked_id)
        if self.dial_id is not None or not callee.party.is_phone:
            self.direction = "outbound"
        elif len(number.lstrip("+")) > 6 or not number:
            self.direction, self.from_raw, self.from_name = "inbound", number, name
        else:
            self.direction, self.from_raw, self.from_name, self.from_extension = "internal", number, name, number
        self.to_extension = callee.party.extension if self.direction != "outbound" else None

    def clamp(self, at: datetime) -> datetime:
        """Keep a clock that was set back from making a negative time."""
        return max(at, self.talk_since or self.answered_at or self.started_at)

    def note_talk(self, *, talking: bool, at: datetime) -> bool:
        """Open or close a stretch of talk; True if that is news."""
        if talking == (self.talk_since is not None):
            return False
        at = self.clamp(at)
        if talking:
            self.talk_since = at
            self.is_left_waiting = False
            if self.answered_at is None:
                self.answered_at = at
            if self.root is not None and self.root.answered_at is None and self.root.left_at is None:
                self.root.answered_at = at
                self.root.changed()
        else:
            assert self.talk_since is not None
            self.talk_s += (at - self.talk_since).total_seconds()
            self.talk_since = None
        return True

    def state(self) -> State:
        if self.ended_at is not None:
            return "ended"
        if self.talk_since is not None:
            held = any((c.on_hold or c.is_held) and c.bridge for c in self.channels.values())
            return "held" if held else "talking"
        if self.parked is not None or self.consultation is not None:
            return "held"
        if self.in_queue is not None:
            return "waiting"
        if self.answered_at is not None and any(channel.on_hold for channel in self.channels.values()):
            return "held"  # put aside by Hub: the client hears music outside of any bridge
        if self.is_claim_open:
            return "connecting"
        if self.answered_at is not None and not self._is_ringing() and not self.is_left_waiting:
            return "talking"  # the moment between the bridge and the hang-up
        if self.dial_id is not None and self.root is not None and self.root.is_up:
            return "connecting"
        return "connecting" if self.has_left_queue else "ringing"

    def _is_ringing(self) -> bool:
        return any(c.was_dialled and not c.is_up and c.is_person for c in self.channels.values())

    def outcome(self) -> Outcome:
        """How it ended, seen from the side that called."""
        if self.answered_at is not None:
            return "answered"
        if self.has_voicemail:
            return "voicemail"
        if self.said_outcome is not None:
            return self.said_outcome
        if self.in_queue is not None or self.is_claim_open or self.has_left_queue:
            return "missed" if self.root is not None and self.root.was_turned_away else "abandoned"
        root = self.root
        is_our_end_rung = root is not None and root.is_originated and (self.dial_id is not None or root.party.is_phone)
        if is_our_end_rung and root is not None and root.answered_at is None:
            return "failed"  # the manager's own phone: nobody was called
        is_client_rung = root is not None and root.is_originated and not is_our_end_rung
        others = [leg for leg in self.legs.values() if leg is not root or is_client_rung]
        results = [leg.result() for leg in others if not self._is_own_device(leg)]
        if not results:
            return "missed" if self.direction == "inbound" else "failed"
        if "no_answer" in results or "cancelled" in results:
            return "missed"
        if "busy" in results:
            return "busy"
        return "rejected" if "rejected" in results else "failed"

    def _is_own_device(self, leg: LiveChannel) -> bool:
        """Tell whether a leg is another device of the manager who clicked to call: it rang, and was nobody's call."""
        root = self.root
        if self.dial_id is None or root is None or leg is root:
            return False
        return leg.party.extension is not None and leg.party.extension == root.party.extension

    def snapshot(self) -> Call:
        ended_at = self.ended_at
        waited_until = self.answered_at or ended_at
        return Call(
            pbx=self.pbx,
            boot=self.boot,
            linked_id=self.linked_id,
            direction=self.direction,
            state=self.state(),
            started_at=self.started_at,
            outcome=self.outcome() if ended_at is not None else None,
            estimated=self.estimated,
            from_raw=self.from_raw,
            from_name=self.from_name,
            from_extension=self.from_extension,
            to_raw=self.to_raw,
            to_extension=self.to_extension,
            did=self.did,
            answered_at=self.answered_at,
            ended_at=ended_at,
            wait_s=(waited_until - self.started_at).total_seconds() if waited_until else 0.0,
            talk_s=self.talk_s,
            answered_extension=self.answered_extension,
            queue=self.queue,
            queue_channel=Channel(self.queue_channel.name) if self.queue_channel else None,
            manager_channel=Channel(self.manager.name) if self.manager else None,
            claim_id=self.claim_id,
            claim_extension=self.claim_extension,
            is_left_waiting=self.is_left_waiting,
            dial_id=self.dial_id,
            legs=tuple([channel.leg() for channel in self.legs.values()]),
            transfers=tuple(self.transfers),
        )
