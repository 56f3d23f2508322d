"""From AMI frames to what happened to calls. Pure: facts in, effects out.

Decides which channel belongs to which call, when a person answered, when a caller stands in a queue, and when a
call is over; what follows from that is `livecall`'s and intake's. Never raises on a frame it does not know, or one
that comes out of order. Invariant: each call that was told to begin is told to end exactly once, and never again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from hub.telephony.bridges import Bridges
from hub.telephony.calls import Call, CallChanged, CallEnded, CallOffered, ClaimConnected, ClaimFailed, Effect
from hub.telephony.directions import Party, PbxRules, dialled_number, known, party_of
from hub.telephony.livecall import LiveCall, LiveChannel
from hub.telephony.remembered import Remembered, Shelf

__all__ = ["CallTracker", "PbxRules"]

Frame = Mapping[str, str]

MAX_CHANNELS = 20_000
"""More at once is no PBX but a flood; what comes past it is not tracked."""

_CLAIM = re.compile(r"[0-9a-f]{16}")
_EXTENSION = re.compile(r"[0-9]{1,10}")


class CallTracker:
    """The calls of one PBX. Feed it every frame of one `PbxLink`, and a `resync` after each `Up`."""

    def __init__(self, rules: PbxRules, *, boot: str = "", known_calls: Iterable[Call] = ()) -> None:
        """`known_calls`: the open calls that a former process stored; a `resync` that finds them takes them up."""
        self._rules = rules
        self._boot = boot
        self._shelf = Shelf(known_calls)
        self._synced_at: datetime | None = None
        self._calls: dict[str, LiveCall] = {}
        """By every linkedid that leads to them."""
        self._channels: dict[str, LiveChannel] = {}
        self._bridges = Bridges()
        self._born_in: dict[str, str] = {}
        """The context that channels of an endpoint are born in, for those whose birth was not seen."""
        self._gone = Remembered(20_000)
        """Uniqueids that hung up and linkedids that ended: what comes late about them is no new call."""
        self._touched: dict[int, LiveCall] = {}
        self._special: list[Callable[[Call], Effect]] = []
        self._special_calls: list[LiveCall] = []
        self._handlers: dict[str, Callable[[Frame, datetime], None]] = {
            "Newchannel": self._on_new_channel,
            "Newstate": self._on_new_state,
            "NewCallerid": self._on_new_caller_id,
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
        return [call.snapshot() for call in {id(call): call for call in self._calls.values()}.values()]

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
        return self._effects(now) if self._touched else []

    def resync(self, channels: Sequence[Frame], *, boot: str, now: datetime) -> list[Effect]:
        """Take the state from the rows of `CoreShowChannels` after a gap.

        Calls of another boot and calls that vanished end as estimated; the others keep their identity.
        """
        effects: list[Effect] = []
        rows = {row["Uniqueid"]: row for row in channels if row.get("Uniqueid") and row.get("Channel")}
        if boot != self._boot:
            self._drop_channels(list(self._channels.values()), now)
            effects = self._effects(now)
            self._gone.clear()
            self._born_in.clear()
        self._boot = boot
        self._synced_at = now
        self._drop_channels([c for uniqueid, c in self._channels.items() if uniqueid not in rows], now)
        self._bridges = Bridges()
        for row in rows.values():
            if channel := self._channel(row, now, create=True, estimated=True):
                self._take_row(channel, row, now)
        for row in rows.values():
            if channel := self._channels.get(row["Uniqueid"]):
                self._place(channel, row)
        for call in {id(call): call for call in self._calls.values()}.values():
            self._note_talk(call, now)
            self._touch(call)
        return effects + self._effects(now)

    def _effects(self, now: datetime) -> list[Effect]:
        """Turn what was touched into effects: the changed snapshots, what is special, the ends."""
        touched, self._touched = list(self._touched.values()), {}
        special, self._special = self._special, []
        of_calls, self._special_calls = self._special_calls, []
        effects: list[Effect] = []
        final: list[Effect] = []
        shown: dict[int, Call] = {}
        for call in touched:
            if not call.channels and call.ended_at is None:
                call.note_talk(talking=False, at=now)
                call.ended_at = call.clamp(now)
                self._forget(call)
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
        for call, make in zip(of_calls, special, strict=True):
            effects.append(make(shown[id(call)]))
        return effects + final

    def _say(self, call: LiveCall, make: Callable[[Call], Effect]) -> None:
        self._special_calls.append(call)
        self._special.append(make)
        self._touch(call)

    def _touch(self, call: LiveCall) -> None:
        self._touched[id(call)] = call

    def _forget(self, call: LiveCall) -> None:
        linked_ids = [call.linked_id]
        if call.has_aliases:
            linked_ids = [key for key, other in self._calls.items() if other is call]
        for linked_id in linked_ids:
            self._calls.pop(linked_id, None)
            self._gone.add("call " + linked_id)

    # Channels: which call they belong to

    def _channel(
        self, frame: Frame, now: datetime, *, prefix: str = "", create: bool = False, estimated: bool = True
    ) -> LiveChannel | None:
        """Return the channel that a frame is about; with `create`, also one whose birth was missed."""
        uniqueid = frame.get(prefix + "Uniqueid", "")
        linked_id = frame.get(prefix + "Linkedid", "")
        channel = self._channels.get(uniqueid)
        if channel is not None:
            if linked_id and self._calls.get(linked_id) is not channel.call:
                self._relink(channel, linked_id, now)
            return channel
        name = frame.get(prefix + "Channel", "")
        if not create or not uniqueid or not linked_id or not name or len(self._channels) >= MAX_CHANNELS:
            return None
        if uniqueid in self._gone or "call " + linked_id in self._gone:
            return None
        return self._adopt(frame, now, prefix=prefix, estimated=estimated)

    def _adopt(self, frame: Frame, now: datetime, *, prefix: str, estimated: bool) -> LiveChannel:
        linked_id, uniqueid = frame[prefix + "Linkedid"], frame[prefix + "Uniqueid"]
        call = self._calls.get(linked_id)
        if call is None:
            estimated = estimated or uniqueid != linked_id
            call = LiveCall(self._rules.pbx, self._boot, linked_id, started_at=now, estimated=estimated)
            self._calls[linked_id] = call
        name = frame[prefix + "Channel"]
        channel = LiveChannel(uniqueid, name, self._party(frame, prefix=prefix, is_birth=not estimated), call)
        self._channels[uniqueid] = channel
        call.add(channel)
        if call.root is channel:
            self._describe_caller(call, frame, prefix=prefix)
        elif call.root is None and channel.is_person and len(call.legs) == 1:
            number, shown = frame.get(prefix + "ConnectedLineNum"), frame.get(prefix + "ConnectedLineName")
            call.describe_callee(channel, number=known(number), name=known(shown))
            self._shelf.restore(call, boot=self._boot)
        self._touch(call)
        return channel

    def _party(self, frame: Frame, *, prefix: str = "", is_birth: bool) -> Party:
        name = frame[prefix + "Channel"]
        endpoint = name.rpartition("-")[0]
        context: str | None = frame.get(prefix + "Context", "")
        if not is_birth:
            # Where it is in the dialplan now says nothing: a caller on a trunk may stand in an internal context.
            context = self._born_in.get(endpoint)
        elif len(self._born_in) < MAX_CHANNELS:
            self._born_in[endpoint] = context or ""
        return party_of(name, self._rules, context=context, caller_id=known(frame.get(prefix + "CallerIDNum")))

    def _describe_caller(self, call: LiveCall, frame: Frame, *, prefix: str = "") -> None:
        number, name = known(frame.get(prefix + "CallerIDNum")), known(frame.get(prefix + "CallerIDName"))
        call.describe_caller(number=number, name=name, dialled=known(frame.get(prefix + "Exten")))
        self._shelf.restore(call, boot=self._boot)

    def _name_caller(self, channel: LiveChannel | None, frame: Frame) -> None:
        """Take who dials or queues for the caller where the first channel of the call was never seen."""
        if channel is not None and channel.call.root is None and channel.is_person:
            channel.call.set_root(channel)
            self._describe_caller(channel.call, frame)

    def _relink(self, channel: LiveChannel, linked_id: str, now: datetime) -> None:
        """Follow a linkedid that Asterisk changed when bridges met: the older call takes the channel over."""
        target = self._calls.get(linked_id)
        if target is None:
            if "call " + linked_id not in self._gone:
                self._calls[linked_id] = channel.call
                channel.call.has_aliases = True
            return
        left = channel.call
        left.channels.pop(channel.uniqueid, None)
        channel.changed()
        target.add(channel)
        self._note_talk(left, now)
        self._touch(left)
        self._touch(target)

    def _drop_channels(self, channels: list[LiveChannel], now: datetime) -> None:
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
        was_known = frame.get("Uniqueid", "") in self._channels
        channel = self._channel(frame, now, create=True, estimated=False)
        if channel is None:
            return
        call = channel.call
        if was_known and call.estimated and call.root is channel and call.answered_at is None and call.told is not None:
            # A snapshot was quicker than the event: now its birth is seen after all.
            channel.party = self._party(frame, is_birth=True)
            call.started_at, call.estimated = now, False
            self._describe_caller(call, frame)
            channel.changed()
            self._touch(call)
        if frame.get("ChannelStateDesc") == "Up" and not channel.is_up:
            self._note_up(channel, now)

    def _on_rename(self, frame: Frame, now: datetime) -> None:
        channel = self._channels.get(frame.get("Uniqueid", ""))
        if channel is not None and frame.get("Newname"):
            channel.name = frame["Newname"]
            channel.changed()
            self._touch(channel.call)

    def _on_new_state(self, frame: Frame, now: datetime) -> None:
        channel = self._channel(frame, now, create=True)
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
            self._touch(channel.call)

    def _note_up(self, channel: LiveChannel, now: datetime) -> None:
        """A line that is up is a person who picked up, except the caller's own: the dialplan answers that one."""
        channel.is_up = True
        call = channel.call
        if channel.answered_at is None and (call.root is not channel or call.dial_id is not None):
            channel.answered_at = call.clamp(now)
        channel.changed()
        self._touch(call)

    def _on_new_caller_id(self, frame: Frame, now: datetime) -> None:
        """Take the number of a caller who had none at birth: some trunks tell it late."""
        channel = self._channel(frame, now)
        if channel is None or channel.call.root is not channel or channel.call.from_raw or channel.call.dial_id:
            return
        call = channel.call
        call.from_raw = known(frame.get("CallerIDNum"))
        call.from_name = call.from_name or known(frame.get("CallerIDName"))
        channel.number = call.from_raw or None
        channel.changed()
        self._touch(call)

    # Dials: who is rung, and how that went

    def _on_dial_begin(self, frame: Frame, now: datetime) -> None:
        self._name_caller(self._channel(frame, now, create=True), frame)
        rung = self._channel(frame, now, prefix="Dest", create=True)
        if rung is None:
            return
        rung.was_dialled = True
        rung.changed()
        call = rung.call
        self._touch(call)
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
        rung = self._channel(frame, now, prefix="Dest", create=True)
        if rung is not None and frame.get("DialStatus") == "RINGING":
            self._note_ringing(rung, now)

    def _on_dial_end(self, frame: Frame, now: datetime) -> None:
        uniqueid = frame.get("DestUniqueid", "")
        call = self._calls.get(frame.get("DestLinkedid", ""))
        rung = self._channels.get(uniqueid) or (call.legs.get(uniqueid) if call else None)
        if rung is None:
            return
        rung.dial_status = frame.get("DialStatus", "")
        if rung.dial_status == "ANSWER" and rung.left_at is None and not rung.is_up:
            self._note_up(rung, now)
        rung.changed()
        self._touch(rung.call)

    # Bridges: who speaks with whom

    def _on_local_bridge(self, frame: Frame, now: datetime) -> None:
        one = self._channel(frame, now, prefix="LocalOne", create=True)
        two = self._channel(frame, now, prefix="LocalTwo", create=True)
        if one is not None and two is not None:
            one.other_half, two.other_half = two, one

    def _on_bridge_enter(self, frame: Frame, now: datetime) -> None:
        channel = self._channel(frame, now, create=True)
        bridge = frame.get("BridgeUniqueid", "")
        if channel is None or not bridge:
            return
        self._bridges.enter(channel, bridge)
        if not channel.is_up:
            self._note_up(channel, now)
        self._note_talk_in(channel, now)

    def _on_bridge_leave(self, frame: Frame, now: datetime) -> None:
        channel = self._channel(frame, now)
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
        if channel := self._channel(frame, now):
            channel.on_hold = on_hold
            self._touch(channel.call)

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
            self._touch(call)
        phones = [c for c in heard if c.party.extension is not None]
        if phones and call.direction != "outbound":
            extensions = [c.party.extension for c in phones]
            if call.answered_extension not in extensions:
                call.answered_extension = extensions[-1]
                self._touch(call)
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
        channel = self._channel(frame, now, create=True)
        if channel is not None and frame.get("Queue"):
            self._name_caller(channel, frame)
            self._join(channel, frame["Queue"])

    def _join(self, channel: LiveChannel, queue: str) -> None:
        call = channel.call
        if call.in_queue == queue:
            return
        call.in_queue = queue
        call.has_left_queue = False
        self._touch(call)
        if queue not in self._rules.hub_queues:
            return
        self._fail_claim(call, "returned")
        call.queue = queue
        call.queue_channel = channel
        again = call.times_offered > 0
        call.times_offered += 1
        self._say(call, lambda shown: CallOffered(shown, again=again))

    def _on_queue_leave(self, frame: Frame, now: datetime) -> None:
        channel = self._channel(frame, now)
        if channel is not None and channel.call.in_queue == frame.get("Queue"):
            channel.call.in_queue = None
            channel.call.has_left_queue = True
            self._touch(channel.call)

    def _on_user_event(self, frame: Frame, now: datetime) -> None:
        said = frame.get("UserEvent", "")
        if not said.startswith("Hub"):
            return
        channel = self._channel(frame, now, create=True)
        if channel is None:
            return
        self._name_caller(channel, frame)
        call = channel.call
        self._touch(call)
        claim_id, extension = frame.get("Claim", ""), frame.get("Extension", "")
        if said == "HubWaiting":
            call.did = known(frame.get("Did")) or call.did
            if frame.get("Queue") in self._rules.hub_queues:
                call.queue = frame["Queue"]
                call.queue_channel = channel
        elif said == "HubDial":
            call.to_raw = known(frame.get("To")) or call.to_raw
        elif said == "HubClaimStarted" and _CLAIM.fullmatch(claim_id) and _EXTENSION.fullmatch(extension):
            if call.claim_id != claim_id and claim_id not in call.claims_over:
                self._fail_claim(call, "replaced")
                call.claim_id, call.claim_extension, call.is_claim_open = claim_id, extension, True
                call.manager, call.has_left_queue = None, True
        elif said == "HubClaimFailed" and _CLAIM.fullmatch(claim_id) and call.claim_id in (None, claim_id):
            if claim_id not in call.claims_over:
                call.claim_id, call.is_claim_open, call.has_left_queue = claim_id, True, True
            self._fail_claim(call, known(frame.get("Reason")) or "failed")

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
        if channel := self._channel(frame, now):
            channel.hung_up_itself = True

    def _on_hangup(self, frame: Frame, now: datetime) -> None:
        channel = self._channel(frame, now)
        if channel is None:
            self._gone.add(frame.get("Uniqueid", ""))
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
        call.channels.pop(channel.uniqueid, None)
        self._channels.pop(channel.uniqueid, None)
        self._gone.add(channel.uniqueid)
        if channel.other_half is not None:
            channel.other_half.other_half = None
        for touched in {id(c.call): c.call for c in (channel, *others)}.values():
            self._note_talk(touched, now)
        if channel is call.queue_channel or channel is call.root:
            self._fail_claim(call, "caller_gone")
            if call.in_queue is not None:
                call.in_queue = None
                call.has_left_queue = True
        self._touch(call)


def _duration(text: str) -> timedelta:
    """Read CoreShowChannels' `HH:MM:SS`."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        return timedelta(0)
    hours, minutes, seconds = map(int, parts)
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
