"""What one recording is: a scenario and the Asterisk that it is played on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.testbed.ami import Ami
from tests.testbed.asterisk import Asterisk


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    ring_s: int = 4
    wait_s: int = 120
    parking_s: int = 60
    phones: tuple[str, ...] = ("101", "102", "103")
    is_freepbx: bool = False
    """Contexts, subroutines and queue members as FreePBX writes them."""


@dataclass(frozen=True, slots=True)
class Scenario(_Options):
    """`play` acts it out; its name is the stream's."""

    play: Callable[[Asterisk, Ami], Awaitable[None]]

    @property
    def name(self) -> str:
        return self.play.__name__
