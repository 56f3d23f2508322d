"""Listening to a recording and saving it, and pausing one that is being made."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from hub.telephony.recordings import recording_switch
from hub.web import listening, render, security
from hub.web.routes import Route
from hub.web.visit import Visit


class SoundQuery(msgspec.Struct, frozen=True, kw_only=True):
    download: Literal[0, 1] = 0


async def sound(visit: Visit) -> web.StreamResponse:
    # A page of another site must not make a person seem to have listened.
    security.refuse_foreign(visit.request, public_url=visit.services.settings.web.public_url)
    query = visit.query(SoundQuery)
    return await listening.give_out(visit, visit.id(), as_download=query.download == 1)


async def switch(visit: Visit) -> web.StreamResponse:
    pause = visit.form.text("pause") == "1"
    async with visit.db.begin() as conn:
        await recording_switch.ask(conn, visit.actor, visit.id(), pause=pause, now=visit.now)
    return web.Response(status=204) if visit.is_fragment else render.go(visit, "/desk")


ROUTES = (
    Route("GET", "/recordings/{id}", sound),
    Route("POST", "/calls/{id}/recording", switch),
)
