"""Recordings over the API: what is known of one, and its sound by HTTP range."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.telephony import recordings
from hub.web import listening
from hub.web.api.endpoint import Endpoint, Query
from hub.web.api.shapes import Moment, Shape, at
from hub.web.visit import Visit


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


async def found(conn: AsyncConnection, visit: Visit, _query: Any) -> Recording:
    row = await recordings.find(conn, visit.actor, visit.id(), now=visit.now)
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


async def sound(visit: Visit, query: SoundQuery) -> web.StreamResponse:
    return await listening.give_out(visit, visit.id(), as_download=query.download == 1)


ENDPOINTS = (
    Endpoint(
        method="GET", path="/recordings/{id}", summary="A recording and its waveform", reads=found, answer=Recording
    ),
    Endpoint(
        method="GET",
        path="/recordings/{id}/audio",
        summary="The sound of a recording, by range; each listening is audited",
        streams=sound,
        query=SoundQuery,
        content_type="audio/wav",
    ),
)
