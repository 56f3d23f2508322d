"""Record what a real Asterisk says over AMI in each scenario: `python -m tests.testbed.record [NAME…]`.

Writes tests/data/ami/NAME.txt, the stream as Hub's AMI user sees it, filters and all. The tracker's tests replay
these; run it again after a change of the dialplan or of Asterisk's version.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.sipp import caller, phone

STREAMS = Path(__file__).parents[1] / "data" / "ami"
CLAIM = "0123456789abcdef"
OTHER_CLAIM = "fedcba9876543210"


class Ami:
    """A raw AMI connection that keeps every byte that came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.stream = b""
        self._numbers = iter(range(1, 10_000))

    @classmethod
    async def open(cls, asterisk: Asterisk) -> Ami:
        ami = cls(*await asyncio.open_connection("127.0.0.1", asterisk.ami_port))
        await ami.send("Login", Username="hub", Secret=asterisk.SECRET)
        await ami.count(b"Authentication accepted", 1)
        return ami

    async def send(self, action: str, **fields: str) -> None:
        lines = [f"Action: {action}", f"ActionID: rec-{next(self._numbers)}", *(f"{k}: {v}" for k, v in fields.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    async def count(self, wanted: bytes, times: int, *, deadline_s: float = 30) -> None:
        """Read until `wanted` has come `times` times."""
        async with asyncio.timeout(deadline_s):
            while self.stream.count(wanted) < times:
                self.stream += await self._reader.read(65536)

    async def take(self, extension: str = "101", claim: str = CLAIM) -> None:
        channel = self.header(b"Event: QueueCallerJoin", b"Channel")
        await self.send("QueueWithdrawCaller", Queue="hub-sales", Caller=channel, WithdrawInfo=f"{claim}-{extension}")

    async def dial(self, number: str, extension: str = "101") -> None:
        await self.send(
            "Originate",
            Channel=f"PJSIP/{extension}",
            Context="hub-out",
            Exten=number,
            Priority="1",
            ChannelId=f"hub-{CLAIM}",
            CallerID=number,
            Timeout="4000",
            Async="true",
            Variable=f"HUB_DIAL=hub-{CLAIM}\r\nVariable: HUB_EXTENSION={extension}",
        )

    def header(self, event: bytes, name: bytes) -> str:
        frame = next(f for f in self.stream.split(b"\r\n\r\n") if event in f)
        line = next(line for line in frame.split(b"\r\n") if line.startswith(name + b": "))
        return line.partition(b": ")[2].decode()


JOINED, HUNG_UP, RINGS = b"Event: QueueCallerJoin", b"Event: Hangup\r\n", b"DialStatus: RINGING"
IN_TALK = b"Event: BridgeEnter"


async def taken_and_manager_hangs_up(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=1000), caller(asterisk, "84951234567", name="ROMASHKA"):
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(HUNG_UP, 2)


async def taken_and_caller_hangs_up(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), caller(asterisk, "84951234567") as stranger:
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def _fails_then_succeeds(asterisk: Asterisk, ami: Ami, behaviour: str) -> None:
    async with caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        async with phone(asterisk, "101", behaviour):  # type: ignore[arg-type]
            await ami.take("101")
            await ami.count(JOINED, 2)
        async with phone(asterisk, "102", talk_ms=800):
            await ami.take("102", OTHER_CLAIM)
            await ami.count(HUNG_UP, 3)


async def phone_busy_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    await _fails_then_succeeds(asterisk, ami, "busy")


async def phone_rejects_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    await _fails_then_succeeds(asterisk, ami, "reject")


async def phone_does_not_answer_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    await _fails_then_succeeds(asterisk, ami, "no_answer")


async def phone_is_not_there_then_taken(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        await ami.take("199")
        await ami.count(JOINED, 2)
        async with phone(asterisk, "102", talk_ms=800):
            await ami.take("102", OTHER_CLAIM)
            await ami.count(HUNG_UP, 2)


async def back_in_front_of_a_caller_who_came_meanwhile(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, "84951234567") as first:
        await ami.count(JOINED, 1)
        await ami.take("101")
        await ami.count(RINGS, 1)
        async with caller(asterisk, "89161234567") as second:
            await ami.count(JOINED, 3)
            await first.hang_up()
            await ami.count(HUNG_UP, 2)
            await second.hang_up()
            await ami.count(HUNG_UP, 3)


async def abandoned_while_waiting(asterisk: Asterisk, ami: Ami) -> None:
    async with caller(asterisk, "84951234567") as stranger:
        await ami.count(JOINED, 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 1)


async def abandoned_while_phone_rings(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"), caller(asterisk, "84951234567") as stranger:
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(RINGS, 1)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)


async def two_take_at_once(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=800), phone(asterisk, "102"), caller(asterisk, "84951234567"):
        await ami.count(JOINED, 1)
        await ami.take("101")
        await ami.take("102", OTHER_CLAIM)
        await ami.count(HUNG_UP, 2)


async def nobody_takes_and_the_fallback_answers(asterisk: Asterisk, ami: Ami) -> None:
    async with (
        phone(asterisk, "101", talk_ms=800),
        phone(asterisk, "102", "no_answer"),
        caller(asterisk, "84951234567"),
    ):
        await ami.count(HUNG_UP, 3)


async def dialled_and_talked(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", talk_ms=1000):
        await ami.dial("+74951234567")
        await ami.count(HUNG_UP, 2)


async def dialled_and_client_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", "busy"):
        await ami.dial("+74951234567")
        await ami.count(HUNG_UP, 2)


async def dialled_and_manager_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"):
        await ami.dial("+74951234567")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_manager_is_busy(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "busy"):
        await ami.dial("+74951234567")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_manager_rejects(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "reject"):
        await ami.dial("+74951234567")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_manager_is_not_there(asterisk: Asterisk, ami: Ami) -> None:
    await ami.dial("+74951234567", "199")
    await ami.count(b"Event: OriginateResponse", 1)


async def dialled_and_cancelled_while_the_manager_rings(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "no_answer"):
        await ami.dial("+74951234567")
        await ami.count(RINGS, 1)
        await ami.send("Hangup", Channel=ami.header(b"Event: Newchannel", b"Channel"), Cause="16")
        await ami.count(b"Event: OriginateResponse", 1)
        await ami.count(HUNG_UP, 1)


async def dialled_and_cancelled_while_the_client_rings(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101"), phone(asterisk, "trunk", "no_answer"):
        await ami.dial("+74951234567")
        await ami.count(RINGS, 2)
        await ami.send("Hangup", Channel=ami.header(b"Event: Newchannel", b"Channel"), Cause="16")
        await ami.count(HUNG_UP, 2)


async def from_outside_straight_to_a_phone(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", talk_ms=800), caller(asterisk, "84951234567", did="74950000101"):
        await ami.count(HUNG_UP, 2)


async def from_outside_to_a_phone_that_does_not_answer(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "101", "reject"), caller(asterisk, "84951234567", did="74950000101"):
        await ami.count(HUNG_UP, 2)


async def from_one_phone_to_another(asterisk: Asterisk, ami: Ami) -> None:
    async with phone(asterisk, "102", talk_ms=800), caller(asterisk, "101", did="102", line="101"):
        await ami.count(HUNG_UP, 2)


SCENARIOS: dict[str, tuple[Callable[[Asterisk, Ami], Awaitable[None]], int]] = {
    one.__name__: (one, 3 if one is nobody_takes_and_the_fallback_answers else 120)
    for one in (
        taken_and_manager_hangs_up,
        taken_and_caller_hangs_up,
        phone_busy_then_taken,
        phone_rejects_then_taken,
        phone_does_not_answer_then_taken,
        phone_is_not_there_then_taken,
        back_in_front_of_a_caller_who_came_meanwhile,
        abandoned_while_waiting,
        abandoned_while_phone_rings,
        two_take_at_once,
        nobody_takes_and_the_fallback_answers,
        dialled_and_talked,
        dialled_and_client_is_busy,
        dialled_and_manager_does_not_answer,
        dialled_and_manager_is_busy,
        dialled_and_manager_rejects,
        dialled_and_manager_is_not_there,
        dialled_and_cancelled_while_the_manager_rings,
        dialled_and_cancelled_while_the_client_rings,
        from_outside_straight_to_a_phone,
        from_outside_to_a_phone_that_does_not_answer,
        from_one_phone_to_another,
    )
}


async def record(name: str) -> int:
    """Run one scenario on an Asterisk of its own and write its stream; return its length in bytes."""
    scenario, wait_s = SCENARIOS[name]
    async with running_asterisk(wait_s=wait_s) as asterisk:
        ami = await Ami.open(asterisk)
        await scenario(asterisk, ami)
        STREAMS.mkdir(parents=True, exist_ok=True)
        (STREAMS / f"{name}.txt").write_bytes(ami.stream)
        return len(ami.stream)


async def main(names: list[str]) -> None:
    for name in names or SCENARIOS:
        print(f"{name}: {await record(name)} bytes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
