"""Callers in a parking lot. Pure.

A parked caller is held, and whoever takes him out has been handed the call: what the retriever dialled to get him is
no call of its own. Invariant: a caller who hung up, was taken out or timed out is not parked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hub.telephony.tracking.board import Board
from hub.telephony.tracking.calls import Transfer
from hub.telephony.tracking.livecall import Handover
from hub.telephony.tracking.talk import Talk
from hub.telephony.tracking.transfers import MAX_TRANSFERS

Frame = Mapping[str, str]


class Lots:
    """The parked callers of one PBX."""

    def __init__(self, board: Board, talk: Talk) -> None:
        self._board = board
        self._talk = talk

    def on_parked(self, frame: Frame, now: datetime) -> None:
        """Take a `ParkedCall` event, or a row of the list of that name."""
        parkee = self._board.find_or_adopt(frame, now=now, prefix="Parkee")
        if parkee is None or parkee.left_at is not None or parkee.call.parked is parkee:
            return
        call = parkee.call
        call.parked = parkee
        call.parked_by = frame.get("ParkerDialString", "").partition("/")[2].partition("@")[0]
        if call.handover is not None and call.transfers and call.transfers[-1].kind == "blind":
            # Phones park by a blind transfer to the lot: nobody has the call by that.
            call.parked_by = call.transfers.pop().by
            call.handover = None
        self._board.touch(call)

    def on_unparked(self, frame: Frame, now: datetime) -> None:
        """Take a caller out of the lot: retrieved, timed out or given up."""
        parkee = self._board.find_or_adopt(frame, now=now, prefix="Parkee")
        if parkee is None:
            return
        call = parkee.call
        if call.parked is not None:
            call.parked = None
            self._board.touch(call)
        retriever = self._board.find_or_adopt(frame, now=now, prefix="Retriever")
        if retriever is None:
            return
        self._board.merge(call, retriever.call)
        by, to = call.parked_by, retriever.shown
        if by and by != to and len(call.transfers) < MAX_TRANSFERS:
            call.transfers.append(Transfer("blind", by, to, completed=False, at=call.clamp(now)))
            call.handover = Handover(len(call.transfers) - 1, None, frozenset())
        call.parked_by = ""
        self._talk.look_around(retriever, now)
