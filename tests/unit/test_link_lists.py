"""Lists of a PBX and their place among its events; pauses between reconnects; channels that ended without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import replace
from datetime import timedelta

import pytest

from hub.periodic import LoopRegistry
from hub.telephony.line import snapshot
from hub.telephony.line.link import Down, FrameReceived, Timing
from hub.telephony.line.vanished import Cadence, VanishedChannels
from hub.telephony.tracking.calls import CallEnded, Effect
from hub.telephony.tracking.tracker import CallTracker
from tests.fakes.ami_server import Action, ami_server, packet
from tests.unit.ami_script import BOOT, CHANNELS, RULES, START, frame_of
from tests.unit.test_link import AT_ONCE_AGAIN, FAST, SOON, Told, running


def channels(*uniqueids: str, claimed: int | None = None, ahead: str = "", behind: str = "") -> object:
    """Answer CoreShowChannels with these, and with other events right ahead of and right behind the list."""

    def answer(action: Action) -> str:
        mine = {"ActionID": action["ActionID"]}
        start = packet(Response="Success", **mine, EventList="start", Message="Channels will follow")
        rows = [packet(Event="CoreShowChannel", **mine, Uniqueid=uniqueid) for uniqueid in uniqueids]
        told = str(len(uniqueids) if claimed is None else claimed)
        end = packet(Event="CoreShowChannelsComplete", **mine, EventList="Complete", ListItems=told)
        return ahead + start + "".join(rows) + end + behind

    return answer


async def test_an_event_in_one_segment_with_the_lists_end_is_newer_than_the_list() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        server.answers["CoreShowChannels"] = channels(  # type: ignore[assignment]
            "1.1", ahead=packet(Event="Newstate", Uniqueid="1.1"), behind=packet(Event="QueueCallerJoin", Queue="q")
        )
        listed = await link.listed("CoreShowChannels", {}, deadline=SOON)
        older, newer = await told.next(FrameReceived), await told.next(FrameReceived)
        assert (older.frame["Event"], newer.frame["Event"]) == ("Newstate", "QueueCallerJoin")
        assert older.position <= listed.position < newer.position


async def test_a_list_that_was_cut_short_is_known_as_such() -> None:
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        server.answers["CoreShowChannels"] = channels("1.1", claimed=2)  # type: ignore[assignment]
        assert await snapshot.channel_ids(link) is None
        server.answers["CoreShowChannels"] = channels("1.1", "1.2")  # type: ignore[assignment]
        assert await snapshot.channel_ids(link) == {"1.1", "1.2"}


# Pauses


class Clock:
    """A monotonic clock that the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("lasted_s", [29.0, 30.0, 600.0])
async def test_cuts_of_connections_that_lasted_never_make_the_pauses_grow(lasted_s: float) -> None:
    clock, pauses = Clock(), []

    class Noting(Timing):
        def pause_s(self, failures: int, chance: float) -> float:
            pauses.append(failures)
            return 0.0

    timing = Noting(connect_within=SOON, login_within=SOON, booted_within=timedelta(milliseconds=50))
    async with ami_server() as server, running(server, timing=timing, monotonic=clock) as link:
        told = Told(link)
        for _ in range(6):
            await told.up()
            clock.now_s += lasted_s
            server.drop()
            await told.next(Down)
    assert pauses == [1] * len(pauses)
    assert len(pauses) >= 6


async def test_cuts_right_after_the_sign_in_make_the_pauses_grow() -> None:
    pauses = []

    class Noting(Timing):
        def pause_s(self, failures: int, chance: float) -> float:
            pauses.append(failures)
            return 0.0

    timing = Noting(connect_within=SOON, login_within=SOON, booted_within=timedelta(milliseconds=50))
    async with ami_server() as server, running(server, timing=timing, monotonic=Clock()) as link:
        told = Told(link)
        for _ in range(4):
            await told.up()
            server.drop()
            await told.next(Down)
    assert pauses[:4] == [1, 2, 3, 4]


# Channels that are gone

HASTY = Cadence(at_least=timedelta(0), settle=timedelta(milliseconds=30))


