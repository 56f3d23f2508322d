"""The scripted PBX's switch: channels, ringing, talking and hanging up, each said as Asterisk says it.

Decides how a phone that is rung behaves and in which order its events come; knows no dialplan and no AMI action.
Invariant: a channel that was told by Newchannel is told gone by one Hangup, unless the PBX itself dies.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from hub.demo.pbx_channels import CAUSES, UNKNOWN, ScriptedChannel

Behaviour = Literal["answer", "busy", "reject", "no_answer", "away"]
Say = Callable[[str, Mapping[str, str]], None]
Play = Callable[[], Coroutine[None, None, None]]


@dataclass(slots=True)
class Phone:
    """How a phone (or the outside world) treats a call that rings it; `away` is one that is not registered.

    Times are seconds before `speed`: until it answers or declines, and of talk until it hangs up (None: never).
    """

    behaviour: Behaviour = "answer"
    answers_after_s: float = 1.5
    hangs_up_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """How a phone says no: the leg's status, DIALSTATUS, and the cause in Q.850 and in SIP."""

    leg: str
    status: str
    cause: str
    sip: str

    def headers(self) -> dict[str, str]:
        return {"Cause": self.cause, "TechCause": self.sip}


DECLINED: dict[Behaviour, Declined] = {
    "busy": Declined("BUSY", "BUSY", "17", "486"),
    "reject": Declined("NOANSWER", "CHANUNAVAIL", "21", "603"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ring: the endpoint, its context, what Dial was given, and how it behaves."""

    endpoint: str
    context: str
    dial_string: str
    phone: Phone


@dataclass(eq=False, slots=True)
class _Ringing:
    channel: ScriptedChannel
    phone: Phone


class Switch:
    """All channels of one PBX. `say(event, headers)` tells the world."""

    def __init__(self, say: Say, start: Callable[[Coroutine[None, None, None]], None], *, speed: float) -> None:
        """`start` lets a play run by itself."""
        self._say, self._start, self._speed = say, start, speed
        self._devices: dict[str, str] = {}
        self._channels: dict[str, ScriptedChannel] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._moves: dict[str, Play] = {}
        self._moved: dict[str, asyncio.Event] = {}
        self._numbers = itertools.count()

    @property
    def channels(self) -> list[ScriptedChannel]:
        return list(self._channels.values())

    def forget_all(self) -> None:
        """The PBX has died: nothing is said of anything any more."""
        self._channels.clear()
        self._ends.clear()
        self._devices.clear()
        self._moves.clear()
        self._moved.clear()

    def new_channel(
        self, endpoint: str, context: str, exten: str, *, number: str = UNKNOWN, name: str = UNKNOWN,
        state: str = "0", linkedid: str = "", uniqueid: str = "",
    ) -> ScriptedChannel:  # fmt: skip
        serial = next(self._numbers)
        uniqueid = uniqueid or f"{int(datetime.now(UTC).timestamp())}.{serial}"
        channel = ScriptedChannel(
            f"PJSIP/{endpoint}-{serial:08x}", uniqueid, linkedid or uniqueid, context, exten, number, name, state
        )
        self._channels[channel.name] = channel
        self._ends[channel.name] = asyncio.Event()
        self._moved[channel.name] = asyncio.Event()
        self.event("Newchannel", channel)
        self._tell_device(channel)
        return channel

    def device_state(self, endpoint: str) -> str:
        """Return what Asterisk calls the state of an endpoint that has these channels."""
        states = {one.state for one in self._channels.values() if one.endpoint == endpoint}
        if states & {"4", "6", "7"}:
            return "RINGINUSE" if "5" in states else "INUSE"
        return "RINGING" if "5" in states else "NOT_INUSE"

    def _tell_device(self, channel: ScriptedChannel) -> None:
        state = self.device_state(channel.endpoint)
        if state != self._devices.get(channel.endpoint, "NOT_INUSE"):
            self._say("DeviceStateChange", {"Device": f"PJSIP/{channel.endpoint}", "State": state})
        self._devices[channel.endpoint] = state

    def event(self, name: str, channel: ScriptedChannel, **more: str) -> None:
        if channel.name in self._channels:
            self._say(name, {**channel.headers(), **more})

    def change(self, channel: ScriptedChannel, state: str) -> None:
        channel.state = state
        self.event("Newstate", channel)
        self._tell_device(channel)

    def renumber(self, channel: ScriptedChannel, number: str) -> None:
        channel.caller_number = number
        self.event("NewCallerid", channel, **{"CID-CallingPres": "0 (Presentation Allowed, Not Screened)"})

    # Hanging up

    def leave(self, channel: ScriptedChannel) -> None:
        """Whoever is at the channel's other end hangs up."""
        if self.is_alive(channel):
            self.event("HangupRequest", channel, **({"Cause": "16"} if channel.bridge else {}))
            self._ends[channel.name].set()

    def end(self, name: str) -> bool:
        """Have a channel ended from within, as the action Hangup does; False where there is none of this name."""
        if name not in self._ends:
            return False
        self._ends[name].set()
        return True

    def is_alive(self, channel: ScriptedChannel) -> bool:
        return channel.name in self._channels and not self._ends[channel.name].is_set()

    def gone(self, channel: ScriptedChannel, cause: str = "16", *, sip: str = "") -> None:
        """Say that a channel is no more."""
        if channel.name in self._channels:
            tech = {"TechCause": sip} if sip else {}
            self.event("Hangup", channel, Cause=cause, **{"Cause-txt": CAUSES[cause]}, **tech)
            del self._channels[channel.name], self._moved[channel.name]
            self._moves.pop(channel.name, None)
            # Whoever waits for the end of a channel that was taken elsewhere hears of it too.
            self._ends.pop(channel.name).set()
            self._tell_device(channel)

    # Being sent elsewhere

    def find(self, name: str) -> ScriptedChannel | None:
        """Return a live channel by its name."""
        return self._channels.get(name)

    def peer_of(self, channel: ScriptedChannel) -> ScriptedChannel | None:
        """Return who is in one bridge with a channel."""
        same = [one for one in self.channels if one.bridge and one.bridge == channel.bridge and one is not channel]
        return same[0] if same else None

    def move(self, channel: ScriptedChannel, play: Play) -> None:
        """Take a channel out of whatever it does and let it go on with `play`."""
        self._moves[channel.name] = play
        self._moved[channel.name].set()

    async def released(self, channel: ScriptedChannel) -> None:
        """Wait until a channel is sent elsewhere, or ends."""
        await self.wait(None, self._ends[channel.name], self._moved[channel.name])

    async def go_on(self, channel: ScriptedChannel) -> None:
        """Play what a channel was sent to; without that it is over."""
        if channel.name not in self._channels:
            return
        self._moved[channel.name].clear()
        play = self._moves.pop(channel.name, None)
        if play is not None and self.is_alive(channel):
            await play()
        else:
            self.event("SoftHangupRequest", channel, Cause="16")
            self.gone(channel)

    # Dial

    async def dial(
        self,
        caller: ScriptedChannel,
        targets: Sequence[Target],
        *,
        ring_s: float,
        music: bool = False,
        on_talk: Callable[[], None] = lambda: None,
    ) -> str:
        """Ring all `targets` for the caller, and let the first who answers talk to the end; return DIALSTATUS."""
        ringing = [self._call(caller, one) for one in targets if one.phone.behaviour != "away"]
        if not ringing:
            return "CHANUNAVAIL"
        for one, target in zip(ringing, (t for t in targets if t.phone.behaviour != "away"), strict=True):
            self._about("DialBegin", caller, one.channel, DialString=target.dial_string)
        if music:
            self.event("MusicOnHoldStart", caller, Class="default")
        if len(ringing) == 1:
            self._show_connected(caller)
        for one in ringing:
            self.change(one.channel, "5")
            self._about("DialState", caller, one.channel, DialStatus="RINGING")
        status, answered = await self._first_to_answer(caller, ringing, ring_s, music=music)
        if music and status != "CANCEL":
            self.event("MusicOnHoldStop", caller)
        if answered is not None:
            if caller.state != "6":
                self.change(caller, "6")
            on_talk()
            await self.talk(caller, answered.channel, hangs_up_after_s=answered.phone.hangs_up_after_s)
        return status

    def _call(self, caller: ScriptedChannel, target: Target) -> _Ringing:
        callee = self.new_channel(target.endpoint, target.context, "s", linkedid=caller.linkedid)
        callee.exten = caller.exten
        callee.connected_number, callee.connected_name = caller.caller_number, caller.caller_name
        self.renumber(callee, caller.exten)
        self.event("NewConnectedLine", callee)
        return _Ringing(callee, target.phone)

    def _show_connected(self, caller: ScriptedChannel) -> None:
        if caller.connected_number != caller.exten:
            caller.connected_number = caller.exten
            self.event("NewConnectedLine", caller)

    async def _first_to_answer(
        self, caller: ScriptedChannel, ringing: list[_Ringing], ring_s: float, *, music: bool
    ) -> tuple[str, _Ringing | None]:
        """Ring until one answers, all have declined, the time is over or the caller has gone."""
        status, waited_s = "NOANSWER", 0.0
        moves = sorted(
            (one for one in ringing if one.phone.behaviour != "no_answer" and one.phone.answers_after_s < ring_s),
            key=lambda one: one.phone.answers_after_s,
        )
        left = list(ringing)
        for one in moves:
            await self.sleep(one.phone.answers_after_s - waited_s, caller, *(r.channel for r in left))
            waited_s = one.phone.answers_after_s
            if not self.is_alive(caller):
                break
            if one.phone.behaviour == "answer" and self.is_alive(one.channel):
                left.remove(one)
                self._pick_up(caller, one, left)
                return "ANSWER", one
            left.remove(one)
            status = self._decline(caller, one, DECLINED.get(one.phone.behaviour))
        if left and self.is_alive(caller):
            await self.sleep(ring_s - waited_s, caller, *(r.channel for r in left))
        cancelled = not self.is_alive(caller)
        if cancelled and music:
            self.event("MusicOnHoldStop", caller)
        for one in left:
            self._about("DialEnd", caller, one.channel, DialStatus="CANCEL" if cancelled else "NOANSWER")
            self.gone(one.channel, "16" if cancelled else "0")
        return ("CANCEL" if cancelled else status), None

    def _pick_up(self, caller: ScriptedChannel, one: _Ringing, others: list[_Ringing]) -> None:
        self.change(one.channel, "6")
        one.channel.exten = ""
        self._show_connected(caller)
        for other in others:
            self._about("DialEnd", caller, other.channel, DialStatus="CANCEL")
        self._about("DialEnd", caller, one.channel, DialStatus="ANSWER")
        for other in others:
            self.gone(other.channel, "26")

    def _decline(self, caller: ScriptedChannel, one: _Ringing, declined: Declined | None) -> str:
        """A phone says no, or (None) its channel was ended from within."""
        if declined is None or not self.is_alive(one.channel):
            self._about("DialEnd", caller, one.channel, DialStatus="NOANSWER")
            self.gone(one.channel)
            return "NOANSWER"
        self.event("HangupRequest", one.channel, **declined.headers())
        self._about("DialEnd", caller, one.channel, DialStatus=declined.leg)
        self.gone(one.channel, declined.cause, sip=declined.sip)
        return declined.status

    async def talk(
        self, caller: ScriptedChannel, callee: ScriptedChannel, *, hangs_up_after_s: float | None = None
    ) -> None:
        """Bridge two until one hangs up or is sent elsewhere. Where the caller is sent, this goes on with it."""
        bridge = {"BridgeUniqueid": str(uuid4()), "BridgeType": "basic", "BridgeTechnology": "simple_bridge"}
        bridge |= {"BridgeCreator": UNKNOWN, "BridgeName": UNKNOWN}

        def shape(channels: int) -> dict[str, str]:
            return {**bridge, "BridgeNumChannels": str(channels), "BridgeVideoSourceMode": "none"}

        self._say("BridgeCreate", shape(0))
        for number, channel in enumerate((callee, caller), 1):
            channel.bridge = bridge["BridgeUniqueid"]
            self._say("BridgeEnter", {**shape(number), **channel.headers()})
        events = [held[one.name] for one in (caller, callee) for held in (self._ends, self._moved)]
        if not await self.wait(hangs_up_after_s, *events):
            self.leave(callee)
        first, second = (callee, caller) if not self.is_alive(callee) else (caller, callee)
        for number, channel in ((1, first), (0, second)):
            self._say("BridgeLeave", {**shape(number), **channel.headers()})
            channel.bridge = ""
        self._say("BridgeDestroy", shape(0))
        if callee.name in self._moves and self.is_alive(callee):
            self._start(self.go_on(callee))
        else:
            self.gone(callee)
        if caller.name in self._moves:
            await self.go_on(caller)

    def _about(self, name: str, caller: ScriptedChannel, callee: ScriptedChannel, **more: str) -> None:
        if callee.name in self._channels:
            self._say(name, {**caller.headers(), **callee.headers("Dest"), **more})

    # Time

    async def sleep(self, seconds: float | None, *channels: ScriptedChannel) -> bool:
        """Sleep, but no longer than until one of `channels` ends; tell whether one has. None: only until then."""
        return await self.wait(seconds, *(self._ends[one.name] for one in channels if one.name in self._ends))

    async def wait(self, seconds: float | None, *events: asyncio.Event) -> bool:
        """Sleep, but no longer than until one of `events`; tell whether one came."""
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        timeout = None if seconds is None else max(0.0, seconds) / self._speed
        try:
            done, _ = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)

    def end_of(self, channel: ScriptedChannel) -> asyncio.Event:
        """What is set once the channel ends."""
        return self._ends[channel.name]
