"""The same letter in several of the company's mailboxes: one letter to `sales@` and `info@` is one piece of work.

Decides which mailboxes hold a letter too, and which of them has it in a queue already. Threads and messages stay each
mailbox's own. Invariants: what lies in a person's own mailbox is nobody's twin, since the others may not know of it;
of mailboxes that store the letter at the same moment one is first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue
from hub.mail.models import mailboxes, messages

_SAME = ("message_id", "from_address", "date", "snippet")
"""What the same letter has alike in all mailboxes. Programs use a Message-ID again, and strangers forge one: neither
may hide another letter."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The same letter where it is in a queue already. `lead_id`: the lead that its sender is there."""

    thread_id: int
    team_id: int
    mailbox: str
    lead_id: int | None
    is_waiting: bool
    """Nobody has taken it there yet."""


async def find(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[Twin]]:
    """Return the twins of messages of one mailbox, by the ids of these."""
    wanted = {tuple(row[name] for name in _SAME): row for row in rows if row["message_id"]}
    if not wanted:
        return {}
    await _wait_for_others(conn, [message_id for message_id, *_ in wanted])
    mailbox_id = rows[0]["mailbox_id"]
    query = (
        sa.select(*(messages.c[name] for name in _SAME), messages.c.thread_id, mailboxes.c.address)
        .join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
        .where(messages.c.message_id.in_([message_id for message_id, *_ in wanted]), messages.c.direction == "in")
        .where(messages.c.mailbox_id != mailbox_id, mailboxes.c.owner_id.is_(None), messages.c.deleted_at.is_(None))
        .order_by(messages.c.id)
    )
    same = [(row, row[: len(_SAME)]) for row in await conn.execute(query)]
    same = [(row, what) for row, what in same if what in wanted]
    items = await queue.of_things(conn, "message", {row.thread_id for row, _ in same if row.thread_id is not None})
    found: dict[int, list[Twin]] = {}
    for row, what in same:
        if item := items.get(row.thread_id):
            lead_id, is_waiting = item.data.get("lead_id"), item.state == "waiting"
            twin = Twin(row.thread_id, item.team_id, row.address, lead_id, is_waiting)
            found.setdefault(wanted[what]["id"], []).append(twin)
    return found


async def say_also_in(conn: AsyncConnection, twins: Sequence[Twin], mailbox: str, *, now: datetime) -> None:
    """Have the items of `twins` say that the letter lies in `mailbox` too."""
    items = await queue.of_things(conn, "message", [one.thread_id for one in twins])
    for thread_id, item in items.items():
        also = sorted({*item.data.get("also_in", ()), mailbox})
        await queue.annotate(conn, "message", thread_id, {"also_in": also}, now=now)


async def is_part(conn: AsyncConnection, thread_id: int, *, of: int) -> bool:
    """Tell whether all that came in one thread came in the other too."""
    ids = sa.select(messages.c.thread_id, *(messages.c[name] for name in _SAME)).where(
        messages.c.thread_id.in_((thread_id, of)), messages.c.direction == "in"
    )
    found: dict[int, set[tuple[Any, ...]]] = {thread_id: set(), of: set()}
    for row in await conn.execute(ids):
        found[row.thread_id].add(tuple(row[1:]))
    return found[thread_id] <= found[of]


async def _wait_for_others(conn: AsyncConnection, message_ids: Sequence[str]) -> None:
    """Let one mailbox after the other store a letter. SQLite's writers take turns as it is."""
    if conn.dialect.name != "postgresql":
        return
    keys = sorted({int.from_bytes(hashlib.sha256(one.encode()).digest()[:7], "big") for one in message_ids})
    for key in keys:
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(key, sa.BigInteger))))
