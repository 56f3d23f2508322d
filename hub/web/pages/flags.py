"""Buttons that mark a message: `seen`, `flagged` or `answered` as a field of 1 or 0.

Invariant: what the page shows afterwards is what was wished; the mail server follows within seconds.
"""

from __future__ import annotations

from aiohttp import web

from hub.errors import Refused
from hub.mail.sync import flags
from hub.web import render
from hub.web.request_context import RequestContext
from hub.web.routes import Route

_WANTED = {"1": True, "0": False}


async def wish(ctx: RequestContext) -> web.StreamResponse:
    given = {name: ctx.form.text(name, max_chars=1) for name in ("seen", "flagged", "answered")}
    named = {name: text for name, text in given.items() if text}
    for name, text in named.items():
        if text not in _WANTED:
            raise Refused("bad_request", f"{name} is 1 or 0", field=name)
    async with ctx.db.begin() as conn:
        for name, text in named.items():
            await flags.wish(conn, ctx.actor, ctx.id(), name, _WANTED[text], ctx.now)
    # Whoever marks a message unread leaves it: to open it again would mark it read.
    return render.redirect(ctx, "/desk" if named.get("seen") == "0" else f"/messages/{ctx.id()}")


ROUTES = (Route("POST", "/messages/{id}/flags", wish),)
