"""The calls that Asterisk's own records tell of. Pure.

Decides which records are one call, which way it went and how it ended, by the tracker's own rules of who is a phone.
A record knows less than the events do: it counts talk from the moment anything answered, be it music. So all that
comes from here is `estimated`. Invariant: what was seen of a call stands, whatever its record says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from hub.telephony.backfill.cdr import DIGITS, Record
from hub.telephony.tracking.calls import Call, Channel, Leg, LegResult, Outcome
from hub.telephony.tracking.dial_strings import number_in
from hub.telephony.tracking.directions import (
    SUPERVISOR,
    Party,
    PbxRules,
    dial_id_of,
    dialled_number,
    first_guess,
    is_outside_context,
    party_of,
    word_for,
)

_SHORT = re.compile(r"[0-9]{2,6}")
_DIALLED_APPS = frozenset(("appdial", "appdial2", "appqueue"))
"""What a channel that was called is said to run: its row says nothing that the caller's does not."""
_TEAM_CONTEXTS = frozenset(("hub-in", "hub-fallback"))
"""Of the shipped dialplan: a caller of a team comes by there under the team's name."""


@dataclass(frozen=True, slots=True)
class Told:
    """A call as the records tell it, and the uniqueids of its rows. Its `boot` is `boot_of` its start."""

    call: Call
    uniqueids: frozenset[str]


def boot_of(started_at: datetime) -> str:
    """What stands for the run of the PBX, which no record names: uniqueids repeat where a clock was set back."""
    return f"cdr-{started_at:%Y%m%dT%H%M%S}"


def calls_of(records: Iterable[Record], rules: PbxRules) -> list[Told]:
    """Put together the calls that these rows tell of, in the order of their starts."""
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda one: (one.start, one.end)):
        if record.uniqueid.startswith(SUPERVISOR):
            continue
        if not record.linked_id and (record.app in _DIALLED_APPS or _caller(record, rules).is_wiring):
            # Without the linked id nobody can say whose part this is; the caller's own row tells the story.
            continue
        groups.setdefault(record.linked_id or record.uniqueid, []).append(record)
    told = [_call(linked_id, rows, rules) for linked_id, rows in groups.items()]
    return [one for one in told if one is not None]


def _caller(record: Record, rules: PbxRules) -> Party:
    """Classify who called. A row names the context that the call came to last, which only rarely is the caller's."""
    context = None
    if is_outside_context(record.context) or (
        _SHORT.fullmatch(record.src) and record.context in (rules.internal_contexts or ())
    ):
        context = record.context
    return party_of(record.channel, rules, context=context, caller_id=record.src)


def _callee(record: Record, rules: PbxRules) -> Party | None:
    """Classify who was called; a Local channel that leads to a number stands for that number."""
    if not record.dst_channel:
        return None
    party = party_of(record.dst_channel, rules, context=None, caller_id="")
    if not party.is_wiring:
        return party
    leads_to = word_for(record.dst_channel)
    if _SHORT.fullmatch(leads_to):
        return Party(leads_to, is_wiring=False, is_phone=True, extension=leads_to)
    if DIGITS.fullmatch(leads_to):  # a phone that is forwarded to a number outside
        return Party(leads_to, is_wiring=False, is_phone=False, extension=None)
    return None


def _call(linked_id: str, rows: list[Record], rules: PbxRules) -> Told | None:
    persons = [row for row in rows if not _caller(row, rules).is_wiring]
    if not persons:
        return None
    root = next((row for row in persons if row.uniqueid == linked_id), persons[0])
    caller = _caller(root, rules)
    started_at, ended_at = min(row.start for row in rows), max(row.end for row in rows)
    called = [(row, party) for row in rows if (party := _callee(row, rules)) is not None]
    direction = first_guess(from_phone=caller.is_phone, dial_id=dial_id_of(linked_id), dialled=root.dst)
    if caller.is_phone and any(not party.is_phone for _, party in called):
        direction = "outbound"
    spoke = [(row, party) for row, party in called if row.result == "answered"]
    answered_at = min((row.end - row.billed for row, _ in spoke), default=None)
    answered_by = next((party.extension or party.endpoint for _, party in spoke if party.is_phone), None)
    queues = [name for row in rows for name in _queues(row)]
    dialled = _dialled(root)
    call = Call(
        pbx=rules.pbx,
        boot=boot_of(started_at),
        linked_id=linked_id,
        direction=direction,
        state="ended",
        started_at=started_at,
        outcome=_outcome(rows, called, is_inbound=direction == "inbound"),
        estimated=True,
        from_raw=(caller.extension or root.src) if caller.is_phone else root.src,
        from_name=root.name,
        from_extension=caller.extension,
        to_raw=dialled if direction == "outbound" else root.did or root.dst,
        to_extension=None if direction == "outbound" else answered_by,
        did=_did(root) if direction == "inbound" else None,
        answered_at=answered_at,
        ended_at=ended_at,
        wait_s=((answered_at or ended_at) - started_at).total_seconds(),
        talk_s=sum(row.billed.total_seconds() for row, _ in spoke),
        answered_extension=answered_by if direction != "outbound" else None,
        queue=next((name for name in queues if name in rules.hub_queues), None),
        is_left_waiting=_is_left_waiting(rows, [row for row, _ in spoke], rules),
        legs=_legs(root, caller, called, number=dialled, answered_at=answered_at, ended_at=ended_at),
    )
    return Told(call, frozenset(row.uniqueid for row in rows) | {linked_id})


