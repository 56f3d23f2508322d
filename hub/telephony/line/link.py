"""The line to one Asterisk: panoramisk, hardened. The only module that imports it.

Decides when the line is up, when it is dead, and when to try again; gives what the PBX says as one ordered, bounded
stream, and sends actions. It does not know what a call is. Invariants: an action is written at most once, and who
asked for it learns `Refused`, `Unavailable` (not written) or `Unknown` (written, no answer); the reader never waits
for the consumer: when the stream is full the line is cut, and the `Up` that follows means "take the state anew".
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from panoramisk import Manager, actions, ami_protocol, message

from hub import clock
from hub.errors import Refused, Unavailable, Unknown
from hub.settings import Pbx
from hub.telephony.line.incoming import Down, FrameReceived, Incoming, Receiver, Stream, Up
from hub.telephony.line.wire import UNWANTED, BadPeer, Fields, Frame, FrameReader, action_bytes

__all__ = ["Down", "FrameReceived", "Incoming", "LinkState", "Listed", "PbxLink", "Timing", "Up"]

log = logging.getLogger(__name__)

_chance = secrets.SystemRandom().random


@dataclass(frozen=True, slots=True)
class LinkState:
    """What a status page shows of the line."""

    status: Literal["connecting", "up", "down", "auth_refused"]
    since: datetime
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows of a list. Events up to `position` came before it: it shows the state after them."""

    rows: list[Frame]
    position: int
    is_whole: bool
    """As many rows came as the PBX says that there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the line waits for what. Dead is noticed after at most `ping_every + pong_within`: 12 s."""

    connect_within: timedelta = timedelta(seconds=10)
    login_within: timedelta = timedelta(seconds=10)
    booted_within: timedelta = timedelta(seconds=0.5)
    ping_every: timedelta = timedelta(seconds=5)
    pong_within: timedelta = timedelta(seconds=7)
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=30)
    auth_pause: timedelta = timedelta(minutes=5)
    """After a refused password: long, because fail2ban and people read these logs."""
    steady_after: timedelta = timedelta(seconds=5)
    """A line that was up this long starts its pauses anew: what grows is for a PBX that does not let Hub in."""

    def pause_s(self, failures: int, chance: float) -> float:
        """Return how long to wait after so many failures in a row: doubling to a bound, and half of it jitter."""
        grown = self.first_pause.total_seconds() * 2.0 ** min(failures - 1, 20)
        return min(grown, self.longest_pause.total_seconds()) * (0.5 + chance / 2)


