"""Whom a change of a mailbox's message is told to: the team, or the one whose own mailbox it is.

The facts that `crm.access.can_receive` judges by. Invariant: nothing of a personal mailbox names a team.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.models import mailboxes


def audience_of(*, team_id: int, owner_id: int | None, author_id: int | None = None) -> dict[str, int | None]:
    """Return `team_id` and `user_id` for `changes.tell`."""
    if owner_id is not None:
        return {"team_id": None, "user_id": owner_id}
    return {"team_id": team_id, "user_id": author_id}


async def audience(conn: AsyncConnection, mailbox_id: int, *, author_id: int | None = None) -> dict[str, int | None]:
    """The same for a stored mailbox."""
    query = sa.select(mailboxes.c.team_id, mailboxes.c.owner_id).where(mailboxes.c.id == mailbox_id)
    row = (await conn.execute(query)).one()
    return audience_of(team_id=row.team_id, owner_id=row.owner_id, author_id=author_id)
