"""What was seen of a PBX, and what is said of it: data for `doctor`, which asks, and `diagnosis`, which judges. Pure.

Invariant: whatever a peer said, a finding is written as one line, and its mend as one more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hub.sanitize import shown

Level = Literal["ok", "warn", "bad"]
Trouble = Literal["refused", "unknown_host", "unreachable", "silent", "tls", "not_ami", "sign_in", "lost"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `place` is what it is about; `mend` is empty where all is well."""

    level: Level
    place: str
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class QueueSeen:
    members: int
    max_callers: int
    join_empty: str | None = None
    """As in queues.conf; None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class PhoneSeen:
    """A person's phone: its device state (empty: not told) and the context its calls begin in."""

    owner: str
    state: str
    context: str


@dataclass(frozen=True, slots=True)
class HttpSeen:
    """What a web address answered: a status, or why there is none; `days_left` of its certificate."""

    status: int | None = None
    error: str = ""
    days_left: int | None = None


@dataclass(slots=True)
class ProbeSeen:
    """What was heard of the doctor's own call. `refusal`: why there was none."""

    refusal: str = ""
    answered: bool = False
    said_so: bool = False
    music: bool = False
    has_timestamps: bool = False
    unwanted: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Seen:
    """Everything that was seen of one PBX. Where a question had no answer, the field is None or lacks the key."""

    trouble: Trouble | None = None
    reason: str = ""
    our_address: str = ""
    peer_address: str = ""
    version: str = ""
    clock_off_s: float | None = None
    commands: frozenset[str] | None = None
    has_booted_event: bool = False
    has_queue_events: bool | None = None
    probe: ProbeSeen | None = None
    contexts: dict[str, frozenset[str]] = field(default_factory=dict)
    """The extensions of each context that is there."""
    is_freepbx: bool = False
    """Whether FreePBX writes the main files, so that what an operator adds goes into those named `…_custom.conf`."""
    dialled: str = ""
    """A number outside as Hub gives it to [hub-trunk]."""
    route: tuple[str, str, bool | None] | None = None
    """Where [hub-trunk] sends that number (context, extension), and whether a route takes it there; None: not told."""
    reached: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Whether (context, extension) leads somewhere."""
    queues: dict[str, QueueSeen] | None = None
    phones: dict[str, PhoneSeen] = field(default_factory=dict)
    has_ask_secret: bool | None = None
    """Whether hub_ask.conf holds Hub's dialplan_secret."""
    reaches_hub: bool | None = None
    """Whether the PBX gets an answer from where its dialplan asks Hub; None where that was not tried."""
    variables: dict[str, str] = field(default_factory=dict)
    manager: dict[str, str] = field(default_factory=dict)
    """Keys of the AMI user in manager.conf, where the PBX lets them be read."""
    http: HttpSeen | None = None


def exit_code(findings: Iterable[Finding]) -> int:
    """1 if anything is bad, else 0."""
    return 1 if any(finding.level == "bad" for finding in findings) else 0


def in_words(findings: Sequence[Finding]) -> str:
    """Write one line a finding, and below it the line that mends it."""
    lines: list[str] = []
    for one in findings:
        lines.append(f"{one.level:<5} {shown(one.place)}: {shown(one.text, max_chars=400)}")
        if one.mend:
            lines.append(f"      → {shown(one.mend, max_chars=600)}")
    counts: Mapping[str, int] = {level: sum(f.level == level for f in findings) for level in ("bad", "warn", "ok")}
    lines.append(f"{counts['bad']} bad, {counts['warn']} to look at, {counts['ok']} well")
    return "\n".join(lines) + "\n"
