"""The way before the queue on a real Asterisk: what each answer does, and what a dead, hanging or hostile Hub cannot.

One Asterisk for all; Hub is a scripted peer here that answers whatever a test wants, byte for byte.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
import pytest_asyncio

from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.record import CLAIM, HUNG_UP, IN_TALK, JOINED, OTHER_CLAIM, Ami
from tests.testbed.sipp import SippCall, caller, phone
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

pytestmark = [pytest.mark.asterisk, pytest.mark.asyncio(loop_scope="module")]
SECRET = Asterisk.ASK_SECRET
WAITING, PERSONAL, OVERFLOW = b"UserEvent: HubWaiting", b"UserEvent: HubPersonal\r\n", b"UserEvent: HubOverflow"


@dataclass
class ScriptedHub:
    """Answers every question with `answer`, after `delay_s`; `hang` never answers, `closed` is no port at all."""

    port: int
    answer: bytes = b""
    raw: bool = False
    hang: bool = False
    drip: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    name: bytes | None = None
    """What it answers to who a caller is; None: as `answer`."""
    asked_name: list[dict[str, str]] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def open(self) -> None:
        if self.server is None:
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length"))
        fields = parse_qs((await reader.readexactly(length)).decode(), keep_blank_values=True)
        is_name = head.startswith(b"POST /pbx/name ")
        (self.asked_name if is_name else self.asked).append({name: values[0] for name, values in fields.items()})
        answer = self.name if is_name and self.name is not None else self.answer
        try:
            if self.hang:
                await reader.read()
            elif self.raw:
                writer.write(answer)
            else:
                body = answer + b"\n"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
                for piece in [body[i : i + 1] for i in range(len(body))] if self.drip else [body]:
                    writer.write(piece)
                    await writer.drain()
                    if self.drip and await reader.read(1) == b"":
                        break
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@dataclass
class Pbx:
    asterisk: Asterisk
    hub: ScriptedHub

    @asynccontextmanager
    async def listening(self, answer: str | bytes = b"", **behaviour: bool) -> AsyncIterator[Ami]:
        self.hub.answer = answer.encode() if isinstance(answer, str) else answer
        self.hub.raw = self.hub.hang = self.hub.drip = False
        for name, value in behaviour.items():
            setattr(self.hub, name, value)
        self.hub.asked.clear()
        self.hub.asked_name.clear()
        self.hub.name = None
        await self.hub.open()
        ami = await Ami.open(self.asterisk)
        try:
            yield ami
        finally:
            ami.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pbx() -> AsyncIterator[Pbx]:
    hub = ScriptedHub(free_port())
    settings = f"HUB_URL = http://127.0.0.1:{hub.port}"
    async with running_asterisk(ring_s=2, wait_s=2, settings=settings) as asterisk:
        yield Pbx(asterisk, hub)
    await hub.close()


def said(ami: Ami) -> list[str]:
    """The dialplan's words, and who joined which queue, in order."""
    found = []
    for frame in ami.stream.decode("utf-8", "replace").split("\r\n\r\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\r\n") if ": " in line)
        if fields.get("Event") == "UserEvent":
            found.append(fields["UserEvent"])
        elif fields.get("Event") == "QueueCallerJoin":
            found.append(f"in {fields['Queue']}")
    return found


def seconds_until(ami: Ami, event: bytes) -> float:
    """How long after its first channel was born an event came, by Asterisk's own clock."""
    return float(ami.header(event, b"Timestamp")) - float(ami.header(b"Event: Newchannel", b"Timestamp"))


async def test_the_question_says_who_calls_whom_and_shows_the_secret_nowhere(pbx: Pbx) -> None:
    async with pbx.listening("hub:open:-:0:-:0:fallback:no:end") as ami:
        async with caller(pbx.asterisk, "+74951234567") as stranger:
            await ami.count(JOINED, 1)
            await stranger.hang_up()
            await ami.count(HUNG_UP, 1)
        assert pbx.hub.asked == [
            {
                "secret": SECRET,
                "pbx": "office",
                "queue": "hub-sales",
                "from": "+74951234567",
                "pres": "allowed_not_screened",
                "did": "74950000100",
            }
        ]
        console = pbx.asterisk.log.read_text("utf-8", "replace")
        assert "hub-ask" in console and "word" not in console, "neither as it is nor encoded"
        assert b"word" not in ami.stream