class PbxLink:
    """Keep the line to one PBX. Run `run()` in a TaskGroup; one consumer reads `incoming()`."""

    def __init__(
        self,
        pbx: Pbx,
        *,
        known_boot: str = "",
        max_frames: int = 20_000,
        skip: frozenset[str] = UNWANTED,
        timing: Timing | None = None,
        wall: Callable[[], datetime] = clock.utc_now,
        monotonic: Callable[[], float] = clock.monotonic_s,
        jitter: Callable[[], float] = _chance,
        tap: Callable[[bytes], None] | None = None,
    ) -> None:
        """`known_boot`: the boot of the last `Up` before this process, so that a restart of Hub is told from one of
        the PBX. `max_frames`: how far the consumer may lag; 20,000 are some 20 s of 50 new calls a second.
        `tap` is shown the bytes as they come, ahead of everybody; it must neither wait nor raise.
        """
        self.pbx = pbx
        self.state = LinkState("connecting", wall())
        self._boot = known_boot
        self._skip = skip
        self._timing = timing or Timing()
        self._wall = wall
        self._monotonic = monotonic
        self._jitter = jitter
        self._tap = tap
        self._stream = Stream(max_frames)
        self._protocol: _Protocol | None = None
        self._up_at: float | None = None

    async def run(self) -> None:
        """Connect, sign in, read and watch, again and again, until cancelled. Pauses grow and are jittered."""
        failures = 0
        while True:
            self._turn("connecting")
            self._up_at = None
            down = await self._live()
            self._turn("auth_refused" if down.auth_refused else "down", down.reason)
            log.warning("pbx %s: %s", self.pbx.name, down.reason)
            self._stream.put_always(down)
            lasted_s = self._monotonic() - self._up_at if self._up_at is not None else 0.0
            is_steady = lasted_s >= self._timing.steady_after.total_seconds()
            failures = 1 if is_steady else failures + 1
            pause_s = self._timing.pause_s(failures, self._jitter())
            await asyncio.sleep(self._timing.auth_pause.total_seconds() if down.auth_refused else pause_s)
            # A consumer that fell behind catches up first, or the next burst would cut the line again.
            await self._stream.until_half_empty()

    async def incoming(self) -> AsyncIterator[Incoming]:
        """Yield what the PBX says, in order, for ever."""
        for taken in itertools.count(1):
            yield await self._stream.take()
            if taken % 100 == 0:
                # Taking does not wait while there is more: without this a flood would have the loop for itself.
                await asyncio.sleep(0)

    async def action(self, name: str, fields: Fields, *, deadline: timedelta) -> Frame:
        """Send one action and return the headers of its response.

        Raises Refused (unsafe, or the PBX said Error: code `pbx_refused`), Unavailable (nothing was written),
        Unknown (written, and no answer within `deadline`: it may have been done).
        """
        response, _ = await self._up().ask(name, fields, deadline=deadline, is_list=False)
        return response

    async def list_action(self, name: str, fields: Fields, *, deadline: timedelta) -> list[Frame]:
        """Send an action that answers with a list and return its events, the closing one left out. Raises as above."""
        return (await self.listed(name, fields, deadline=deadline)).rows

    async def listed(self, name: str, fields: Fields, *, deadline: timedelta) -> Listed:
        """The same, with the list's place among the events."""
        _, action = await self._up().ask(name, fields, deadline=deadline, is_list=True)
        told = action.closing.get("ListItems", "")
        is_whole = not told.isascii() or not told.isdigit() or int(told) == len(action.rows)
        return Listed(action.rows, action.position or 0, is_whole)

    @property
    def connection(self) -> object | None:
        """What stands for the connection that is up: another after each reconnect, None while there is none."""
        return self._protocol

    @property
    def lag(self) -> int:
        """How many items the consumer has not taken yet."""
        return len(self._stream)

    async def until_read(self) -> None:
        """Wait until the consumer has worked off what has come so far. No deadline: it is our own task."""
        await self._stream.until_read()

    def _up(self) -> _Protocol:
        if self._protocol is None:
            raise Unavailable("pbx_down", f"PBX {self.pbx.name} is not connected", pbx=self.pbx.name)
        return self._protocol

    def _turn(self, status: Literal["connecting", "up", "down", "auth_refused"], error: str = "") -> None:
        kept = error or (self.state.last_error if status == "connecting" else "")
        self.state = LinkState(status, self._wall(), kept)

    async def _live(self) -> Down:
        """Live through one connection and say why it ended."""
        wall, began = self._wall(), self._monotonic()
        receiver = Receiver(self._stream, lambda: wall + timedelta(seconds=self._monotonic() - began))
        manager = _Manager(
            self.pbx, lambda: _Protocol(self.pbx.name, receiver, FrameReader(skip=self._skip), self._tap)
        )
        try:
            async with asyncio.timeout(self._timing.connect_within.total_seconds()):
                await manager.connect()
            async with asyncio.timeout(self._timing.login_within.total_seconds()):
                accepted = await manager.signed_in
            protocol = manager.live_protocol
            if not accepted:
                return Down(manager.refusal, auth_refused=True)
            up = await self._identify(protocol, receiver)
            self._boot = up.boot
            self._protocol = protocol
            self._up_at = self._monotonic()
            self._turn("up")
            receiver.open(up)
            await self._watch(protocol)
            return Down(protocol.lost.result(), auth_refused=False)
        except TimeoutError:
            return Down("no answer to the connection or the sign-in in time", auth_refused=False)
        except OSError as error:
            return Down(f"cannot connect: {error.strerror or error}", auth_refused=False)
        except (Unknown, Unavailable) as error:
            return Down(manager.lost_because or error.message, auth_refused=False)
        finally:
            self._protocol = None
            manager.close()

    async def _identify(self, protocol: _Protocol, receiver: Receiver) -> Up:
        """Learn which run of the PBX this is, from its start time; where that is not told, from its uptime.

        AMI tells both to the second. Two runs within one look like a cut: the calls of the first end as estimated all
        the same, for they are in no list, and only a uniqueid of that very second could be taken for another's.
        """
        try:
            async with asyncio.timeout(self._timing.booted_within.total_seconds()):
                await receiver.booted
        except TimeoutError:
            pass  # still booting, or filtered by the operator; CoreStatus tells what is needed
        within = self._timing.login_within
        told: dict[str, str] = {}
        for name in ("CoreStatus", "CoreSettings"):
            try:
                told |= (await protocol.ask(name, {}, deadline=within, is_list=False))[0]
            except Refused as refusal:
                log.info("pbx %s: %s: %s", self.pbx.name, name, refusal.message)
        if told.get("CoreStartupDate") and told.get("CoreStartupTime"):
            boot = f"{told['CoreStartupDate']}T{told['CoreStartupTime']}"[:40]
        else:
            boot = self._boot_by_uptime(receiver.uptime_s)
        version = told.get("AsteriskVersion") or f"AMI {protocol.reader.version or '?'}"
        restart = bool(self._boot) and boot != self._boot
        return Up(boot=boot, system=told.get("SystemName", ""), version=version, was_restart=restart)

    def _boot_by_uptime(self, uptime_s: int | None) -> str:
        """Name the run by the second it began, and keep the old name if that is the same but for the clocks' play."""
        if uptime_s is None:
            return self._boot or "unknown"
        began = round(self._wall().timestamp()) - uptime_s
        kept = self._boot.removeprefix("up-")
        if kept != self._boot and kept.isdigit() and abs(int(kept) - began) <= 5:
            return self._boot
        return f"up-{began}"

    async def _watch(self, protocol: _Protocol) -> None:
        """Ping until the line is lost; cut it when a ping stays unanswered and nothing else was heard either."""
        while not protocol.lost.done():
            await asyncio.wait([protocol.lost], timeout=self._timing.ping_every.total_seconds())
            if protocol.lost.done():
                return
            heard = protocol.heard
            try:
                await protocol.ask("Ping", {}, deadline=self._timing.pong_within, is_list=False)
            except Refused:
                pass  # an answer all the same
            except (Unknown, Unavailable):
                if protocol.heard == heard:
                    protocol.cut("the PBX does not answer pings")


