"""Hand-overs: blind and attended transfers, and calls picked up from another phone. Pure.

Decides who handed what to whom, and which two calls have become one by it. That a blind transfer has arrived is seen
by `talk`: what Asterisk calls a success only says that the dialplan took the caller. Invariant: the same event twice
is one transfer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from hub.telephony.tracking.board import Board
from hub.telephony.tracking.calls import Transfer, TransferKind
from hub.telephony.tracking.directions import known, word_for
from hub.telephony.tracking.livecall import Consultation, Handover, LiveCall, LiveChannel
from hub.telephony.tracking.talk import Talk

Frame = Mapping[str, str]

MAX_TRANSFERS = 100
_ECHO = timedelta(seconds=1)
"""The same transfer again within this is an event that came twice."""


class Transfers:
    """The hand-overs of one PBX's calls."""

    def __init__(self, board: Board, talk: Talk) -> None:
        self._board = board
        self._talk = talk

    def on_blind(self, frame: Frame, now: datetime) -> None:
        by = self._board.find_or_adopt(frame, now=now, prefix="Transferer")
        if by is None:
            return
        transferee = self._board.find_or_adopt(frame, now=now, prefix="Transferee")
        if transferee is not None and transferee is by.call.parked:
            # The lot told it first: nobody has the call by that.
            by.call.parked_by = by.shown
            return
        self._note("blind", by, by, known(frame.get("Extension")), frame, now)

    def on_enter(self, frame: Frame, now: datetime) -> None:
        """See a phone leave the other side waiting to call a third one, and come back to them.

        That is how Asterisk's own attended transfer looks (by feature code or AMI); it says nothing where it fails.
        """
        self._talk.on_enter(frame, now)
        channel = self._board.channels.get(frame.get("Uniqueid", ""))
        if channel is None or channel.last_bridge is None or channel.bridge is None or not channel.is_person:
            return
        call = channel.call
        consultation = call.consultation
        if consultation is not None and consultation.by is channel:
            if channel.bridge == consultation.home:
                self._fail_consultation(call, now)
            return
        if consultation is not None or "SwapUniqueid" in frame or channel.bridge == channel.last_bridge:
            return
        ways = [word_for(other.name) for other in self._talk.bridges.members(channel.bridge)]
        is_left_waiting = any(other.is_person for other in self._talk.bridges.members(channel.last_bridge))
        if is_left_waiting and len(ways) == 2 and any(ways):
            call.consultation = Consultation(channel, channel.last_bridge, "".join(ways))
            self._board.touch(call)

    def on_gone(self, channel: LiveChannel, now: datetime) -> None:
        """Give up the consultation of a phone that hung up."""
        consultation = channel.call.consultation
        if consultation is not None and consultation.by is channel:
            self._fail_consultation(channel.call, now)

    def _fail_consultation(self, call: LiveCall, now: datetime) -> None:
        consultation, call.consultation = call.consultation, None
        if consultation is not None and len(call.transfers) < MAX_TRANSFERS:
            by, to = consultation.by.shown, consultation.to
            call.transfers.append(Transfer("attended", by, to, completed=False, at=call.clamp(now)))
        self._board.touch(call)

    def on_attended(self, frame: Frame, now: datetime) -> None:
        first = self._board.find_or_adopt(frame, now=now, prefix="OrigTransferer")
        second = self._board.find_or_adopt(frame, now=now, prefix="SecondTransferer") or first
        first = first or second
        if first is None or second is None:
            return
        caller = self._board.find_or_adopt(frame, now=now, prefix="Transferee")
        target = self._board.find_or_adopt(frame, now=now, prefix="TransferTarget")
        consultation = first.call.consultation
        to = consultation.to if consultation is not None else self._target(first, second, target)
        first.call.consultation = None
        if frame.get("Result") == "Success":
            self._board.join(first, second, caller, target)
            if frame.get("DestType") == "App" and caller is not None:
                first.call.successor = (second, caller)
        transfer = self._note("attended", first, second, to, frame, now)
        call = first.call
        if (
            transfer is not None
            and call.handover is not None
            and frame.get("DestType") in ("Bridge", "Link", "Threeway")
        ):
            call.transfers[call.handover.index] = replace(transfer, completed=True)
            call.handover = None
        self._talk.look(call, now)

    def _note(
        self, kind: TransferKind, by: LiveChannel, also_by: LiveChannel, to: str, frame: Frame, now: datetime
    ) -> Transfer | None:
        call = by.call
        shown = by.shown if by.is_person else also_by.shown
        transfer = Transfer(kind, shown, to, completed=False, at=call.clamp(now))
        if len(call.transfers) >= MAX_TRANSFERS or any(_is_echo(transfer, told) for told in call.transfers[-3:]):
            return None
        call.transfers.append(transfer)
        call.handover = None
        if frame.get("Result") == "Success" and frame.get("DestType") != "Fail":
            leg_ids = frozenset((by.leg_id, also_by.leg_id))
            call.handover = Handover(len(call.transfers) - 1, by.party.extension, leg_ids)
        self._board.touch(call)
        return transfer

    def _target(self, first: LiveChannel, second: LiveChannel, target: LiveChannel | None) -> str:
        """Say to whom an attended transfer goes: the number that was dialled for it, else who was spoken with.

        That of a group or a queue is what was dialled; who of it answered stands in the legs.
        """
        by = {first.leg_id, second.leg_id}
        consult: LiveCall = second.call
        if consult is not first.call and consult.root is second and (consult.to_raw or consult.to_extension):
            return consult.to_raw or consult.to_extension or ""
        if target is not None and target.is_person and target.leg_id not in by:
            return target.shown
        if target is not None and (word := word_for(target.name)):
            return word
        rung = [c for c in consult.channels.values() if c.is_person and c.was_dialled and c.leg_id not in by]
        return rung[-1].shown if rung else ""

    def on_pickup(self, frame: Frame, now: datetime) -> None:
        """A ringing call was answered from another phone: that phone's own call was only the way to it."""
        picker = self._board.find_or_adopt(frame, now=now)
        target = self._board.find_or_adopt(frame, now=now, prefix="Target")
        if picker is None or target is None:
            return
        if picker.name == frame.get("TargetChannel") or target.name == frame.get("Channel"):
            picker, target = target, picker  # they have exchanged their places already
        self._board.merge(target.call, picker.call)
        picker.was_dialled, picker.has_placed_a_call = True, False
        target.dial_status = "CANCEL"
        for channel in (picker, target):
            channel.changed()
        self._talk.look_around(picker, now)


def _is_echo(transfer: Transfer, told: Transfer) -> bool:
    is_same = (transfer.kind, transfer.by, transfer.to) == (told.kind, told.by, told.to)
    return is_same and transfer.at - told.at < _ECHO
