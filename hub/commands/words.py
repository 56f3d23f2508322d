"""What commands share: how one is added, lengths of time and ids as words, and tables on standard output."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol

from hub import sanitize
from hub.errors import Refused

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class AddCommand(Protocol):
    """Adds a command with its `--config` to a parser's words."""

    def __call__(
        self,
        words: argparse._SubParsersAction[argparse.ArgumentParser],
        name: str,
        run: Callable[[argparse.Namespace], Awaitable[int]],
        text: str,
        *,
        config: bool = True,
    ) -> argparse.ArgumentParser: ...


def read_duration(text: str, *, word: str, at_most: timedelta) -> timedelta:
    """Read `30m`, `24h`, `90d`, `2w`. Raises Refused that names the word of the command."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text)
    length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if length is None or length > at_most:
        limit = f"{at_most.days}d at most"
        raise Refused("bad_time", f"{word}: {sanitize.shown(text)!r} is no length of time: 30m, 24h, 90d, {limit}")
    return length


def read_id(text: str, *, word: str) -> int:
    """Read a number as lists show it. Raises Refused that names the word of the command."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Refused("bad_id", f"{word}: {sanitize.shown(text)!r} is no number of the list")
    return int(text)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    """Print rows in columns; of no rows, nothing but the heads. Strangers' text becomes one harmless line."""
    cells = [list(heads), *([sanitize.shown(cell or "-", max_chars=120) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")