class _Action(actions.Action):  # type: ignore[misc]  # panoramisk has no types
    """panoramisk's action, whose future always resolves: by its response, or by the event that closes its list.

    Upstream guesses from the message's wording whether more follows: `QueueAdd` then never resolves, and an
    asynchronous `OriginateResponse` is eaten.
    """

    MAX_ROWS = 50_000

    def __init__(self, fields: dict[str, Any], *, is_list: bool) -> None:
        super().__init__(fields)
        self.is_list = is_list
        self.rows: list[Frame] = []
        self.closing: Frame = {}
        self.position: int | None = None
        """How many events had come before the first word of the answer."""

    def add_message(self, frame: Frame) -> bool:
        """Take a response, or an event of the list. True when nothing more will come."""
        if self.future.done():
            return True
        if "Response" in frame:
            self.responses.append(message.Message(frame))
            if self.is_list and frame["Response"] == "Success" and frame.get("EventList", "").lower() == "start":
                return False
        elif frame.get("EventList", "").lower() != "complete":
            self.rows.append(frame)
            if len(self.rows) > self.MAX_ROWS:
                raise BadPeer("a list does not end")
            return False
        else:
            self.closing = frame
        self.future.set_result(self.responses[0] if self.responses else message.Message(frame))
        return True


class _Protocol(ami_protocol.AMIProtocol):  # type: ignore[misc]
    """panoramisk's protocol with its reading, its bookkeeping of actions and its end replaced (see tests)."""

    MAX_PENDING = 1_000
    MAX_UNSENT_BYTES = 1_000_000

    def __init__(
        self, pbx: str, receiver: Receiver, reader: FrameReader, tap: Callable[[bytes], None] | None = None
    ) -> None:
        self.reader = reader
        self._tap = tap
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.heard = 0
        """Grows whenever anything arrives."""
        self._pbx = pbx
        self._receiver = receiver
        self.cut_reason = ""
        self._prefix = f"hub-{secrets.token_hex(4)}-"
        self._sent = 0

    def send(self, data: dict[str, Any], as_list: bool | None = False) -> asyncio.Future[message.Message]:
        """Write one action, once. Raises Refused before the write, Unavailable when nothing can be written."""
        if self.closed or self.lost.done() or self.transport.is_closing():
            raise Unavailable("pbx_down", f"PBX {self._pbx} is not connected", pbx=self._pbx)
        stuck = self.transport.get_write_buffer_size() > self.MAX_UNSENT_BYTES
        if stuck or len(self.responses) >= self.MAX_PENDING:
            raise Unavailable("pbx_busy", f"PBX {self._pbx} does not keep up", pbx=self._pbx)
        self._sent += 1
        action_id = f"{self._prefix}{self._sent}"
        fields = {key: value for key, value in data.items() if key != "Action"}
        packet = action_bytes(data["Action"], fields, action_id=action_id)
        action = _Action({"Action": data["Action"], "ActionID": action_id}, is_list=bool(as_list))
        self.responses[action_id] = action
        action.future.add_done_callback(lambda _: self.responses.pop(action_id, None))
        self.transport.write(packet)
        self._last = action
        return cast("asyncio.Future[message.Message]", action.future)

    async def ask(self, name: str, fields: Fields, *, deadline: timedelta, is_list: bool) -> tuple[Frame, _Action]:
        """Send, wait for the answer, and say whose fault it is when there is none."""
        future = self.send({"Action": name, **fields}, as_list=is_list)
        action = self._last
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                response = dict(await future)
        except TimeoutError:
            text = f"PBX {self._pbx} did not answer {name} within {deadline.total_seconds():g} s"
            raise Unknown("pbx_no_answer", text, pbx=self._pbx) from None
        if response.get("Response", "Success").lower() != "success":
            said = response.get("Message", "")
            raise Refused("pbx_refused", f"PBX {self._pbx} refused {name}: {said}", pbx=self._pbx, reason=said)
        return response, action

    def data_received(self, data: bytes) -> None:
        if self.cut_reason:
            return
        self.heard += 1
        if self._tap is not None:
            self._tap(data)
        try:
            frames = self.reader.feed(data)
            at = self._receiver.now()
            for frame in frames:
                self._take(frame, at)
        except BadPeer as error:
            self.cut(str(error))

    def _take(self, frame: Frame, at: datetime) -> None:
        action_id = frame.get("ActionID", "")
        event = frame.get("Event")
        if action_id.startswith(self._prefix) and event != "OriginateResponse":
            action = self.responses.get(action_id)
            # Rows of a list that nobody waits for any more are no news of the PBX.
            if action is not None:
                if action.position is None:
                    action.position = self._receiver.position
                action.add_message(frame)
        elif event is not None:
            self._receiver.receive(frame, at)

    def cut(self, reason: str) -> None:
        """End the connection now, unsent bytes and all."""
        self.cut_reason = self.cut_reason or reason
        self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.closed = True
        if not self.lost.done():
            self.lost.set_result(self.cut_reason or (f"connection lost: {exc}" if exc else "the PBX hung up"))
        for action in list(self.responses.values()):
            if not action.future.done():
                text = f"the connection to PBX {self._pbx} was lost before it answered {action['Action']}"
                action.future.set_exception(Unknown("pbx_no_answer", text, pbx=self._pbx))

    def close(self) -> None:
        """Close without keeping actions for a replay, which is what upstream does here."""
        self.closed = True
        self.transport.abort()


