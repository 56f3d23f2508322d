"""Effects of an edit of a client's or a contact's addresses: calls and messages move onto the card.

Invariant: an address that an edit adds has been relinked in the transaction of the edit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.clients import ClientRecord
from hub.crm.contacts import ContactRecord
from hub.web import client_links

_KINDS: tuple[tuple[Literal["phone", "email", "domain"], str], ...] = (
    ("phone", "phones"),
    ("email", "emails"),
    ("domain", "domains"),
)


async def relink_added(
    conn: AsyncConnection,
    before: ClientRecord | ContactRecord | None,
    after: ClientRecord | ContactRecord,
    *,
    now: datetime,
) -> None:
    """Relink each address that the record has now and had not before; all of them where it has another client."""
    client_id = after.id if isinstance(after, ClientRecord) else after.client_id
    if client_id is None:
        return
    contact_id = after.id if isinstance(after, ContactRecord) else None
    has_moved = isinstance(before, ContactRecord) and before.client_id != client_id
    for kind, field in _KINDS:
        known: tuple[Any, ...] = () if before is None or has_moved else getattr(before, field, ())
        for value in getattr(after, field, ()):
            if value not in known:
                await client_links.relink(conn, client_id, contact_id, kind, value.value, now=now)
