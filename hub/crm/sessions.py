"""A person's sessions: which are open, since when, from where; and ending them.

Opening and finding one is `people`'s. Invariant: an ended session opens nothing, its streams end at once, and it stands
in the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import endings
from hub.crm.models import sessions
from hub.errors import NotFound


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A browser that is signed in. `address` and `user_agent` are as the browser came, possibly empty."""

    id: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    user_agent: str


async def open_of(conn: AsyncConnection, user_id: int, *, now: datetime) -> list[OpenSession]:
    """Return a person's open sessions, the one last seen first."""
    query = (
        sa.select(*(sessions.c[name] for name in OpenSession.__slots__))
        .where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), sessions.c.expires_at > now)
        .order_by(sessions.c.seen_at.desc(), sessions.c.id.desc())
    )
    return [OpenSession(**row) for row in (await conn.execute(query)).mappings()]


async def end(conn: AsyncConnection, user_id: int, session_id: int, *, by: int | None, now: datetime) -> None:
    """End one session of a person; `by` is who did it, None for the command. Raises NotFound where it is not open."""
    if not await endings.revoke(conn, "session", sessions.c.id == session_id, user_id=user_id, by=by, now=now):
        raise NotFound("session_missing", f"no open session {session_id}")


async def end_all(conn: AsyncConnection, user_id: int, *, but: int | None = None, by: int | None, now: datetime) -> int:
    """End a person's sessions, `but` one of them; return how many."""
    return await endings.revoke(conn, "session", sessions.c.id != (but or 0), user_id=user_id, by=by, now=now)


async def note_uses(conn: AsyncConnection, uses: Mapping[int, datetime]) -> None:
    """Write when sessions were last seen; an older moment changes nothing."""
    for session_id, at in sorted(uses.items()):
        older = sa.and_(sessions.c.id == session_id, sessions.c.seen_at < at)
        await conn.execute(sa.update(sessions).where(older).values(seen_at=at))