async def test_a_blocked_caller_is_rejected_unanswered_and_nobody_is_rung(pbx: Pbx) -> None:
    async with (
        pbx.listening("hub:blocked:101:9:hub-support:9:callback:yes:end") as ami,
        phone(pbx.asterisk, "101") as one,
    ):
        async with caller(pbx.asterisk, "84951234567") as stranger:
            await ami.count(HUNG_UP, 1)
            await stranger.ended()
            received = stranger.first_lines("received")
        assert {line for line in received if not line.startswith("SIP/2.0 100")} == {"SIP/2.0 403 Forbidden"}
        assert said(ami) == ["HubBlocked"]
        assert one.first_lines("received") == []


async def test_the_own_manager_who_answers_is_rung_first_and_alone(pbx: Pbx) -> None:
    async with pbx.listening("hub:open:101:5:hub-support:5:callback:no:end") as ami:
        async with phone(pbx.asterisk, "101", talk_ms=300), phone(pbx.asterisk, "102") as other:
            async with caller(pbx.asterisk, "84951234567"):
                await ami.count(IN_TALK, 2)
                await ami.count(HUNG_UP, 2)
            assert other.first_lines("received") == []
        assert said(ami) == ["HubWaiting", "HubPersonal"]
        assert ami.header(PERSONAL, b"Extension") == "101"


async def test_a_manager_who_rejects_is_not_rung_again_and_the_team_gets_the_call(pbx: Pbx) -> None:
    async with pbx.listening("hub:open:101:5:-:0:fallback:no:end") as ami:
        async with phone(pbx.asterisk, "101", "reject", calls=9) as own, phone(pbx.asterisk, "102", "reject", calls=9):
            async with caller(pbx.asterisk, "84951234567") as client:
                await ami.count(JOINED, 1)
                await ami.take("102")
                await ami.count(JOINED, 2)  # the claim failed, and the caller is back in the queue
                await client.hang_up()
                await ami.count(HUNG_UP, 3)
            invites = [line for line in own.first_lines("received") if line.startswith("INVITE")]
        assert len(invites) == 1
        assert said(ami) == [
            "HubWaiting",
            "HubPersonal",
            "HubPersonalOver",
            "in hub-sales",
            "HubClaimStarted",
            "HubClaimFailed",
            "in hub-sales",
        ]
        assert len(pbx.hub.asked) == 1, "Hub is asked once, however often the caller comes by"


async def test_a_manager_who_does_not_answer_is_rung_for_the_seconds_given(pbx: Pbx) -> None:
    async with pbx.listening("hub:open:101:1:-:0:fallback:no:end") as ami, phone(pbx.asterisk, "101", "no_answer"):
        async with caller(pbx.asterisk, "84951234567") as client:
            await ami.count(JOINED, 1)
            await client.hang_up()
            await ami.count(HUNG_UP, 2)
        assert 0.9 < seconds_until(ami, JOINED) < 2.5


async def test_callers_overflow_to_the_other_team_once_and_then_to_the_last_step(pbx: Pbx) -> None:
    """HUB_WAIT is 2 s here: one second for the first team, two for the other, then the site's own fallback."""
    async with (
        pbx.listening("hub:open:-:0:hub-support:1:fallback:no:end") as ami,
        phone(pbx.asterisk, "101", talk_ms=100),
        phone(pbx.asterisk, "102", "no_answer"),
        caller(pbx.asterisk, "84951234567"),
    ):
        await ami.count(HUNG_UP, 3)
        assert said(ami) == ["HubWaiting", "in hub-sales", "HubOverflow", "in hub-support"]
        assert (ami.header(OVERFLOW, b"From"), ami.header(OVERFLOW, b"Queue")) == ("hub-sales", "hub-support")


async def test_an_overflow_to_a_queue_that_is_not_there_loses_nobody(pbx: Pbx) -> None:
    async with (
        pbx.listening("hub:open:-:0:hub-gone:1:fallback:no:end") as ami,
        phone(pbx.asterisk, "101", talk_ms=100),
        phone(pbx.asterisk, "102", "no_answer"),
        caller(pbx.asterisk, "84951234567"),
    ):
        await ami.count(IN_TALK, 2)
        await ami.count(HUNG_UP, 3)


async def test_a_caller_of_a_closed_team_may_press_one_to_be_called_back(pbx: Pbx) -> None:
    async with (
        pbx.listening("hub:closed:101:9:hub-support:9:callback:no:end") as ami,
        phone(pbx.asterisk, "101") as one,
    ):
        async with caller(pbx.asterisk, "84951234567"):
            await ami.count(b"UserEvent: HubClosed", 1)
            channel = ami.header(b"UserEvent: HubClosed", b"Channel")
            await press(ami, channel, "1", until=b"UserEvent: HubCallback")
            await ami.count(HUNG_UP, 1)
        assert said(ami) == ["HubWaiting", "HubClosed", "HubCallback"]
        assert one.first_lines("received") == [], "nobody is rung while the team is closed"


