"""A team's day in figures: who waits, who talks, who is free, and how well callers were served today. Only reads.

Each figure comes from one indexed question: open calls by (pbx, state), today's by (team, started_at); nothing older
than the team's own midnight is looked at. The formula of the service level stands in docs/presence.md. Invariant:
calls of a PBX that is down are neither waiting nor talking here; the board says that they are not known.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import clients, queue_items, team_rules, users
from hub.telephony import measures
from hub.telephony.models import calls
from hub.telephony.presence import presence
from hub.telephony.presence.presence import Colleague

LISTED = 100
SERVICE_LEVEL_S = 20
_TALKING = ("talking", "held")
_WAITING = ("waiting", "connecting", "ringing")
_SHOWN_FIRST = ("free", "ringing", "in_call", "after_call", "away", "dnd", "offline")


@dataclass(frozen=True, slots=True)
class BoardCall:
    """An open call of the team. `who` is the client's or caller's name or number; `person` has it, or is rung."""

    id: int
    who: str
    client_id: int | None
    state: str
    since: datetime
    person: str | None
    pbx: str
    team_id: int | None
    answered_user_id: int | None


@dataclass(frozen=True, slots=True)
class Today:
    """The team's incoming calls since its midnight. `offered` counts those that are over or answered."""

    since: datetime
    answered: int
    answered_in_time: int
    missed: int
    abandoned: int
    abandoned_soon: int
    service_level_s: int

    @property
    def offered(self) -> int:
        return self.answered + self.missed + self.abandoned

    @property
    def service_level(self) -> float | None:
        """The share of callers who were answered in time, None where nobody called; see docs/presence.md."""
        counted = self.offered - self.abandoned_soon
        return self.answered_in_time / counted if counted > 0 else None


@dataclass(frozen=True, slots=True)
class Board:
    team_id: int
    team_name: str
    waiting: tuple[BoardCall, ...]
    talking: tuple[BoardCall, ...]
    people: tuple[Colleague, ...]
    today: Today
    pbx_unknown: tuple[str, ...]

    @property
    def longest_since(self) -> datetime | None:
        return self.waiting[0].since if self.waiting else None

    @property
    def free(self) -> int:
        return sum(person.can_take for person in self.people)


async def board(conn: AsyncConnection, actor: Actor, team_id: int, *, now: datetime) -> Board:
    """Return a team's board. Raises NotFound, also for a team that is not the actor's."""
    name = await presence.require_team(conn, actor, team_id)
    up, unknown = await presence.pbxs_up(conn, now)
    waiting, talking = await _open_calls(conn, actor, team_id, up)
    people = sorted(
        await presence.of_one_team(conn, actor, team_id, now), key=lambda one: _SHOWN_FIRST.index(one.state)
    )
    today = await _today(conn, team_id, now=now)
    return Board(team_id, name, waiting, talking, tuple(people), today, tuple(unknown))


async def _open_calls(
    conn: AsyncConnection, actor: Actor, team_id: int, up: list[str]
) -> tuple[tuple[BoardCall, ...], tuple[BoardCall, ...]]:
    answerer, owner = users.alias("answerer"), users.alias("owner")
    item = sa.and_(queue_items.c.kind == "call", queue_items.c.ref_id == calls.c.id)
    query = (
        sa.select(
            calls,
            access.shown_name(actor, "client").label("client_name"),
            answerer.c.name.label("answerer_name"),
            owner.c.name.label("owner_name"),
        )
        .outerjoin(clients, clients.c.id == calls.c.client_id)
        .outerjoin(answerer, answerer.c.id == calls.c.answered_user_id)
        .outerjoin(queue_items, item)
        .outerjoin(owner, owner.c.id == queue_items.c.owner_id)
        .where(calls.c.pbx.in_(up), calls.c.state.in_((*_WAITING, *_TALKING)), calls.c.team_id == team_id)
        .order_by(calls.c.started_at, calls.c.id)
        .limit(2 * LISTED)
    )
    waiting, talking = [], []
    for row in (await conn.execute(query)).mappings():
        who = row["client_name"] or row["from_name"] or row["from_number"] or row["from_raw"]
        about = row["pbx"], row["team_id"], row["answered_user_id"]
        if row["state"] in _TALKING and row["answered_at"] is not None:
            since, person = row["answered_at"], row["answerer_name"] or row["answered_extension"]
            talking.append(BoardCall(row["id"], who, row["client_id"], row["state"], since, person, *about))
        else:
            since, person = row["started_at"], row["owner_name"]
            waiting.append(BoardCall(row["id"], who, row["client_id"], row["state"], since, person, *about))
    return tuple(waiting), tuple(talking)


async def _today(conn: AsyncConnection, team_id: int, *, now: datetime) -> Today:
    rules = sa.select(team_rules.c.service_level_s, team_rules.c.time_zone).where(team_rules.c.team_id == team_id)
    rule = (await conn.execute(rules)).first()
    level_s = rule.service_level_s if rule else SERVICE_LEVEL_S
    since = midnight(now, rule.time_zone if rule else "")
    is_answered, is_abandoned = measures.answered(), measures.abandoned()
    left_word = sa.and_(calls.c.state == "ended", calls.c.outcome == "voicemail")
    is_missed = sa.or_(sa.and_(measures.missed(), sa.not_(is_abandoned)), left_word)
    # Of a call whose end nobody saw the wait is not known: it is no excuse.
    is_soon = sa.and_(is_abandoned, calls.c.wait_s <= level_s, calls.c.estimated.is_(False))

    def count(condition: sa.ColumnElement[bool], name: str) -> sa.Label[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0).label(name)

    query = sa.select(
        count(is_answered, "answered"),
        count(sa.and_(is_answered, calls.c.wait_s <= level_s), "in_time"),
        count(is_missed, "missed"),
        count(is_abandoned, "abandoned"),
        count(is_soon, "soon"),
    ).where(calls.c.team_id == team_id, calls.c.started_at >= since, calls.c.direction == "inbound")
    row = (await conn.execute(query)).one()
    return Today(since, row.answered, row.in_time, row.missed, row.abandoned, row.soon, level_s)


def midnight(now: datetime, time_zone: str) -> datetime:
    """Return when today began in a zone; in this machine's where none, or none that exists, is named."""
    zone: tzinfo | None = None
    with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo(time_zone) if time_zone else None
    local = now.astimezone(zone)
    # Aware arithmetic on the wall clock: the day that clocks change is 23 or 25 hours long.
    start = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return start.replace(tzinfo=zone) if zone is not None else start.replace(tzinfo=None).astimezone()
