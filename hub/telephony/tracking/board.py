"""Which channel belongs to which call. Pure.

Decides by uniqueid and linkedid alone: what begins a call, what joins one, what a changed linkedid means, and which
late events must not bring a call back. Invariant: a channel belongs to one call, and a call that ended is forgotten
under all its linkedids for as long as events of it can still come.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from hub.telephony.tracking.calls import Call, CallMerged, CallOffered, Effect
from hub.telephony.tracking.dial_strings import caller_number
from hub.telephony.tracking.directions import (
    SUPERVISOR,
    Party,
    PbxRules,
    is_telling,
    known,
    name_beside,
    party_of,
    phone_of,
)
from hub.telephony.tracking.livecall import LiveCall, LiveChannel
from hub.telephony.tracking.remembered import Remembered, Shelf

MAX_CHANNELS = 20_000
"""More at once is no PBX but a flood; what comes past it is not tracked."""

_OF_DIALLED = frozenset(("AppDial", "AppDial2", "AppQueue"))
"""What channels that were dialled are said to run in the list of channels."""

Frame = Mapping[str, str]

_BORN = re.compile(r"(?:^|-)([0-9]{6,12})\.([0-9]{1,12})$")


class Board:
    """The channels and calls of one PBX. `touched` gathers the calls that may look different now."""

    def __init__(self, rules: PbxRules, *, boot: str, known_calls: Iterable[Call]) -> None:
        self.boot = boot
        self.channels: dict[str, LiveChannel] = {}
        self.touched: dict[int, LiveCall] = {}
        self.special: list[tuple[LiveCall, Callable[[Call], Effect]]] = []
        """What the frame in hand brought beyond a changed snapshot."""
        self._rules = rules
        self._shelf = Shelf(known_calls)
        self._calls: dict[str, LiveCall] = {}
        """By every linkedid that leads to them."""
        self._born_in: dict[str, str] = {}
        """The context that channels of an endpoint are born in, for those whose birth was not seen."""
        self._halves: dict[str, LiveChannel] = {}
        """Halves of Local channels, by name: the lists of a PBX do not say which belong together."""
        self._masqueraded: dict[str, LiveChannel] = {}
        """Who is about to leave his place, by the name that the next place will get."""
        self._gone = Remembered(20_000)
        """Uniqueids that hung up and linkedids that ended."""

    def calls(self) -> list[LiveCall]:
        """Return each open call once."""
        return list({id(call): call for call in self._calls.values()}.values())

    def touch(self, call: LiveCall) -> None:
        self.touched[id(call)] = call

    def say(self, call: LiveCall, make: Callable[[Call], Effect]) -> None:
        """Have an effect made of the snapshot that the frame in hand leads to."""
        self.special.append((call, make))
        self.touch(call)

    def reboot(self, boot: str) -> None:
        """Forget what the PBX's former run named: its uniqueids may come again."""
        self.boot = boot
        self._gone.clear()
        self._born_in.clear()

    def find(self, frame: Frame, *, prefix: str = "") -> LiveChannel | None:
        """Return the channel that a frame is about, if it is known."""
        channel = self.channels.get(frame.get(prefix + "Uniqueid", ""))
        if channel is not None:
            linked_id = frame.get(prefix + "Linkedid", "")
            if linked_id and self._calls.get(linked_id) is not channel.call:
                self._relink(channel, linked_id)
        return channel

    def find_or_adopt(
        self, frame: Frame, *, now: datetime, prefix: str = "", is_birth: bool = False
    ) -> LiveChannel | None:
        """The same, and begin with a channel that is new, or whose birth was missed."""
        channel = self.find(frame, prefix=prefix)
        if channel is not None or len(self.channels) >= MAX_CHANNELS:
            return channel
        uniqueid, linked_id = frame.get(prefix + "Uniqueid", ""), frame.get(prefix + "Linkedid", "")
        if not uniqueid or not linked_id or not frame.get(prefix + "Channel"):
            return None
        if uniqueid in self._gone or "call " + linked_id in self._gone:
            return None
        return self._adopt(frame, now=now, prefix=prefix, is_birth=is_birth)

    def find_leg(self, frame: Frame, *, prefix: str) -> LiveChannel | None:
        """Return a channel even after it hung up, as long as its call lives."""
        uniqueid = frame.get(prefix + "Uniqueid", "")
        call = self._calls.get(frame.get(prefix + "Linkedid", ""))
        return self.channels.get(uniqueid) or (call.legs.get(uniqueid) if call else None)

    def _adopt(self, frame: Frame, *, now: datetime, prefix: str, is_birth: bool) -> LiveChannel:
        linked_id, uniqueid = frame[prefix + "Linkedid"], frame[prefix + "Uniqueid"]
        call = self._calls.get(linked_id)
        if call is None:
            seen_whole = is_birth and uniqueid == linked_id
            call = LiveCall(self._rules.pbx, self.boot, linked_id, started_at=now, estimated=not seen_whole)
            call.linked_ids.append(linked_id)
            call.is_presented = not is_birth  # as it is shown now, somebody has been told it already
            self._calls[linked_id] = call
        party = self._party(frame, prefix=prefix, is_birth=is_birth)
        channel = LiveChannel(uniqueid, frame[prefix + "Channel"], party, call)
        self.channels[uniqueid] = channel
        call.add(channel)
        if party.is_wiring:
            self._pair(channel)
        if call.root is channel:
            self._describe_caller(call, frame, prefix=prefix)
        elif call.root is None and channel.is_person and len(call.legs) == 1:
            number = caller_number(known(frame.get(prefix + "ConnectedLineNum")))
            name = name_beside(number, frame.get(prefix + "ConnectedLineName"))
            call.describe_callee(channel, number=number, name=name)
            self._shelf.restore(call, boot=self.boot)
        if not is_birth:
            if call.root is not channel and channel.is_person and not party.is_phone:
                channel.number = caller_number(known(frame.get(prefix + "CallerIDNum"))) or None
            self._see_outside_line(call)
        self.touch(call)
        return channel

    def _pair(self, channel: LiveChannel) -> None:
        """Join the two halves of a Local channel where nobody says that they are: `Local/…;1` and `Local/…;2`."""
        name = channel.name
        other = {";1": ";2", ";2": ";1"}.get(name[-2:])
        if other is None or not name.startswith("Local/"):
            return
        self._halves[name] = channel
        half = self._halves.get(name[:-1] + other[1])
        if half is not None and half.other_half is None and channel.other_half is None:
            channel.other_half, half.other_half = half, channel

    def _see_outside_line(self, call: LiveCall) -> None:
        """Have a phone's call go out by an outside line that it has, though nobody saw that one dialled."""
        if call.direction != "internal" or call.root is None or call.answered_at is not None:
            return
        line = next((leg for leg in call.legs.values() if not leg.party.is_phone), None)
        if line is not None:
            call.direction = "outbound"
            if not any(letter.isdigit() for letter in call.to_raw):
                call.to_raw = line.number or ""

    def _party(self, frame: Frame, *, prefix: str = "", is_birth: bool) -> Party:
        name = frame[prefix + "Channel"]
        if any(frame.get(prefix + key, "").startswith(SUPERVISOR) for key in ("Uniqueid", "Linkedid")):
            # A supervisor's phone hears a call and is no part of it: it carries no leg, and makes no call.
            return Party(name, is_wiring=True, is_phone=False, extension=None)
        endpoint = name.rpartition("-")[0]
        context: str | None = frame.get(prefix + "Context", "")
        if not is_birth:
            # Where it is in the dialplan now says nothing: a caller on a trunk may stand in an internal context.
            context = self._born_in.get(endpoint)
            is_rung = prefix == "Dest" and frame.get("DestChannelStateDesc") in ("Down", "Ringing")
            if context is None and (is_rung or frame.get("Application") in _OF_DIALLED):
                # Who was dialled runs no dialplan, but for some steps ahead of the dial: those have another context.
                shown = frame.get(prefix + "Context", "")
                context = shown if is_telling(self._rules, shown) else None
        elif len(self._born_in) < MAX_CHANNELS:
            self._born_in[endpoint] = context or ""
        party = party_of(name, self._rules, context=context, caller_id=known(frame.get(prefix + "CallerIDNum")))
        return self._without_browser_prefix(name, party)

    def renamed_party(self, channel: LiveChannel, caller_id: str) -> Party:
        """Return who a phone is by the caller id that it has now; what is known stays where that says nothing."""
        party = phone_of(channel.name, caller_id=caller_id)
        known_extension = channel.party.extension
        if party.extension is None or (known_extension is not None and not known_extension.endswith(party.extension)):
            return channel.party
        return replace(channel.party, extension=party.extension)

    def _without_browser_prefix(self, name: str, party: Party) -> Party:
        """Know FreePBX's browser phone 99101 for the extension 101 where that one has been seen, too."""
        extension = party.extension
        if extension is None or len(extension) < 5 or not extension.startswith("99"):
            return party
        technology = name.partition("/")[0]
        has_desk_phone = f"{technology}/{extension[2:]}" in self._born_in
        return replace(party, extension=extension[2:]) if has_desk_phone else party

    def _describe_caller(self, call: LiveCall, frame: Frame, *, prefix: str = "") -> None:
        number = caller_number(known(frame.get(prefix + "CallerIDNum")))
        name = name_beside(number, frame.get(prefix + "CallerIDName"))
        call.describe_caller(number=number, name=name, dialled=known(frame.get(prefix + "Exten")))
        self._shelf.restore(call, boot=self.boot)

    def name_caller(self, channel: LiveChannel | None, frame: Frame) -> None:
        """Take who dials or queues for the caller where the first channel of the call was never seen."""
        if channel is not None and channel.call.root is None and channel.is_person:
            channel.call.set_root(channel)
            self._describe_caller(channel.call, frame)

    def see_birth(self, channel: LiveChannel, frame: Frame, *, now: datetime) -> None:
        """Correct by its Newchannel a caller whom a snapshot showed before that event came."""
        call = channel.call
        if not call.estimated or call.root is not channel or call.answered_at is not None or call.told is None:
            return
        channel.party = self._party(frame, is_birth=True)
        call.started_at, call.estimated = now, False
        self._describe_caller(call, frame)
        channel.changed()
        self.touch(call)

    def _relink(self, channel: LiveChannel, linked_id: str) -> None:
        """Follow a linkedid that Asterisk changed when bridges met: it keeps the one of the older call."""
        target = self._calls.get(linked_id)
        if target is not None:
            self.merge(target, channel.call)
        elif "call " + linked_id not in self._gone:
            self._calls[linked_id] = channel.call
            channel.call.linked_ids.append(linked_id)

    def join(self, *channels: LiveChannel | None) -> None:
        """Make one call of those that these channels belong to: the oldest takes in the others."""
        met = {id(channel.call): channel.call for channel in channels if channel is not None}
        oldest, *others = sorted(met.values(), key=_age)
        for other in others:
            self.merge(oldest, other)

    def merge(self, into: LiveCall, gone: LiveCall) -> None:
        """Let `gone` become part of `into`."""
        if gone is into or gone.merged_into is not None:
            return
        for linked_id in gone.linked_ids:
            self._calls[linked_id] = into
        stood_in = into.in_queue
        into.take_in(gone)
        self.special = [(into if call is gone else call, make) for call, make in self.special]
        self.touched.pop(id(gone), None)
        self.touch(into)
        if gone.told is not None:
            key = (gone.boot, gone.linked_id)
            self.say(into, lambda shown: CallMerged(shown, key))
        if into.in_queue != stood_in and into.in_queue in self._rules.hub_queues:
            # Whoever called the queue to ask has left the other one of the two standing there.
            if not into.is_claim_open:
                into.drop_claim()
            into.is_left_waiting = into.answered_at is not None
            self.say(into, lambda shown: CallOffered(shown, again=True))

    def rename(self, channel: LiveChannel, name: str) -> tuple[LiveChannel, LiveChannel] | None:
        """Take a new name. Return the two that exchanged their places, if that is what it means.

        A masquerade shows as three renames: `A` to `A<MASQ>`, `B` to `A`, `A<MASQ>` to `B<ZOMBIE>`: whoever was at A
        is now where B was, and the rest of B is hung up.
        """
        if name.endswith("<MASQ>"):
            if len(self._masqueraded) < 1_000:
                self._masqueraded[name.removesuffix("<MASQ>")] = channel
            return None
        moved = self._masqueraded.pop(name, None)
        if moved is not None and moved is not channel and moved.left_at is None:
            self._exchange(moved, channel)
            return moved, channel
        if not name.endswith("<ZOMBIE>"):
            channel.name = name
            channel.changed()
            self.touch(channel.call)
        return None

    def _exchange(self, one: LiveChannel, other: LiveChannel) -> None:
        self.join(one, other)
        call = one.call
        one.uniqueid, other.uniqueid = other.uniqueid, one.uniqueid
        for channel in (one, other):
            self.channels[channel.uniqueid] = channel
            call.channels[channel.uniqueid] = channel
            channel.changed()
        if call.queue_channel in (one, other):
            call.queue_channel = other if call.queue_channel is one else one  # it is the place that waits
        self.touch(call)

    def remove(self, channel: LiveChannel) -> None:
        """Take a channel that hung up off the board."""
        channel.call.channels.pop(channel.uniqueid, None)
        self.channels.pop(channel.uniqueid, None)
        self.bury(channel.uniqueid)
        if channel.party.is_wiring:
            self._halves.pop(channel.name, None)
        if channel.other_half is not None:
            channel.other_half.other_half = None
        self.touch(channel.call)

    def bury(self, uniqueid: str) -> None:
        """Remember that a channel is gone, also one that was never seen."""
        self._gone.add(uniqueid)

    def forget(self, call: LiveCall) -> None:
        """Take a call that ended off the board."""
        for linked_id in call.linked_ids:
            self._calls.pop(linked_id, None)
            self._gone.add("call " + linked_id)


def _age(call: LiveCall) -> tuple[float, int]:
    """Sort by the moment and number in the linkedid (`system-1529941338.663`), as Asterisk does; else by the start."""
    if born := _BORN.search(call.linked_id):
        return float(born[1]), int(born[2])
    return call.started_at.timestamp(), 0
