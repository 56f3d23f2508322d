"""A value that must be unique: looked for before the write, and once more where another transaction was faster.

On PostgreSQL a look and a write are two statements, and somebody may write the same between them. Invariant: whoever
loses is told what the look tells, as if the winner had been there before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import Conflict


@asynccontextmanager
async def looked_for(conn: AsyncConnection, look: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Look, which raises where a value is taken, then write in the block. Raises what `look` raises, or Conflict."""
    await look()
    try:
        async with conn.begin_nested():
            yield
    except IntegrityError:
        await look()
        raise Conflict("taken", "someone else has just taken a value that must be unique") from None
