"""Where a caller waits, and what the shipped dialplan says of claims. Pure.

Decides when a caller is offered to a team, and which claim is open. Invariant: a claim that was connected or failed
is never opened again, whatever is heard of it later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from hub.telephony.tracking.board import Board
from hub.telephony.tracking.callers import Callers
from hub.telephony.tracking.calls import Announced, CallOffered, ClaimFailed
from hub.telephony.tracking.directions import PbxRules, known
from hub.telephony.tracking.livecall import LiveCall, LiveChannel

Frame = Mapping[str, str]

_CLAIM = re.compile(r"[0-9a-f]{16}")
_EXTENSION = re.compile(r"[0-9]{1,10}")


class Queues:
    """The callers in queues, and their claims."""

    def __init__(self, board: Board, callers: Callers, rules: PbxRules) -> None:
        self._board = board
        self._callers = callers
        self._rules = rules

    def on_join(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find_or_adopt(frame, now=now)
        if channel is not None and frame.get("Queue"):
            self._board.name_caller(channel, frame)
            self.join(channel, frame["Queue"])

    def join(self, channel: LiveChannel, queue: str) -> None:
        """Put a caller into a queue: one of Hub's offers the call to its team."""
        call = channel.call
        if call.in_queue == queue:
            return
        self._callers.present(call)
        call.in_queue = queue
        call.has_left_queue = False
        self._board.touch(call)
        if queue not in self._rules.hub_queues:
            return
        call.is_left_waiting = call.answered_at is not None
        self.fail_claim(call, "returned")
        call.drop_claim()
        call.queue = queue
        call.queue_channel = channel
        again = call.times_offered > 0
        call.times_offered += 1
        self._board.say(call, lambda shown: CallOffered(shown, again=again))

    def on_leave(self, frame: Frame, now: datetime) -> None:
        channel = self._board.find(frame)
        if channel is not None and channel.call.in_queue == frame.get("Queue"):
            self.leave(channel.call)

    def leave(self, call: LiveCall) -> None:
        call.in_queue = None
        call.has_left_queue = True
        self._board.touch(call)

    def on_user_event(self, frame: Frame, now: datetime) -> None:
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
            if call.dial_id is not None and channel.party.is_phone:
                # Of a manager's several devices, the one that was picked up.
                call.set_root(channel)
        elif said in ("HubHeld", "HubResumed"):
            for one in call.channels.values():
                one.on_hold = said == "HubHeld" and one is channel
        elif said == "HubClaimStarted" and _CLAIM.fullmatch(claim_id) and _EXTENSION.fullmatch(extension):
            if call.claim_id != claim_id and claim_id not in call.claims_over:
                self.fail_claim(call, "replaced")
                call.claim_id, call.claim_extension, call.is_claim_open = claim_id, extension, True
                call.manager, call.has_left_queue = None, True
                if "Ring" in frame:
                    self._board.say(call, lambda shown: Announced(shown, said, dict(frame)))
        elif said == "HubClaimFailed" and _CLAIM.fullmatch(claim_id) and call.claim_id in (None, claim_id):
            if claim_id not in call.claims_over:
                call.claim_id, call.is_claim_open, call.has_left_queue = claim_id, True, True
            self.fail_claim(call, known(frame.get("Reason")) or "failed")
        elif said == "HubDialOver":
            self._board.say(call, lambda shown: Announced(shown, said, dict(frame)))
        elif not said.startswith(("HubWaiting", "HubDial", "HubClaim")):
            channel.on_hold = channel.on_hold and said != "HubReturned"
            call.has_voicemail |= said == "HubVoicemail"
            if said == "HubBlocked":
                call.said_outcome = "rejected"
            self._board.say(call, lambda shown: Announced(shown, said, dict(frame)))

    def fail_claim(self, call: LiveCall, reason: str) -> None:
        """Give up the claim that is open, if one is."""
        claim_id = call.claim_id
        if not call.is_claim_open or claim_id is None:
            return
        call.drop_claim()
        call.claims_over.add(claim_id)
        self._board.say(call, lambda shown: ClaimFailed(shown, claim_id, reason))
