"""Whose pictures from elsewhere a person always wants to see.

Decides nothing about one mail. Invariant: a choice is one person's own, and one row.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.mail.models import picture_senders
from hub.store.upsert import insert


async def always_from(conn: AsyncConnection, actor: Actor, address: str) -> bool:
    """Tell whether the actor chose to always see this sender's pictures."""
    return (await conn.execute(sa.select(picture_senders.c.since).where(*_row(actor, address)))).first() is not None


async def choose(conn: AsyncConnection, actor: Actor, address: str, *, always: bool, now: datetime) -> None:
    """Remember the choice, or forget it."""
    if not always:
        await conn.execute(sa.delete(picture_senders).where(*_row(actor, address)))
    elif address:
        values = {"user_id": actor.user_id, "address": address.lower(), "since": now}
        await conn.execute(insert(conn, picture_senders).values(**values).on_conflict_do_nothing())


def _row(actor: Actor, address: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (picture_senders.c.user_id == actor.user_id, picture_senders.c.address == address.lower())