class Watched:
    """A tracker with one call, and what was ended of it."""

    def __init__(self) -> None:
        self.tracker = CallTracker(RULES, boot=BOOT)
        self.effects: list[Effect] = []
        self.hear("Newchannel @caller")
        self.over = asyncio.Event()

    def hear(self, line: str) -> None:
        self.effects += self.tracker.handle(frame_of(line), now=START)

    def end(self, uniqueids: Set[str]) -> None:
        self.effects += self.tracker.end_channels(uniqueids, now=START + timedelta(seconds=40))
        self.over.set()

    def ended(self) -> list[CallEnded]:
        return [effect for effect in self.effects if isinstance(effect, CallEnded)]


async def test_a_channel_that_no_list_shows_any_more_ends_as_estimated() -> None:
    watched = Watched()
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        server.answers["CoreShowChannels"] = channels()  # type: ignore[assignment]
        watch = VanishedChannels(link, watched.tracker.channel_ids, watched.end, cadence=HASTY)
        running_watch = asyncio.create_task(LoopRegistry().run("channels", watch.look, wait=watch.rest))
        await asyncio.wait_for(watched.over.wait(), 5)
        running_watch.cancel()
        await asyncio.wait([running_watch])
    (end,) = watched.ended()
    assert (end.call.outcome, end.call.estimated) == ("missed", True)
    assert end.call.legs[0].result == "cancelled"
    assert end.call.wait_s == 40.0


async def test_a_channel_that_the_list_shows_lives_on() -> None:
    watched = Watched()
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        server.answers["CoreShowChannels"] = channels(CHANNELS["caller"].uniqueid)  # type: ignore[assignment]
        await VanishedChannels(link, watched.tracker.channel_ids, watched.end, cadence=HASTY).look()
    assert watched.ended() == []


async def test_a_channel_that_is_born_while_the_list_is_taken_is_not_gone() -> None:
    watched = Watched()
    async with ami_server() as server, running(server) as link:
        await Told(link).up()

        def born_meanwhile(action: Action) -> str:
            watched.hear("Newchannel @desk")
            return channels(CHANNELS["caller"].uniqueid)(action)  # type: ignore[operator, no-any-return]

        server.answers["CoreShowChannels"] = born_meanwhile
        await VanishedChannels(link, watched.tracker.channel_ids, watched.end, cadence=HASTY).look()
    assert watched.ended() == []
    assert len(watched.tracker.open_calls()) == 2


async def test_a_hangup_on_its_way_behind_the_list_is_waited_for() -> None:
    watched = Watched()
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        server.answers["CoreShowChannels"] = channels()  # type: ignore[assignment]
        cadence = replace(HASTY, settle=timedelta(milliseconds=300))
        looking = asyncio.create_task(
            VanishedChannels(link, watched.tracker.channel_ids, watched.end, cadence=cadence).look()
        )
        await server.arrived("CoreShowChannels")
        watched.hear("Hangup @caller Cause=16")
        await looking
    (end,) = watched.ended()
    assert not end.call.estimated


async def test_nothing_is_concluded_across_a_reconnect() -> None:
    watched = Watched()
    async with ami_server() as server, running(server, timing=AT_ONCE_AGAIN) as link:
        told = Told(link)
        await told.up()
        server.answers["CoreShowChannels"] = channels()  # type: ignore[assignment]
        cadence = replace(HASTY, settle=timedelta(milliseconds=300))
        looking = asyncio.create_task(
            VanishedChannels(link, watched.tracker.channel_ids, watched.end, cadence=cadence).look()
        )
        await server.arrived("CoreShowChannels")
        server.drop()
        await told.next(Down)
        await told.up()
        await looking
    assert watched.ended() == []


async def test_no_list_is_asked_for_where_no_channel_is_known_or_the_reader_lags() -> None:
    async with ami_server() as server, running(server, timing=FAST) as link:
        await Told(link).up()
        watched = Watched()
        lagging = replace(HASTY, max_lag_frames=0)
        server.send(packet(Event="Newstate") * 3)
        await server.arrived("Login")
        async with asyncio.timeout(5):
            while link.lag == 0:
                await asyncio.sleep(0)
        await VanishedChannels(link, watched.tracker.channel_ids, watched.end, cadence=lagging).look()
        await VanishedChannels(link, set, watched.end, cadence=HASTY).look()
        assert server.named("CoreShowChannels") == []


def test_a_lost_call_ends_within_a_minute_however_many_channels_there_are() -> None:
    cadence = Cadence()
    assert max(cadence.pause(n) + cadence.settle for n in (0, 10, 1_000, 20_000)) < timedelta(minutes=1)
    assert cadence.pause(1_000) > cadence.pause(10)
