"""A message's flags over the API: what is named is wished for, what is not named stays.

The answer shows the flags as wanted; the mail server follows within seconds. Invariant: all flags of one call are
wished for in one transaction.
"""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail import register
from hub.mail.sync import flags
from hub.web.api import shapes
from hub.web.api.endpoint import Endpoint
from hub.web.request_context import RequestContext


class Flags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags to change: true sets one, false removes it, null leaves it."""

    seen: bool | None = None
    flagged: bool | None = None
    answered: bool | None = None


async def wish(conn: AsyncConnection, ctx: RequestContext, body: Flags) -> shapes.Message:
    for name in body.__struct_fields__:
        if (wanted := getattr(body, name)) is not None:
            await flags.wish(conn, ctx.actor, ctx.id(), name, wanted, ctx.now)
    return shapes.message(await register.find(conn, ctx.actor, ctx.id()))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/messages/{id}/flags",
        summary="Mark a message as read, flagged or answered, here and on the mail server",
        writes=wish,
        body=Flags,
        answer=shapes.Message,
    ),
)
