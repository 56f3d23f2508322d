"""The administrator's switch for what people may do beyond their role."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import privileges
from hub.crm.access import Privilege
from hub.crm.privileges import PRIVILEGES
from hub.web.api.endpoint import Endpoint
from hub.web.api.shapes import Shape, one_of
from hub.web.request_context import RequestContext


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Privileges to grant and to take away; any other stays as it is."""

    grant: list[Privilege] = msgspec.field(default_factory=list)
    revoke: list[Privilege] = msgspec.field(default_factory=list)


class Held(Shape, frozen=True, kw_only=True):
    """The privileges that a person holds now."""

    privileges: list[Annotated[str, one_of(*PRIVILEGES)]]


async def held(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> Held:
    return Held(privileges=list(await privileges.held_by(conn, ctx.id())))


async def switch(conn: AsyncConnection, ctx: RequestContext, body: Switch) -> Held:
    user_id, by = ctx.id(), ctx.actor.user_id
    for privilege in body.revoke:
        await privileges.revoke(conn, user_id, privilege, by=by, now=ctx.now)
    for privilege in body.grant:
        await privileges.grant(conn, user_id, privilege, by=by, now=ctx.now)
    return Held(privileges=list(await privileges.held_by(conn, user_id)))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/users/{id}/privileges",
        summary="What a person may do beyond their role",
        reads=held,
        answer=Held,
        who="admin",
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/privileges",
        summary="Grant and revoke privileges",
        writes=switch,
        body=Switch,
        answer=Held,
        who="admin",
    ),
)
