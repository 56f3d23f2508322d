"""Who speaks with whom, and what that means: answer, hold, claim, and who ends up with a call. Pure.

Decides by bridges alone, whatever the dialplan says: a call is answered when a person other than the caller shares a
bridge with the caller. Invariant: whenever a bridge changes, every call that has somebody in it is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from hub.telephony.tracking.board import Board
from hub.telephony.tracking.bridges import Bridges
from hub.telephony.tracking.calls import ClaimConnected
from hub.telephony.tracking.livecall import LiveCall, LiveChannel

Frame = Mapping[str, str]


class Talk:
    """The bridges of one PBX, and what they mean for its calls."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.bridges = Bridges()

    def on_local_bridge(self, frame: Frame, now: datetime) -> None:
        one = self._board.find_or_adopt(frame, now=now, prefix="LocalOne")
        two = self._board.find_or_adopt(frame, now=now, prefix="LocalTwo")
        if one is not None and two is not None:
            one.other_half, two.other_half = two, one

    def on_enter(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find_or_adopt(frame, now=now)
        bridge = frame.get("BridgeUniqueid", "")
        if channel is None or not bridge:
            return
        self.bridges.note_technology(bridge, frame.get("BridgeTechnology", ""))
        self.bridges.enter(channel, bridge)
        if not channel.is_up or (channel.answered_at is None and channel.call.root is not channel):
            # Up already, where it began a call of its own and met this one in the bridge, as when a call is taken up.
            self.note_up(channel, now)
        if frame.get("BridgeCreator") == "ConfBridge":
            self._confer(channel)
        self.look_around(channel, now)

    def _confer(self, channel: LiveChannel) -> None:
        """Take who dialled into a conference into the call of those who are there.

        One call from outside stays whole, whoever came first; two of them are two clients, and each keeps his own.
        """
        for other in self.bridges.heard_by(channel):
            here, there = channel.call, other.call
            if here is there:
                continue
            if here.direction == "internal" and there.direction != "internal":
                self._board.merge(there, here)
            elif there.direction == "internal" and here.direction != "internal":
                self._board.merge(here, there)
            elif here.direction == "internal":
                self._board.join(channel, other)

    def on_leave(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find(frame)
        if channel is not None and channel.bridge == frame.get("BridgeUniqueid"):
            others = self.bridges.heard_by(channel)
            self.bridges.leave(channel)
            self.look_at((channel, *others), now)

    def on_merge(self, frame: Frame, now: datetime) -> None:
        into, gone = frame.get("ToBridgeUniqueid", ""), frame.get("FromBridgeUniqueid", "")
        if into and into != gone:
            for channel in self.bridges.merge(gone, into):
                self.look_around(channel, now)

    def on_hold(self, frame: Frame, now: datetime) -> None:
        self._note_hold(frame, on_hold=True)

    def on_unhold(self, frame: Frame, now: datetime) -> None:
        self._note_hold(frame, on_hold=False)

    def _note_hold(self, frame: Frame, *, on_hold: bool) -> None:
        if channel := self._board.find(frame):
            channel.on_hold = on_hold
            for other in () if on_hold else self.bridges.heard_by(channel):
                other.is_held = False
            self._board.touch(channel.call)

    def on_rename(self, frame: Frame, now: datetime) -> None:
        channel = self._board.channels.get(frame.get("Uniqueid", ""))
        name = frame.get("Newname")
        if channel is not None and name and (exchanged := self._board.rename(channel, name)):
            self.bridges.exchange(*exchanged)
            for moved in exchanged:
                self.look_around(moved, now)

    def note_up(self, channel: LiveChannel, now: datetime) -> None:
        """A line that is up is a person who picked up, except the caller's own: the dialplan answers that one."""
        channel.is_up = True
        call = channel.call
        is_rung = not channel.has_placed_a_call or channel.is_originated
        if channel.answered_at is None and is_rung:
            channel.answered_at = call.clamp(now)
        channel.changed()
        self._board.touch(call)

    def look_around(self, channel: LiveChannel, now: datetime) -> None:
        """Look at the calls of everybody whom this channel hears."""
        self.look_at((channel, *self.bridges.heard_by(channel)), now)

    def look_at(self, channels: Iterable[LiveChannel], now: datetime) -> None:
        """Look at the calls of these channels, each once."""
        for call in {id(c.call): c.call for c in channels}.values():
            self.look(call, now)

    def look(self, call: LiveCall, now: datetime) -> None:
        """See who of this call speaks with whom, and what that means for its answer, its claim and its transfer."""
        caller = call.root
        if caller is not None and caller.left_at is None:
            heard = self.bridges.heard_by(caller)
            talking = [caller, *heard] if heard else []
        else:
            talking = [c for c in call.channels.values() if c.is_person and self.bridges.heard_by(c)]
            heard = talking
        if call.note_talk(talking=bool(talking), at=now):
            self._board.touch(call)
        if not talking:
            return
        for channel in heard:
            if channel.answered_at is None and channel.is_up:
                channel.answered_at = call.clamp(now)
                channel.changed()
                self._board.touch(call)
        self._note_who_has_it(call, talking, heard)
        if call.handover is not None:
            self._note_arrival(call, talking)
        if call.is_claim_open:
            self._note_claim(call, heard)

    def _note_who_has_it(self, call: LiveCall, talking: list[LiveChannel], heard: list[LiveChannel]) -> None:
        """The last phone that spoke with the caller has the call; where the caller is ours, it already had it."""
        is_with_caller = heard is not talking
        if call.direction == "outbound" and is_with_caller:
            return
        phones = [c for c in heard if c.party.is_phone]
        if phones and call.answered_extension not in [c.answers_as for c in phones]:
            call.answered_extension = phones[-1].answers_as
            if call.manager is not None and not call.is_claim_open:
                call.manager = phones[-1]
            self._board.touch(call)

    def _note_arrival(self, call: LiveCall, talking: list[LiveChannel]) -> None:
        """A transfer has arrived when two speak of whom neither is the one who handed the call over."""
        handover = call.handover
        assert handover is not None
        if len([c for c in talking if not handover.is_by(c)]) < 2:
            return
        if handover.index < len(call.transfers):
            call.transfers[handover.index] = replace(call.transfers[handover.index], completed=True)
        call.handover = None
        self._board.touch(call)

    def _note_claim(self, call: LiveCall, heard: list[LiveChannel]) -> None:
        manager = next((c for c in heard if c.party.extension and c.party.extension == call.claim_extension), None)
        claim_id = call.claim_id
        if manager is None or claim_id is None:
            return
        call.is_claim_open = False
        call.claims_over.add(claim_id)
        call.manager = manager
        self._board.say(call, lambda shown: ClaimConnected(shown, claim_id))
