"""The line to a PBX against a scripted AMI server on a real socket: each defect of panoramisk 1.4 by its cause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop

from hub.errors import Refused, Unavailable, Unknown
from hub.settings import Pbx, Secret
from hub.telephony.line.link import Down, FrameReceived, Incoming, PbxLink, Timing, Up
from tests.fakes.ami_server import Action, AmiServer, ami_server, packet
from tests.testbed.waiting import wait_for

SOON = timedelta(seconds=5)
AT_ONCE = timedelta(milliseconds=50)
FAST = Timing(
    connect_within=SOON,
    login_within=SOON,
    booted_within=AT_ONCE,
    ping_every=SOON,
    pong_within=SOON,
    first_pause=timedelta(milliseconds=10),
    longest_pause=timedelta(milliseconds=20),
    auth_pause=timedelta(hours=1),
)


AT_ONCE_AGAIN = replace(FAST, first_pause=timedelta(0), longest_pause=timedelta(0))


class Told:
    """What a consumer was told, in order."""

    def __init__(self, link: PbxLink) -> None:
        self._stream = link.incoming()

    async def next(self, kind: type[Any]) -> Any:
        """Return the next item, which must be of that kind."""
        async with asyncio.timeout(5):
            item: Incoming = await anext(self._stream)
        assert isinstance(item, kind), item
        return item

    async def up(self) -> Up:
        """Return the next `Up`; the sign-in's FullyBooted that follows it is read too."""
        up = await self.next(Up)
        assert (await self.next(FrameReceived)).frame["Event"] == "FullyBooted"
        return up  # type: ignore[no-any-return]

    async def names(self, count: int) -> list[str]:
        return [(await self.next(FrameReceived)).frame["Event"] for _ in range(count)]


