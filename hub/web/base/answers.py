"""Records as the API answers them, with what their kind adds; the export as JSON lines has the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import records
from hub.web.base.kind import WebKind
from hub.web.request_context import RequestContext


async def answers(
    conn: AsyncConnection, ctx: RequestContext, web: WebKind, rows: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return records as the API answers them, with what the kind adds."""
    if web.detail is not None and rows:
        rows = await web.detail(conn, ctx, rows)
    if web.answer is not None:
        return [msgspec.to_builtins(web.answer.of(row)) for row in rows]
    found = await records.answers(conn, ctx.actor, web.entity, rows)
    if web.more is None or not rows:
        return found
    return [one | extra for one, extra in zip(found, await web.more(conn, ctx, rows), strict=True)]
