"""Scripts of AMI events and the effects they must have: `>> frame`, `<< effect`.

    >> Newchannel @caller                       an event of the channel `caller`, on to the next effects
    >> DialBegin @caller >@phone                … and with the channel `phone` as its Dest
    << CallChanged state=ringing direction=inbound
    ++ 2.5                                      that many seconds pass

After each `>>` the effects are exactly those that follow it, in order; what is named of them must hold.
"""

from __future__ import annotations

import lzma
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.telephony.line.wire import FrameReader
from hub.telephony.tracking.calls import Call, CallEnded, CallMerged, Effect
from hub.telephony.tracking.tracker import CallTracker, PbxRules

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
RULES = PbxRules(pbx="office", internal_contexts=frozenset({"internal"}), hub_queues=frozenset({"hub-sales"}))
BOOT = "2026-11-24T09:00:00"


@dataclass(frozen=True)
class Chan:
    """A channel as its events show it."""

    name: str
    uniqueid: str
    linked_id: str
    context: str
    exten: str = ""
    number: str = "<unknown>"
    caller_name: str = "<unknown>"

    def headers(self, prefix: str = "") -> dict[str, str]:
        return {
            f"{prefix}Channel": self.name,
            f"{prefix}CallerIDNum": self.number,
            f"{prefix}CallerIDName": self.caller_name,
            f"{prefix}Context": self.context,
            f"{prefix}Exten": self.exten,
            f"{prefix}Uniqueid": self.uniqueid,
            f"{prefix}Linkedid": self.linked_id,
        }


CHANNELS = {
    "caller": Chan("PJSIP/trunk-00000001", "10.1", "10.1", "from-trunk", "74950000100", "84951234567", "Иван"),
    "phone": Chan("PJSIP/101-00000002", "10.2", "10.1", "internal", "s"),
    "phone2": Chan("PJSIP/102-00000003", "10.3", "10.1", "internal", "s"),
    "desk": Chan("PJSIP/101-00000004", "20.1", "20.1", "internal", "89161234567", "101", "Anna"),
    "desk-colleague": Chan("PJSIP/101-00000006", "30.1", "30.1", "internal", "102", "101", "Anna"),
    "colleague": Chan("PJSIP/102-00000007", "30.2", "30.1", "internal", "s"),
    "client": Chan("PJSIP/trunk-00000005", "20.2", "20.1", "from-trunk", "s", "89161234567"),
    "dial": Chan("PJSIP/101-00000008", "hub-0123456789abcdef", "hub-0123456789abcdef", "internal", "s", "74951112233"),
    "dialled": Chan("PJSIP/trunk-00000009", "40.2", "hub-0123456789abcdef", "from-trunk", "s", "74951112233"),
}


NO_CALL = Call("", "", "", "internal", "ended", START)


@dataclass
class Play:
    """A tracker, the time, and every effect so far."""

    tracker: CallTracker = field(default_factory=lambda: CallTracker(RULES, boot=BOOT))
    now: datetime = START
    is_overtaken: bool = False
    effects: list[Effect] = field(default_factory=list)

    def script(self, text: str) -> Call:
        """Play the lines, check every effect, and return the last call told."""
        pending: list[Effect] = []
        for line in filter(None, (line.strip() for line in text.splitlines())):
            sign, _, rest = line.partition(" ")
            if sign == "++":
                self.now += timedelta(seconds=float(rest))
            elif sign == ">>":
                assert not pending, f"not expected before {line!r}: {pending}"
                pending = self.feed(frame_of(rest))
            else:
                assert sign == "<<", line
                assert pending, f"no effect for {line!r}"
                check(pending.pop(0), rest)
        assert not pending, f"not expected at the end: {pending}"
        return self.effects[-1].call if self.effects else NO_CALL

    def feed(self, frame: dict[str, str]) -> list[Effect]:
        told = self.tracker.handle(frame, now=self.now, is_overtaken=self.is_overtaken)
        self.effects.extend(told)
        return told


def frame_of(line: str) -> dict[str, str]:
    name, *words = shlex.split(line)
    frame = {"Event": name}
    for word in words:
        if word.startswith("@"):
            frame |= CHANNELS[word[1:]].headers()
        elif word.startswith(">@"):
            frame |= CHANNELS[word[2:]].headers("Dest")
        else:
            key, _, value = word.partition("=")
            frame[key] = value
    return frame


def check(effect: Effect, line: str) -> None:
    name, *words = shlex.split(line)
    assert type(effect).__name__ == name, f"{line!r} is {effect}"
    for word in words:
        key, _, wanted = word.partition("=")
        have = getattr(effect, key) if hasattr(effect, key) else getattr(effect.call, key)
        assert str(have) == wanted, f"{key} of {line!r} is {have!r} in {effect}"


def read_stream(path: Path) -> list[dict[str, str]]:
    """Return the frames of a recorded stream, unwanted ones left out; it may lack the greeting."""
    raw = path.read_bytes()
    if path.suffix == ".xz":
        raw = lzma.decompress(raw)
    if b"\r\n" not in raw:
        raw = raw.replace(b"\n", b"\r\n")
    if not raw.startswith(b"Asterisk Call Manager/"):
        raw = b"Asterisk Call Manager/11.0.0\r\n" + raw
    return FrameReader().feed(raw + b"\r\n\r\n")


def replay(frames: Iterable[dict[str, str]], *, tracker: CallTracker | None = None) -> list[Effect]:
    """Feed the frames at the times that they carry, or 10 ms apart."""
    tracker = tracker or CallTracker(RULES, boot=BOOT)
    now, effects = START, list[Effect]()
    for frame in frames:
        stamp = frame.get("Timestamp", "")
        now = datetime.fromtimestamp(float(stamp), UTC) if stamp else now + timedelta(milliseconds=10)
        effects += tracker.handle(frame, now=now)
    return effects


def ended(effects: Iterable[Effect]) -> list[Call]:
    return [effect.call for effect in effects if isinstance(effect, CallEnded)]


def merged(effects: Iterable[Effect]) -> set[str]:
    """Return the linkedids of the calls that became part of another."""
    return {effect.gone[1] for effect in effects if isinstance(effect, CallMerged)}


def holds_for_every_call(effects: list[Effect]) -> None:
    """Check what must be true of any stream: one end, nothing after it, no negative time."""
    over: set[tuple[str, str]] = set()
    for effect in effects:
        call = effect.call
        key = (call.boot, call.linked_id)
        assert key not in over, f"after its end: {effect}"
        times = [call.started_at, call.answered_at or call.started_at, call.ended_at or call.answered_at]
        known = [at for at in times if at is not None]
        assert known == sorted(known), call
        assert call.wait_s >= 0, call
        assert call.talk_s >= 0, call
        for leg in call.legs:
            in_order = [at for at in (leg.rang_at, leg.left_at) if at is not None]
            assert in_order == sorted(in_order), leg
            assert not (leg.answered_at and leg.left_at) or leg.answered_at <= leg.left_at, leg
        if isinstance(effect, CallMerged):
            assert effect.gone not in over, f"after its end: {effect}"
            over.add(effect.gone)
        if isinstance(effect, CallEnded):
            assert call.state == "ended"
            assert call.outcome is not None
            over.add(key)
