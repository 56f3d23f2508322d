"""A scripted PBX: speaks AMI on a real socket and plays calls the way Asterisk 22 with Hub's dialplan does.

For `hub demo`, where nobody has a PBX, and for fault tests, where a real one cannot be made to lose an answer at the
right moment. Decides what happens and when (`call_in`, `phones`, the faults); how it is said is the switch's, the
queue's and the dialplan's. Invariant: nothing leaves loopback.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime

from hub.demo.pbx_channels import UNKNOWN, ScriptedChannel, event
from hub.demo.pbx_dialplan import Dialplan, ScriptedCall
from hub.demo.pbx_moves import Moves
from hub.demo.pbx_queue import Queues
from hub.demo.pbx_recorder import Recorder
from hub.demo.pbx_server import AmiServer, Reply
from hub.demo.pbx_switch import Behaviour, Phone, Switch
from hub.settings import Pbx, PbxTeam, Secret

__all__ = ["Behaviour", "Phone", "ScriptedCall", "ScriptedPbx"]

log = logging.getLogger(__name__)


class ScriptedPbx:
    """Run with `async with`; then `call_in` brings callers. `phones` and `outside` say who picks up.

    `speed` is how many seconds pass in one; `ring_s` and `wait_s` are the dialplan's HUB_RING and HUB_WAIT. `recorder`
    writes recordings; without one none are made.
    """

    SECRET = "scripted"  # noqa: S105 - of a PBX that listens on loopback only

    def __init__(
        self,
        *,
        extensions: tuple[str, ...] = ("101", "102", "103"),
        queues: tuple[str, ...] = ("hub-sales", "hub-support"),
        speed: float = 1.0,
        ring_s: float = 20.0,
        wait_s: float = 300.0,
        recorder: Recorder | None = None,
    ) -> None:
        self.calls: list[ScriptedCall] = []
        self._server = AmiServer(self.SECRET, self._act)
        self._switch = Switch(self.say, self._start, speed=speed)
        self._queues = Queues(queues)
        self._dialplan = Dialplan(
            self._switch,
            self._queues,
            self.say,
            phones={extension: Phone() for extension in extensions},
            outside=Phone(answers_after_s=3.0),
            ring_s=ring_s,
            wait_s=wait_s,
            fallback=extensions[:2],
            recorder=recorder,
        )
        self._recordings_dir = str(recorder.root) if recorder else ""
        self._moves = Moves(self._switch, self._dialplan)
        self._plays: set[asyncio.Task[None]] = set()

    @property
    def phones(self) -> dict[str, Phone]:
        """The registered phones by extension; one that is not here is not registered."""
        return self._dialplan.phones

    @property
    def outside(self) -> Phone:
        """How the outside world treats a call from here."""
        return self._dialplan.outside

    @outside.setter
    def outside(self, phone: Phone) -> None:
        self._dialplan.outside = phone

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def journal(self) -> list[dict[str, str]]:
        """Every action that came in about calls, its headers' names in lower case."""
        return self._server.journal

    def settings(self, name: str = "office", *teams: tuple[str, str]) -> Pbx:
        """The configuration under which Hub reaches this PBX; `teams` are (queue, team)."""
        pairs = teams or tuple((queue, queue.removeprefix("hub-")) for queue in self._queues.names)
        return Pbx(
            name=name,
            host="127.0.0.1",
            port=self.port,
            username="hub",
            secret=Secret(self.SECRET),
            own_numbers=("+74950000100",),
            recordings_dir=self._recordings_dir,
            team=tuple(PbxTeam(queue=queue, team=team) for queue, team in pairs),
        )

    async def __aenter__(self) -> ScriptedPbx:
        await self._server.listen()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.close()
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
        call = self._new_call("trunk", "from-trunk", number, name, did, queue)
        self._start(self._dialplan.hub_in(call))
        return call

    def call_phone(self, number: str, extension: str, *, name: str = "", did: str = "74950000101") -> ScriptedCall:
        """A stranger calls `did`, which rings one phone without any queue."""
        call = self._new_call("trunk", "from-trunk", number, name, did, "")
        self._start(self._dialplan.straight(call, extension))
        return call

    def call_colleague(self, extension: str, other: str) -> ScriptedCall:
        """One phone calls another."""
        call = self._new_call(extension, "internal", extension, extension, other, "")
        self._start(self._dialplan.straight(call, other))
        return call

    def _new_call(self, endpoint: str, context: str, number: str, name: str, did: str, queue: str) -> ScriptedCall:
        caller = self._switch.new_channel(endpoint, context, did, number=number, name=name or UNKNOWN, state="4")
        call = ScriptedCall(self._switch, caller, queue, did)
        self.calls.append(call)
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

    def never_answer(self, action: str, *, times: int = 1) -> None:
        """Carry the next `times` actions of this name out, and say nothing back; the connection stays."""
        self._server.unanswered[action.lower()] = times

    async def restart(self) -> None:
        """All calls are gone without a word, and the PBX is another run of itself."""
        await self._server.close()
        self._switch.forget_all()
        await self._end_plays()
        self._queues.clear()
        self.calls.clear()
        self._server.booted = datetime.now(UTC)
        await self._server.listen()

    def say(self, name: str, headers: Mapping[str, str]) -> None:
        """Send one event to everybody signed in."""
        self._server.say_raw(event(name, headers, timestamp=datetime.now(UTC).timestamp()))

    def say_raw(self, data: bytes) -> None:
        """Send bytes as they are: for what no Asterisk would say."""
        self._server.say_raw(data)

    # Actions

    def _act(self, name: str, fields: dict[str, str], reply: Reply) -> None:
        match name:
            case "coreshowchannels":
                rows = [_row(channel) for channel in self._switch.channels]
                reply.listed("Channels will follow", "CoreShowChannelsComplete", rows)
            case "devicestatelist":
                reply.listed("Device State Changes will follow", "DeviceStateListComplete", self._devices())
            case "queuestatus":
                now_s = asyncio.get_running_loop().time()
                rows = self._queues.status(fields.get("queue", ""), now_s=now_s)
                reply.listed("Queue status will follow", "QueueStatusComplete", rows)
            case "queuewithdrawcaller":
                self._withdraw(fields, reply)
            case "originate":
                reply("Success", "Originate successfully queued")
                whose = self._moves if self._moves.originates(fields) else self._dialplan
                self._start(whose.originate(fields))
            case "hangup":
                if self._switch.end(fields.get("channel", "")):
                    reply("Success", "Channel Hungup")
                else:
                    reply("Error", "No such channel")
            case "mixmonitormute":
                here = any(channel.name == fields.get("channel") for channel in self._switch.channels)
                reply("Success" if here else "Error", "" if here else "No such channel")
            case _ if self._moves.act(name, fields, reply):
                pass
            case _:
                reply("Error", f"Invalid/unknown command: {name}. Use Action: ListCommands to show available commands.")

    def _devices(self) -> list[dict[str, str]]:
        states = {name: self._switch.device_state(name) for name in (*self.phones, "trunk")}
        states |= {name: "UNAVAILABLE" for name, phone in self.phones.items() if phone.behaviour == "away"}
        return [
            {"Event": "DeviceStateChange", "Device": f"PJSIP/{name}", "State": state} for name, state in states.items()
        ]

    def _withdraw(self, fields: dict[str, str], reply: Reply) -> None:
        asked = self._queues.withdraw(fields.get("queue", ""), fields.get("caller", ""), fields.get("withdrawinfo", ""))
        if isinstance(asked, str):
            reply("Error", asked)
            return
        next(call for call in self.calls if call.claim is asked).asked_out.set()
        reply("Success", "Withdraw requested successfully")

    # Plays

    def _start(self, play: Coroutine[None, None, None]) -> None:
        """Let a call play by itself; `__aexit__` and `restart` end what still plays."""
        task = asyncio.ensure_future(play)
        self._plays.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._plays.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a scripted call broke", exc_info=error)


def _row(channel: ScriptedChannel) -> dict[str, str]:
    more = {"Application": channel.application, "ApplicationData": channel.application_data}
    return {
        "Event": "CoreShowChannel",
        **channel.headers(),
        **more,
        "Duration": "00:00:01",
        "BridgeId": channel.bridge,
    }
