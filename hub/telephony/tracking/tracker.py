"""From AMI frames to what happened to calls. Pure: facts in, effects out.

Decides who is rung and how that went, which effects a frame leads to, and when a call is over; who speaks with whom
is `talk`'s, hand-overs are `transfers`', and what follows is `livecall`'s and intake's. Never raises on a frame it
does not know, or one that comes out of order. Invariant: each call that was told to begin is told to end, or to have
become part of another, exactly once, and never again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta

from hub.telephony.tracking.board import Board
from hub.telephony.tracking.bridges import Bridges
from hub.telephony.tracking.callers import Callers
from hub.telephony.tracking.calls import Call, CallChanged, CallEnded, Effect
from hub.telephony.tracking.directions import PbxRules
from hub.telephony.tracking.livecall import LiveChannel
from hub.telephony.tracking.lots import Lots
from hub.telephony.tracking.older import Older, is_old
from hub.telephony.tracking.queues import Queues
from hub.telephony.tracking.talk import Talk
from hub.telephony.tracking.transfers import Transfers

__all__ = ["CallTracker", "PbxRules"]

Frame = Mapping[str, str]

_NEVER_OVERTAKEN = frozenset(("Newchannel", "UserEvent", "Hangup"))
"""What no list tells: how a call began, what the dialplan said of it, and that one both began and ended."""


class CallTracker:
    """The calls of one PBX. Feed it every frame of one `PbxLink`, and a `resync` after each `Up`."""

    def __init__(self, rules: PbxRules, *, boot: str = "", known_calls: Iterable[Call] = ()) -> None:
        """`known_calls`: the open calls that a former process stored; a `resync` that finds them takes them up."""
        self._board = Board(rules, boot=boot, known_calls=known_calls)
        self._talk = Talk(self._board)
        self._callers = Callers(self._board, self._talk, rules)
        self._queues = Queues(self._board, self._callers, rules)
        self._transfers = Transfers(self._board, self._talk)
        self._lots = Lots(self._board, self._talk)
        self._older = Older()
        self._handlers: dict[str, Callable[[Frame, datetime], None]] = {
            "Newchannel": self._on_new_channel,
            "Newstate": self._on_new_state,
            "NewCallerid": self._callers.on_new_caller_id,
            "OriginateResponse": self._callers.on_originate_response,
            "MessageWaiting": self._on_message_waiting,
            "Rename": self._talk.on_rename,
            "DialBegin": self._on_dial_begin,
            "DialState": self._on_dial_state,
            "DialEnd": self._on_dial_end,
            "LocalBridge": self._talk.on_local_bridge,
            "BridgeEnter": self._transfers.on_enter,
            "BridgeLeave": self._talk.on_leave,
            "BridgeMerge": self._talk.on_merge,
            "Hold": self._talk.on_hold,
            "Unhold": self._talk.on_unhold,
            "BlindTransfer": self._transfers.on_blind,
            "AttendedTransfer": self._transfers.on_attended,
            "Pickup": self._transfers.on_pickup,
            "ParkedCall": self._lots.on_parked,
            "UnParkedCall": self._lots.on_unparked,
            "ParkedCallTimeOut": self._lots.on_unparked,
            "ParkedCallGiveUp": self._lots.on_unparked,
            "QueueCallerJoin": self._queues.on_join,
            "QueueCallerLeave": self._queues.on_leave,
            "UserEvent": self._queues.on_user_event,
            "HangupRequest": self._on_hangup_request,
            "SoftHangupRequest": self._on_soft_hangup,
            "Hangup": self._on_hangup,
        }

    def open_calls(self) -> list[Call]:
        """Return a snapshot of each call that has not ended."""
        return [call.snapshot() for call in self._board.calls()]

    def handle(self, frame: Frame, *, now: datetime, is_overtaken: bool = False) -> list[Effect]:
        """Take one event; `now` is when it arrived. Return what it changed, in order.

        `is_overtaken`: it came before the lists of the last `resync`, and would wind back the state that they told.
        """
        is_modern = "Linkedid" in frame or not is_old(frame)
        for word in (frame,) if is_modern else self._older.translate(frame):
            name = word.get("Event", "")
            handler = self._handlers.get(name)
            if handler is not None and (not is_overtaken or name in _NEVER_OVERTAKEN):
                handler(word, now)
        return self._effects(now) if self._board.touched else []

    def channel_ids(self) -> Set[str]:
        """Return the uniqueids of the channels that have not hung up."""
        return self._board.channels.keys()

    def end_channels(self, uniqueids: Set[str], *, now: datetime) -> list[Effect]:
        """Hang up, as estimated, channels that are gone though nobody heard them hang up."""
        self._drop([channel for uniqueid, channel in self._board.channels.items() if uniqueid in uniqueids], now)
        return self._effects(now)

    def resync(
        self,
        channels: Sequence[Frame],
        *,
        boot: str,
        now: datetime,
        bridges: Sequence[Frame] = (),
        queues: Sequence[Frame] = (),
        parked: Sequence[Frame] = (),
        devices: Sequence[Frame] = (),
    ) -> list[Effect]:
        """Take the state from the PBX's lists after a gap.

        The rows are those of `CoreShowChannels`, `BridgeList`, `QueueStatus`, `ParkedCalls` and `DeviceStateList`.
        Calls of another boot and calls that vanished end as estimated; the others keep their identity.
        """
        effects: list[Effect] = []
        listed = self._older.rows(channels)
        rows = {row["Uniqueid"]: row for row in listed if row.get("Uniqueid") and row.get("Channel")}
        board = self._board
        if boot != board.boot:
            self._drop(list(board.channels.values()), now)
            effects = self._effects(now)
            board.reboot(boot)
            self._older = Older()
        self._drop([channel for uniqueid, channel in board.channels.items() if uniqueid not in rows], now)
        self._talk.bridges = Bridges()
        for bridge in bridges:
            self._talk.bridges.note_technology(bridge.get("BridgeUniqueid", ""), bridge.get("BridgeTechnology", ""))
        for row in rows.values():
            if channel := board.find_or_adopt(row, now=now):
                self._take_row(channel, row, now)
        waiting = {row.get("Uniqueid"): row for row in queues if row.get("Event") == "QueueEntry"}
        for row in rows.values():
            if channel := board.channels.get(row["Uniqueid"]):
                self._place(channel, row, waiting.get(row["Uniqueid"], {}))
        for call in board.calls():
            call.parked = None
        for row in parked:
            self._lots.on_parked(row, now)
        # A device is ONHOLD when all that it has is held by the other side; of a busy trunk nothing can be said.
        held = {row.get("Device") for row in devices if row.get("State") == "ONHOLD"}
        for channel in board.channels.values():
            channel.is_held = channel.name.rpartition("-")[0] in held and channel.bridge is not None
        for call in board.calls():
            self._talk.look(call, now)
            board.touch(call)
        return effects + self._effects(now)

    def _effects(self, now: datetime) -> list[Effect]:
        """Turn what was touched into effects: the changed snapshots, what is special, the ends."""
        board = self._board
        touched, board.touched = list(board.touched.values()), {}
        special, board.special = board.special, []
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
            self._talk.note_up(channel, now)
        channel.bridge = None
        if bridge := row.get("BridgeId"):
            self._talk.bridges.enter(channel, bridge)
        channel.changed()

    def _place(self, channel: LiveChannel, row: Frame, entry: Frame) -> None:
        """Put the channel into the queue that it stands in, or take it out of one that it left unseen."""
        queue = row.get("ApplicationData", "").split(",")[0] if row.get("Application") == "Queue" else ""
        queue = entry.get("Queue") or queue
        call = channel.call
        if queue and call.talk_since is None:
            self._queues.join(channel, queue)
        elif call.in_queue is not None and call.queue_channel is channel:
            self._queues.leave(call)

    def _on_new_channel(self, frame: Frame, now: datetime) -> None:
        was_known = frame.get("Uniqueid", "") in self._board.channels
        channel = self._board.find_or_adopt(frame, now=now, is_birth=True)
        if channel is None:
            return
        if was_known:
            self._board.see_birth(channel, frame, now=now)
        if frame.get("ChannelStateDesc") == "Up" and not channel.is_up:
            self._talk.note_up(channel, now)

    def _on_new_state(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find_or_adopt(frame, now=now)
        if channel is None:
            return
        said = frame.get("ChannelStateDesc")
        if said == "Ringing":
            self._note_ringing(channel, now)
        elif said == "Up" and not channel.is_up:
            self._talk.note_up(channel, now)

    def _note_ringing(self, channel: LiveChannel, now: datetime) -> None:
        if channel.rang_at is None and not channel.is_up:
            channel.rang_at = channel.call.clamp(now)
            channel.changed()
            self._board.touch(channel.call)

    # Dials: who is rung, and how that went

    def _on_dial_begin(self, frame: Frame, now: datetime) -> None:
        dials = self._board.find_or_adopt(frame, now=now)
        self._board.name_caller(dials, frame)
        rung = self._board.find_or_adopt(frame, now=now, prefix="Dest")
        if rung is None:
            return
        rung.was_dialled, rung.dialled_by = True, dials
        rung.changed()
        call = rung.call
        self._board.touch(call)
        if not rung.is_person:
            return
        self._callers.on_rung(frame, dials, rung, now)
        if rung is call.root:
            return
        if call.is_claim_open and dials is not None and dials in (call.queue_channel, call.root):
            self._callers.name_device(rung, call.claim_extension)
        party = rung.party
        if call.is_claim_open and party.extension == call.claim_extension:
            call.manager = rung
            return
        call.has_left_queue = False
        if not party.is_phone:
            if call.direction == "internal":
                call.direction = "outbound"
            if call.direction == "outbound":
                self._callers.goes_outside(frame, rung)
                if rung.number is None and call.answered_at is None:
                    rung.number = call.to_raw or None
        elif (
            call.root is not None
            and call.root.party.is_phone
            and call.answered_at is None
            and (call.dial_id is None or party.extension == call.to_raw)
        ):
            call.direction = "internal"
        elif (
            call.direction == "outbound"
            and call.from_extension is None
            and call.dial_id is None
            and not (call.root is not None and call.root.party.is_phone)
        ):
            # A client who was rung first is put through to this phone.
            call.from_extension, call.from_raw = party.extension, call.from_raw or party.extension or ""
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
        status = frame.get("DialStatus", "")
        if not rung.dial_status or status == "ANSWER":
            # A queue whose ring time is over says NOANSWER, and CANCEL when it takes its members' phones down.
            rung.dial_status = status
        if status == "NOANSWER":
            self._pass_on_time_out(rung)
        if rung.dial_status == "ANSWER" and rung.left_at is None and not rung.is_up:
            self._talk.note_up(rung, now)
        rung.changed()
        self._board.touch(rung.call)

    def _pass_on_time_out(self, rung: LiveChannel) -> None:
        """Tell the phones behind a Local channel that they rang to the end: their own Dial only says CANCEL."""
        inner = rung.other_half
        if inner is None:
            return
        for channel in rung.call.channels.values():
            if channel.dialled_by is inner and not channel.is_up and not channel.dial_status:
                channel.dial_status = "NOANSWER"
                channel.changed()
                self._pass_on_time_out(channel)

    # Voicemail

    def _on_message_waiting(self, frame: Frame, now: datetime) -> None:
        """Somebody left a message; a colleague who listens to his own mailbox has called nobody."""
        channel = self._board.find(frame)
        if channel is None or frame.get("Waiting") != "1":
            return
        call = channel.call
        if not call.has_voicemail and (call.direction != "internal" or call.to_extension is not None):
            call.has_voicemail = True
            self._board.touch(call)

    # The end

    def _on_hangup_request(self, frame: Frame, now: datetime) -> None:
        if channel := self._board.find(frame):
            channel.hung_up_itself = True

    def _on_soft_hangup(self, frame: Frame, now: datetime) -> None:
        if channel := self._board.find(frame):
            channel.was_turned_away = not channel.hung_up_itself

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
        others = self._talk.bridges.heard_by(channel)
        if channel is call.root:
            self._callers.present(call)
        self._talk.bridges.leave(channel)
        channel.left_at = max(call.clamp(now), channel.answered_at or channel.rang_at or call.started_at)
        channel.changed()
        self._board.remove(channel)
        self._talk.look_at((channel, *others), now)
        if call.successor is not None and call.successor[0] is channel is call.queue_channel:
            # The phone asked in a queue and handed the caller over there: now the caller stands in its place.
            call.queue_channel = call.successor[1] if call.successor[1].left_at is None else channel
        if channel is call.queue_channel or channel is call.root:
            self._queues.fail_claim(call, "caller_gone")
            if call.in_queue is not None:
                self._queues.leave(call)
        if channel is call.parked:
            call.parked = None
        self._transfers.on_gone(channel, now)
        self._board.touch(call)


def _duration(text: str) -> timedelta:
    """Read CoreShowChannels' `HH:MM:SS`."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        return timedelta(0)
    hours, minutes, seconds = map(int, parts)
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
