"""Rules of teams beyond the base: a team that somebody works in is not archived."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.base.registry import Writers
from hub.crm.models import queue_items, team_members, users
from hub.crm.teams.table import TEAMS, TeamRecord
from hub.errors import Conflict


async def archive(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> TeamRecord:
    """Archive a team. Raises Conflict (`in_use`) where it has people, or work that is not done."""
    of_team = team_members.c.team_id == record_id
    members = sa.select(sa.func.count()).select_from(team_members.join(users)).where(of_team)
    people = (await conn.execute(members.where(users.c.disabled_at.is_(None)))).scalar_one()
    is_open = sa.and_(queue_items.c.team_id == record_id, queue_items.c.state != "done")
    work = (await conn.execute(sa.select(sa.func.count()).select_from(queue_items).where(is_open))).scalar_one()
    archived = await records.archive(conn, TEAMS, record_id, edit=edit, version=version)
    if people or work:
        raise Conflict("in_use", "this team has people or open work: move them first", people=people, open=work)
    return archived


WRITERS = Writers(archive=archive)
