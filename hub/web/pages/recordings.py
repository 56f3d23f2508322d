"""Listening to a recording and saving it: the bytes behind the player of cards and registers."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from hub.web import listening, security
from hub.web.routes import Route
from hub.web.visit import Visit


class SoundQuery(msgspec.Struct, frozen=True, kw_only=True):
    download: Literal[0, 1] = 0


async def sound(visit: Visit) -> web.StreamResponse:
    # A page of another site must not make a person seem to have listened.
    security.refuse_foreign(visit.request, public_url=visit.services.settings.web.public_url)
    query = visit.query(SoundQuery)
    return await listening.give_out(visit, visit.id(), as_download=query.download == 1)


ROUTES = (Route("GET", "/recordings/{id}", sound),)
