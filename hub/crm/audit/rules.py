"""The audit trail: who did what, in the transaction of the deed. Rows are only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.models import audit


async def record(
    conn: AsyncConnection,
    action: str,
    *,
    at: datetime,
    user_id: int | None,
    object_kind: str,
    object_id: int | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Add one row. `action` is `noun.verb` in the past tense, e.g. `queue_item.claimed`; no secrets in `details`."""
    row = {"at": at, "user_id": user_id, "action": action, "object_kind": object_kind, "object_id": object_id}
    await conn.execute(audit.insert().values(**row, details=details or {}))
