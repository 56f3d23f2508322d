"""Record what a real Asterisk says over AMI in each scenario: `python -m tests.testbed.record [NAME…]`.

Writes tests/data/ami/NAME.txt, the stream as Hub's AMI user sees it, filters and all. The tracker's tests replay
these; run it again after a change of the dialplan or of Asterisk's version. `--again TIMES` plays the scenarios,
several at a time, and compares what is told with tests/data/ami/expected.toml: no two runs say all in one order.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from pathlib import Path

from hub.telephony.line.wire import FrameReader
from tests.testbed.ami import CLAIM, HUNG_UP, IN_TALK, JOINED, OTHER_CLAIM, RINGS, Ami
from tests.testbed.asterisk import running_asterisk
from tests.testbed.recorded import features, freepbx, groups, outside, taken, transfers
from tests.unit.told import differences

__all__ = ["CLAIM", "HUNG_UP", "IN_TALK", "JOINED", "OTHER_CLAIM", "RINGS", "SCENARIOS", "STREAMS", "Ami"]

SEVERAL = 4
STREAMS = Path(__file__).parents[1] / "data" / "ami"
SCENARIOS = {
    one.name: one for module in (taken, groups, transfers, features, freepbx, outside) for one in module.SCENARIOS
}


async def played(name: str) -> bytes:
    """Play one scenario on an Asterisk of its own; return what it said."""
    one = SCENARIOS[name]
    running = running_asterisk(
        ring_s=one.ring_s, wait_s=one.wait_s, parking_s=one.parking_s, is_freepbx=one.is_freepbx, phones=one.phones
    )
    async with running as asterisk:
        ami = await Ami.open(asterisk)
        try:
            await one.play(asterisk, ami)
            await ami.all_gone()
        except Exception:
            (Path(tempfile.gettempdir()) / f"{name}.failed.txt").write_bytes(ami.stream)
            raise
        return ami.stream


async def record(name: str) -> None:
    stream = await played(name)
    (STREAMS / f"{name}.txt").write_bytes(stream)
    print(f"{name}: {len(stream)} bytes", flush=True)


async def compare(name: str) -> None:
    """Play a scenario again and say what is told otherwise: Asterisk's threads speak in another order each time."""
    stream = await played(name)
    if found := differences(name, FrameReader().feed(stream)):
        with tempfile.NamedTemporaryFile(prefix=f"{name}.", suffix=".txt", delete=False) as kept:
            kept.write(stream)
        print(f"{name} is told otherwise, see {kept.name}:", *found, sep="\n    ", flush=True)


async def main(names: list[str], *, again: int) -> None:
    todo = names or [name for name in SCENARIOS if again or not (STREAMS / f"{name}.txt").exists()]
    todo = todo if not again else random.sample(todo * again, len(todo) * again)
    several = asyncio.Semaphore(SEVERAL if again else 1)

    async def one(name: str) -> None:
        async with several:
            try:
                await (compare if again else record)(name)
            except Exception as error:
                print(f"{name}: not played to its end: {error!r}", flush=True)

    async with asyncio.TaskGroup() as group:
        for name in todo:
            group.create_task(one(name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="scenarios; all that are not recorded yet, if none is named")
    parser.add_argument("--all", action="store_true", help="record every scenario anew")
    parser.add_argument("--again", type=int, default=0, metavar="TIMES", help="record nothing: play and compare")
    chosen = parser.parse_args()
    asyncio.run(main(list(SCENARIOS) if chosen.all else chosen.names, again=chosen.again))
