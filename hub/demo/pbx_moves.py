"""What the scripted PBX does with calls that are handed on, held, parked or heard: the contexts that Hub ships.

Plays BlindTransfer, Atxfer and what ends it, Redirect into [hub-hold], Park, and the Originates of [hub-retrieve] and
[hub-spy], with the events that matter to who follows the calls. Invariant: a client is in a talk, hears music, or has
hung up; nobody is left between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import uuid4

from hub.demo.pbx_channels import UNKNOWN, ScriptedChannel
from hub.demo.pbx_dialplan import Dialplan
from hub.demo.pbx_server import Reply
from hub.demo.pbx_switch import Switch, Target

FIRST_SPACE, LAST_SPACE = 701, 720


class Moves:
    """The actions on calls that live. `act` answers one of them, or says that it is none of its own."""

    def __init__(self, switch: Switch, dialplan: Dialplan) -> None:
        self._switch, self._dialplan = switch, dialplan
        self._held_with: dict[str, ScriptedChannel] = {}
        self._consulting: dict[str, tuple[ScriptedChannel, asyncio.Event, asyncio.Event]] = {}
        self._spaces: dict[int, ScriptedChannel] = {}

    def act(self, name: str, fields: dict[str, str], reply: Reply) -> bool:
        channel = self._switch.find(fields.get("channel", ""))
        if name == "getvar" and "channel" not in fields:
            variable = fields.get("variable", "")
            reply("Success", "", Variable=variable, Value=self._dialplan.value_of(variable))
            return True
        deeds = {
            "blindtransfer": self._blind,
            "atxfer": self._attended,
            "cancelatxfer": self._cancel,
            "getvar": self._getvar,
            "setvar": self._setvar,
            "playdtmf": self._press,
            "redirect": self._redirect,
            "park": self._park,
        }
        if name == "parkedcalls":
            rows = [self._parked(space, one) for space, one in sorted(self._spaces.items())]
            reply.listed("Parked calls will follow", "ParkedCallsComplete", rows)
        elif name not in deeds:
            return False
        elif channel is None:
            reply("Error", "No such channel" if name != "redirect" else f"Channel does not exist: {fields['channel']}")
        else:
            deeds[name](channel, fields, reply)
        return True

    def originates(self, fields: Mapping[str, str]) -> bool:
        """Whether an Originate is one of these: a phone that takes a parked call up, or that hears one."""
        return fields.get("context") in ("hub-retrieve", "hub-spy")

    async def originate(self, fields: Mapping[str, str]) -> None:
        """Ring the phone and, once it is picked up, do what its context does."""
        rung = await self._dialplan.ring_for(fields)
        if rung is None:
            return
        if fields.get("context") == "hub-retrieve":
            await self._retrieve(rung, fields.get("hub_peer", ""))
        else:
            await self._spy(rung, fields.get("hub_spy", ""))

    # Transfers

    def _blind(self, channel: ScriptedChannel, fields: dict[str, str], reply: Reply) -> None:
        client = self._switch.peer_of(channel)
        if client is None:
            reply("Error", "Transfer not permitted")
            return
        context, exten = fields.get("context", ""), fields.get("exten", "")
        reply("Success", "Transfer succeeded")
        told = {f"Transferer{key}": value for key, value in channel.headers().items()}
        told |= {f"Transferee{key}": value for key, value in client.headers().items()}
        told |= {"BridgeUniqueid": channel.bridge, "IsExternal": "Yes", "Context": context, "Extension": exten}
        self._dialplan.say("BlindTransfer", {"Result": "Success", **told})
        by = channel.name.partition("/")[2].rpartition("-")[0]
        self._switch.move(client, lambda: self._handed_on(client, context, exten, by))

    async def _handed_on(self, client: ScriptedChannel, context: str, exten: str, by: str) -> None:
        """[hub-transfer]: ring whom the client is handed to; where nobody takes them, whoever did it."""
        client.context, client.exten, client.priority = context, exten, "2"
        switch = self._switch
        status = await switch.dial(client, [self._target(context, exten)], ring_s=self._dialplan.ring_s, music=True)
        if status != "ANSWER" and switch.is_alive(client):
            about = {"To": exten, "By": by, "Reason": status}
            switch.event("UserEvent", client, UserEvent="HubTransferFailed", **about)
            await switch.dial(client, [self._target("hub-transfer", by)], ring_s=self._dialplan.ring_s, music=True)
        switch.gone(client)

    def _target(self, context: str, exten: str) -> Target:
        if context in ("hub-transfer-out", "hub-transfer-as"):
            return Target("trunk", "from-trunk", f"{exten}@trunk", self._dialplan.outside)
        return self._dialplan.target(exten)

    def _attended(self, channel: ScriptedChannel, fields: dict[str, str], reply: Reply) -> None:
        client = self._switch.peer_of(channel)
        reply("Success", "Atxfer successfully queued")
        if client is None:
            return
        exten, context = fields.get("exten", "").rstrip("#"), fields.get("context", "")
        self._consulting[channel.name] = (client, asyncio.Event(), asyncio.Event())
        self._switch.event("Hold", channel, MusicClass="default")
        self._switch.move(client, lambda: self._hear_music(client))
        self._switch.move(channel, lambda: self._consult(channel, context, exten))

    async def _hear_music(self, client: ScriptedChannel) -> None:
        self._switch.event("MusicOnHoldStart", client, Class="default")
        await self._switch.released(client)
        self._switch.event("MusicOnHoldStop", client)
        await self._switch.go_on(client)

    async def _consult(self, manager: ScriptedChannel, context: str, exten: str) -> None:
        """Ring the colleague for the manager; bring client and colleague together, or go back to the client."""
        switch, (client, complete, cancel) = self._switch, self._consulting[manager.name]
        colleague = switch.new_channel(*self._endpoint(context, exten), "s", linkedid=manager.linkedid)
        target = self._target(context, exten)
        self._dialplan.say("DialBegin", {**manager.headers(), **colleague.headers("Dest"), "DialString": exten})
        switch.change(colleague, "5")
        rings = target.phone.behaviour in ("answer", "no_answer")
        answers_s = target.phone.answers_after_s if target.phone.behaviour == "answer" else self._dialplan.ring_s
        asked = (complete, cancel, switch.end_of(manager), switch.end_of(client))
        over = not rings or await switch.wait(answers_s, *asked)
        if not over and target.phone.behaviour == "answer":
            switch.change(colleague, "6")
            self._dialplan.say("DialEnd", {**manager.headers(), **colleague.headers("Dest"), "DialStatus": "ANSWER"})
            await switch.wait(None, *asked, switch.end_of(colleague))
        self._consulting.pop(manager.name, None)
        if (complete.is_set() or not switch.is_alive(manager)) and switch.is_alive(colleague):
            switch.event("Unhold", manager)
            self._bring_together(client, colleague)
            switch.gone(manager)
        elif switch.is_alive(client) and switch.is_alive(manager):
            switch.gone(colleague)
            switch.event("Unhold", manager)
            await self._take_over(manager, client)
            switch.gone(manager)
        else:
            switch.gone(colleague)
            switch.gone(manager)

    def _endpoint(self, context: str, exten: str) -> tuple[str, str]:
        is_outside = context in ("hub-transfer-out", "hub-transfer-as")
        return ("trunk", "from-trunk") if is_outside else (exten, "internal")

    def _bring_together(self, client: ScriptedChannel, colleague: ScriptedChannel) -> None:
        async def talk() -> None:
            if colleague.state != "6":
                self._switch.change(colleague, "6")
            await self._switch.talk(client, colleague)
            self._switch.gone(client)

        self._switch.move(client, talk)

    def _cancel(self, channel: ScriptedChannel, _fields: dict[str, str], reply: Reply) -> None:
        reply("Success", "CancelAtxfer successfully queued")
        if channel.name in self._consulting:
            self._consulting[channel.name][2].set()

    def _press(self, channel: ScriptedChannel, fields: dict[str, str], reply: Reply) -> None:
        reply("Success", "DTMF successfully queued")
        if fields.get("digit") == "C" and channel.name in self._consulting:
            self._consulting[channel.name][1].set()

    def _getvar(self, _channel: ScriptedChannel, fields: dict[str, str], reply: Reply) -> None:
        known = {"FEATURE(atxfercomplete)": "C"}
        variable = fields.get("variable", "")
        reply("Success", "", Variable=variable, Value=known.get(variable, ""))

    # Hold

    def _setvar(self, channel: ScriptedChannel, fields: dict[str, str], reply: Reply) -> None:
        peer = self._switch.find(fields.get("value", ""))
        if "hub_peer" in fields and peer is not None:
            self._held_with[channel.name] = peer
        reply("Success", "Variable Set")

    def _redirect(self, channel: ScriptedChannel, fields: dict[str, str], reply: Reply) -> None:
        place, extra = fields.get("exten", ""), self._switch.find(fields.get("extrachannel", ""))
        if place == "client" and extra is not None:
            reply("Success", "Dual Redirect successful")
            self._switch.move(channel, lambda: self._held(channel))
            self._switch.move(extra, lambda: self._holds(extra))
        elif place == "join":
            reply("Success", "Redirect successful")
            self._switch.move(channel, lambda: self._joins(channel))
        else:
            reply("Error", f"Channel does not exist: {fields.get('extrachannel', '')}")

    async def _held(self, client: ScriptedChannel) -> None:
        client.context, client.exten = "hub-hold", "client"
        self._switch.event("UserEvent", client, UserEvent="HubHeld")
        await self._hear_music(client)

    async def _holds(self, manager: ScriptedChannel) -> None:
        """The manager waits; where they hang up meanwhile, the client's call is over (a demo has one queue to lose)."""
        manager.context, manager.exten = "hub-hold", "manager"
        client = self._held_with.get(manager.name)
        await self._switch.released(manager)
        if client is not None and not self._switch.is_alive(manager):
            self._switch.end(client.name)
        await self._switch.go_on(manager)

    async def _joins(self, manager: ScriptedChannel) -> None:
        client = self._held_with.pop(manager.name, None)
        self._switch.event("UserEvent", manager, UserEvent="HubResumed")
        if client is not None and self._switch.is_alive(client):
            await self._take_over(manager, client)
        self._switch.gone(manager)

    async def _take_over(self, manager: ScriptedChannel, client: ScriptedChannel) -> None:
        """Speak with a client who heard music, wherever they stood."""
        let_go, end = asyncio.Event(), self._switch.end_of(client)

        async def rest() -> None:
            let_go.set()
            await end.wait()

        self._switch.move(client, rest)
        # Its own play lets go of the client first; from then on the manager's play speaks with them.
        await self._switch.wait(None, let_go, end)
        if self._switch.find(client.name) is not None:
            await self._switch.talk(manager, client)

    # Parking

    def _park(self, client: ScriptedChannel, _fields: dict[str, str], reply: Reply) -> None:
        free = [space for space in range(FIRST_SPACE, LAST_SPACE + 1) if space not in self._spaces]
        if not free or not client.bridge:
            reply("Error", "Park action failed")
            return
        reply("Success", "Park successful\n")
        self._switch.move(client, lambda: self._stand_parked(client, free[0]))

    async def _stand_parked(self, client: ScriptedChannel, space: int) -> None:
        self._spaces[space] = client
        self._dialplan.say("ParkedCall", self._parked(space, client))
        lot = {"BridgeUniqueid": str(uuid4()), "BridgeType": "parking", "BridgeTechnology": "holding_bridge"}
        lot |= {"BridgeCreator": UNKNOWN, "BridgeName": UNKNOWN, "BridgeNumChannels": "1"}
        self._switch.event("BridgeEnter", client, **lot)
        await self._switch.released(client)
        self._spaces.pop(space, None)
        self._dialplan.say("ParkedCallGiveUp", self._parked(space, client))
        self._switch.event("BridgeLeave", client, **lot)
        await self._switch.go_on(client)

    def _parked(self, space: int, client: ScriptedChannel) -> dict[str, str]:
        parkee = {f"Parkee{key}": value for key, value in client.headers().items()}
        about = {"ParkingSpace": str(space), "Parkinglot": "default", "ParkingTimeout": "45", "ParkingDuration": "0"}
        return {"Event": "ParkedCall", **parkee, **about}

    async def _retrieve(self, manager: ScriptedChannel, name: str) -> None:
        client = self._switch.find(name)
        if client is not None and not client.bridge:
            manager.linkedid = client.linkedid
            await self._take_over(manager, client)
        self._switch.gone(manager)

    # Supervision

    async def _spy(self, supervisor: ScriptedChannel, name: str) -> None:
        heard = self._switch.find(name)
        if heard is not None:
            told = {f"Spyer{key}": value for key, value in supervisor.headers().items()}
            told |= {f"Spyee{key}": value for key, value in heard.headers().items()}
            self._dialplan.say("ChanSpyStart", told)
            await self._switch.wait(None, self._switch.end_of(heard), self._switch.end_of(supervisor))
            self._dialplan.say("ChanSpyStop", told)
        self._switch.gone(supervisor)