async def test_a_caller_who_presses_nothing_or_has_no_number_goes_to_the_fallback(pbx: Pbx) -> None:
    for number, key in (("84951234567", "5"), ("anonymous", "")):
        async with pbx.listening("hub:closed:-:0:-:0:callback:no:end") as ami, phone(pbx.asterisk, "102", "no_answer"):
            async with phone(pbx.asterisk, "101", talk_ms=100), caller(pbx.asterisk, number):
                await ami.count(b"UserEvent: HubClosed", 1)
                if key:
                    await press(ami, ami.header(b"UserEvent: HubClosed", b"Channel"), key, until=IN_TALK)
                await ami.count(IN_TALK, 2)
                await ami.count(HUNG_UP, 3)
            assert said(ami) == ["HubWaiting", "HubClosed"]


async def press(ami: Ami, channel: str, key: str, *, until: bytes) -> None:
    """Press a key again and again, as people do, until the dialplan has heard it."""
    async with asyncio.timeout(20):
        while ami.stream.count(until) < 1:
            await ami.send("PlayDTMF", Channel=channel, Digit=key, Receive="true")
            try:
                await ami.count(until, 1, deadline_s=0.5)
            except TimeoutError:
                continue


async def test_a_voicemail_is_kept_also_when_the_caller_hangs_up_in_it(pbx: Pbx) -> None:
    async with pbx.listening("hub:closed:-:0:-:0:voicemail:no:end") as ami:
        async with caller(pbx.asterisk, "84951234567") as client:
            monitor = pbx.asterisk.home / "spool" / "monitor"

            async def is_recorded() -> bool:
                speak(client)
                files = list(monitor.rglob("*-voicemail.wav"))
                return bool(files) and files[0].stat().st_size > 3 * 16_000  # three seconds of it

            await wait_for(is_recorded, what="three seconds are recorded", deadline_s=30)
            await client.hang_up()
            await ami.count(HUNG_UP, 1)
        assert said(ami) == ["HubWaiting", "HubClosed", "HubRecording", "HubVoicemail"]
        name = ami.header(b"UserEvent: HubVoicemail", b"File")
        assert name == ami.header(b"UserEvent: HubRecording", b"File")
        assert (monitor / name).stat().st_size > 3 * 16_000
        assert int(ami.header(b"UserEvent: HubVoicemail", b"Seconds")) >= 2


_sequence = itertools.count()


def speak(call: SippCall) -> None:
    """Send as much noise as belongs between now and the last time; called again and again, it is a voice."""
    told = re.search(r"SIP/2\.0 200 OK.*?m=audio (\d+)", call.messages(), re.DOTALL)
    if told:
        n = next(_sequence)
        head = struct.pack("!BBHII", 0x80, 0, n & 0xFFFF, n * 160, 0x1234)
        call.media.sendto(head + os.urandom(160), ("127.0.0.1", int(told[1])))


async def test_whoever_hangs_up_before_the_tone_has_left_no_voicemail(pbx: Pbx) -> None:
    async with pbx.listening("hub:closed:-:0:-:0:voicemail:no:end") as ami:
        async with caller(pbx.asterisk, "84951234567") as client:
            await ami.count(b"UserEvent: HubClosed", 1)
            await client.hang_up()
            await ami.count(HUNG_UP, 1)
        assert said(ami) == ["HubWaiting", "HubClosed"]


async def test_with_hub_dead_the_caller_waits_for_the_team_at_once(pbx: Pbx) -> None:
    async with pbx.listening() as ami:
        await pbx.hub.close()
        async with caller(pbx.asterisk, "84951234567") as client:
            await ami.count(JOINED, 1)
            await client.hang_up()
            await ami.count(HUNG_UP, 1)
        assert said(ami) == ["HubWaiting", "in hub-sales"]
        assert seconds_until(ami, WAITING) < 0.3


@pytest.mark.parametrize("how", ["hang", "drip"])
async def test_with_hub_hanging_the_caller_waits_300_ms_and_no_longer(pbx: Pbx, how: str) -> None:
    async with pbx.listening("hub:closed:101:5:hub-support:9:voicemail:no:end", **{how: True}) as ami:
        async with caller(pbx.asterisk, "84951234567") as client:
            await ami.count(JOINED, 1)
            await client.hang_up()
            await ami.count(HUNG_UP, 1)
        assert said(ami) == ["HubWaiting", "in hub-sales"]
        assert 0.25 < seconds_until(ami, WAITING) < 0.5


