"""The list of people and their teams, as far as the asker may see it. Changes nothing but a language.

A manager sees the people of their own teams and themselves, an administrator everybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.models import team_members, teams, users


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    id: int
    name: str
    email: str
    role: str
    extension: str | None
    team_ids: tuple[int, ...]
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class Team:
    id: int
    name: str


async def people(conn: AsyncConnection, actor: Actor, *, after: int = 0, limit: int = 50) -> list[DirectoryEntry]:
    """Return people in the order of their ids; `after` is the last one of the page before."""
    query = sa.select(users).where(users.c.id > after).order_by(users.c.id).limit(limit)
    if not actor.is_admin:
        mates = sa.select(team_members.c.user_id).where(team_members.c.team_id.in_(sorted(actor.team_ids)))
        query = query.where(sa.or_(users.c.id.in_(mates), users.c.id == actor.user_id))
    rows = (await conn.execute(query)).all()
    membership = sa.select(team_members).where(team_members.c.user_id.in_([row.id for row in rows]))
    members = (await conn.execute(membership.order_by(team_members.c.team_id))).all()
    return [
        DirectoryEntry(
            row.id,
            row.name,
            row.email,
            row.role,
            row.extension,
            tuple(m.team_id for m in members if m.user_id == row.id),
            row.disabled_at is not None,
        )
        for row in rows
    ]


async def my_teams(conn: AsyncConnection, actor: Actor) -> list[Team]:
    """Return the teams the actor belongs to, all for an administrator, by name."""
    query = sa.select(teams.c.id, teams.c.name).order_by(teams.c.name)
    if not actor.is_admin:
        query = query.where(teams.c.id.in_(sorted(actor.team_ids)))
    return [Team(row.id, row.name) for row in await conn.execute(query)]


async def set_language(conn: AsyncConnection, actor: Actor, language: str) -> None:
    """Keep the language a person chose."""
    await conn.execute(sa.update(users).where(users.c.id == actor.user_id).values(language=language))
