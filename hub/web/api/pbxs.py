"""The PBXs over the API: how the line to each is. What a PBX said when it went or refused is for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.clock import rfc3339
from hub.telephony import health
from hub.web.api.endpoint import Endpoint
from hub.web.api.shapes import Moment, Shape, one_of
from hub.web.request_context import RequestContext

STATES = {"up": "up", "auth_refused": "refused", "connecting": "connecting"}


class PbxShape(Shape, frozen=True, kw_only=True):
    """`since`: when it came into this state, null where it was never heard. `version` and `error`: administrators'."""

    name: str
    state: Annotated[str, one_of("up", "down", "refused", "connecting")]
    since: Moment | None
    version: str | None
    error: str | None


class PbxList(Shape, frozen=True, kw_only=True):
    items: list[PbxShape]
    next: None


async def listed(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> PbxList:
    found = await health.states(conn, tuple(one.name for one in ctx.services.settings.pbx))
    told = ctx.actor.is_admin
    return PbxList(
        items=[
            PbxShape(
                name=one.pbx,
                state=STATES.get(one.state, "down"),
                since=rfc3339(one.since),
                version=(one.version or None) if told else None,
                error=(sanitize.shown(one.error) or None) if told and not one.is_up else None,
            )
            for one in found
        ],
        next=None,
    )


ENDPOINTS = (
    Endpoint(method="GET", path="/pbx", summary="Each PBX and how the line to it is", reads=listed, answer=PbxList),
)