def display(one: SippCall) -> str:
    """What the INVITE that a phone got makes it show: the From header's address, as written."""
    found = re.search(r"^From: (.*);tag", one.received(), re.MULTILINE)
    assert found
    return found[1]


OPEN_ROUTE = "hub:open:-:0:-:0:fallback:no:end"
HOSTILE_NAMES = [
    b"",
    b"hub::end",
    b"hub:%D0%A0",
    b"hub:A%0D%0AX-Evil%3A 1:end",
    b"hub:A%22%20%3Csip%3A900%40evil%3E:end",
    b"hub:A%5C:end",
    b"hub:A%C2%85B:end",
    b"hub:A%1:end",
    b"hub:A%ZZ:end",
    b"hub:" + b"A" * 501 + b":end",
    b"x" * 100_000,
    b"hub:A:end:hub:B:end",
]


async def test_a_phone_that_is_rung_for_a_client_shows_the_name_that_hub_says(pbx: Pbx) -> None:
    name = "%D0%A0%D0%BE%D0%BC%D0%B0%D1%88%D0%BA%D0%B0%2C%20A%26B%20%24%7BHUB%5FRING%7D%3F%3A"
    async with pbx.listening("hub:open:101:1:-:0:fallback:no:end") as ami:
        pbx.hub.name = f"hub:{name}:end".encode()
        async with phone(pbx.asterisk, "101", "no_answer") as own, phone(pbx.asterisk, "102", talk_ms=300) as other:
            async with caller(pbx.asterisk, "84951234567", name="SOMEBODY"):
                await ami.count(JOINED, 1)
                await ami.take("102")
                await ami.count(HUNG_UP, 3)
            shown = '"Ромашка, A&B ${HUB_RING}?:" <sip:84951234567@127.0.0.1>'
            assert (display(own), display(other)) == (shown, shown)
    assert [(one["from"], one["pbx"], one["secret"]) for one in pbx.hub.asked_name] == [
        ("84951234567", "office", SECRET)
    ] * 2
    assert {one["call"] for one in pbx.hub.asked_name} == {ami.header(JOINED, b"Linkedid")}


