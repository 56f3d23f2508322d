"""Where a caller goes before anybody is asked to take them. Pure: facts in, one decision out.

Goes through the steps in the one order there is (blacklist, hours, own manager, team, other team, last), each at
most once, and says of each why. Asks nobody and rings nobody: the dialplan does, from the one line of `answer_line`.
Invariants: what is blocked or closed rings nobody, and no character but letters, digits, `.`, `_`, `-` and `:` is
ever in the line, whatever the facts hold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal

from hub.crm.blocking import Block, Caller, blocked_by
from hub.crm.hours import openness
from hub.crm.rules import Last, TeamRules

StepName = Literal["blacklist", "hours", "personal", "team", "overflow", "last"]
STEPS: tuple[StepName, ...] = ("blacklist", "hours", "personal", "team", "overflow", "last")
OwnerState = Literal["available", "no_phone", "away", "dnd", "after_call", "busy", "offline"]

_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_EXTENSION = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Owner:
    """The manager whose client calls."""

    name: str
    extension: str | None
    state: OwnerState


@dataclass(frozen=True, slots=True)
class Target:
    """A team as a place in the dialplan: its name, and its queue on the PBX that asks."""

    team: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a decision stands on. `client` is the name of whose number it is, empty for a stranger."""

    caller: Caller
    blocks: Sequence[Block]
    rules: TeamRules
    team: Target
    client: str = ""
    owner: Owner | None = None
    overflow: Target | None = None
    """None also where the other team has no queue on this PBX."""
    now: datetime
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step and why it is, or is not, on this caller's way. `who` names what is meant: a rule, person or team."""

    name: StepName
    is_taken: bool
    why: str
    who: str = ""
    seconds: int = 0
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the dialplan is to do. Where `verdict` is not `open` nobody is rung."""

    verdict: Literal["open", "closed", "blocked"]
    personal: tuple[str, int] | None
    """The extension to ring first, and for how many seconds."""
    overflow: tuple[str, int] | None
    """The queue to go on to, and after how many seconds."""
    last: Last
    record: bool
    steps: tuple[Step, ...]


def decide(facts: Facts) -> Decision:
    """Say where this caller goes now, and why."""
    rules = facts.rules
    block = blocked_by(facts.caller, facts.blocks)
    if block is not None:
        step = Step("blacklist", is_taken=True, why=block.kind, who=block.pattern)
        return Decision("blocked", None, None, "fallback", record=False, steps=(step,))
    steps = [Step("blacklist", is_taken=False, why="not_blocked")]
    opened = openness(rules.hours, rules.holidays, facts.now, facts.zone)
    if not opened.is_open:
        steps.append(Step("hours", is_taken=True, why=opened.why, who=opened.holiday, until=opened.opens_at))
        steps.append(_last(facts, rules.when_closed))
        return Decision("closed", None, None, rules.when_closed, record=False, steps=tuple(steps))
    steps.append(Step("hours", is_taken=False, why=opened.why, who=opened.holiday))
    personal = _personal(facts)
    overflow = _overflow(facts)
    wait_s = overflow.seconds if overflow.is_taken else 0
    steps += [personal, Step("team", is_taken=True, why="waits", who=facts.team.team, seconds=wait_s), overflow]
    steps.append(_last(facts, rules.when_tired))
    extension = facts.owner.extension if facts.owner else None
    return Decision(
        "open",
        (extension, personal.seconds) if personal.is_taken and extension else None,
        (facts.overflow.queue, overflow.seconds) if overflow.is_taken and facts.overflow else None,
        rules.when_tired,
        record=rules.record_calls,
        steps=tuple(steps),
    )


def _personal(facts: Facts) -> Step:
    seconds, owner = facts.rules.personal_s, facts.owner
    if seconds == 0:
        return Step("personal", is_taken=False, why="off")
    if not facts.client:
        return Step("personal", is_taken=False, why="stranger")
    if owner is None:
        return Step("personal", is_taken=False, why="no_owner", who=facts.client)
    if owner.extension is None or not _EXTENSION.fullmatch(owner.extension):
        return Step("personal", is_taken=False, why="no_phone", who=owner.name)
    if owner.state != "available":
        return Step("personal", is_taken=False, why=owner.state, who=owner.name)
    return Step("personal", is_taken=True, why="rings", who=owner.name, seconds=seconds)


def _overflow(facts: Facts) -> Step:
    rules = facts.rules
    if rules.overflow_team_id is None or rules.overflow_s == 0:
        return Step("overflow", is_taken=False, why="off")
    if facts.overflow is None or not _QUEUE.fullmatch(facts.overflow.queue):
        return Step("overflow", is_taken=False, why="no_queue", who=facts.overflow.team if facts.overflow else "")
    return Step("overflow", is_taken=True, why="waits", who=facts.overflow.team, seconds=rules.overflow_s)


def _last(facts: Facts, last: Last) -> Step:
    if last == "callback" and not facts.caller.raw:
        # There is no number to call back; the dialplan sees the same and does the same.
        return Step("last", is_taken=True, why="no_number")
    return Step("last", is_taken=True, why=last)


def answer_line(decision: Decision) -> str:
    """Write a decision as the dialplan reads it: nine words between colons, `hub` first and `end` last."""
    extension, personal_s = decision.personal or ("-", 0)
    queue, overflow_s = decision.overflow or ("-", 0)
    words = ("hub", decision.verdict, extension, personal_s, queue, overflow_s, decision.last)
    return ":".join([*map(str, words), "yes" if decision.record else "no", "end"])
