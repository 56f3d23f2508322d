"""How the company's PBXs are, on every page: nothing where all is well, one line for each that is not.

Invariant: what a PBX said when it refused Hub is for administrators; everybody else reads what it means for them.
"""

from __future__ import annotations

from aiohttp import web

from hub.telephony import health
from hub.web import render
from hub.web.request_context import RequestContext
from hub.web.routes import Route


async def states(ctx: RequestContext) -> web.StreamResponse:
    names = tuple(pbx.name for pbx in ctx.services.settings.pbx)
    async with ctx.db.read() as conn:
        found = await health.states(conn, names)
    return render.page(ctx, "pbx_states.html", {"down": [one for one in found if not one.is_up]})


ROUTES = (Route("GET", "/pbx/states", states),)
