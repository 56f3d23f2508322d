"""The link and the tracker on a real Asterisk: cuts, restarts and silence in the middle of a call."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from hub.clock import utc_now
from hub.periodic import LoopRegistry
from hub.telephony.line import snapshot
from hub.telephony.line.link import Down, FrameReceived, Incoming, PbxLink, Timing, Up
from hub.telephony.line.vanished import Cadence, VanishedChannels
from hub.telephony.line.wire import UNWANTED
from hub.telephony.tracking.calls import CallEnded, CallOffered, ClaimConnected, Effect
from hub.telephony.tracking.directions import PbxRules
from hub.telephony.tracking.tracker import CallTracker
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.sipp import caller, phone
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.asterisk

SOON = timedelta(seconds=10)
HASTY = Timing(
    ping_every=timedelta(seconds=0.3),
    pong_within=timedelta(seconds=0.7),
    first_pause=timedelta(seconds=0.1),
    longest_pause=timedelta(seconds=0.2),
)
CLAIM = "0123456789abcdef"


@dataclass
class Watch:
    """A link and a tracker at work, and what they told."""

    link: PbxLink
    tracker: CallTracker
    synced_to: int = 0
    effects: list[Effect] = field(default_factory=list)
    lines: list[Up | Down] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self) -> None:
        async for item in self.link.incoming():
            await self._take(item)
            self._news.set()

    async def _take(self, item: Incoming) -> None:
        if isinstance(item, FrameReceived):
            self.effects += self.tracker.handle(item.frame, now=item.at, is_overtaken=item.position <= self.synced_to)
            return
        self.lines.append(item)
        if isinstance(item, Up):
            state = await snapshot.take(self.link)
            assert state is not None
            self.synced_to = state.position
            self.effects += self.tracker.resync(state.channels, boot=item.boot, now=utc_now(), **state.details)

    def end(self, uniqueids: Set[str]) -> None:
        self.effects += self.tracker.end_channels(uniqueids, now=utc_now())
        self._news.set()

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def told(self, kind: type[Effect], count: int = 1) -> Effect:
        await self.until(lambda: len(self._of(kind)) >= count)
        return self._of(kind)[count - 1]

    def _of(self, kind: type[Effect]) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def ups(self) -> list[Up]:
        return [line for line in self.lines if isinstance(line, Up)]

    async def take(self, offered: Effect, extension: str = "101") -> None:
        assert offered.call.queue
        assert offered.call.queue_channel
        fields = {"Queue": offered.call.queue, "Caller": offered.call.queue_channel}
        await self.link.action("QueueWithdrawCaller", {**fields, "WithdrawInfo": f"{CLAIM}-{extension}"}, deadline=SOON)


@asynccontextmanager
async def watching(asterisk: Asterisk, link: PbxLink | None = None) -> AsyncIterator[Watch]:
    pbx = asterisk.pbx_settings()
    rules = PbxRules(pbx=pbx.name, hub_queues=frozenset(team.queue for team in pbx.team))
    watch = Watch(link or PbxLink(pbx, timing=HASTY), CallTracker(rules))
    tasks = [asyncio.create_task(watch.link.run()), asyncio.create_task(watch.work())]
    try:
        await watch.until(watch.ups)
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_call_lives_on_through_a_cut_and_a_new_hub_takes_it_up() -> None:
    async with running_asterisk() as asterisk, phone(asterisk, "101"), watching(asterisk) as watch:
        assert watch.ups()[0].version.startswith("22.")
        async with caller(asterisk, "84951234567"):
            offered = await watch.told(CallOffered)
            async with watching(asterisk) as late:
                seen = await late.told(CallOffered)
                assert (seen.call.linked_id, seen.call.boot) == (offered.call.linked_id, offered.call.boot)
                assert (seen.call.from_raw, seen.call.queue) == ("84951234567", "hub-sales")
            await watch.take(offered)
            connected = await watch.told(ClaimConnected)
            cut_off = watch.link._protocol
            assert cut_off is not None
            cut_off.cut("for the test")
            await watch.until(lambda: len(watch.ups()) == 2)
            assert not watch.ups()[1].was_restart
            await watch.until(lambda: watch.tracker.open_calls())
            (call,) = watch.tracker.open_calls()
            assert (call.linked_id, call.claim_id, call.state) == (connected.call.linked_id, CLAIM, "talking")
            assert call.queue_channel
            await watch.link.action("Hangup", {"Channel": call.queue_channel}, deadline=SOON)
            end = await watch.told(CallEnded)
        assert (end.call.outcome, end.call.answered_extension) == ("answered", "101")
        assert end.call.talk_s > 0
        assert len([e for e in watch.effects if isinstance(e, CallEnded)]) == 1


async def test_a_killed_pbx_ends_its_calls_as_estimated_and_comes_back_as_another_run() -> None:
    async with running_asterisk() as asterisk, watching(asterisk) as watch:
        seen_up = int(utc_now().timestamp())

        async def is_another_second() -> bool:
            return int(utc_now().timestamp()) > seen_up

        async with caller(asterisk, "84951234567"):
            await watch.told(CallOffered)
            # Asterisk names its runs by the second they began, and nothing else that AMI says is finer.
            await wait_for(is_another_second, what="a run that begins now has another name")
            await asterisk.restart()
            end = await watch.told(CallEnded)
            assert (end.call.outcome, end.call.estimated) == ("abandoned", True)
            assert watch.ups()[-1].was_restart
            assert end.call.boot == watch.ups()[0].boot
        assert watch.tracker.open_calls() == []


async def test_a_pbx_that_falls_silent_is_noticed() -> None:
    async with running_asterisk() as asterisk, watching(asterisk) as watch:
        assert asterisk.process is not None
        asterisk.process.send_signal(signal.SIGSTOP)
        try:
            await watch.until(lambda: any(isinstance(line, Down) and "ping" in line.reason for line in watch.lines))
        finally:
            asterisk.process.send_signal(signal.SIGCONT)
        await watch.until(lambda: len(watch.ups()) == 2)
        assert watch.ups()[0].boot == watch.ups()[1].boot


async def test_a_call_that_ends_without_a_word_ends_as_estimated_and_another_lives_on() -> None:
    async with running_asterisk() as asterisk, phone(asterisk, "101"):
        deaf = PbxLink(asterisk.pbx_settings(), timing=HASTY, skip=UNWANTED | {"Hangup"})
        async with watching(asterisk, deaf) as watch:
            quick = Cadence(at_least=timedelta(seconds=0.5), settle=timedelta(seconds=0.5))
            gone = VanishedChannels(deaf, watch.tracker.channel_ids, watch.end, cadence=quick)
            checking = asyncio.create_task(LoopRegistry().run("channels", gone.look, wait=gone.rest))
            async with caller(asterisk, "84951234567"):
                first = await watch.told(CallOffered)
                async with caller(asterisk, "79161112233") as second:
                    other = await watch.told(CallOffered, 2)
                    await second.hang_up()
                    end = await watch.told(CallEnded)
                    assert (end.call.linked_id, end.call.estimated) == (other.call.linked_id, True)
                    assert (end.call.outcome, end.call.legs[0].result) == ("abandoned", "cancelled")
                assert [call.linked_id for call in watch.tracker.open_calls()] == [first.call.linked_id]
            checking.cancel()
            await asyncio.wait([checking])
