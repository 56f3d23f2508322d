"""A call as a person reads it in a terminal, and as a script does (docs: the contract's call). Pure.

Decides words and order only. Invariant: whatever a stranger put into a name or a number, a terminal is sent text and
nothing that steers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from hub.clock import rfc3339
from hub.crm.addresses import parse_phone
from hub.sanitize import shown
from hub.telephony.replay.replay import FIRST, Step, ToldCall
from hub.telephony.tracking.calls import Call, Leg
from hub.telephony.tracking.directions import numbers_called

_STEPS = {
    "offered": "offered to {reason}",
    "offered again": "back in {reason}",
    "taken": "taken by {extension}",
    "claim failed": "the take failed: {reason}",
    "announced": "the dialplan said {reason}",
}
YEAR_ONE = FIRST.year


def paragraph(told: ToldCall) -> str:
    """Return a call in a few lines, the first of which says all that most people ask."""
    call = told.call
    lines = [f"{_hour(call.started_at)}  {_headline(call)}"]
    lines.append(f"from {_from(call)} to {_to(call)}")
    times = [f"waited {call.wait_s:.1f} s", f"talked {call.talk_s:.1f} s"]
    if call.ended_at:
        times.append(f"ended {_hour(call.ended_at)}")
    lines.append(", ".join(times))
    lines += [_leg(leg) for leg in call.legs]
    for transfer in call.transfers:
        done = "" if transfer.completed else ", not completed"
        by_to = f"{shown(transfer.by)} to {shown(transfer.to)}"
        lines.append(f"transfer ({transfer.kind}) {_hour(transfer.at)}: {by_to}{done}")
    if told.steps:
        lines.append("; ".join(_step(step) for step in told.steps))
    lines.append(f"linked id {shown(call.linked_id)}")
    return "\n          ".join(lines) + "\n"


def as_json(told: ToldCall, *, number: int, region: str) -> dict[str, Any]:
    """Return a call as the API shows it; what only a database knows is null, `steps` is added."""
    call = told.call
    return {
        "id": number,
        "pbx": call.pbx,
        "linked_id": call.linked_id,
        "direction": call.direction,
        "state": call.state,
        "outcome": call.outcome,
        "estimated": call.estimated,
        "from": _party(call.from_raw, call.from_name, call.from_extension, region),
        "to": _party(call.to_raw, "", call.to_extension, region, also=numbers_called(call)),
        "did": call.did,
        "started_at": rfc3339(call.started_at),
        "answered_at": rfc3339(call.answered_at),
        "ended_at": rfc3339(call.ended_at),
        "wait_s": round(call.wait_s, 3),
        "talk_s": round(call.talk_s, 3),
        "answered_by": {"extension": call.answered_extension, "user": None} if call.answered_extension else None,
        "legs": [_leg_json(leg) for leg in call.legs],
        "transfers": [
            {"kind": t.kind, "by": t.by, "to": t.to, "completed": t.completed, "at": rfc3339(t.at)}
            for t in call.transfers
        ],
        "client": None,
        "contact": None,
        "link": None,
        "recordings": [],
        "result": None,
        "note": None,
        "steps": [
            {"at": rfc3339(s.at), "what": s.what, "extension": s.extension, "reason": s.reason} for s in told.steps
        ],
    }


def summary(outcomes: Mapping[str | None, int]) -> str:
    """Say how many calls there were, by what became of them; None: still open."""
    told = ", ".join(f"{count} {word or 'still open'}" for word, count in outcomes.items())
    total = sum(outcomes.values())
    return f"{total} call{'' if total == 1 else 's'}" + (f": {told}" if told else "")


def _headline(call: Call) -> str:
    outcome = call.outcome or f"still open ({call.state})"
    by = f" by {shown(call.answered_extension)}" if call.answered_extension and call.outcome == "answered" else ""
    estimated = ", estimated: not all of it was seen" if call.estimated else ""
    return f"{call.direction} call, {outcome}{by}{estimated}"


def _from(call: Call) -> str:
    name = f' "{shown(call.from_name)}"' if call.from_name else ""
    extension = f" (extension {shown(call.from_extension)})" if call.from_extension not in (None, call.from_raw) else ""
    return (shown(call.from_raw) or "a hidden number") + name + extension


def _to(call: Call) -> str:
    words = [shown(call.to_raw) or shown(call.to_extension or "") or "nobody yet"]
    if call.to_extension and call.to_extension != call.to_raw:
        words.append(f"extension {shown(call.to_extension)}")
    if call.did and call.did != call.to_raw:
        words.append(f"dialled {shown(call.did)}")
    if call.queue:
        words.append(f"queue {shown(call.queue)}")
    return ", ".join(words)


def _leg(leg: Leg) -> str:
    who = shown(leg.extension or leg.number or "") or "?"
    times = [
        f"{word} {_hour(at)}"
        for word, at in (("rang", leg.rang_at), ("answered", leg.answered_at), ("left", leg.left_at))
        if at
    ]
    told = ", ".join([leg.result or "open", *times])
    return f"{leg.role} {who} on {shown(leg.channel)}: {told}"


def _step(step: Step) -> str:
    words = _STEPS[step.what].format(extension=shown(step.extension or "?"), reason=shown(step.reason or "?"))
    return f"{_hour(step.at)} {words}"


def _hour(at: datetime) -> str:
    """The time in the place where the file is read; seconds of the stream where it says no time at all."""
    if at.year == YEAR_ONE:
        return f"+{(at - FIRST).total_seconds():.2f}"
    return at.astimezone().strftime("%H:%M:%S")


def _party(raw: str, name: str, extension: str | None, region: str, also: Iterable[str] = ()) -> dict[str, Any]:
    phone = next(filter(None, (parse_phone(number, region) for number in (*also, raw))), None)
    return {"raw": raw, "number": phone.value if phone else None, "name": name or None, "extension": extension}


def _leg_json(leg: Leg) -> dict[str, Any]:
    return {
        "channel": leg.channel,
        "extension": leg.extension,
        "number": leg.number,
        "role": leg.role,
        "rang_at": rfc3339(leg.rang_at),
        "answered_at": rfc3339(leg.answered_at),
        "left_at": rfc3339(leg.left_at),
        "result": leg.result,
    }
