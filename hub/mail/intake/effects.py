"""What follows from messages that were just stored, in the transaction that stored them.

Called once for each batch. Invariant: whatever is done here is safe to do again, since a batch whose commit was lost
is stored again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.reading.mime import ParsedMessage


@dataclass(frozen=True, slots=True)
class Stored:
    """A message that is new in its mailbox. `is_new` False: history, from which nothing follows but links."""

    id: int
    mailbox_id: int
    team_id: int
    thread_id: int | None
    direction: str
    is_new: bool
    parsed: ParsedMessage
    raw: bytes
    received_at: datetime


async def follow_up(conn: AsyncConnection, stored: Sequence[Stored], *, now: datetime) -> None:
    """Do what follows from `stored`."""
