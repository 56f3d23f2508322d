"""Who calls whom, where a channel's birth did not tell all of it. Pure.

Decides the caller's number and name by what the dialplan makes of them before anybody is rung (a number put right, a
name out of the PBX's phone book), a phone's extension by its later caller id, and the number that a call goes to
where only the trunk's leg has it. Invariant: what the company shows of itself on an outside line is no caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from hub.telephony.tracking.board import Board
from hub.telephony.tracking.dial_strings import caller_number, is_number, is_same_number, number_in
from hub.telephony.tracking.directions import (
    PbxRules,
    dialled_number,
    is_decided_by_context,
    known,
    name_beside,
    phone_of,
)
from hub.telephony.tracking.endpoints import SHORT_NUMBER
from hub.telephony.tracking.livecall import LiveCall, LiveChannel
from hub.telephony.tracking.talk import Talk

Frame = Mapping[str, str]


class Callers:
    """The two ends of one PBX's calls."""

    def __init__(self, board: Board, talk: Talk, rules: PbxRules) -> None:
        self._board = board
        self._talk = talk
        self._rules = rules

    def on_new_caller_id(self, frame: Frame, now: datetime) -> None:
        """Take the caller id that a channel has from now on.

        A click-to-call shows the manager whom it will call: on the way there that is the only word of the number.
        """
        channel = self._board.find(frame)
        if channel is None:
            return
        number = caller_number(known(frame.get("CallerIDNum")))
        call = channel.call
        if call.root is channel and call.dial_id is not None:
            self.note_dialled(call, number)
        elif channel.party.is_phone:
            self.name_phone(channel, number, now)
        elif call.root is channel and call.direction == "inbound":
            self._correct(channel, number, name_beside(number, frame.get("CallerIDName")))

    def on_originate_response(self, frame: Frame, now: datetime) -> None:
        """Take the number from the answer to a click-to-call, which names it even where nobody picked up."""
        if channel := self._board.channels.get(frame.get("Uniqueid", "")):
            self.note_dialled(channel.call, frame.get("Exten", ""))

    def note_dialled(self, call: LiveCall, number: str) -> None:
        if call.dial_id is not None and not call.to_raw and number.lstrip("+").isdigit() and len(number) <= 20:
            call.to_raw = number
            self._board.touch(call)

    def name_phone(self, channel: LiveChannel, caller_id: str, now: datetime) -> None:
        """Learn from its caller id which extension a phone is."""
        if caller_id == channel.party.extension or not SHORT_NUMBER.fullmatch(caller_id):
            return
        party = self._board.renamed_party(channel, caller_id)
        if party == channel.party:
            return
        before, stood_as, channel.party = channel.party.extension, channel.answers_as, party
        channel.changed()
        call = channel.call
        if call.root is channel:
            call.from_extension = party.extension
            if call.from_raw in (before or "", "") or call.from_raw == caller_id:
                call.from_raw = party.extension or call.from_raw
        if call.answered_extension == stood_as:
            call.answered_extension = party.extension
        if before is not None and call.to_extension == before:
            call.to_extension = party.extension
        self._board.touch(call)
        self._talk.look(call, now)

    def name_device(self, rung: LiveChannel, extension: str | None) -> None:
        """Know a device that is rung for an extension and has digits before that in its name: 99101 for 101."""
        called = rung.party.extension
        if extension and rung.party.is_phone and called != extension and (called or extension).endswith(extension):
            rung.party = replace(rung.party, extension=extension)
            rung.changed()

    # The caller, put right by the dialplan

    def _correct(self, channel: LiveChannel, number: str, name: str) -> None:
        call = channel.call
        if self._is_ours(call, number):
            call.corrected = None  # on the way to an outside line, with the name as well
            return
        is_same = not number or number == call.from_raw or is_same_number(number, call.from_raw)
        if number and is_same and (len(number) >= 10 or len(number) > len(call.from_raw)):
            self._set_number(channel, number)
        if not call.is_presented:
            was_number, was_name = call.corrected or ("", "")
            is_prefix = was_name != "" and name.endswith(was_name)
            call.corrected = (was_number if is_same else number, was_name if is_prefix else name or was_name)
        elif is_same or not call.from_raw:
            # Some trunks tell it late.
            if not call.from_raw:
                self._set_number(channel, number)
            if not call.from_name:
                self._set_name(call, name)

    def _is_ours(self, call: LiveCall, number: str) -> bool:
        if number in self._rules.own_numbers or (SHORT_NUMBER.fullmatch(number) and is_number(call.from_raw)):
            return True
        return any(is_same_number(number, own) for own in (call.did or "", *self._rules.own_numbers))

    def present(self, call: LiveCall, *, to_outside: bool = False) -> None:
        """Settle who calls, before somebody is rung or the caller waits in a queue.

        A caller who is led on to an outside line shows the number and name of the company there: those are not theirs.
        """
        if call.is_presented:
            return
        call.is_presented = True
        (number, name), call.corrected = call.corrected or ("", ""), None
        root = call.root
        if root is None or call.direction != "inbound" or (to_outside and number):
            return
        if number and (not is_number(call.from_raw) or is_number(number)):
            self._set_number(root, number)
        self._set_name(call, name)

    def _set_number(self, channel: LiveChannel, number: str) -> None:
        channel.call.from_raw = channel.number = number
        channel.changed()
        self._board.touch(channel.call)

    def _set_name(self, call: LiveCall, name: str) -> None:
        """Take a name out of the PBX's phone book; a queue's prefix before the number or the name is none."""
        is_prefix = name.endswith(":") or (call.from_name and name.endswith(call.from_name))
        if name and not is_prefix and not (call.from_raw and name.endswith(call.from_raw)):
            call.from_name = name
            self._board.touch(call)

    # Who is rung

    def on_rung(self, frame: Frame, dials: LiveChannel | None, rung: LiveChannel, now: datetime) -> None:
        """Take from a DialBegin who is rung: an extension, or the number that an outside line is asked for."""
        party, call = rung.party, rung.call
        shown = caller_number(known(frame.get("DestCallerIDNum")))
        if not party.is_phone and self._is_a_phone_after_all(frame, shown):
            rung.party = party = phone_of(rung.name, caller_id=shown)
            rung.changed()
        elif party.is_phone:
            self.name_phone(rung, shown, now)
        if rung is call.root:
            if not party.is_phone:
                self._ring_outside_first(frame, dials, rung)
            return
        self.present(call, to_outside=not party.is_phone)
        if not party.is_phone:
            rung.number = dialled_number(frame.get("DialString", ""), shown)

    def _is_a_phone_after_all(self, frame: Frame, shown: str) -> bool:
        """Say whether who is rung in a context that tells nothing is a phone: no number is asked of it, it is one."""
        if not SHORT_NUMBER.fullmatch(shown) or shown in self._rules.own_numbers:
            return False
        context = frame.get("DestContext")
        if context is None or is_decided_by_context(self._rules, context):
            return False
        dial_string = frame.get("DialString", "")
        # `101` and `101/sip:101@10.0.0.7` ring a phone; `112@trunk` and `g1/112` ask an outside line for a number.
        return number_in(dial_string) is None or dial_string.partition("/")[0] == shown

    def _ring_outside_first(self, frame: Frame, dials: LiveChannel | None, rung: LiveChannel) -> None:
        """A call that begins by ringing an outside line: the manager's own mobile, or a client who asked for a call."""
        call, number = rung.call, number_in(frame.get("DialString", ""))
        if call.dial_id is not None:
            rung.number = rung.number or number
            call.from_raw = call.from_raw or rung.number or ""
        elif dials is None and call.direction == "inbound":
            rung.number = number or rung.number
            call.direction, call.to_raw, call.did = "outbound", rung.number or "", None
            call.from_raw = call.from_name = ""

    def goes_outside(self, frame: Frame, rung: LiveChannel) -> None:
        """Note the number that a call goes to where nothing else has told it: what the trunk is asked for."""
        call = rung.call
        if call.answered_at is not None or any(letter.isdigit() for letter in call.to_raw) or call.transfers:
            return
        dialled = caller_number(known(frame.get("Exten")))
        number = dialled if is_number(dialled) else rung.number or ""
        if number:
            call.to_raw = number
            self._board.touch(call)
