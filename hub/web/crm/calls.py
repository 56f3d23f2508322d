"""Calls on the web: what a list may be narrowed by beside a condition, and their own object in the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.labels import _
from hub.telephony import measures
from hub.telephony.choices import CallDirection, CallOutcome, CallState
from hub.telephony.models import calls
from hub.telephony.reading import register
from hub.telephony.reading.call_kind import CALLS, CallRow, matches
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint, Id
from hub.web.api.filters import party_or_moment
from hub.web.base.kind import Answer, RecordQuery, WebKind
from hub.web.crm.given import given
from hub.web.dialing import looked_up_number
from hub.web.request_context import RequestContext, parse_moment

LABELS = {
    "direction": _("Direction"),
    "state": _("State"),
    "outcome": _("Outcome"),
    "client": _("Client"),
    "user": _("Manager"),
    "team": _("Team"),
    "pbx": _("PBX"),
    "number": _("Number"),
    "from": _("From"),
    "to": _("To"),
    "since": _("Since"),
    "until": _("Until"),
    "linked_id": _("Call id"),
}
"""Parameters of the address that scripts, bookmarks and other pages of Hub use beside a condition."""


class CallQuery(RecordQuery, frozen=True, kw_only=True):
    """`from` and `to` are numbers in any way of writing, or moments that `started_at` lies between; `number` is on
    either side; `since` and `until` are days, the last one whole."""

    only: Literal["missed", "answered"] | None = None
    client: Id | None = None
    user: Id | None = None
    team: Id | None = None
    pbx: str | None = None
    direction: CallDirection | None = None
    state: CallState | None = None
    outcome: CallOutcome | None = None
    number: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    since: str | None = None
    until: str | None = None
    linked_id: str | None = None


def day(text: str | None, *, field: str, days: int = 0) -> datetime | None:
    """Read a date of a filter; `days` moves it, for an end that is meant with its whole day."""
    return parse_moment(text, field=field) + timedelta(days=days) if text else None


def _narrow(ctx: RequestContext, query: CallQuery) -> sa.ColumnElement[bool] | None:
    region = ctx.services.linker.region
    wanted = {
        calls.c.client_id: query.client,
        calls.c.answered_user_id: query.user,
        calls.c.team_id: query.team,
        calls.c.pbx: query.pbx,
        calls.c.direction: query.direction,
        calls.c.state: query.state,
        calls.c.outcome: query.outcome,
        calls.c.linked_id: query.linked_id,
    }
    found: list[sa.ColumnElement[bool]] = [column == value for column, value in wanted.items() if value is not None]
    if query.only is not None:
        found.append(measures.missed() if query.only == "missed" else measures.answered())
    if query.number:
        found.append(matches(query.number, region))
    from_number, since = party_or_moment(query.from_, field="from")
    to_number, until = party_or_moment(query.to, field="to")
    for side, text in (("from", from_number), ("to", to_number)):
        if (number := looked_up_number(text, region)) is not None:
            found.append(sa.or_(*(calls.c[f"{side}_{way}"] == number for way in ("number", "extension", "raw"))))
    for at in (since, day(query.since, field="since")):
        if at is not None:
            found.append(calls.c.started_at >= at)
    for at in (until, day(query.until, field="until", days=1)):
        if at is not None:
            found.append(calls.c.started_at < at)
    return sa.and_(*found) if found else None


async def _detail(conn: AsyncConnection, ctx: RequestContext, rows: Sequence[CallRow]) -> list[CallRow]:
    return await register.detailed(conn, ctx.actor, rows)


async def _given(conn: AsyncConnection, ctx: RequestContext, _rows: Sequence[CallRow]) -> dict[str, Any]:
    choices = {"direction": CallDirection, "state": CallState, "outcome": CallOutcome}
    return {"given": await given(conn, ctx, ctx.query(CallQuery), LABELS, choices)}


async def _found(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> shapes.Call:
    return shapes.call(await register.find(conn, ctx.actor, ctx.id()))


WEB = WebKind(
    entity=CALLS,
    query=CallQuery,
    narrow=_narrow,
    detail=_detail,
    answer=Answer(shapes.Call, shapes.call),
    list_template="calls.html",
    list_facts=_given,
    icon="phone",
)
ONE = Endpoint(method="GET", path="/calls/{id}", summary="One call with its legs", reads=_found, answer=shapes.Call)
"""A call that became part of another is found by its old id too."""
