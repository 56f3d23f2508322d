"""Recordings over the API: what is known of one, its sound by HTTP range, and pausing one that is being made."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.telephony.recordings import recording_switch, recordings
from hub.web import recording_stream
from hub.web.api.calls import Asked
from hub.web.api.endpoint import Endpoint, Query
from hub.web.api.shapes import Moment, Shape, at
from hub.web.request_context import RequestContext


class SoundQuery(Query, frozen=True, kw_only=True):
    """`download=1` gives the whole to be saved; without it `Range` is heeded."""

    download: Literal[0, 1] = 0


class Recording(Shape, frozen=True, kw_only=True):
    """`peaks` are the waveform, up to 600 values of 0 to 100; null where the kind of file has none."""

    id: int
    call: int | None
    pbx: str
    team: int | None
    type: str
    started_at: Moment
    duration_s: float
    size: int | None
    peaks: list[int] | None
    keep_until: Moment | None


async def found(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> Recording:
    row = await recordings.find(conn, ctx.actor, ctx.id(), now=ctx.now)
    return Recording(
        id=row.id,
        call=row.call_id,
        pbx=row.pbx,
        team=row.team_id,
        type=row.kind.content_type,
        started_at=at(row.started_at),
        duration_s=row.duration_s,
        size=row.size_bytes,
        peaks=row.peaks,
        keep_until=rfc3339(row.keep_until),
    )


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the recording of the call is to be silent from now on."""

    paused: bool


async def switch(conn: AsyncConnection, ctx: RequestContext, body: Switch) -> Asked:
    intent = await recording_switch.ask(conn, ctx.actor, ctx.id(), pause=body.paused, now=ctx.now)
    return Asked(intent=intent)


async def sound(ctx: RequestContext, query: SoundQuery) -> web.StreamResponse:
    return await recording_stream.give_out(ctx, ctx.id(), as_download=query.download == 1)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/calls/{id}/recording",
        summary="Pause the recording of your call, or go on with it",
        writes=switch,
        body=Switch,
        answer=Asked,
        status=202,
    ),
    Endpoint(
        method="GET", path="/recordings/{id}", summary="A recording and its waveform", reads=found, answer=Recording
    ),
    Endpoint(
        method="GET",
        path="/recordings/{id}/audio",
        summary="The sound of a recording, by range; each listening is audited",
        streams=sound,
        query=SoundQuery,
        content_types=("audio/wav",),
    ),
)