@pytest.mark.parametrize("answer", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
async def test_a_name_that_is_none_leaves_the_number_and_puts_nothing_into_the_header(pbx: Pbx, answer: bytes) -> None:
    async with pbx.listening(OPEN_ROUTE) as ami:
        pbx.hub.name = answer
        async with phone(pbx.asterisk, "101", talk_ms=200) as own, caller(pbx.asterisk, "84951234567"):
            await ami.count(JOINED, 1)
            await ami.take("101")
            await ami.count(HUNG_UP, 2)
            assert display(own) in ("<sip:84951234567@127.0.0.1>", '"84951234567" <sip:84951234567@127.0.0.1>')
            assert "Evil" not in own.received()


@pytest.mark.parametrize(("is_open", "at_most_s"), [(False, 0.25), (True, 0.6)], ids=["dead", "hanging"])
async def test_without_a_name_in_time_the_phone_rings_with_the_number(
    pbx: Pbx, is_open: bool, at_most_s: float
) -> None:
    async with pbx.listening(OPEN_ROUTE) as ami, phone(pbx.asterisk, "101", "no_answer") as own:
        async with caller(pbx.asterisk, "84951234567") as client:
            await ami.count(JOINED, 1)
            pbx.hub.hang = True
            if not is_open:
                await pbx.hub.close()
            for claim in (CLAIM, OTHER_CLAIM):
                began = ami.stream.count(b"HubClaimStarted")
                await ami.take("101", claim)
                await ami.count(b"HubClaimStarted", began + 1)
                await ami.count(b"Event: DialBegin", began + 1)
                await ami.count(JOINED, began + 2)
            await client.hang_up()
            await ami.count(HUNG_UP, 3)
        assert own.received().count("<sip:84951234567@127.0.0.1>;tag") >= 1
        first = frame_time(ami, b"Event: DialBegin", 0) - frame_time(ami, b"UserEvent: HubClaimStarted", 0)
        second = frame_time(ami, b"Event: DialBegin", 1) - frame_time(ami, b"UserEvent: HubClaimStarted", 1)
        assert first < at_most_s, "300 ms and no longer"
        assert second < 0.25, "a Hub that was silent is not waited for again"
        assert len(pbx.hub.asked_name) == is_open


def frame_time(ami: Ami, event: bytes, nth: int) -> float:
    frame = [frame for frame in ami.stream.split(b"\r\n\r\n") if event in frame][nth]
    found = re.search(rb"Timestamp: ([0-9.]+)", frame)
    assert found
    return float(found[1])


GARBAGE: list[bytes] = [
    b"",
    b"\x00\xff\xfe garbage",
    b"hub:closed",
    b"hub:closed:101:5:hub-support:9:voicemail:no",
    b"hub:closed:101:5:hub-support:9:voicemail:no:end:end",
    b"<html><h1>502 Bad Gateway</h1></html>",
    b'{"error": {"code": "forbidden"}}',
    b"x" * 100_000,
    b"hub:closed:-:0:-:0:voicemail:no:end" + b"\nhub:closed:-:0:-:0:voicemail:no:end" * 300,
]


@pytest.mark.parametrize("answer", GARBAGE, ids=range(len(GARBAGE)))
async def test_an_answer_that_is_none_is_as_good_as_no_answer(pbx: Pbx, answer: bytes) -> None:
    async with pbx.listening(answer) as ami:
        async with caller(pbx.asterisk, "84951234567") as client:
            await ami.count(JOINED, 1)
            await client.hang_up()
            await ami.count(HUNG_UP, 1)
        assert said(ami) == ["HubWaiting", "in hub-sales"]
        assert seconds_until(ami, WAITING) < 0.5


HOSTILE = [
    "hub:open:101&PJSIP/102:3:-:0:fallback:no:end",
    "hub:open:101,1,gG(h^1^1):3:-:0:fallback:no:end",
    "hub:open:101)&${SHELL(touch /tmp/pwned)}:3:-:0:fallback:no:end",
    "hub:open:${CALLERID(num)}:3:-:0:fallback:no:end",
    "hub:open:199\r\nAction: Originate:3:-:0:fallback:no:end",
    "hub:open:199:9999999999999999999:hub-support&x,t:1) | System(id):voicemail,x:yes]:end",
    'hub:"open" = "closed":199:1:-:0:fallback:no:end',
]


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_answer_rings_nobody_else_and_runs_nothing(pbx: Pbx, answer: str) -> None:
    async with pbx.listening(answer) as ami, phone(pbx.asterisk, "102") as other, phone(pbx.asterisk, "101", "reject"):
        async with caller(pbx.asterisk, "84951234567") as client:
            await ami.count(JOINED, 1)
            await client.hang_up()
            await ami.count(HUNG_UP, 1)
        assert other.first_lines("received") == []
        heard = said(ami)
        assert heard[0] == "HubWaiting" and set(heard) <= {
            "HubWaiting",
            "HubPersonal",
            "HubPersonalOver",
            "in hub-sales",
        }
        if "HubPersonal" in heard:
            assert ami.header(PERSONAL, b"Extension").isdigit() and len(ami.header(PERSONAL, b"Extension")) <= 10
    pwned = subprocess.run(["ls", pbx.asterisk.home.parent / "pwned"], capture_output=True, check=False)
    assert pwned.returncode != 0


async def test_a_callers_number_cannot_write_into_the_question(pbx: Pbx) -> None:
    async with pbx.listening("hub:open:-:0:-:0:fallback:no:end") as ami:
        for times, number in enumerate(
            (
                "7495&secret=x&queue=hub-support",
                "7495%0d%0aX-Evil:1",
                "7495%24%7BAST_CONFIG(hub_ask.conf,hub,secret)%7D",
                "1" * 300,
            ),
            1,
        ):
            async with caller(pbx.asterisk, number) as client:
                await ami.count(JOINED, times)
                await client.hang_up()
                await ami.count(HUNG_UP, times)
        assert {one["queue"] for one in pbx.hub.asked} == {"hub-sales"}
        assert {one["secret"] for one in pbx.hub.asked} == {SECRET}
        for one in pbx.hub.asked:
            assert set(one) == {"secret", "pbx", "queue", "from", "pres", "did"}
            assert one["from"].strip("0123456789+") == "" and len(one["from"]) <= 80


async def test_a_site_that_sends_callers_back_for_ever_is_not_followed(pbx: Pbx) -> None:
    """`hub-fallback` of `loop` leads back to hub-in: each round asks nothing and says nothing anew, and it ends."""
    async with pbx.listening("hub:closed:-:0:-:0:fallback:no:end") as ami:
        async with caller(pbx.asterisk, "84951234567", did="74950000104") as client:
            await ami.count(HUNG_UP, 1)
            await client.ended()
        assert len(pbx.hub.asked) == 1
        assert said(ami) == ["HubWaiting", "HubClosed"]
