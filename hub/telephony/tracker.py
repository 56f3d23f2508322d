"""From AMI frames to what happened to calls. Pure: facts in, effects out.

Decides which channel belongs to which call, when a person answered, when a caller stands in a queue, and when a
call is over; what follows from that is `livecall`'s and intake's. Never raises on a frame it does not know, or one
that comes out of order. Invariant: each call that was told to begin is told to end exactly once, and never again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from hub.telephony.board import Board
from hub.telephony.bridges import Bridges
from hub.telephony.calls import (
    Announced,
    Call,
    CallChanged,
    CallEnded,
    CallOffered,
    ClaimConnected,
    ClaimFailed,
    Effect,
)
from hub.telephony.directions import PbxRules, dialled_number, known, name_beside
from hub.telephony.livecall import LiveCall, LiveChannel

__all__ = ["CallTracker", "PbxRules"]

Frame = Mapping[str, str]

_CLAIM = re.compile(r"[0-9a-f]{16}")
_EXTENSION = re.compile(r"[0-9]{1,10}")
_NUMBER = re.compile(r"\+?[0-9]{1,20}")


class CallTracker:
    """The calls of one PBX. Feed it every frame of one `PbxLink`, and a `resync` after each `Up`."""

    def __init__(self, rules: PbxRules, *, boot: str = "", known_calls: Iterable[Call] = ()) -> None:
        """`known_calls`: the open calls that a former process stored; a `resync` that finds them takes them up."""
        self._rules = rules
        self._board = Board(rules, boot=boot, known_calls=known_calls)
        self._bridges = Bridges()
        self._synced_at: datetime | None = None
        self._special: list[tuple[LiveCall, Callable[[Call], Effect]]] = []
        """What this frame brought beyond a changed snapshot."""
        self._handlers: dict[str, Callable[[Frame, datetime], None]] = {
            "Newchannel": self._on_new_channel,
            "Newstate": self._on_new_state,
            "NewCallerid": self._on_new_caller_id,
            "OriginateResponse": self._on_originate_response,
            "Rename": self._on_rename,
            "DialBegin": self._on_dial_begin,
            "DialState": self._on_dial_state,
            "DialEnd": self._on_dial_end,
            "LocalBridge": self._on_local_bridge,
            "BridgeEnter": self._on_bridge_enter,
            "BridgeLeave": self._on_bridge_leave,
            "BridgeMerge": self._on_bridge_merge,
            "Hold": self._on_hold,
            "Unhold": self._on_unhold,
            "QueueCallerJoin": self._on_queue_join,
            "QueueCallerLeave": self._on_queue_leave,
            "UserEvent": self._on_user_event,
            "HangupRequest": self._on_hangup_request,
            "Hangup": self._on_hangup,
        }

    def open_calls(self) -> list[Call]:
        """Return a snapshot of each call that has not ended."""
        return [call.snapshot() for call in self._board.calls()]

    def handle(self, frame: Frame, *, now: datetime) -> list[Effect]:
        """Take one event; `now` is when it arrived. Return what it changed, in order."""
        name = frame.get("Event", "")
        handler = self._handlers.get(name)
        if handler is None:
            return []
        if self._synced_at is not None:
            if now >= self._synced_at:
                self._synced_at = None
            elif name not in ("Newchannel", "UserEvent", "Hangup"):
                return []  # older than the state that `resync` took: it would wind that back
        handler(frame, now)
        return self._effects(now) if self._board.touched else []

    def resync(self, channels: Sequence[Frame], *, boot: str, now: datetime) -> list[Effect]:
        """Take the state from the rows of `CoreShowChannels` after a gap.

        Calls of another boot and calls that vanished end as estimated; the others keep their identity.
        """
        effects: list[Effect] = []
        rows = {row["Uniqueid"]: row for row in channels if row.get("Uniqueid") and row.get("Channel")}
        board = self._board
        if boot != board.boot:
            self._drop(list(board.channels.values()), now)
            effects = self._effects(now)
            board.reboot(boot)
        self._synced_at = now
        self._drop([channel for uniqueid, channel in board.channels.items() if uniqueid not in rows], now)
        self._bridges = Bridges()
        for row in rows.values():
            if channel := board.find_or_adopt(row, now=now):
                self._take_row(channel, row, now)
        for row in rows.values():
            if channel := board.channels.get(row["Uniqueid"]):
                self._place(channel, row)
        for call in board.calls():
            self._note_talk(call, now)
            board.touch(call)
        return effects + self._effects(now)

    def _effects(self, now: datetime) -> list[Effect]:
        """Turn what was touched into effects: the changed snapshots, what is special, the ends."""
        board = self._board
        touched, board.touched = list(board.touched.values()), {}
        special, self._special = self._special, []
        effects: list[Effect] = []
        final: list[Effect] = []
        shown: dict[int, Call] = {}
        for call in touched:
            if not call.channels and call.ended_at is None:
                call.note_talk(talking=False, at=now)
                call.ended_at = call.clamp(now)
                board.forget(call)
                was_told = call.told is not None or bool(call.legs)
                shown[id(call)] = call.told = call.snapshot()
                if was_told:
                    final.append(CallEnded(call.told))
                continue
            shown[id(call)] = snapshot = call.snapshot()
            # Wiring alone (a page, a SIP message) is no call.
            if snapshot != call.told and call.legs:
                call.told = snapshot
                effects.append(CallChanged(snapshot))
        effects.extend(make(shown[id(call)]) for call, make in special)
        return effects + final

    def _say(self, call: LiveCall, make: Callable[[Call], Effect]) -> None:
        self._special.append((call, make))
        self._board.touch(call)

    def _drop(self, channels: list[LiveChannel], now: datetime) -> None:
        """Hang up what vanished unseen."""
        for channel in channels:
            channel.call.estimated = True
            self._hang_up(channel, now)

    def _take_row(self, channel: LiveChannel, row: Frame, now: datetime) -> None:
        """Take from a row of the snapshot how old the channel is, whether it is up, and its bridge."""
        call = channel.call
        channel.name = row["Channel"]
        if call.told is None and call.root is channel:
            call.started_at = min(call.started_at, now - _duration(row.get("Duration", "")))
        if row.get("ChannelStateDesc") == "Up" and not channel.is_up:
            self._note_up(channel, now)
        channel.bridge = None
        if bridge := row.get("BridgeId"):
            self._bridges.enter(channel, bridge)
        channel.changed()

    def _place(self, channel: LiveChannel, row: Frame) -> None:
        """Put the channel into the queue that it stands in, or take it out of one that it left unseen."""
        queue = row.get("ApplicationData", "").split(",")[0] if row.get("Application") == "Queue" else ""
        call = channel.call
        if queue:
            self._join(channel, queue)
        elif call.in_queue is not None and call.queue_channel is channel:
            call.in_queue = None
            call.has_left_queue = True

    def _on_new_channel(self, frame: Frame, now: datetime) -> None:
        was_known = frame.get("Uniqueid", "") in self._board.channels
        channel = self._board.find_or_adopt(frame, now=now, is_birth=True)
        if channel is None:
            return
        if was_known:
            self._board.see_birth(channel, frame, now=now)
        if frame.get("ChannelStateDesc") == "Up" and not channel.is_up:
            self._note_up(channel, now)

    def _on_rename(self, frame: Frame, now: datetime) -> None:
        channel = self._board.channels.get(frame.get("Uniqueid", ""))
        if channel is not None and frame.get("Newname"):
            channel.name = frame["Newname"]
            channel.changed()
            self._board.touch(channel.call)

    def _on_new_state(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find_or_adopt(frame, now=now)
        if channel is None:
            return
        said = frame.get("ChannelStateDesc")
        if said == "Ringing":
            self._note_ringing(channel, now)
        elif said == "Up" and not channel.is_up:
            self._note_up(channel, now)

    def _note_ringing(self, channel: LiveChannel, now: datetime) -> None:
        if channel.rang_at is None and not channel.is_up:
            channel.rang_at = channel.call.clamp(now)
            channel.changed()
            self._board.touch(channel.call)

    def _note_up(self, channel: LiveChannel, now: datetime) -> None:
        """A line that is up is a person who picked up, except the caller's own: the dialplan answers that one."""
        channel.is_up = True
        call = channel.call
        if channel.answered_at is None and (call.root is not channel or call.dial_id is not None):
            channel.answered_at = call.clamp(now)
        channel.changed()
        self._board.touch(call)

    def _on_new_caller_id(self, frame: Frame, now: datetime) -> None:
        """Take the number of a caller who had none at birth: some trunks tell it late.

        A click-to-call shows the manager whom it will call: on the way there that is the only word of the number.
        """
        channel = self._board.find(frame)
        if channel is None or channel.call.root is not channel:
            return
        call, number = channel.call, known(frame.get("CallerIDNum"))
        if call.dial_id is not None:
            self._note_dialled(call, number)
        elif not call.from_raw and number:
            call.from_raw = number
            call.from_name = call.from_name or name_beside(number, frame.get("CallerIDName"))
            channel.number = number
            channel.changed()
            self._board.touch(call)

    def _on_originate_response(self, frame: Frame, now: datetime) -> None:
        """Take the number from the answer to a click-to-call, which names it even where nobody picked up."""
        if channel := self._board.channels.get(frame.get("Uniqueid", "")):
            self._note_dialled(channel.call, frame.get("Exten", ""))

    def _note_dialled(self, call: LiveCall, number: str) -> None:
        if call.dial_id is not None and not call.to_raw and _NUMBER.fullmatch(number):
            call.to_raw = number
            self._board.touch(call)

    # Dials: who is rung, and how that went

    def _on_dial_begin(self, frame: Frame, now: datetime) -> None:
        self._board.name_caller(self._board.find_or_adopt(frame, now=now), frame)
        rung = self._board.find_or_adopt(frame, now=now, prefix="Dest")
        if rung is None:
            return
        rung.was_dialled = True
        rung.changed()
        call = rung.call
        self._board.touch(call)
        if rung is call.root or not rung.is_person:
            return
        party = rung.party
        if call.is_claim_open and party.extension == call.claim_extension:
            call.manager = rung
            return
        call.has_left_queue = False
        if not party.is_phone:
            rung.number = dialled_number(frame.get("DialString", ""), known(frame.get("DestCallerIDNum")))
            if call.direction == "internal":
                call.direction = "outbound"
        elif call.root is not None and call.root.party.is_phone and call.dial_id is None:
            call.direction = "internal"
        if party.is_phone and call.to_extension is None and call.queue is None and call.direction != "outbound":
            call.to_extension = party.extension

    def _on_dial_state(self, frame: Frame, now: datetime) -> None:
        rung = self._board.find_or_adopt(frame, now=now, prefix="Dest")
        if rung is not None and frame.get("DialStatus") == "RINGING":
            self._note_ringing(rung, now)

    def _on_dial_end(self, frame: Frame, now: datetime) -> None:
        rung = self._board.find_leg(frame, prefix="Dest")
        if rung is None:
            return
        rung.dial_status = frame.get("DialStatus", "")
        if rung.dial_status == "ANSWER" and rung.left_at is None and not rung.is_up:
            self._note_up(rung, now)
        rung.changed()
        self._board.touch(rung.call)

    # Bridges: who speaks with whom

    def _on_local_bridge(self, frame: Frame, now: datetime) -> None:
        one = self._board.find_or_adopt(frame, now=now, prefix="LocalOne")
        two = self._board.find_or_adopt(frame, now=now, prefix="LocalTwo")
        if one is not None and two is not None:
            one.other_half, two.other_half = two, one

    def _on_bridge_enter(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find_or_adopt(frame, now=now)
        bridge = frame.get("BridgeUniqueid", "")
        if channel is None or not bridge:
            return
        self._bridges.enter(channel, bridge)
        if not channel.is_up or (channel.answered_at is None and channel.call.root is not channel):
            # Up already, where it began a call of its own and met this one in the bridge, as when a call is taken up.
            self._note_up(channel, now)
        self._note_talk_in(channel, now)

    def _on_bridge_leave(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find(frame)
        if channel is not None and channel.bridge == frame.get("BridgeUniqueid"):
            others = self._bridges.heard_by(channel)
            self._bridges.leave(channel)
            for call in {id(c.call): c.call for c in (channel, *others)}.values():
                self._note_talk(call, now)

    def _on_bridge_merge(self, frame: Frame, now: datetime) -> None:
        into, gone = frame.get("ToBridgeUniqueid", ""), frame.get("FromBridgeUniqueid", "")
        if into and into != gone:
            for channel in self._bridges.merge(gone, into):
                self._note_talk_in(channel, now)

    def _on_hold(self, frame: Frame, now: datetime) -> None:
        self._note_hold(frame, now, on_hold=True)

    def _on_unhold(self, frame: Frame, now: datetime) -> None:
        self._note_hold(frame, now, on_hold=False)

    def _note_hold(self, frame: Frame, now: datetime, *, on_hold: bool) -> None:
        if channel := self._board.find(frame):
            channel.on_hold = on_hold
            self._board.touch(channel.call)

    def _note_talk_in(self, channel: LiveChannel, now: datetime) -> None:
        for call in {id(c.call): c.call for c in (channel, *self._bridges.heard_by(channel))}.values():
            self._note_talk(call, now)

    def _note_talk(self, call: LiveCall, now: datetime) -> None:
        """See who of this call speaks with whom, and what that means for its answer and its claim."""
        heard: list[LiveChannel] = []
        caller = call.root
        if caller is not None and caller.left_at is None:
            heard = self._bridges.heard_by(caller)
            talking = bool(heard)
        else:
            talking = any(c.is_person and self._bridges.heard_by(c) for c in call.channels.values())
        if call.note_talk(talking=talking, at=now):
            self._board.touch(call)
        phones = [c for c in heard if c.party.extension is not None]
        if phones and call.direction != "outbound":
            extensions = [c.party.extension for c in phones]
            if call.answered_extension not in extensions:
                call.answered_extension = extensions[-1]
                self._board.touch(call)
        if call.is_claim_open and call.claim_id is not None:
            manager = next((c for c in phones if c.party.extension == call.claim_extension), None)
            if manager is not None:
                claim_id = call.claim_id
                call.is_claim_open = False
                call.claims_over.add(claim_id)
                call.manager = manager
                self._say(call, lambda shown: ClaimConnected(shown, claim_id))

    # Queues and claims

    def _on_queue_join(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find_or_adopt(frame, now=now)
        if channel is not None and frame.get("Queue"):
            self._board.name_caller(channel, frame)
            self._join(channel, frame["Queue"])

    def _join(self, channel: LiveChannel, queue: str) -> None:
        call = channel.call
        if call.in_queue == queue:
            return
        call.in_queue = queue
        call.has_left_queue = False
        self._board.touch(call)
        if queue not in self._rules.hub_queues:
            return
        self._fail_claim(call, "returned")
        call.queue = queue
        call.queue_channel = channel
        again = call.times_offered > 0
        call.times_offered += 1
        self._say(call, lambda shown: CallOffered(shown, again=again))

    def _on_queue_leave(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find(frame)
        if channel is not None and channel.call.in_queue == frame.get("Queue"):
            channel.call.in_queue = None
            channel.call.has_left_queue = True
            self._board.touch(channel.call)

    def _on_user_event(self, frame: Frame, now: datetime) -> None:
        said = frame.get("UserEvent", "")
        if not said.startswith("Hub"):
            return
        channel = self._board.find_or_adopt(frame, now=now)
        if channel is None:
            return
        self._board.name_caller(channel, frame)
        call = channel.call
        self._board.touch(call)
        claim_id, extension = frame.get("Claim", ""), frame.get("Extension", "")
        if said == "HubWaiting":
            call.did = known(frame.get("Did")) or call.did
            if frame.get("Queue") in self._rules.hub_queues:
                call.queue = frame["Queue"]
                call.queue_channel = channel
        elif said == "HubDial":
            call.to_raw = known(frame.get("To")) or call.to_raw
        elif said in ("HubHeld", "HubResumed"):
            for one in call.channels.values():
                one.on_hold = said == "HubHeld" and one is channel
        elif said == "HubClaimStarted" and _CLAIM.fullmatch(claim_id) and _EXTENSION.fullmatch(extension):
            if call.claim_id != claim_id and claim_id not in call.claims_over:
                self._fail_claim(call, "replaced")
                call.claim_id, call.claim_extension, call.is_claim_open = claim_id, extension, True
                call.manager, call.has_left_queue = None, True
        elif said == "HubClaimFailed" and _CLAIM.fullmatch(claim_id) and call.claim_id in (None, claim_id):
            if claim_id not in call.claims_over:
                call.claim_id, call.is_claim_open, call.has_left_queue = claim_id, True, True
            self._fail_claim(call, known(frame.get("Reason")) or "failed")
        elif not said.startswith(("HubWaiting", "HubDial", "HubClaim")):
            channel.on_hold = channel.on_hold and said != "HubReturned"
            self._say(call, lambda shown: Announced(shown, said, dict(frame)))

    def _fail_claim(self, call: LiveCall, reason: str) -> None:
        claim_id = call.claim_id
        if not call.is_claim_open or claim_id is None:
            return
        call.claim_id = call.claim_extension = call.manager = None
        call.is_claim_open = False
        call.claims_over.add(claim_id)
        self._say(call, lambda shown: ClaimFailed(shown, claim_id, reason))

    # The end

    def _on_hangup_request(self, frame: Frame, now: datetime) -> None:
        if channel := self._board.find(frame):
            channel.hung_up_itself = True

    def _on_hangup(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find(frame)
        if channel is None:
            self._board.bury(frame.get("Uniqueid", ""))
            return
        cause = frame.get("Cause", "")
        channel.cause = int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 5 else 0
        self._hang_up(channel, now)

    def _hang_up(self, channel: LiveChannel, now: datetime) -> None:
        call = channel.call
        others = self._bridges.heard_by(channel)
        self._bridges.leave(channel)
        channel.left_at = max(call.clamp(now), channel.answered_at or channel.rang_at or call.started_at)
        channel.changed()
        self._board.remove(channel)
        for touched in {id(c.call): c.call for c in (channel, *others)}.values():
            self._note_talk(touched, now)
        if channel is call.queue_channel or channel is call.root:
            self._fail_claim(call, "caller_gone")
            if call.in_queue is not None:
                call.in_queue = None
                call.has_left_queue = True
        self._board.touch(call)


def _duration(text: str) -> timedelta:
    """Read CoreShowChannels' `HH:MM:SS`."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        return timedelta(0)
    hours, minutes, seconds = map(int, parts)
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
