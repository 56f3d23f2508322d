"""Reading leads beyond the base: the names of a page's teams and owners, and one lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.base import records
from hub.crm.leads.table import LEADS, Lead
from hub.crm.models import leads, teams, users


async def find(conn: AsyncConnection, lead_id: int, *, actor: Actor) -> Lead:
    """Return a lead the actor may see. Raises NotFound."""
    return (await detailed(conn, [await records.get(conn, actor, LEADS, lead_id)]))[0]


async def detailed(conn: AsyncConnection, rows: Sequence[Lead]) -> list[Lead]:
    """Return leads that were read through `records` with the names of their teams and owners."""
    query = (
        sa.select(leads.c.id, teams.c.name.label("team_name"), users.c.name.label("owner_name"))
        .join(teams, teams.c.id == leads.c.team_id)
        .outerjoin(users, users.c.id == leads.c.owner_id)
        .where(leads.c.id.in_([row.id for row in rows]))
    )
    names = {row.id: row for row in await conn.execute(query)}
    return [replace(row, team_name=names[row.id].team_name, owner_name=names[row.id].owner_name) for row in rows]