class _Manager(Manager):  # type: ignore[misc]
    """panoramisk's manager for one connection: it connects and signs in; reconnecting is `PbxLink.run`'s."""

    def __init__(self, pbx: Pbx, protocol_factory: Callable[[], _Protocol]) -> None:
        # Upstream logs actions, the sign-in among them: it gets a logger that nobody listens to.
        silent = logging.getLogger(f"{__name__}.panoramisk")
        silent.disabled = True
        super().__init__(
            host=pbx.host,
            port=pbx.port,
            username=pbx.username,
            secret=pbx.secret,
            protocol_factory=protocol_factory,
            loop=asyncio.get_running_loop(),
            log=silent,
            ping_delay=86_400,
            ping_interval=86_400,
        )
        self.signed_in: asyncio.Future[bool] = self.loop.create_future()
        self.refusal = ""
        self._given_up = False

    @property
    def live_protocol(self) -> _Protocol:
        return cast(_Protocol, self.protocol)

    @property
    def lost_because(self) -> str:
        if self.protocol is None:
            return ""
        return self.live_protocol.cut_reason or (self.live_protocol.lost.result() if self.protocol.lost.done() else "")

    def connection_made(self, f: asyncio.Future[tuple[asyncio.Transport, _Protocol]]) -> None:
        if f.cancelled() or f.exception() is not None:
            return  # whoever awaits connect() hears of it; upstream would try again behind our back
        if self._given_up:
            f.result()[0].abort()
            return
        try:
            super().connection_made(f)
        except Unavailable as error:
            self.signed_in.set_exception(error)
        except Refused as error:
            self.signed_in.set_exception(Unavailable(error.code, error.message))

    def login(self, future: asyncio.Future[message.Message]) -> bool:
        error = None if future.cancelled() else future.exception()
        if self.signed_in.done() or future.cancelled():
            return False
        if error is not None:
            self.signed_in.set_exception(error)
            return False
        accepted = bool(super().login(future))
        self.refusal = "the PBX refused the sign-in: " + future.result().get("Message", "no reason given")
        self.signed_in.set_result(accepted)
        return accepted

    async def send_awaiting_actions(self, *_: object) -> None:
        """Send nothing again: an Originate sent twice dials twice."""

    def ping(self) -> None:
        """Leave it to `PbxLink._watch`, which reads the answers."""

    def close(self) -> None:
        self._given_up = True
        super().close()
        if not self.signed_in.cancel() and not self.signed_in.cancelled():
            self.signed_in.exception()  # read, so that nobody is told it was not
