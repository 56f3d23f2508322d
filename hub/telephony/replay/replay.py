"""From a recorded stream to the calls of it: the tracker at work without a PBX. Pure.

Decides when the state is taken anew, as the service does after each sign-in: what came before the list of channels
waits for it. Knows no file. Invariant: every call that was seen is told exactly once, at its end or as still open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hub.telephony.line.wire import UNWANTED
from hub.telephony.replay.stream_file import Packet
from hub.telephony.tracking.calls import Announced, Call, CallEnded, CallOffered, ClaimConnected, ClaimFailed, Effect
from hub.telephony.tracking.directions import PbxRules
from hub.telephony.tracking.tracker import CallTracker

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
"""When a stream begins that says no time at all: its calls have their lengths, not their hours."""
STEP = timedelta(milliseconds=10)
MAX_HELD = 100_000
MAX_LISTS = 32
MAX_STEPS = 500

DETAILS = {
    "BridgeListComplete": "bridges",
    "QueueStatusComplete": "queues",
    "ParkedCallsComplete": "parked",
    "DeviceStateListComplete": "devices",
}
"""The event that closes a list, and the argument of `CallTracker.resync` that its rows are."""
CHANNELS = "CoreShowChannelsComplete"
LIST_ROWS = frozenset(
    "CoreShowChannel BridgeListItem QueueParams QueueMember QueueEntry ParkedCall DeviceStateChange".split()
)
"""What those lists are made of."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a call beside its course."""

    at: datetime
    what: str
    extension: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ToldCall:
    """A call with what happened to it. One that is still open at the end of a stream has no outcome."""

    call: Call
    steps: tuple[Step, ...]


@dataclass(slots=True)
class Replay:
    """Feed it every packet of a stream, in order, then `close`."""

    rules: PbxRules
    packets: int = 0
    now: datetime = FIRST
    _tracker: CallTracker | None = None
    _boot: str = ""
    _held: list[tuple[dict[str, str], datetime]] | None = None
    """Frames that wait for the list of channels."""
    _lists: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """Rows so far, by the ActionID that asked for them."""
    _details: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    _steps: dict[tuple[str, str], list[Step]] = field(default_factory=dict)

    def feed(self, packet: Packet) -> Iterator[ToldCall]:
        """Yield the calls that this packet ends."""
        self.packets += 1
        frame = packet.frame()
        self.now = packet.at or _told_time(frame) or self.now + STEP
        name = frame.get("Event", "")
        if mark := frame.get("Hub-Mark"):
            yield from self._marked(mark, frame)
        elif name == CHANNELS or name in DETAILS:
            yield from self._listed(name, self._lists.pop(frame.get("ActionID", ""), []))
        elif is_listed(frame):
            self._keep_row(frame)
        elif not name or name in UNWANTED:
            pass
        elif self._held is not None and len(self._held) < MAX_HELD:
            self._held.append((frame, self.now))
        else:
            yield from self._release()
            yield from self._ends(self._machine().handle(frame, now=self.now), self.now)

    def close(self) -> Iterator[ToldCall]:
        """Yield the calls that have not ended."""
        yield from self._release()
        for call in self._machine().open_calls():
            yield ToldCall(call, tuple(self._steps.get((call.boot, call.linked_id), ())))

    def _keep_row(self, frame: dict[str, str]) -> None:
        rows = self._lists.setdefault(frame.get("ActionID", ""), [])
        if len(rows) < MAX_HELD:
            rows.append(frame)
        if len(self._lists) > MAX_LISTS:
            del self._lists[next(iter(self._lists))]

    def _listed(self, name: str, rows: list[dict[str, str]]) -> Iterator[ToldCall]:
        """Take the state once the channels are there, which are asked for last."""
        if name in DETAILS:
            self._details[DETAILS[name]] = rows
            return
        details, self._details = self._details, {}
        effects = self._machine().resync(rows, boot=self._boot, now=self.now, **details)
        yield from self._ends(effects, self.now)
        yield from self._release(is_overtaken=True)

    def _machine(self) -> CallTracker:
        if self._tracker is None:
            self._tracker = CallTracker(self.rules, boot=self._boot)
        return self._tracker

    def _marked(self, mark: str, frame: dict[str, str]) -> Iterator[ToldCall]:
        if mark == "up":
            self._boot = frame.get("Boot", "")
        if mark in ("begin", "up", "down"):
            self._lists, self._details = {}, {}
            self._held = self._held or []
        else:
            yield from self._release()

    def _release(self, *, is_overtaken: bool = False) -> Iterator[ToldCall]:
        held, self._held = self._held, None
        for frame, at in held or ():
            yield from self._ends(self._machine().handle(frame, now=at, is_overtaken=is_overtaken), at)

    def _ends(self, effects: list[Effect], at: datetime) -> Iterator[ToldCall]:
        for effect in effects:
            key = (effect.call.boot, effect.call.linked_id)
            if (step := _step(effect, at)) and len(steps := self._steps.setdefault(key, [])) < MAX_STEPS:
                steps.append(step)
            if isinstance(effect, CallEnded):
                yield ToldCall(effect.call, tuple(self._steps.pop(key, ())))


def is_listed(frame: Mapping[str, str]) -> bool:
    """Tell a row that answers somebody's question from news: `ParkedCall` is both."""
    name = frame.get("Event", "")
    return name in LIST_ROWS and (bool(frame.get("ActionID")) or name == "CoreShowChannel")


def _step(effect: Effect, at: datetime) -> Step | None:
    match effect:
        case CallOffered(call=call, again=again):
            return Step(at, "offered again" if again else "offered", reason=call.queue or "")
        case ClaimConnected(call=call):
            return Step(at, "taken", call.claim_extension)
        case ClaimFailed(reason=reason):
            return Step(at, "claim failed", reason=reason)
        case Announced(name="HubClaimStarted"):
            return None  # told once it is taken, or failed
        case Announced(name=name):
            return Step(at, "announced", reason=name)
    return None


def _told_time(frame: dict[str, str]) -> datetime | None:
    """Return an event's own time, where the PBX sends one (`timestampevents = yes`)."""
    try:
        return datetime.fromtimestamp(float(frame.get("Timestamp", "")), UTC)
    except (ValueError, OverflowError, OSError):
        return None
