"""Record what a real Asterisk says over AMI in each scenario: `python -m tests.testbed.record [NAME…]`.

Writes tests/data/ami/NAME.txt, the stream as Hub's AMI user sees it, filters and all. The tracker's tests replay
these; run it again after a change of the dialplan or of Asterisk's version. Without names it records what is not
there yet; `--all` records everything anew.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.testbed.ami import CLAIM, HUNG_UP, IN_TALK, JOINED, OTHER_CLAIM, RINGS, Ami
from tests.testbed.asterisk import running_asterisk
from tests.testbed.recorded import features, freepbx, groups, taken, transfers

__all__ = ["CLAIM", "HUNG_UP", "IN_TALK", "JOINED", "OTHER_CLAIM", "RINGS", "SCENARIOS", "STREAMS", "Ami"]

STREAMS = Path(__file__).parents[1] / "data" / "ami"
SCENARIOS = {one.name: one for module in (taken, groups, transfers, features, freepbx) for one in module.SCENARIOS}


async def record(name: str) -> int:
    """Run one scenario on an Asterisk of its own and write its stream; return its length in bytes."""
    one = SCENARIOS[name]
    running = running_asterisk(ring_s=one.ring_s, wait_s=one.wait_s, parking_s=one.parking_s, is_freepbx=one.is_freepbx)
    async with running as asterisk:
        ami = await Ami.open(asterisk)
        try:
            await one.play(asterisk, ami)
        finally:
            where = STREAMS / f"{name}.txt" if sys.exc_info()[0] is None else Path("/tmp") / f"{name}.failed.txt"
            where.write_bytes(ami.stream)
        return len(ami.stream)


async def main(names: list[str]) -> None:
    if names == ["--all"]:
        names = list(SCENARIOS)
    for name in names or [name for name in SCENARIOS if not (STREAMS / f"{name}.txt").exists()]:
        try:
            print(f"{name}: {await record(name)} bytes", flush=True)
        except Exception as error:
            print(f"{name}: not recorded: {error!r}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
