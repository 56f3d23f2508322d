"""What the scripted PBX does with a call: the dialplan of config/asterisk, played.

Knows the contexts hub-in, hub-out, hub-trunk and hub-fallback, and a phone called directly. Invariant: nothing
about Hub is known here but the dialplan's words; what is said is held to recorded streams and to a real Asterisk.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from hub.demo.pbx_channels import UNKNOWN, ScriptedChannel
from hub.demo.pbx_queue import Queues, Standing
from hub.demo.pbx_recorder import Recorder
from hub.demo.pbx_switch import DECLINED, Declined, Phone, Say, Switch, Target

WITHDRAWN_AFTER_S = 0.5
"""Asterisk looks once a second whether somebody asked the caller out: half of one is what to expect."""


CONTEXTS = ("hub-ring", "hub-colleague", "hub-out", "hub-transfer")
"""Those of the shipped dialplan that Hub asks for."""


@dataclass(eq=False, slots=True)
class ScriptedCall:
    """One call from outside or from a phone; `over` is set when its last channel is gone."""

    switch: Switch
    caller: ScriptedChannel
    queue: str
    did: str
    claim: Standing | None = None
    """Its place in the queue while it stands there."""
    asked_out: asyncio.Event = field(default_factory=asyncio.Event)
    talking: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def hang_up(self) -> None:
        """The caller hangs up."""
        self.switch.leave(self.caller)


@dataclass(slots=True)
class Dialplan:
    """Plays calls. `phones` and `outside` say who picks up; `fallback` are the phones rung when nobody takes a call."""

    switch: Switch
    queues: Queues
    say: Say
    phones: dict[str, Phone]
    outside: Phone
    ring_s: float
    wait_s: float
    fallback: tuple[str, ...]
    recorder: Recorder | None = None
    """None: app_mixmonitor is not there."""
    _recorded: dict[str, str] = field(default_factory=dict)

    async def hub_in(self, call: ScriptedCall) -> None:
        """[hub-in]: wait in the queue, be brought to whoever takes the call, or come back to the front."""
        caller, switch = call.caller, self.switch
        caller.context, caller.exten, caller.priority = "hub-in", call.queue.removeprefix("hub-"), "5"
        switch.change(caller, "6")
        caller.priority = "6"
        switch.event("UserEvent", caller, UserEvent="HubWaiting", Queue=call.queue, Did=call.did)
        priority = 0
        while switch.is_alive(caller):
            info = await self._wait_in_queue(call, priority)
            if not switch.is_alive(caller):
                break
            if info is None:
                await self._hub_fallback(call)
                break
            if await self._bring_to_manager(call, info):
                break
            priority = 10
        self._finish(call)

    async def _wait_in_queue(self, call: ScriptedCall, priority: int) -> str | None:
        """Stand in the queue; return what came with the withdrawal, None when it was not that which ended it."""
        caller, queue = call.caller, call.queue
        if queue not in self.queues.names:
            return None
        caller.priority = "7"
        caller.application, caller.application_data = "Queue", f"{queue},,,,{self.wait_s:.0f}"
        clock = asyncio.get_running_loop().time
        standing = self.queues.join(queue, caller, priority=priority, now_s=clock())
        call.asked_out.clear()
        call.claim = standing
        place = str(standing.original_position)
        self.switch.event("QueueCallerJoin", caller, Queue=queue, Position=place, Count=str(self.queues.count(queue)))
        self.switch.event("MusicOnHoldStart", caller, Class="default")
        try:
            await self.switch.wait(self.wait_s, call.asked_out, self.switch.end_of(caller))
            if call.asked_out.is_set():
                await self.switch.sleep(WITHDRAWN_AFTER_S, caller)
        finally:
            call.claim = None
            here = {"Queue": queue, "Position": str(self.queues.position(standing))}
            self.queues.leave(standing)
        held = str(int(clock() - standing.joined_at))
        if not self.switch.is_alive(caller):
            self.switch.event("MusicOnHoldStop", caller)
        self.switch.event("QueueCallerAbandon", caller, **here, OriginalPosition=place, HoldTime=held)
        if self.switch.is_alive(caller):
            self.switch.event("MusicOnHoldStop", caller)
        self.switch.event("QueueCallerLeave", caller, **here, Count=str(self.queues.count(queue)))
        caller.application = caller.application_data = ""
        return standing.info

    async def _bring_to_manager(self, call: ScriptedCall, info: str) -> bool:
        """Ring the phone that `info` names; True when they talked or the caller has gone."""
        caller, switch = call.caller, self.switch
        claim, _, rest = "".join(re.findall("[0-9a-f-]", info)).partition("-")
        extension = "".join(re.findall("[0-9]", rest.partition("-")[0]))
        about = {"Claim": claim, "Extension": extension, "Queue": call.queue}
        caller.priority = "13"
        ring = f"{max(1, self.ring_s):.0f}"
        switch.event("UserEvent", caller, UserEvent="HubClaimStarted", **about, Ring=ring)
        status = "INVALIDARGS"
        if extension:
            caller.priority = "16"
            wanted = self.recorder is not None and call.queue in self.recorder.queues
            with self._hub_record(caller, wanted=wanted) as note_talk:
                caller.application, caller.application_data = "Dial", f"PJSIP/{extension},{self.ring_s:.0f},m"
                targets = [self.target(extension)]

                def on_talk() -> None:
                    call.talking.set()
                    note_talk()

                status = await switch.dial(caller, targets, ring_s=self.ring_s, music=True, on_talk=on_talk)
        if status == "ANSWER" or not switch.is_alive(caller):
            return True
        caller.priority = "17"
        switch.event("UserEvent", caller, UserEvent="HubClaimFailed", **about, Reason=status)
        return False

    @contextlib.contextmanager
    def _hub_record(self, channel: ScriptedChannel, *, wanted: bool) -> Iterator[Callable[[], None]]:
        """[hub-record] around a Dial: once per channel; gives what is to be called when the talk begins."""
        clock = asyncio.get_running_loop().time
        began: list[float] = []
        if self.recorder and wanted and channel.name not in self._recorded:
            path = self._recorded[channel.name] = self.recorder.name_now(channel.uniqueid)
            self.switch.event("UserEvent", channel, UserEvent="HubRecording", File=path)
        try:
            yield lambda: began.append(clock())
        finally:
            if self.recorder and (found := self._recorded.get(channel.name)):
                self.recorder.write(found, clock() - began[0] if began else 0.0)

    async def _hub_fallback(self, call: ScriptedCall) -> None:
        call.caller.context, call.caller.priority = "hub-fallback", "1"
        targets = [self.target(extension) for extension in self.fallback]
        await self.switch.dial(call.caller, targets, ring_s=self.ring_s, music=True, on_talk=call.talking.set)

    async def straight(self, call: ScriptedCall, extension: str) -> None:
        """A phone is called without any queue, from outside or by a colleague."""
        caller, switch = call.caller, self.switch
        targets = [self.target(extension)]
        status = await switch.dial(caller, targets, ring_s=self.ring_s, on_talk=call.talking.set)
        if status != "ANSWER" and switch.is_alive(caller):
            caller.priority = "2"
            busy = {"Cause": "17", "TechCause": "486"} if status == "BUSY" else {"Cause": "34", "TechCause": "503"}
            switch.change(caller, "7")
            switch.event("HangupRequest", caller, **busy)
            self._finish(call, busy["Cause"], sip=busy["TechCause"])
        else:
            self._finish(call)

    def _finish(self, call: ScriptedCall, cause: str = "16", *, sip: str = "") -> None:
        tech = {"TechCause": sip} if sip else {}
        self.switch.event("SoftHangupRequest", call.caller, Cause="16", **tech)
        if call.caller.context in ("hub-in", "hub-fallback"):
            call.caller.exten, call.caller.priority = "h", "1"
        self.switch.gone(call.caller, cause, sip=sip)
        call.over.set()

    def target(self, extension: str) -> Target:
        """Return how a phone of the house treats a call; one that is not registered is away."""
        return Target(extension, "internal", extension, self.phones.get(extension, Phone("away")))

    # Click-to-call

    async def originate(self, fields: Mapping[str, str]) -> None:
        """Ring the manager's phone under the channel id given, then send it to [hub-out]."""
        if (manager := await self.ring_for(fields)) is None:
            return
        if manager.context == "hub-colleague":
            await self._hub_colleague(manager, fields)
        else:
            await self._hub_out(manager, fields)

    def value_of(self, expression: str) -> str:
        """Return what a global variable or function says: each phone here is one device."""
        if found := re.fullmatch(r"PJSIP_DIAL_CONTACTS\(([0-9]+)\)", expression):
            is_there = self.phones.get(found[1], Phone("away")).behaviour != "away"
            return f"PJSIP/{found[1]}/sip:{found[1]}@127.0.0.1" if is_there else ""
        if found := re.fullmatch(r"DIALPLAN_EXISTS\(([a-z-]+),[0-9]+,1\)", expression):
            return "1" if found[1] in CONTEXTS else "0"
        return ""

    async def ring_for(self, fields: Mapping[str, str]) -> ScriptedChannel | None:
        """Ring the phone that an Originate names and, picked up, put it where the Originate says; None if it is not."""
        extension = fields.get("channel", "").removeprefix("PJSIP/")
        phone = self.phones.get(extension, Phone("away"))
        uniqueid, number = fields.get("channelid", ""), fields.get("exten", "")
        is_taken = any(channel.uniqueid == uniqueid for channel in self.switch.channels)
        if is_taken or phone.behaviour == "away":
            self._answer_originate(fields, f"PJSIP/{extension}", "Failure", "0")
            return None
        manager = self.switch.new_channel(extension, "internal", "s", uniqueid=uniqueid)
        if not await self._ring_manager(manager, phone, fields):
            return None
        manager.context, manager.exten = fields.get("context", ""), number
        self._answer_originate(fields, manager.name, "Success", "4")
        return manager

    async def _ring_manager(self, manager: ScriptedChannel, phone: Phone, fields: Mapping[str, str]) -> bool:
        """Ring the manager's phone; True when it is picked up. Else everything is said that is to be said."""
        switch, dialled = self.switch, "".join(re.findall("[0-9+]", fields.get("callerid", ""))) or UNKNOWN
        switch.renumber(manager, dialled)
        manager.connected_number = dialled
        switch.event("NewConnectedLine", manager)
        self.say("DialBegin", {**manager.headers("Dest"), "DialString": manager.name[6:].partition("-")[0]})
        switch.change(manager, "5")
        self.say("DialState", {**manager.headers("Dest"), "DialStatus": "RINGING"})
        timeout_s = int(fields.get("timeout") or 30_000) / 1000
        rings_on = phone.behaviour == "no_answer" or phone.answers_after_s >= timeout_s
        ended = await switch.sleep(timeout_s if rings_on else phone.answers_after_s, manager)
        if not ended and not rings_on and phone.behaviour == "answer":
            switch.change(manager, "6")
            self.say("DialEnd", {**manager.headers("Dest"), "DialStatus": "ANSWER"})
            return True
        declined = None if ended or rings_on else DECLINED.get(phone.behaviour)
        self._give_up(manager, fields, declined, timed_out=rings_on and not ended)
        return False

    def _give_up(
        self, manager: ScriptedChannel, fields: Mapping[str, str], declined: Declined | None, *, timed_out: bool
    ) -> None:
        switch = self.switch
        if declined is not None:
            switch.event("HangupRequest", manager, **declined.headers())
        if not timed_out:
            leg = declined.leg if declined else "NOANSWER"
            self.say("DialEnd", {**manager.headers("Dest"), "DialStatus": leg})
        self._answer_originate(fields, manager.name.partition("-")[0], "Failure", "3" if timed_out else "0")
        if declined is not None:
            switch.gone(manager, declined.cause, sip=declined.sip)
        elif timed_out:
            switch.gone(manager, "19", sip="480")
        else:
            switch.gone(manager)

    def _answer_originate(self, fields: Mapping[str, str], channel: str, response: str, reason: str) -> None:
        number = fields.get("exten", "")
        told = {"ActionID": fields["actionid"]} if "actionid" in fields else {}
        told |= {
            "Response": response,
            "Channel": channel,
            "Context": fields.get("context", ""),
            "Exten": number,
            "Reason": reason,
        }
        caller = {"CallerIDNum": fields.get("callerid", UNKNOWN), "CallerIDName": UNKNOWN}
        self.say("OriginateResponse", {**told, "Uniqueid": fields.get("channelid", ""), **caller})

    async def _hub_colleague(self, manager: ScriptedChannel, fields: Mapping[str, str]) -> None:
        """[hub-colleague]: the manager's phone is up, now the colleague's is rung."""
        switch, extension = self.switch, "".join(re.findall("[0-9]", manager.exten))
        switch.renumber(manager, fields.get("hub_extension", ""))
        switch.event("UserEvent", manager, UserEvent="HubDial", Dial=fields.get("hub_dial", ""), To=extension)
        await switch.dial(manager, [self.target(extension)], ring_s=self.ring_s)
        switch.event("SoftHangupRequest", manager, Cause="16")
        switch.gone(manager)

    async def _hub_out(self, manager: ScriptedChannel, fields: Mapping[str, str]) -> None:
        """[hub-out] and [hub-trunk]: the manager's phone is up, now the client is rung."""
        switch = self.switch
        number = "".join(re.findall("[0-9+]", manager.exten))
        manager.priority = "2"
        switch.renumber(manager, fields.get("hub_extension", ""))
        manager.priority = "3"
        switch.event("UserEvent", manager, UserEvent="HubDial", Dial=fields.get("hub_dial", ""), To=number)
        routed = "".join(re.findall("[0-9+]", fields.get("hub_as", ""))) or number
        manager.context, manager.exten, manager.priority = "hub-trunk", routed, "1"
        client = Target("trunk", "from-trunk", f"{routed.replace('+', '')}@trunk", self.outside)
        with self._hub_record(manager, wanted=fields.get("hub_record") == "yes") as note_talk:
            status = await switch.dial(manager, [client], ring_s=60, on_talk=note_talk)
        manager.priority = "1" if status in ("ANSWER", "CANCEL") else "2"
        if status not in ("ANSWER", "CANCEL"):
            cause = {"CHANUNAVAIL": "20", "BUSY": "17", "CONGESTION": "34"}.get(status, "16")
            about = {"Dial": fields.get("hub_dial", ""), "To": number, "Reason": status, "Cause": cause}
            switch.event("UserEvent", manager, UserEvent="HubDialOver", **about)
        switch.event("SoftHangupRequest", manager, Cause="16")
        declined = next((one for one in DECLINED.values() if one.status == status), None)
        if declined is not None:
            switch.gone(manager, declined.cause, sip=declined.sip)
        else:
            switch.gone(manager)
