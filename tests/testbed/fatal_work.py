"""Work that a parser worker does not survive.

A module of its own with no more imports than a worker has anyway: a worker unpickles the function by its module's
name, and to import a module of tests there costs each new worker two seconds of processor time.
"""

from __future__ import annotations

import os
from pathlib import Path

from hub.mail.intake.preparing import Prepared, prepare

DEADLY = b"deadly"


def prepare_or_die(log: Path, root: Path, raws: list[bytes]) -> list[Prepared]:
    """Do the work of a parser, but let a deadly message kill the process, as a bug in C code would.

    `log` tells of how many messages it had in hand.
    """
    if any(DEADLY in raw for raw in raws):
        with log.open("a") as file:
            file.write(f"{len(raws)}\n")
        die()
    return prepare(root, raws)


def die() -> None:
    os.kill(os.getpid(), 9)


def never_return() -> None:
    "".join("x" for _ in iter(int, 1))
