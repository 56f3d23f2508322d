"""Calls as a kind of record: the row, the fields, who may see one, and the search. Nobody writes a call by hand.

Decides access to calls in one place: `permitted` asks `may`, and so does every list, card, count and export. The
queries beyond the base are in `register`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.addresses import parse_phone
from hub.crm.base import registry
from hub.crm.base.entity import Entity
from hub.crm.base.fields import Choice, Duration, Link, LongText, Moment, Person, Team, Text, YesNo
from hub.crm.base.labels import _
from hub.crm.base.permissions import Action
from hub.telephony.choices import CallDirection, CallOrigin, CallOutcome, CallState
from hub.telephony.models import calls
from hub.telephony.recordings.recordings import Recording

MAX_EXTENSION = 6
"""More digits are a number, which an index finds; an extension is looked for call by call."""


@dataclass(frozen=True, slots=True)
class LegRow:
    channel: str
    extension: str | None
    number: str | None
    user_id: int | None
    user_name: str | None
    role: str
    rang_at: datetime | None
    answered_at: datetime | None
    left_at: datetime | None
    result: str | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as lists, cards and the API show it. Times are aware UTC; `wait_s` and `talk_s` are seconds.

    What `register.detailed` adds has a default: names, legs and recordings.
    """

    id: int
    pbx: str
    linked_id: str
    direction: str
    state: str
    outcome: str | None
    estimated: bool
    from_raw: str
    from_number: str | None
    from_name: str
    from_extension: str | None
    to_raw: str
    to_number: str | None
    to_extension: str | None
    did: str | None
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    wait_s: float
    talk_s: float
    answered_extension: str | None
    answered_user_id: int | None
    team_id: int | None
    client_id: int | None
    contact_id: int | None
    link_reason: str | None
    link_confidence: str | None
    link_manual: bool
    candidates: list[dict[str, Any]]
    transfers: list[dict[str, Any]]
    note: str | None
    blocked: bool
    """Turned away by the blacklist."""
    origin: str
    """`live`, or `cdr` where nobody saw it and the PBX's records told of it later."""
    failure: str | None
    """Why a dialled call reached nobody, as in `control.dial_failures`; None where that was a person's doing."""
    answered_user_name: str | None = None
    team_name: str | None = None
    client_name: str | None = None
    contact_name: str | None = None
    legs: tuple[LegRow, ...] = ()
    recordings: tuple[Recording, ...] = ()
    """Those that the asker may hear."""


def may(actor: Actor, action: Action) -> sa.ColumnElement[bool]:
    """Calls that the role reaches, and those of a client whose card the actor may see.

    One's own are those that one answered, or dialled from one's phone, and those answered by whom one substitutes.
    """
    own: list[sa.ColumnElement[bool]] = [calls.c.answered_user_id.in_(sorted(actor.own_ids))]
    own += [sa.and_(calls.c.pbx == pbx, calls.c.from_extension == phone) for pbx, phone in actor.phones if phone]
    if actor.extension is not None:
        other = [pbx for pbx, _phone in actor.phones]
        own.append(sa.and_(calls.c.from_extension == actor.extension, calls.c.pbx.not_in(other)))
    return access.talk_permitted(
        actor,
        "call",
        action,
        client_id=calls.c.client_id,
        own=sa.or_(*own),
        of_team=access.of_my_teams(actor, calls.c.team_id),
        every=sa.true(),
    )


def matches(text: str, region: str) -> sa.ColumnElement[bool]:
    """Calls from or to a number in any way of writing, or an extension."""
    phone = parse_phone(text, region)
    number = phone.value if phone is not None else text
    sides = [calls.c[name] == number for name in ("from_number", "to_number")]
    if number.isascii() and number.isdigit() and len(number) <= MAX_EXTENSION:
        sides += [calls.c[name] == number for name in ("from_extension", "to_extension")]
    return sa.or_(*sides)


CALLS: Entity[CallRow, Any] = Entity(
    kind="call",
    title=_("Call"),
    titles=_("Calls"),
    table=calls,
    row=CallRow,
    order="-started_at",
    name=calls.c.from_raw,
    rule=may,
    actions=access.TALK_ACTIONS,
    client=calls.c.client_id,
    search=matches,
    fields=(
        Choice(calls.c.direction, _("Call"), options=CallDirection.options(), shown=True, sortable=False),
        Choice(calls.c.state, _("State"), options=CallState.options(), sortable=False),
        Choice(calls.c.outcome, _("Outcome"), options=CallOutcome.options(), sortable=False),
        Link(calls.c.client_id, _("Client"), to="client", shown=True),
        Link(calls.c.contact_id, _("Contact"), to="contact"),
        Text(calls.c.from_number, _("From"), shown=True, sortable=False),
        Text(calls.c.to_number, _("To"), sortable=False),
        Person(calls.c.answered_user_id, _("Manager"), name="user", shown=True),
        Team(calls.c.team_id, _("Team"), shown=True),
        Text(calls.c.pbx, _("PBX"), sortable=False),
        Text(calls.c.did, _("Number dialled"), sortable=False),
        Duration(calls.c.wait_s, _("Waited"), shown=True, sortable=False, measure=True),
        Duration(calls.c.talk_s, _("Talked"), shown=True, sortable=False, measure=True),
        Moment(calls.c.started_at, _("When"), shown=True),
        Moment(calls.c.answered_at, _("Answered at"), sortable=False),
        Moment(calls.c.ended_at, _("Ended at"), sortable=False),
        YesNo(calls.c.blocked, _("Blocked"), sortable=False),
        YesNo(calls.c.estimated, _("Estimated"), sortable=False),
        Choice(calls.c.origin, _("Told by"), options=CallOrigin.options(), sortable=False),
        LongText(calls.c.note, _("Note")),
    ),
)
registry.register(CALLS)
