"""Named places where a test may have this process killed; in production each is a comparison with zero.

A driver (`tests/faults/driver.py`) sets HUBFAULT_AT=1, 2, 3 … and runs a scenario until it meets no more points: at
the n-th point reached the kernel ends the process, as a power cut would. Decides nothing else. Invariant: without the
variable, nothing here does anything.
"""

from __future__ import annotations

import os
import signal

_at = int(os.environ.get("HUBFAULT_AT", "0"))
_only = tuple(filter(None, os.environ.get("HUBFAULT_ONLY", "").split(",")))


def point(name: str) -> None:
    """Pass the point `name` (such as `mail.intake.stored`); the driver may have chosen to end the process here.

    HUBFAULT_ONLY counts only points whose names begin with one of its words, divided by commas.
    """
    global _at
    if _at == 0 or (_only and not name.startswith(_only)):
        return
    _at -= 1
    if _at == 0:
        os.write(2, f"killed at {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
