"""What tells every process that sessions and tokens of a person ended, so that their open streams end at once.

The change names the ended ones. Invariant: it is in the transaction that ends them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store import changes
from hub.store.changes import Change

KIND = "sign_in"


async def publish(
    conn: AsyncConnection,
    user_id: int,
    *,
    session_ids: Sequence[int] = (),
    token_ids: Sequence[int] = (),
    now: datetime,
) -> None:
    """Tell of ended sessions and tokens; of none, nothing."""
    if session_ids or token_ids:
        data = {"sessions": list(session_ids), "tokens": list(token_ids)}
        await changes.publish(conn, KIND, user_id, at=now, user_id=user_id, data=data)


def ended_by(change: Change) -> tuple[frozenset[int], frozenset[int]]:
    """Return the ids of the sessions and of the tokens that a change ended."""
    if change.kind != KIND:
        return frozenset(), frozenset()
    return frozenset(change.data.get("sessions", ())), frozenset(change.data.get("tokens", ()))
