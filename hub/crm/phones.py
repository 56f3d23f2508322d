"""Whose phone an extension is, PBX by PBX.

`users.extension` is a person's phone on every PBX where `phones` names no other of theirs: with one PBX that is all
there is to know, and with several the same 101 may be two people. Invariant: an extension of a PBX has one owner,
and a person one phone on a PBX.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import guard
from hub.crm.models import phones, users
from hub.errors import Conflict

Owner = tuple[int, str]
"""A user's id and name."""


async def owners(conn: AsyncConnection, pbx: str) -> dict[str, Owner]:
    """Return every owner by extension, as it is on this PBX."""
    elsewhere = sa.select(phones.c.user_id).where(phones.c.pbx == pbx)
    usual = sa.select(users.c.extension, users.c.id, users.c.name).where(
        users.c.extension.is_not(None), users.c.id.not_in(elsewhere)
    )
    named = (
        sa.select(phones.c.extension, users.c.id, users.c.name)
        .join(users, users.c.id == phones.c.user_id)
        .where(phones.c.pbx == pbx)
    )
    found = {row.extension: (row.id, row.name) for row in await conn.execute(usual)}
    return found | {row.extension: (row.id, row.name) for row in await conn.execute(named)}


async def owner_of(conn: AsyncConnection, pbx: str, extension: str | None) -> Owner | None:
    """Return whose phone an extension of this PBX is."""
    if not extension:
        return None
    named = (
        sa.select(users.c.id, users.c.name)
        .join(phones, phones.c.user_id == users.c.id)
        .where(phones.c.pbx == pbx, phones.c.extension == extension)
    )
    if (row := (await conn.execute(named)).first()) is not None:
        return row.id, row.name
    elsewhere = sa.exists().where(phones.c.pbx == pbx, phones.c.user_id == users.c.id)
    usual = sa.select(users.c.id, users.c.name).where(users.c.extension == extension, ~elsewhere)
    row = (await conn.execute(usual)).first()
    return (row.id, row.name) if row else None


async def extension_of(conn: AsyncConnection, user_id: int, pbx: str) -> str | None:
    """Return a person's phone on this PBX."""
    named = sa.select(phones.c.extension).where(phones.c.pbx == pbx, phones.c.user_id == user_id)
    usual = sa.select(users.c.extension).where(users.c.id == user_id)
    found: str | None = (
        await conn.execute(sa.select(sa.func.coalesce(named.scalar_subquery(), usual.scalar_subquery())))
    ).scalar()
    return found


async def give(conn: AsyncConnection, user_id: int, pbx: str, extension: str) -> None:
    """Make an extension of one PBX this person's. Raises Refused for what is none, Conflict where it is taken."""
    values = {"pbx": pbx, "extension": guard.extension(extension), "user_id": user_id}
    try:
        async with conn.begin_nested():
            await conn.execute(phones.insert().values(**values))
    except IntegrityError:
        raise Conflict("extension_taken", f"extension {extension} of PBX {pbx} is already taken") from None
