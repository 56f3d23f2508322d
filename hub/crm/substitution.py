"""The people who substitute others: who stands in for whom now, and which absences would go round in a circle.

An absence is a person, their substitute and a term; a substitute who is absent too passes it on to theirs. What a
substitute may do is `access`'. Invariant: whoever is reached by several absences is reached only while all of them
last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.models import users

MOST_STEPS = 20
"""Substitutes of substitutes: a longer chain is followed no further."""
TERM = (users.c.substitute_id, users.c.substitute_from, users.c.substitute_until)
_NOW = sa.bindparam("now", type_=users.c.substitute_from.type)


class Absence(NamedTuple):
    """A person whom somebody substitutes, from a moment until another; None: until further notice."""

    user_id: int
    substitute_id: int
    since: datetime
    until: datetime | None

    def lasts(self, at: datetime) -> bool:
        """Tell whether a moment is in the term."""
        return self.since <= at and (self.until is None or at < self.until)


def of_substitute(user_id: sa.BindParameter[Any]) -> sa.Select[Any]:
    """Select the absences that reach a person now or later, directly or by others; `now` is a parameter."""
    is_open = sa.or_(users.c.substitute_until.is_(None), users.c.substitute_until > _NOW)
    reached = sa.select(users.c.id).where(users.c.substitute_id == user_id, is_open).cte("reached", recursive=True)
    reached = reached.union(sa.select(users.c.id).join(reached, users.c.substitute_id == reached.c.id).where(is_open))
    return sa.select(users.c.id, *TERM).join(reached, reached.c.id == users.c.id)


def substituted_by(
    user_id: int, absences: Iterable[Absence], *, now: datetime
) -> tuple[frozenset[int], datetime | None]:
    """Return whom a person substitutes now, and the next moment at which that may be others."""
    every = list(absences)
    lasting = [one for one in every if one.lasts(now)]
    found = {user_id}
    while more := {one.user_id for one in lasting if one.substitute_id in found} - found:
        found |= more
    moments = [at for one in every for at in (one.since, one.until) if at is not None and at > now]
    return frozenset(found - {user_id}), min(moments, default=None)


async def present(conn: AsyncConnection, user_id: int, *, now: datetime) -> int:
    """Return who stands in for a person now: the person, unless an enabled colleague substitutes them."""
    for _step in range(MOST_STEPS):
        absence = await _absence(conn, user_id)
        if absence is None or not absence.lasts(now):
            break
        is_enabled = sa.select(users.c.id).where(users.c.id == absence.substitute_id, users.c.disabled_at.is_(None))
        if (await conn.execute(is_enabled)).first() is None:
            break
        user_id = absence.substitute_id
    return user_id


async def lock(conn: AsyncConnection) -> None:
    """Let of two changes of absences the second wait until the first is done: they lock the first account."""
    await conn.execute(sa.select(users.c.id).order_by(users.c.id).limit(1).with_for_update())


async def goes_round(conn: AsyncConnection, absence: Absence) -> bool:
    """Tell whether a new absence would lead back to its person at some moment of its term."""
    since, until, at = absence.since, absence.until, absence.substitute_id
    for _step in range(MOST_STEPS):
        if at == absence.user_id:
            return True
        further = await _absence(conn, at)
        if further is None:
            return False
        since = max(since, further.since)
        until = min((one for one in (until, further.until) if one is not None), default=None)
        if until is not None and until <= since:
            return False
        at = further.substitute_id
    return True


async def reached_from(conn: AsyncConnection, user_ids: Iterable[int]) -> set[int]:
    """Return these people and whoever substitutes them, now or at any time: their rights hang on each of them."""
    found: set[int] = set()
    asked = set(user_ids)
    while asked - found:
        found |= asked
        query = sa.select(users.c.substitute_id).where(users.c.id.in_(asked), users.c.substitute_id.is_not(None))
        asked = set((await conn.execute(query)).scalars())
    return found


async def _absence(conn: AsyncConnection, user_id: int) -> Absence | None:
    row = (await conn.execute(sa.select(users.c.id, *TERM).where(users.c.id == user_id))).first()
    return None if row is None or row.substitute_id is None else Absence(*row)
