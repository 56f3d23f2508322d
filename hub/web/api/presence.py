"""Presence, devices and the wallboard over the API."""

from __future__ import annotations

from typing import Annotated

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import presence as said_presence
from hub.crm.choices import PresenceState, SaidState
from hub.telephony.choices import PhoneState
from hub.telephony.presence import presence, wallboard
from hub.telephony.presence.presence import Colleague
from hub.web.api.endpoint import Endpoint, Page, Query
from hub.web.api.shapes import Cursor, Moment, Ref, Shape, at, one_of, ref
from hub.web.paging import cut
from hub.web.request_context import RequestContext, read_cursor

StateWord = Annotated[str, PresenceState.schema()]
SaidWord = Annotated[str, SaidState.schema()]
PhoneWord = Annotated[str, PhoneState.schema()]


class PresenceShape(Shape, frozen=True, kw_only=True):
    """How a person looks to others. `until` is the end of after-call work; `phone` is `none` for who has none."""

    user: Ref
    extension: str | None
    teams: list[int]
    state: StateWord
    since: Moment | None
    until: Moment | None
    phone: PhoneWord
    can_take: bool


class Presences(Shape, frozen=True, kw_only=True):
    items: list[PresenceShape]
    next: Cursor | None


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state to set for oneself; `available` also ends after-call work."""

    state: Annotated[str, one_of(*said_presence.CHOICES)]


class SaidShape(Shape, frozen=True, kw_only=True):
    """One's own word, which a call may hide from others."""

    state: SaidWord
    since: Moment | None
    until: Moment | None
    shown: StateWord


class DeviceShape(Shape, frozen=True, kw_only=True):
    """A phone or line as Asterisk last told of it. While its PBX is down `state` is `unknown`.

    `contact` says whether it is registered and answers (`reachable`, `registered`, `unreachable`, `none`); empty where
    nothing was said of it since the connection to the PBX began.
    """

    pbx: str
    device: str
    extension: str | None
    user: Ref | None
    state: PhoneWord
    since: Moment
    contact: Annotated[str, one_of("", "reachable", "registered", "unreachable", "none")]


class Devices(Shape, frozen=True, kw_only=True):
    items: list[DeviceShape]
    next: Cursor | None


class BoardCallShape(Shape, frozen=True, kw_only=True):
    """`since` is when the wait, or the talk, began; `person` has the call, or is being rung for it."""

    id: int
    who: str
    client: int | None
    state: Annotated[str, one_of("ringing", "waiting", "connecting", "talking", "held")]
    since: Moment
    person: str | None


class TodayShape(Shape, frozen=True, kw_only=True):
    """Incoming calls of the team since its midnight.

    `service_level` = answered within `service_level_s` / (answered + missed + abandoned after that time).
    """

    since: Moment
    offered: int
    answered: int
    answered_in_time: int
    missed: int
    abandoned: int
    abandoned_soon: int
    service_level_s: int
    service_level: float | None


class BoardShape(Shape, frozen=True, kw_only=True):
    """`pbx_unknown` are the PBXs whose state is not known now; their calls are in no figure."""

    team: Ref
    waiting: int
    longest_wait_since: Moment | None
    talking: int
    free: int
    today: TodayShape
    waiting_calls: list[BoardCallShape]
    talking_calls: list[BoardCallShape]
    people: list[PresenceShape]
    pbx_unknown: list[str]


def presence_shape(one: Colleague) -> PresenceShape:
    return PresenceShape(
        user=Ref(id=one.id, name=one.name),
        extension=one.extension,
        teams=list(one.team_ids),
        state=one.state,
        since=rfc3339(one.since),
        until=rfc3339(one.until),
        phone=one.phone,
        can_take=one.can_take,
    )


def call_shape(call: wallboard.BoardCall) -> BoardCallShape:
    return BoardCallShape(
        id=call.id, who=call.who, client=call.client_id, state=call.state, since=at(call.since), person=call.person
    )


async def listed(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> Presences:
    people = await presence.of_team(conn, ctx.actor, ctx.now)
    return Presences(items=[presence_shape(one) for one in people], next=None)


async def say(conn: AsyncConnection, ctx: RequestContext, body: Word) -> SaidShape:
    await said_presence.say(conn, ctx.actor.user_id, body.state, now=ctx.now)
    me, said = await presence.of_me(conn, ctx.actor, ctx.now)
    return SaidShape(state=said.state, since=rfc3339(said.since), until=rfc3339(said.until), shown=me.state)


async def devices(conn: AsyncConnection, ctx: RequestContext, query: Page) -> Devices:
    after = read_cursor(query.cursor)[0] if query.cursor else ""
    pbx, _, name = after.partition("\n")
    rows = await presence.devices(conn, ctx.actor, after=(pbx, name), limit=query.limit + 1, now=ctx.now)
    page = cut(rows, lambda row: (f"{row.pbx}\n{row.device}", 1), limit=query.limit)
    items = [
        DeviceShape(
            pbx=row.pbx,
            device=row.device,
            extension=row.extension,
            user=ref(row.user_id, row.user_name),
            state=row.state,
            since=at(row.since),
            contact=row.contact,
        )
        for row in page.items
    ]
    return Devices(items=items, next=page.next)


async def board(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> BoardShape:
    shown = await wallboard.board(conn, ctx.actor, ctx.id("team"), now=ctx.now)
    today = shown.today
    return BoardShape(
        team=Ref(id=shown.team_id, name=shown.team_name),
        waiting=len(shown.waiting),
        longest_wait_since=rfc3339(shown.longest_since),
        talking=len(shown.talking),
        free=shown.free,
        today=TodayShape(
            since=at(today.since),
            offered=today.offered,
            answered=today.answered,
            answered_in_time=today.answered_in_time,
            missed=today.missed,
            abandoned=today.abandoned,
            abandoned_soon=today.abandoned_soon,
            service_level_s=today.service_level_s,
            service_level=today.service_level,
        ),
        waiting_calls=[call_shape(call) for call in shown.waiting],
        talking_calls=[call_shape(call) for call in shown.talking],
        people=[presence_shape(one) for one in shown.people],
        pbx_unknown=list(shown.pbx_unknown),
    )


ENDPOINTS = (
    Endpoint(method="GET", path="/presence", summary="Who of your teams is on", reads=listed, answer=Presences),
    Endpoint(
        method="POST",
        path="/presence",
        summary="Say whether you are available; say it again every two minutes where no page of yours is open",
        writes=say,
        body=Word,
        answer=SaidShape,
    ),
    Endpoint(
        method="GET",
        path="/devices",
        summary="Phones of your teams' people; for an administrator all phones and lines",
        reads=devices,
        query=Page,
        answer=Devices,
    ),
    Endpoint(method="GET", path="/wallboard/{team}", summary="A team's figures now", reads=board, answer=BoardShape),
)
