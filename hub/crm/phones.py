"""The owner of each extension, PBX by PBX.

`users.extension` is a person's phone on every PBX where `phones` names no other of theirs: with one PBX that is all
there is to know, and with several the same 101 may be two people. Invariant: an extension of a PBX has one owner,
and a person one phone on a PBX.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.models import phones, team_members, users
from hub.errors import Conflict

Owner = tuple[int, str]
"""A user's id and name."""


async def owners(conn: AsyncConnection, pbx: str, extensions: Collection[str] | None = None) -> dict[str, Owner]:
    """Return the owner of each of these extensions of a PBX that is somebody's (None: of all), in one question."""
    here = sa.and_(phones.c.user_id == users.c.id, phones.c.pbx == pbx)
    query = sa.select(users.c.id, users.c.name, users.c.extension, phones.c.extension.label("here"))
    query = query.outerjoin(phones, here).where(sa.or_(phones.c.extension.is_not(None), users.c.extension.is_not(None)))
    if extensions is not None:
        everywhere = sa.and_(phones.c.user_id.is_(None), users.c.extension.in_(extensions))
        query = query.where(sa.or_(phones.c.extension.in_(extensions), everywhere))
    rows = (await conn.execute(query)).all()
    found = {row.extension: (row.id, row.name) for row in rows if row.here is None}
    return found | {row.here: (row.id, row.name) for row in rows if row.here is not None}


async def owner_of(conn: AsyncConnection, pbx: str, extension: str | None) -> Owner | None:
    """Return whose phone an extension of this PBX is."""
    return (await owners(conn, pbx, [extension])).get(extension) if extension else None


def extension_on(pbx: str) -> sa.ColumnElement[str | None]:
    """The phone on this PBX of each row of `users` in a query: never one that is another's there."""
    named = sa.select(phones.c.extension).where(phones.c.pbx == pbx, phones.c.user_id == users.c.id)
    is_anothers = sa.exists().where(phones.c.pbx == pbx, phones.c.extension == users.c.extension)
    usual = sa.case((~is_anothers.correlate(users), users.c.extension))
    return sa.func.coalesce(named.correlate(users).scalar_subquery(), usual)


async def give(conn: AsyncConnection, user_id: int, pbx: str, extension: str) -> None:
    """Make an extension of one PBX this person's. Raises Refused for what is none, Conflict where it is taken."""
    values = {"pbx": pbx, "extension": sanitize.extension(extension), "user_id": user_id}
    try:
        async with conn.begin_nested():
            await conn.execute(phones.insert().values(**values))
    except IntegrityError:
        raise Conflict("extension_taken", f"extension {extension} of PBX {pbx} is already taken") from None


async def teams_of(conn: AsyncConnection, user_ids: Collection[int]) -> dict[int, set[int]]:
    """Return the ids of each person's teams: whose a call is that only their phones heard."""
    found: dict[int, set[int]] = {}
    if user_ids:
        query = sa.select(team_members.c.user_id, team_members.c.team_id).where(team_members.c.user_id.in_(user_ids))
        for row in await conn.execute(query):
            found.setdefault(row.user_id, set()).add(row.team_id)
    return found
