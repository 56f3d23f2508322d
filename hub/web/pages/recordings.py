"""Listening to a recording and saving it, and pausing one that is being made."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from hub.telephony.recordings import recording_switch
from hub.web import recording_stream, render, security
from hub.web.request_context import RequestContext
from hub.web.routes import Route


class SoundQuery(msgspec.Struct, frozen=True, kw_only=True):
    download: Literal[0, 1] = 0


async def sound(ctx: RequestContext) -> web.StreamResponse:
    # A page of another site must not make a person seem to have listened.
    security.refuse_foreign(ctx.request, public_url=ctx.services.settings.web.public_url)
    query = ctx.query(SoundQuery)
    return await recording_stream.give_out(ctx, ctx.id(), as_download=query.download == 1)


async def switch(ctx: RequestContext) -> web.StreamResponse:
    pause = ctx.form.text("pause") == "1"
    async with ctx.db.begin() as conn:
        await recording_switch.ask(conn, ctx.actor, ctx.id(), pause=pause, now=ctx.now)
    return web.Response(status=204) if ctx.is_fragment else render.redirect(ctx, "/desk")


ROUTES = (
    Route("GET", "/recordings/{id}", sound),
    Route("POST", "/calls/{id}/recording", switch),
)
