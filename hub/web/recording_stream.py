"""Giving a recording out: to a player by ranges, or to be saved; and the audit row that each listening leaves.

A player asks for many ranges, and a row for each would say nothing; a row for the range from byte 0 alone could be
got round. So a row is written before the first byte that a person is sent of a recording, and again once they have
asked for nothing of it for ten minutes, or have sat for an hour; a download is always one row. The memory of that is
this process's: another process, or a restart, writes one row more, never one less. Invariant: no byte without a row
in the hour before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from hub.clock import monotonic_s
from hub.crm.audit import record
from hub.errors import NotFound, Unavailable
from hub.telephony.recordings import recordings
from hub.telephony.recordings.recording_files import OpenRecording, source_of
from hub.telephony.recordings.recordings import Recording
from hub.web import files, security
from hub.web.ranges import Part, wanted_part
from hub.web.request_context import RequestContext

log = logging.getLogger(__name__)

SITTING_S = 600.0
LONGEST_S = 3600.0
MAX_REMEMBERED = 10_000


class Listeners:
    """The recordings that people listen to, as far as this process knows. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic_s) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[int, int], tuple[float, float]] = OrderedDict()
        """When the sitting began, and when it was last heard of."""

    def is_listening(self, user_id: int, recording_id: int) -> bool:
        """Tell whether a row was written for this sitting already."""
        now = self._clock()
        began, last = self._seen.get((user_id, recording_id), (-LONGEST_S, -LONGEST_S))
        return now - last < SITTING_S and now - began < LONGEST_S

    def note(self, user_id: int, recording_id: int) -> None:
        """Remember it, and forget whoever has been silent longest where there are too many."""
        now = self._clock()
        goes_on = self.is_listening(user_id, recording_id)
        began = self._seen[user_id, recording_id][0] if goes_on else now
        self._seen[user_id, recording_id] = (began, now)
        self._seen.move_to_end((user_id, recording_id))
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)


LISTENERS: web.AppKey[Listeners] = web.AppKey("listeners", Listeners)


async def give_out(ctx: RequestContext, recording_id: int, *, as_download: bool) -> web.StreamResponse:
    """Answer with a recording's bytes. Raises NotFound, Gone, Unavailable; then nothing was sent and nothing audited.

    A download is answered whole, so that one request is one download.
    """
    async with ctx.db.read() as conn:
        found = await recordings.find(conn, ctx.actor, recording_id, now=ctx.now)
    pbx = next((one for one in ctx.services.settings.pbx if one.name == found.pbx), None)
    source = source_of(pbx) if pbx else None
    if source is None:
        raise NotFound("recording_missing", "Hub is not told where the recordings of this PBX lie")
    async with source.opened(found.path) as opened:
        headers = ctx.request.headers
        asked = None if as_download else headers.get("Range")
        part = wanted_part(asked, size=opened.size, if_range=headers.get("If-Range"), etag=opened.etag)
        if part is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{opened.size}"})
        if ctx.request.method != "HEAD":
            await _audit(ctx, found, as_download=as_download)
        return await _send(ctx.request, found, opened, part, as_download=as_download)


async def _audit(ctx: RequestContext, found: Recording, *, as_download: bool) -> None:
    listeners, user_id = ctx.request.app[LISTENERS], ctx.actor.user_id
    if as_download or not listeners.is_listening(user_id, found.id):
        async with ctx.db.begin() as conn:
            await record(
                conn,
                "recording.downloaded" if as_download else "recording.listened",
                at=ctx.now,
                user_id=user_id,
                object_kind="recording",
                object_id=found.id,
                details={"call": found.call_id},
            )
    if not as_download:
        listeners.note(user_id, found.id)


async def _send(
    request: web.Request, found: Recording, opened: OpenRecording, part: Part, *, as_download: bool
) -> web.StreamResponse:
    saved = as_download or not found.kind.is_playable
    response = web.StreamResponse(
        status=200 if part.is_whole else 206,
        headers={
            "Content-Type": found.kind.content_type,
            "Content-Disposition": files.disposition(found.file_name) if saved else "inline",
            "Content-Security-Policy": security.FILE_POLICY,
            "Cache-Control": "private, no-store",
            "Accept-Ranges": "none" if as_download else "bytes",
            "ETag": opened.etag,
        },
    )
    response.content_length = part.length
    if not part.is_whole:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{opened.size}"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        async with contextlib.aclosing(opened.chunks(part.start, part.length)) as chunks:
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
    except (Unavailable, NotFound, OSError) as error:
        # The head has gone out: all that can still be said is that the rest does not come. Or the listener has gone.
        if not isinstance(error, ConnectionError):
            log.warning("recording %d broke off while it was sent: %s", found.id, error)
        _break_off(request)
    except asyncio.CancelledError:
        _break_off(request)
        raise
    return response


def _break_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
