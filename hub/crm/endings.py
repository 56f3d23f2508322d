"""Ends sessions and revokes API tokens, and tells every process, so that their open streams end at once.

Invariant: the rows, the audit and the change that names the ended ones are in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.audit import record
from hub.crm.models import sessions, tokens
from hub.store import changes
from hub.store.changes import Change

KIND = "sign_in"
_TABLES = {"session": sessions, "token": tokens}
_ACTIONS = {"session": "session.ended", "token": "token.revoked"}
_OWNER = {"session": "of", "token": "for"}


async def revoke(
    conn: AsyncConnection,
    kind: Literal["session", "token"],
    which: sa.ColumnElement[bool],
    *,
    user_id: int,
    by: int | None,
    now: datetime,
) -> int:
    """Revoke the sessions or tokens of a user that match `which` and are live; return how many.

    `by`: the acting user, None for the command line.
    """
    table = _TABLES[kind]
    live: sa.ColumnElement[bool] = table.c.revoked_at.is_(None)
    if kind == "session":
        # An expired token stays in lists until it is revoked; an expired session is gone.
        live = sa.and_(live, table.c.expires_at > now)
    ended = sa.update(table).where(which, table.c.user_id == user_id, live).values(revoked_at=now)
    ids = list((await conn.execute(ended.returning(table.c.id))).scalars())
    details = {_OWNER[kind]: user_id}
    for one in ids:
        await record(conn, _ACTIONS[kind], at=now, user_id=by, object_kind=kind, object_id=one, details=details)
    if kind == "session":
        await publish(conn, user_id, session_ids=ids, now=now)
    else:
        await publish(conn, user_id, token_ids=ids, now=now)
    return len(ids)


async def publish(
    conn: AsyncConnection,
    user_id: int,
    *,
    session_ids: Sequence[int] = (),
    token_ids: Sequence[int] = (),
    now: datetime,
) -> None:
    """Publish the end of sessions and tokens. No-op if there are none."""
    if session_ids or token_ids:
        data = {"sessions": list(session_ids), "tokens": list(token_ids)}
        await changes.publish(conn, KIND, user_id, at=now, user_id=user_id, data=data)


def ended_by(change: Change) -> tuple[frozenset[int], frozenset[int]]:
    """Return the ids of the sessions and of the tokens that a change ended."""
    if change.kind != KIND:
        return frozenset(), frozenset()
    return frozenset(change.data.get("sessions", ())), frozenset(change.data.get("tokens", ()))
