"""Runs a scenario in a process of its own again and again, killed at its first, second, third … fault point."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

MOST_POINTS = 500


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a scenario: the number of the point it was killed at, and that point's name; `None`: it ended."""

    at: int
    killed_at: str | None


async def runs(module: str, arguments: Sequence[str], *, only: str, within_s: float = 60) -> AsyncIterator[Run]:
    """Run `python -m module arguments…` once for each point whose name begins with `only`, then once to its end.

    Yields after each run: the caller checks what the promises say, and puts things back for the next. Raises
    AssertionError with the scenario's own words where it ends by anything but the kill.
    """
    for at in range(1, MOST_POINTS):
        environment = os.environ | {"HUBFAULT_AT": str(at), "HUBFAULT_ONLY": only}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, env=environment, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(within_s):
                _, told = await process.communicate()
        except TimeoutError:
            process.kill()
            _, told = await process.communicate()
            raise AssertionError(f"{module} did not end at point {at}: {told.decode()[-3000:]}") from None
        text = told.decode("utf-8", "replace")
        if process.returncode == 0:
            yield Run(at, None)
            return
        assert process.returncode == -signal.SIGKILL, f"{module} at point {at}: {text[-3000:]}"
        yield Run(at, text.rsplit("killed at ", 1)[1].split("\n", 1)[0])
    raise AssertionError(f"{module} meets more than {MOST_POINTS} points")
