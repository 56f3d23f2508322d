"""Each recorded stream, replayed whole, is told as what happened on the phones (tests/data/ami/expected.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest

from hub.telephony.calls import Call, Leg
from hub.telephony.tracker import CallTracker
from tests.testbed import older
from tests.unit.ami_script import BOOT, RULES, ended, holds_for_every_call, read_stream, replay
from tests.unit.test_tracker_streams import STREAMS

FOLDER = STREAMS[0].parent
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "expected.toml").read_text())
INTERNAL = RULES.internal_contexts | {"from-internal"}


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


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_happened_on_the_phones_is_what_is_told(name: str) -> None:
    path = next(path for path in STREAMS if path.name.split(".")[0] == name)
    tracker = CallTracker(replace(RULES, internal_contexts=INTERNAL), boot=BOOT)
    effects = replay(read_stream(path), tracker=tracker)
    holds_for_every_call(effects)
    assert tracker.open_calls() == []
    calls = sorted(ended(effects), key=lambda call: (call.started_at, call.linked_id))
    entries = EXPECTED[name]["calls"]
    assert [as_told(call, entry) for call, entry in zip(calls, entries, strict=False)] == [
        as_expected(entry) for entry in entries
    ]
    assert len(calls) == len(entries), calls[len(entries) :]


def test_streams_of_older_asterisks_are_what_the_script_writes() -> None:
    made = older.streams()
    assert {name: (FOLDER / f"{name}.txt").read_bytes() == stream for name, stream in made.items()} == dict.fromkeys(
        made, True
    )


def test_every_recorded_stream_has_its_expectation() -> None:
    told_elsewhere = {"two-party-calls"}
    assert {path.name.split(".")[0] for path in STREAMS} - told_elsewhere == set(EXPECTED)
