"""Callers in a parking lot. Pure.

A parked caller is held, and whoever takes him out is in his call: the call that the retriever made to the lot is no
call of its own. Invariant: a caller who hung up, was taken out or timed out is not parked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hub.telephony.board import Board
from hub.telephony.talk import Talk

Frame = Mapping[str, str]


class Parking:
    """The parked callers of one PBX."""

    def __init__(self, board: Board, talk: Talk) -> None:
        self._board = board
        self._talk = talk

    def on_parked(self, frame: Frame, now: datetime) -> None:
        """Take a `ParkedCall` event, or a row of the list of that name."""
        parkee = self._board.find_or_adopt(frame, now=now, prefix="Parkee")
        if parkee is not None and parkee.left_at is None and parkee.call.parked is not parkee:
            parkee.call.parked = parkee
            self._board.touch(parkee.call)

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
        if retriever is not None and retriever.call is not call:
            self._board.merge(call, retriever.call)
            self._talk.look_around(retriever, now)
