"""A replayed stream beside what happened on the phones: tests/data/ami/expected.toml, read and compared.

Its README says how an entry is written. Compares what a tracker told with it, wildcards and all, and names each
difference; replays nothing that is not given to it.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.telephony.tracking.calls import Call, Leg
from hub.telephony.tracking.tracker import CallTracker
from tests.unit.ami_script import BOOT, RULES, ended, holds_for_every_call, replay

FOLDER = Path(__file__).parents[1] / "data" / "ami"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "expected.toml").read_text())
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
QUEUES = frozenset({"hub-sales", "hub-support"})
INTERNAL = frozenset({"internal", "from-internal"})


def as_told(call: Call, expected: dict[str, Any]) -> dict[str, Any]:
    """Write a call the way the expectation is written, with its wildcards where it has them."""
    legs = [_leg(leg) for leg in call.legs]
    left = list(legs)
    wanted = expected.get("legs", [])
    # Exact ones first, so that a wildcard takes what is left.
    for line in sorted(wanted, key=lambda line: "*" in line):
        stem = line.removesuffix(" ?")
        found = next((leg for leg in left if leg == stem or (stem.endswith("*") and leg.startswith(stem[:-1]))), None)
        if found is not None:
            left.remove(found)
            legs[legs.index(found)] = line
        elif line.endswith(" ?"):
            legs.append(line)
    told = {
        "direction": call.direction,
        "outcome": call.outcome,
        "from": _number(call.from_extension or call.from_raw),
        "to": _number(call.to_raw),
        "did": call.did or "",
        "answered_by": call.answered_extension or "",
        "legs": sorted(legs),
        "transfers": [
            f"{one.kind} by {one.by} to {_number(one.to)} {'completed' if one.completed else 'failed'}"
            for one in call.transfers
        ],
        "talked": call.talk_s > 0,
        "estimated": call.estimated,
    }
    return told | {key: "*" for key, value in expected.items() if value == "*"}


def as_expected(entry: dict[str, Any]) -> dict[str, Any]:
    filled = {"did": "", "answered_by": "", "transfers": [], "estimated": False, **entry}
    return {"talked": filled["outcome"] == "answered", **filled, "legs": sorted(filled["legs"])}


def _leg(leg: Leg) -> str:
    who = leg.extension or _number(leg.number or "-")
    return f"{'caller ' if leg.role == 'caller' else ''}{who} {leg.result}"


def _number(text: str) -> str:
    return text.removeprefix("+")


def differences(name: str, frames: list[dict[str, str]]) -> list[str]:
    """Replay the frames of one recording of this scenario; return what was told otherwise than it happened."""
    tracker = CallTracker(replace(RULES, internal_contexts=INTERNAL, hub_queues=QUEUES), boot=BOOT)
    effects = replay(frames, tracker=tracker)
    holds_for_every_call(effects)
    calls = sorted(ended(effects), key=lambda call: (call.started_at, call.linked_id))
    entries = EXPECTED[name]["calls"]
    found = [f"{call.linked_id} did not end" for call in tracker.open_calls()]
    if len(calls) != len(entries):
        found.append(f"{len(calls)} calls are told, {len(entries)} were: {calls}")
    for call, entry in zip(calls, entries, strict=False):
        told, wanted = as_told(call, entry), as_expected(entry)
        picked_up = [leg.answered_at for leg in call.legs if leg.role == "callee" and leg.answered_at is not None]
        if call.answered_at is not None and call.answered_at < min(picked_up, default=END_OF_TIME):
            found.append(f"answered at {call.answered_at}, before anybody picked up: {picked_up}")
        found += [f"{key}: told {told[key]!r}, was {wanted[key]!r}" for key in wanted if told[key] != wanted[key]]
    return found
