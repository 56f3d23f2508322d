"""Runs a scenario in a process of its own again and again, killed at its first, second, third … fault point."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

MOST_POINTS = 500
LONGEST_ANSWER = 2**22


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a scenario: the number of the point it was killed at, and that point's name; `None`: it ended."""

    at: int
    killed_at: str | None


async def runs(module: str, arguments: Sequence[str], *, only: str, within_s: float = 60) -> AsyncIterator[Run]:
    """Run `module` with `arguments` once for each point whose name begins with `only`, then once to its end.

    Each run is a fork (`forking`) with the arguments as they are then. Yields after each: the caller checks what the
    promises say, and puts things back for the next. Raises AssertionError with the scenario's own words where it ends
    by anything but the kill.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.forking", module),
        env=os.environ | {"HUBFAULT_ONLY": only},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_ANSWER,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for at in range(1, MOST_POINTS):
            process.stdin.write(json.dumps([at, *arguments]).encode() + b"\n")
            try:
                async with asyncio.timeout(within_s):
                    answer = await process.stdout.readline()
            except TimeoutError:
                raise AssertionError(f"{module} did not end at point {at}") from None
            assert answer, f"{module} could not be started"
            code, text = json.loads(answer)
            if code == 0:
                await _end(process)  # now: who looks for this run only does not come back for the end
                yield Run(at, None)
                return
            assert code == -signal.SIGKILL, f"{module} at point {at}: {text[-3000:]}"
            yield Run(at, text.rsplit("killed at ", 1)[1].split("\n", 1)[0])
        raise AssertionError(f"{module} meets more than {MOST_POINTS} points")
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
