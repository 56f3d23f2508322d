"""A scripted PBX: speaks AMI on a real socket and plays calls the way Asterisk 22 with Hub's dialplan does.

For `hub demo`, where nobody has a PBX, and for fault tests, where a real one cannot be made to lose an answer at the
right moment. It plays the dialplan of config/asterisk; what it says is held to recorded streams and to a real
Asterisk by the contract test. Invariant: nothing about Hub is known here but the dialplan's words.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from hub.demo.pbx_channels import CAUSES, UNKNOWN, ScriptedChannel
from hub.demo.pbx_server import AmiServer, Reply
from hub.settings import Pbx, PbxTeam, Secret

log = logging.getLogger(__name__)

Behaviour = Literal["answer", "busy", "reject", "no_answer"]
FAILURES: dict[Behaviour, tuple[str, str]] = {
    "busy": ("BUSY", "17"),
    "reject": ("CHANUNAVAIL", "21"),
    "no_answer": ("NOANSWER", "0"),
}


@dataclass(slots=True)
class Phone:
    """How a phone (or the outside world) treats a call that rings it. Times are seconds before `speed`."""

    behaviour: Behaviour = "answer"
    answers_after_s: float = 1.5
    hangs_up_after_s: float | None = None


@dataclass(slots=True)
class ScriptedCall:
    """One call; `over` is set when its last channel is gone."""

    caller: ScriptedChannel
    queue: str
    did: str
    claim: asyncio.Future[str] | None = None
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    talking: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def hang_up(self) -> None:
        """The caller hangs up."""
        self.hung_up.set()


class ScriptedPbx:
    """Run with `async with`; then `call_in` brings callers. `phones` and `outside` say who picks up."""

    SECRET = "scripted"  # noqa: S105 - of a PBX that listens on loopback only

    def __init__(
        self, *, extensions: tuple[str, ...] = ("101", "102", "103"), speed: float = 1.0, ring_s: float = 20.0
    ) -> None:
        self.phones = {extension: Phone() for extension in extensions}
        self.outside = Phone(answers_after_s=3.0)
        self.calls: list[ScriptedCall] = []
        self._server = AmiServer(self.SECRET, self._act)
        self._speed, self._ring_s = speed, ring_s
        self._channels: dict[str, ScriptedChannel] = {}
        self._hangups: dict[str, asyncio.Event] = {}
        self._numbers = itertools.count()
        self._plays: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def journal(self) -> list[dict[str, str]]:
        """Every action that came in about calls, its headers' names in lower case."""
        return self._server.journal

    def settings(self, name: str = "office", *teams: tuple[str, str]) -> Pbx:
        """The configuration under which Hub reaches this PBX; `teams` are (queue, team)."""
        pairs = teams or (("hub-sales", "sales"), ("hub-support", "support"))
        return Pbx(
            name=name,
            host="127.0.0.1",
            port=self.port,
            username="hub",
            secret=Secret(self.SECRET),
            own_numbers=("+74950000100",),
            team=tuple(PbxTeam(queue=queue, team=team) for queue, team in pairs),
        )

    async def __aenter__(self) -> ScriptedPbx:
        await self._server.listen()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._end_plays()

    async def _end_plays(self) -> None:
        for play in self._plays:
            play.cancel()
        await asyncio.gather(*self._plays, return_exceptions=True)

    # What a script makes happen

    def call_in(
        self, number: str, *, name: str = "", did: str = "74950000100", queue: str = "hub-sales"
    ) -> ScriptedCall:
        """A stranger calls `did` and is sent to `queue`."""
        caller = self._new_channel("trunk", "from-trunk", did, number=number, name=name or UNKNOWN, state="4")
        call = ScriptedCall(caller, queue, did)
        self.calls.append(call)
        self._start(self._play_inbound(call))
        return call

    def cut(self) -> None:
        """Cut every AMI connection; calls go on, and what is said meanwhile is never told again."""
        self._server.cut()

    def freeze(self, frozen: bool = True) -> None:
        """Half-open: connections stay, nothing is said or answered any more."""
        self._server.is_frozen = frozen

    def lose_response_to(self, action: str, *, times: int = 1) -> None:
        """Carry the next `times` actions of this name out, but say nothing back and cut the connection."""
        self._server.lost[action.lower()] = times

    async def restart(self) -> None:
        """All calls are gone without a word, and the PBX is another run of itself."""
        self._server.close()
        await self._end_plays()
        self._channels.clear()
        self._hangups.clear()
        self.calls.clear()
        self._server.booted = datetime.now(UTC)
        await self._server.listen()

    def say(self, headers: dict[str, str]) -> None:
        """Send one event of the test's own to everybody signed in."""
        self._server.say(headers)

    def say_raw(self, data: bytes) -> None:
        """Send bytes as they are: for what no Asterisk would say."""
        self._server.say_raw(data)

    # The dialplan

    async def _play_inbound(self, call: ScriptedCall) -> None:
        caller = call.caller
        self._event("Newchannel", caller)
        caller.state, caller.context, caller.exten = "6", "hub-in", call.queue.removeprefix("hub-")
        self._event("Newstate", caller)
        self._event("UserEvent", caller, UserEvent="HubWaiting", Queue=call.queue, Did=call.did)
        while True:
            claim = await self._wait_in_queue(call)
            if claim is None:
                break
            claim_id, _, extension = claim.partition("-")
            about = {"Claim": claim_id, "Extension": extension, "Queue": call.queue}
            self._event("UserEvent", caller, UserEvent="HubClaimStarted", **about)
            phone = self.phones.get(extension, Phone("busy"))
            status = await self._dial(call, caller, extension, phone, context="internal")
            if status == "ANSWER" or self._is_gone(caller) or call.hung_up.is_set():
                break
            self._event("UserEvent", caller, UserEvent="HubClaimFailed", **about, Reason=status)
        self._hang_up(caller, "16")
        call.over.set()

    async def _wait_in_queue(self, call: ScriptedCall) -> str | None:
        """Stand in the queue; return `claim-extension` once withdrawn, None when the caller hangs up."""
        call.claim = asyncio.get_running_loop().create_future()
        standing = {"Queue": call.queue, "Position": "1"}
        call.caller.application, call.caller.application_data = "Queue", f"{call.queue},,,,300"
        self._event("QueueCallerJoin", call.caller, **standing, Count="1")
        claim = call.claim
        try:
            hung_up = await self._first_of(claim, call.hung_up, self._hangups[call.caller.name])
            # Asterisk looks once a second whether somebody took the caller.
            if not hung_up:
                await self._pause(0.5)
        finally:
            call.claim = None
        self._event("QueueCallerAbandon", call.caller, **standing, OriginalPosition="1", HoldTime="1")
        self._event("QueueCallerLeave", call.caller, **standing, Count="0")
        call.caller.application = call.caller.application_data = ""
        return None if hung_up else claim.result()

    async def _dial(
        self, call: ScriptedCall | None, caller: ScriptedChannel, who: str, phone: Phone, *, context: str
    ) -> str:
        """Ring `who` for the caller and let them talk to the end; return DIALSTATUS."""
        callee = self._new_channel(who, context, caller.exten, linkedid=caller.linkedid)
        self._event("Newchannel", callee)
        callee.caller_number, callee.connected_number = caller.exten, caller.caller_number
        callee.connected_name = caller.caller_name
        return await self._ring(call, caller, callee, who, phone)

    async def _ring(
        self, call: ScriptedCall | None, caller: ScriptedChannel, callee: ScriptedChannel, who: str, phone: Phone
    ) -> str:
        self._dial_event("DialBegin", caller, callee, DialString=who)
        callee.state = "5"
        self._event("Newstate", callee)
        self._dial_event("DialState", caller, callee, DialStatus="RINGING")
        gone = self._hangups[caller.name]
        enough = [gone, self._hangups[callee.name], *([call.hung_up] if call else [])]
        rings_s = self._ring_s if phone.behaviour == "no_answer" else phone.answers_after_s
        if await self._sleep_unless(rings_s, *enough):
            self._dial_event("DialEnd", caller, callee, DialStatus="CANCEL")
            self._hang_up(callee, "26")
            return "CANCEL"
        if phone.behaviour != "answer":
            status, cause = FAILURES[phone.behaviour]
            self._dial_event("DialEnd", caller, callee, DialStatus=status)
            self._hang_up(callee, cause)
            return status
        callee.state = "6"
        self._event("Newstate", callee)
        self._dial_event("DialEnd", caller, callee, DialStatus="ANSWER")
        await self._talk(call, caller, callee, phone)
        return "ANSWER"

    async def _talk(
        self, call: ScriptedCall | None, caller: ScriptedChannel, callee: ScriptedChannel, phone: Phone
    ) -> None:
        bridge = f"bridge-{next(self._numbers)}"
        shape = {"BridgeUniqueid": bridge, "BridgeType": "basic", "BridgeTechnology": "simple_bridge"}
        self.say({"Event": "BridgeCreate", **shape, "BridgeNumChannels": "0"})
        for number, channel in enumerate((callee, caller), 1):
            channel.bridge = bridge
            self._event("BridgeEnter", channel, **shape, BridgeNumChannels=str(number))
        if call is not None:
            call.talking.set()
        ends = [self._hangups[caller.name], self._hangups[callee.name], *([call.hung_up] if call else [])]
        await self._sleep_unless(phone.hangs_up_after_s, *ends)
        for number, channel in enumerate((caller, callee)):
            channel.bridge = ""
            self._event("BridgeLeave", channel, **shape, BridgeNumChannels=str(1 - number))
        self.say({"Event": "BridgeDestroy", **shape, "BridgeNumChannels": "0"})
        self._hang_up(callee, "16")

    async def _play_outbound(self, extension: str, number: str, fields: dict[str, str]) -> None:
        phone = self.phones.get(extension, Phone("busy"))
        uniqueid = fields["channelid"]
        manager = self._new_channel(extension, "internal", "s", number=number, uniqueid=uniqueid)
        self._event("Newchannel", manager)
        answer = {"Event": "OriginateResponse", "ActionID": fields.get("actionid", ""), "Context": "hub-out"}
        answer |= {"Exten": number, "Uniqueid": uniqueid, "CallerIDNum": number, "CallerIDName": UNKNOWN}
        self.say({"Event": "DialBegin", **manager.headers("Dest"), "DialString": extension})
        manager.state = "5"
        self._event("Newstate", manager)
        self.say({"Event": "DialState", **manager.headers("Dest"), "DialStatus": "RINGING"})
        timeout_s = min(int(fields.get("timeout", "30000")) / 1000, self._ring_s)
        rings_s = timeout_s if phone.behaviour == "no_answer" else phone.answers_after_s
        gave_up = await self._sleep_unless(rings_s, self._hangups[manager.name])
        if gave_up or phone.behaviour != "answer":
            status, cause = ("CANCEL", "16") if gave_up else FAILURES[phone.behaviour]
            self.say({"Event": "DialEnd", **manager.headers("Dest"), "DialStatus": status})
            reason = {"busy": "5", "no_answer": "3"}.get(phone.behaviour, "0")
            self.say({**answer, "Response": "Failure", "Channel": f"PJSIP/{extension}", "Reason": reason})
            self._hang_up(manager, cause)
            return
        manager.state = "6"
        self._event("Newstate", manager)
        self.say({"Event": "DialEnd", **manager.headers("Dest"), "DialStatus": "ANSWER"})
        manager.context, manager.exten = "hub-out", number
        self._event("UserEvent", manager, UserEvent="HubDial", Dial=fields.get("hub_dial", ""), To=number)
        self.say({**answer, "Response": "Success", "Channel": manager.name, "Reason": "4"})
        manager.context = "hub-trunk"
        await self._dial(None, manager, "trunk", self.outside, context="from-trunk")
        self._hang_up(manager, "16")

    # Actions

    def _act(self, name: str, fields: dict[str, str], reply: Reply) -> None:
        match name:
            case "coreshowchannels":
                reply.listed(
                    "Channels will follow", "CoreShowChannelsComplete", [self._row(c) for c in self._channels.values()]
                )
            case "queuestatus":
                waiting = [call for call in self.calls if call.claim is not None]
                reply.listed("Queue status will follow", "QueueStatusComplete", [_entry(call) for call in waiting])
            case "queuewithdrawcaller":
                self._withdraw(fields, reply)
            case "originate":
                self._originate(fields, reply)
            case "hangup":
                event = self._hangups.get(fields.get("channel", ""))
                if event is None:
                    reply("Error", "No such channel")
                else:
                    reply("Success", "Channel Hungup")
                    event.set()
            case _:
                reply("Error", "Invalid/unknown command")

    def _row(self, channel: ScriptedChannel) -> dict[str, str]:
        more = {
            "BridgeId": channel.bridge,
            "Application": channel.application,
            "ApplicationData": channel.application_data,
            "Duration": "00:00:01",
        }
        return {"Event": "CoreShowChannel", **channel.headers(), **more}

    def _withdraw(self, fields: dict[str, str], reply: Reply) -> None:
        channel, queue = fields.get("caller", ""), fields.get("queue", "")
        call = next((c for c in self.calls if c.caller.name == channel and c.queue == queue and c.claim), None)
        if call is None or call.claim is None:
            reply("Error", "Unable to request withdraw from queue: No such caller")
        elif call.claim.done():
            reply("Error", "Unable to request withdraw from queue: Already requested")
        else:
            info = "".join(re.findall("[0-9a-f-]", fields.get("withdrawinfo", "")))
            call.claim.set_result(info)
            reply("Success", "Withdraw requested successfully")

    def _originate(self, fields: dict[str, str], reply: Reply) -> None:
        extension = fields.get("channel", "").removeprefix("PJSIP/")
        number = "".join(re.findall("[0-9+]", fields.get("exten", "")))
        uniqueid = fields.get("channelid", "")
        reply("Success", "Originate successfully queued")
        if any(channel.uniqueid == uniqueid for channel in self._channels.values()):
            failed = {"Event": "OriginateResponse", "ActionID": fields.get("actionid", ""), "Response": "Failure"}
            failed |= {"Channel": f"PJSIP/{extension}", "Context": "hub-out", "Exten": number, "Reason": "0"}
            self.say({**failed, "Uniqueid": uniqueid, "CallerIDNum": number, "CallerIDName": UNKNOWN})
            return
        self._start(self._play_outbound(extension, number, fields))

    # Small parts

    def _new_channel(
        self,
        who: str,
        context: str,
        exten: str,
        *,
        number: str = UNKNOWN,
        name: str = UNKNOWN,
        state: str = "0",
        linkedid: str = "",
        uniqueid: str = "",
    ) -> ScriptedChannel:
        serial = next(self._numbers)
        uniqueid = uniqueid or f"{int(datetime.now(UTC).timestamp())}.{serial}"
        channel = ScriptedChannel(
            f"PJSIP/{who}-{serial:08x}", uniqueid, linkedid or uniqueid, context, exten, number, name, state
        )
        self._channels[channel.name] = channel
        self._hangups[channel.name] = asyncio.Event()
        return channel

    def _event(self, event: str, channel: ScriptedChannel, **more: str) -> None:
        if channel.name in self._channels:
            self.say({"Event": event, **channel.headers(), **more})

    def _dial_event(self, event: str, caller: ScriptedChannel, callee: ScriptedChannel, **more: str) -> None:
        if callee.name in self._channels:
            self.say({"Event": event, **caller.headers(), **callee.headers("Dest"), **more})

    def _hang_up(self, channel: ScriptedChannel, cause: str) -> None:
        if self._channels.pop(channel.name, None) is not None:
            self.say({"Event": "Hangup", **channel.headers(), "Cause": cause, "Cause-txt": CAUSES[cause]})
        self._hangups.pop(channel.name, None)

    def _is_gone(self, channel: ScriptedChannel) -> bool:
        return channel.name not in self._channels or self._hangups[channel.name].is_set()

    def _start(self, play: Coroutine[None, None, None]) -> None:
        """Let a call play by itself; `__aexit__` and `restart` end what still plays."""
        task = asyncio.ensure_future(play)
        self._plays.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._plays.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a scripted call broke", exc_info=error)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)

    async def _sleep_unless(self, seconds: float | None, *events: asyncio.Event) -> bool:
        """Sleep, but no longer than until one of `events`; tell whether one came. None sleeps until then."""
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            timeout = None if seconds is None else seconds / self._speed
            done, _ = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)

    async def _first_of(self, claim: asyncio.Future[str], *events: asyncio.Event) -> bool:
        """Wait for the claim or an event; True when it was an event."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait([claim, *waits], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not claim.done()


def _entry(call: ScriptedCall) -> dict[str, str]:
    who = {"Channel": call.caller.name, "Uniqueid": call.caller.uniqueid, "CallerIDNum": call.caller.caller_number}
    return {"Event": "QueueEntry", "Queue": call.queue, "Position": "1", **who, "Wait": "1"}
