"""What is known of the folders of a mailbox beyond one connection: how each stood, what is behind, what is wrong.

Two connections may share it, one in INBOX and one in all other folders. No IO. Invariant: a status stands here only
when a visit that began with it left nothing undone.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from hub.clock import monotonic_s
from hub.mail.imap.asking import Status
from hub.mail.sync.choice import Choice, Chosen, Problem

log = logging.getLogger(__name__)

Part = Literal["all", "inbox", "rest"]
"""Which folders a connection reads: `rest` is all but INBOX."""


def is_in(part: Part, name: str) -> bool:
    return part == "all" or (name == "INBOX") == (part == "inbox")


@dataclass(slots=True)
class Standing:
    """Lives as long as the reader of a mailbox."""

    choice: Choice = field(default_factory=lambda: Choice((), {}))
    statuses: dict[str, Status] = field(default_factory=dict)
    """How each folder stood when its last visit began."""
    visited_at: dict[str, float] = field(default_factory=dict)
    behind: list[Chosen] = field(default_factory=list)
    """Folders whose history is missing; the first has its turn next."""
    failing: dict[str, Problem] = field(default_factory=dict)
    ask_again_at: dict[str, float] = field(default_factory=dict)
    """When messages that a folder did not give are asked for again."""

    @property
    def problems(self) -> dict[str, Problem]:
        """What is wrong with a folder, by its name; empty when all is well."""
        return self.choice.problems | self.failing

    def fail(self, name: str, problem: Problem) -> None:
        if self.failing.get(name) != problem:
            log.warning("folder %s: %s", name, problem.said)
        self.failing[name] = problem

    def well(self, name: str) -> None:
        self.failing.pop(name, None)

    def take_choice(self, choice: Choice) -> None:
        """Go by another choice of folders; what was wrong with those that are no longer read is forgotten."""
        for name, problem in choice.problems.items():
            log.warning("folder %s: %s", name, problem.said)
        self.choice = choice
        names = {one.name for one in choice.folders}
        for known in (self.failing, self.statuses, self.visited_at, self.ask_again_at):
            for name in [name for name in known if name not in names]:
                del known[name]
        self.behind = [one for one in self.behind if one.name in names]

    def put_behind(self, chosen: Chosen) -> None:
        if chosen not in self.behind:
            self.behind.append(chosen)

    def caught_up(self, chosen: Chosen) -> None:
        if chosen in self.behind:
            self.behind.remove(chosen)

    def behind_in(self, part: Part) -> Chosen | None:
        """Return the folder of `part` whose history has its turn."""
        return next((one for one in self.behind if is_in(part, one.name)), None)

    def due_again(self, part: Part) -> list[str]:
        """Return the folders of `part` whose missing messages are to be asked for now."""
        now = monotonic_s()
        return [name for name, at in self.ask_again_at.items() if at <= now and is_in(part, name)]

    def next_again_s(self, part: Part) -> float:
        """Return in how many seconds the next of them is due."""
        now = monotonic_s()
        times = [at - now for name, at in self.ask_again_at.items() if is_in(part, name)]
        return max(min(times, default=float("inf")), 0.0)

    def must_visit(self, name: str, status: Status, *, every_s: float) -> bool:
        """Tell whether a folder that stands so is to be opened; `every_s`: also where nothing seems changed."""
        if self.statuses.get(name) != status or name not in self.visited_at:
            return True
        is_blocked = name in self.failing and name not in self.ask_again_at
        return is_blocked or monotonic_s() - self.visited_at[name] >= every_s

    def forget(self, names: Collection[str]) -> None:
        """Have these folders visited at the next poll, however they stand."""
        for name in names:
            self.statuses.pop(name, None)