def _is_left_waiting(rows: list[Record], spoke: list[Record], rules: PbxRules) -> bool:
    """Tell whether the last of a call that was answered is a queue of Hub's in which nobody took the caller."""
    last = max(rows, key=lambda row: (row.start, row.end))
    if not spoke or last in spoke or last.dst_channel or last.start < max(row.end for row in spoke):
        return False
    return any(name in rules.hub_queues for name in _queues(last))


def _queues(row: Record) -> Iterable[str]:
    """Name the queue that a row is of: its own words of it are gone where the caller went on to the team's fallback."""
    if row.app == "queue":
        yield row.app_data.split(",")[0]
    if row.context in _TEAM_CONTEXTS:
        yield f"hub-{row.dst}"


def _did(root: Record) -> str | None:
    """The number that was called, where the dialplan has not led the row on to another extension."""
    return root.did or (root.dst if len(root.dst) > 6 and DIGITS.fullmatch(root.dst) else None)


def _dialled(root: Record) -> str:
    if DIGITS.fullmatch(root.dst):
        return root.dst
    return dialled_number(root.app_data.partition("/")[2].partition(",")[0], "") or root.dst


def _number_called(row: Record, dialled: str) -> str | None:
    """Return the number outside that a row's channel was made for: as the trunk was asked, else as it was dialled."""
    asked = number_in(row.app_data.partition("/")[2].partition(",")[0]) if row.app == "dial" else None
    number = word_for(row.dst_channel) or asked or dialled
    return number[:64] if number else None


def _outcome(rows: list[Record], called: list[tuple[Record, Party]], *, is_inbound: bool) -> Outcome:
    """How it ended, by the tracker's rules as far as the records carry."""
    results = [row.result for row, _ in called]
    if "answered" in results:
        return "answered"
    if is_inbound and any(row.app == "voicemail" for row in rows):
        return "voicemail"
    # In hub-in a phone rings only while the caller is being taken; whose time was over has gone on to the fallback.
    if is_inbound and (rows[-1].app == "queue" or (rows[-1].context == "hub-in" and rows[-1].dst)):
        return "abandoned"
    if not results:
        return "missed" if is_inbound else "failed"
    if "no_answer" in results:
        return "missed"
    return "busy" if "busy" in results else "failed"


def _legs(
    root: Record,
    caller: Party,
    called: list[tuple[Record, Party]],
    *,
    number: str,
    answered_at: datetime | None,
    ended_at: datetime,
) -> tuple[Leg, ...]:
    outside = None if caller.is_phone else root.src or None
    result: LegResult = "answered" if answered_at else "cancelled"
    first = Leg(
        Channel(root.channel), root.uniqueid, caller.extension, outside, "caller", None, answered_at, ended_at, result
    )
    legs = {root.uniqueid: first}
    for row, party in called:
        # A record does not name the other side's uniqueid.
        leg_id = f"cdr:{row.dst_channel}"[:150]
        if leg_id in legs and legs[leg_id].result == "answered":
            continue
        at = row.end - row.billed if row.result == "answered" else None
        shown = None if party.is_phone else _number_called(row, number if caller.is_phone else "")
        legs[leg_id] = Leg(
            Channel(row.dst_channel), leg_id, party.extension, shown, "callee", row.start, at, row.end, row.result
        )
        if len(legs) >= 200:
            break
    return tuple(legs.values())


def corrected(seen: Call, told: Call, *, not_before: datetime) -> Call:
    """Give a call whose end was concluded the end that the records tell.

    What was seen stands: a call that was answered stays so. Where it was not until `not_before`, when it was last
    heard of, it was answered later, whatever the record counts from.
    """
    ended_at = max(told.ended_at or told.started_at, seen.started_at, seen.answered_at or seen.started_at)
    answered_at = seen.answered_at
    if answered_at is None and told.answered_at is not None:
        answered_at = min(max(told.answered_at, not_before, seen.started_at), ended_at)
    known_legs = {leg.channel: leg for leg in seen.legs}
    for leg in told.legs:
        before = known_legs.get(leg.channel)
        at = max(leg.answered_at, answered_at) if leg.answered_at and answered_at else leg.answered_at
        if before is None:
            known_legs[leg.channel] = replace(leg, answered_at=at)
        elif before.answered_at is None and at is not None:
            known_legs[leg.channel] = replace(before, answered_at=at, left_at=leg.left_at, result="answered")
    return replace(
        seen,
        outcome="answered" if answered_at else told.outcome,
        answered_at=answered_at,
        ended_at=ended_at,
        wait_s=((answered_at or ended_at) - seen.started_at).total_seconds(),
        talk_s=(ended_at - answered_at).total_seconds() if answered_at else 0.0,
        answered_extension=seen.answered_extension or told.answered_extension,
        legs=tuple(known_legs.values()),
    )