@asynccontextmanager
async def running(
    server: AmiServer, *, password: str = "open sesame", timing: Timing = FAST, **kw: Any
) -> AsyncIterator[PbxLink]:
    pbx = Pbx(name="office", port=server.port, username="hub", secret=Secret(password))
    link = PbxLink(pbx, timing=timing, **kw)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def eventually(check: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return check()

    await wait_for(asked, what="the condition")


async def connections_but_the_probes(server: AmiServer, *, probes: int) -> int:
    """Count the connections after so many others were accepted: a line that tried again at once would be among them."""
    for _ in range(probes):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await reader.readline()
        writer.close()
    server.probes += probes
    return server.connections - server.probes


async def test_it_signs_in_and_tells_which_run_of_the_pbx_this_is() -> None:
    async with ami_server() as server, running(server) as link:
        up = await Told(link).up()
        assert up == Up(boot="2026-11-24T10:00:00", system="office", version="22.10.0", was_restart=False)
        assert link.state.status == "up"


async def test_up_comes_before_the_events_that_arrived_during_the_sign_in() -> None:
    async with ami_server() as server:
        early = packet(Event="Newchannel", Uniqueid="1.1")
        server.answers["CoreStatus"] = lambda a: early + packet(Response="Success", ActionID=a["ActionID"])
        async with running(server) as link:
            told = Told(link)
            await told.up()
            assert await told.names(1) == ["Newchannel"]


async def test_a_character_split_across_two_segments_stays_whole() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        raw = packet(Event="Newchannel", CallerIDName="Иван").encode()
        cut = raw.index("И".encode()) + 1
        assert link._protocol is not None
        before = link._protocol.heard
        server.send(raw[:cut])
        await eventually(lambda: link._protocol is not None and link._protocol.heard > before)
        server.send(raw[cut:])
        assert (await told.next(FrameReceived)).frame["CallerIDName"] == "Иван"


async def test_an_action_whose_answer_was_lost_is_unknown_and_is_not_sent_again() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        server.answers["Originate"] = lambda _: None
        async with asyncio.TaskGroup() as tasks:
            dial = tasks.create_task(outcome(link.action("Originate", {"Exten": "74951234567"}, deadline=SOON)))
            await server.arrived("Originate")
            server.drop()
        assert isinstance(dial.result(), Unknown)
        await told.next(Down)
        await told.up()
        await link.action("Ping", {}, deadline=SOON)
        assert len(server.named("Originate")) == 1


async def outcome(asked: Any) -> object:
    try:
        return await asked
    except (Refused, Unavailable, Unknown) as error:
        return error


async def test_without_a_connection_an_action_is_unavailable_since_nothing_was_written() -> None:
    async with ami_server() as server:
        link = PbxLink(Pbx(name="office", port=server.port, username="hub"), timing=FAST)
        with pytest.raises(Unavailable):
            await link.action("Ping", {}, deadline=SOON)


async def test_events_stay_in_order_and_a_slow_consumer_does_not_stop_the_reader() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        server.send("".join(packet(Event="Newstate", N=str(n)) for n in range(5_000)))
        await link.action("Ping", {}, deadline=SOON)  # its answer came after all of them
        got = [(await told.next(FrameReceived)).frame["N"] for _ in range(5_000)]
        assert got == [str(n) for n in range(5_000)]


async def test_a_full_stream_cuts_the_line_and_what_was_read_before_stays_in_order() -> None:
    async with ami_server() as server, running(server, max_frames=100) as link:
        told = Told(link)
        await told.up()
        server.send("".join(packet(Event="Newstate", N=str(n)) for n in range(500)))
        await eventually(lambda: link.state.status != "up")
        got = [(await told.next(FrameReceived)).frame["N"] for _ in range(100)]
        assert got == [str(n) for n in range(100)]
        assert "faster than" in (await told.next(Down)).reason
        assert not (await told.up()).was_restart


async def test_it_does_not_come_back_before_the_consumer_has_caught_up() -> None:
    async with ami_server() as server, running(server, max_frames=100, timing=AT_ONCE_AGAIN) as link:
        told = Told(link)
        await told.up()
        server.send("".join(packet(Event="Newstate", N=str(n)) for n in range(500)))
        await eventually(lambda: link.state.status == "down")
        assert await connections_but_the_probes(server, probes=20) == 1
        await told.names(100)
        await told.next(Down)
        await told.up()
        assert await connections_but_the_probes(server, probes=0) == 2


async def test_a_half_open_connection_is_noticed_by_unanswered_pings() -> None:
    timing = Timing(
        ping_every=AT_ONCE, pong_within=AT_ONCE, first_pause=AT_ONCE, longest_pause=AT_ONCE, booted_within=AT_ONCE
    )
    async with ami_server() as server, running(server, timing=timing) as link:
        told = Told(link)
        await told.up()
        await server.arrived("Ping", 2)
        server.answers["Ping"] = lambda _: None
        assert "ping" in (await told.next(Down)).reason


def test_dead_is_noticed_within_15_s_by_default() -> None:
    assert Timing().ping_every + Timing().pong_within < timedelta(seconds=15)
    assert Timing().ping_every == timedelta(seconds=5)


async def test_a_refused_password_stops_the_attempts() -> None:
    async with ami_server() as server, running(server, password="wrong", timing=AT_ONCE_AGAIN) as link:
        down = await Told(link).next(Down)
        assert down.auth_refused
        assert "Authentication failed" in down.reason
        assert await connections_but_the_probes(server, probes=20) == 1
        assert link.state.status == "auth_refused"
    assert Timing().auth_pause >= timedelta(minutes=5)


def test_pauses_between_attempts_grow_to_a_bound_and_are_jittered() -> None:
    timing = Timing()
    assert [timing.pause_s(failures, 1.0) for failures in (1, 2, 3, 4, 5, 6, 7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [timing.pause_s(failures, 0.0) for failures in (1, 2, 1_000_000)] == [0.5, 1, 15]


async def test_a_stranger_at_the_port_is_named_and_tried_again() -> None:
    async with ami_server(greeting="SSH-2.0-OpenSSH\r\n") as server, running(server) as link:
        told = Told(link)
        for _ in range(3):
            assert "not an Asterisk manager" in (await told.next(Down)).reason


async def test_stopping_leaves_no_reconnect_behind() -> None:
    async with ami_server() as server:
        async with running(server) as link:
            await Told(link).up()
        assert not [t for t in asyncio.all_tasks() if "create_connection" in repr(t)]
        assert server.connections == 1


async def test_nobody_listening_is_told_and_tried_again() -> None:
    async with ami_server() as server:
        port = server.port
    link = PbxLink(Pbx(name="office", port=port, username="hub"), timing=FAST)
    task = asyncio.create_task(link.run())
    told = Told(link)
    for _ in range(2):
        assert "cannot connect" in (await told.next(Down)).reason
    task.cancel()
    await asyncio.wait([task])


async def test_a_value_with_a_line_end_is_refused_before_a_byte_is_written() -> None:
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        with pytest.raises(Refused):
            await link.action("Originate", {"Exten": "1\r\nAction: Command\r\nCommand: core stop now"}, deadline=SOON)
        await link.action("Ping", {}, deadline=SOON)
        assert b"Command" not in server.raw
        assert not server.named("Originate")


async def test_an_error_of_the_pbx_is_refused_with_its_words() -> None:
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        server.answers["QueueWithdrawCaller"] = lambda a: packet(
            Response="Error", ActionID=a["ActionID"], Message="Already requested"
        )
        with pytest.raises(Refused) as refused:
            await link.action("QueueWithdrawCaller", {"Queue": "hub-sales"}, deadline=SOON)
        assert refused.value.code == "pbx_refused"
        assert refused.value.details["reason"] == "Already requested"


async def test_queue_add_resolves_though_its_message_looks_like_a_list() -> None:
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        server.answers["QueueAdd"] = lambda a: packet(
            Response="Success", ActionID=a["ActionID"], Message="Added interface to queue"
        )
        answer = await link.action("QueueAdd", {"Queue": "hub-sales"}, deadline=SOON)
        assert answer["Message"] == "Added interface to queue"


async def test_the_originate_response_is_an_event_and_not_eaten_by_the_action() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()

        def originate(action: Action) -> str:
            accepted = packet(Response="Success", ActionID=action["ActionID"], Message="Originate successfully queued")
            done = packet(Event="OriginateResponse", ActionID=action["ActionID"], Response="Success", Uniqueid="hub-1")
            return accepted + done

        server.answers["Originate"] = originate
        answer = await link.action("Originate", {"Async": "true"}, deadline=SOON)
        assert answer["Message"] == "Originate successfully queued"
        assert (await told.next(FrameReceived)).frame["Uniqueid"] == "hub-1"


async def test_a_timed_out_action_leaks_nothing_and_its_late_answer_disturbs_nobody() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        server.answers["Status"] = lambda _: None
        for _ in range(10):
            with pytest.raises(Unknown):
                await link.action("Status", {}, deadline=timedelta(milliseconds=1))
        assert link._protocol is not None
        assert not link._protocol.responses
        late = (await server.arrived("Status"))[0]["ActionID"]
        server.send(packet(Response="Success", ActionID=late) + packet(Event="StatusRow", ActionID=late))
        server.send(packet(Event="Newchannel", Uniqueid="1.1"))
        assert await told.names(1) == ["Newchannel"]


async def test_a_cancelled_action_leaks_nothing() -> None:
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        server.answers["Status"] = lambda _: None
        task = asyncio.create_task(link.action("Status", {}, deadline=SOON))
        await server.arrived("Status")
        task.cancel()
        await asyncio.wait([task])
        assert link._protocol is not None
        assert not link._protocol.responses


async def test_a_list_comes_whole_and_in_order_with_other_events_between() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()

        def channels(action: Action) -> str:
            number = {"ActionID": action["ActionID"]}
            rows = [packet(Event="CoreShowChannel", **number, Uniqueid=f"1.{n}") for n in range(3)]
            rows.insert(1, packet(Event="Newstate", Uniqueid="1.0"))
            start = packet(Response="Success", **number, EventList="start", Message="Channels will follow")
            return start + "".join(rows) + packet(Event="CoreShowChannelsComplete", **number, EventList="Complete")

        server.answers["CoreShowChannels"] = channels
        rows = await link.list_action("CoreShowChannels", {}, deadline=SOON)
        assert [row["Uniqueid"] for row in rows] == ["1.0", "1.1", "1.2"]
        assert await told.names(1) == ["Newstate"]


async def test_a_list_that_the_connection_cuts_is_unknown() -> None:
    async with ami_server() as server, running(server) as link:
        await Told(link).up()
        server.answers["CoreShowChannels"] = lambda a: packet(
            Response="Success", ActionID=a["ActionID"], EventList="start"
        )
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(outcome(link.list_action("CoreShowChannels", {}, deadline=SOON)))
            await server.arrived("CoreShowChannels")
            server.drop()
        assert isinstance(asked.result(), Unknown)


async def test_the_secret_is_in_no_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        server.drop()
        await told.next(Down)
        await told.up()
        assert server.named("Login")[0]["Secret"] == "open sesame"
    async with ami_server() as server, running(server, password="wrong-secret") as link:
        await Told(link).next(Down)
    assert "sesame" not in caplog.text
    assert "wrong-secret" not in caplog.text


async def test_a_cut_keeps_the_boot_and_a_restart_of_the_pbx_changes_it() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        before = await told.up()
        server.drop()
        await told.next(Down)
        again = await told.up()
        assert (again.boot, again.was_restart) == (before.boot, False)
        server.startup_time = "10:30:00"
        server.drop()
        await told.next(Down)
        restarted = await told.up()
        assert restarted.was_restart
        assert restarted.boot != before.boot


async def test_a_restart_while_hub_was_away_is_told_by_the_boot_that_it_knew() -> None:
    async with ami_server() as server, running(server, known_boot="2026-11-01T00:00:00") as link:
        assert (await Told(link).up()).was_restart


async def test_without_the_right_to_core_status_the_uptime_names_the_boot() -> None:
    wall = [datetime(2026, 11, 24, 10, 0, tzinfo=UTC)]
    async with ami_server(core_status=False) as server, running(server, wall=lambda: wall[0]) as link:
        told = Told(link)
        first = await told.up()
        wall[0] += timedelta(seconds=62)
        server.uptime_s += 60
        server.drop()
        await told.next(Down)
        assert await told.up() == first
        server.uptime_s = 1
        server.drop()
        await told.next(Down)
        assert (await told.up()).was_restart


async def test_a_rogue_pbx_with_an_endless_body_is_cut() -> None:
    async with ami_server() as server, running(server) as link:
        told = Told(link)
        await told.up()
        server.send(b"Event: Newchannel\r\nCallerIDName: " + b"x" * 2_000_000)
        assert "longer than" in (await told.next(Down)).reason
        await told.up()


async def test_times_do_not_jump_when_the_wall_clock_is_set() -> None:
    wall = [datetime(2026, 11, 24, 10, 0, tzinfo=UTC)]
    async with ami_server() as server, running(server, wall=lambda: wall[0], monotonic=lambda: 5.0) as link:
        told = Told(link)
        await told.up()
        wall[0] -= timedelta(hours=1)
        server.send(packet(Event="Newstate"))
        assert (await told.next(FrameReceived)).at == datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "scenario",
    [
        test_a_stranger_at_the_port_is_named_and_tried_again,
        test_an_action_whose_answer_was_lost_is_unknown_and_is_not_sent_again,
        test_a_full_stream_cuts_the_line_and_what_was_read_before_stays_in_order,
        test_a_refused_password_stops_the_attempts,
    ],
)
def test_the_loop_of_the_service_reads_the_first_segment_earlier_and_all_holds(scenario: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
