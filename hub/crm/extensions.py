"""Whose phone is it? From the extensions of one PBX to people and their teams, many in one question.

What `phones` says of a PBX goes before `users.extension`, which holds wherever nothing else is said. Invariant: an
extension of one PBX is one person's at most.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.models import phones, team_members, users


async def owners(conn: AsyncConnection, pbx: str, extensions: Collection[str]) -> dict[str, tuple[int, str]]:
    """Return (user id, name) of each extension that is somebody's."""
    if not extensions:
        return {}
    here = sa.and_(phones.c.user_id == users.c.id, phones.c.pbx == pbx)
    everywhere = sa.and_(phones.c.user_id.is_(None), users.c.extension.in_(extensions))
    query = (
        sa.select(users.c.id, users.c.name, users.c.extension, phones.c.extension.label("here"))
        .outerjoin(phones, here)
        .where(sa.or_(phones.c.extension.in_(extensions), everywhere))
    )
    rows = (await conn.execute(query)).all()
    found = {row.extension: (row.id, row.name) for row in rows if row.here is None}
    return found | {row.here: (row.id, row.name) for row in rows if row.here is not None}


async def teams(conn: AsyncConnection, user_ids: Collection[int]) -> dict[int, set[int]]:
    """Return the ids of each person's teams."""
    found: dict[int, set[int]] = {}
    if user_ids:
        query = sa.select(team_members.c.user_id, team_members.c.team_id).where(team_members.c.user_id.in_(user_ids))
        for row in await conn.execute(query):
            found.setdefault(row.user_id, set()).add(row.team_id)
    return found
