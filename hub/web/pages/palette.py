"""The answers of the search box: where to go, what to do, and the clients and contacts that fit.

Finds only what the person may see. Invariant: an empty box asks the database nothing.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from hub.crm import clients, contacts
from hub.crm.addresses import parse_phone
from hub.web import palette, render
from hub.web.i18n import translator
from hub.web.request_context import RequestContext
from hub.web.routes import Route

SHOWN = 6


class PaletteQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""


async def answers(ctx: RequestContext) -> web.StreamResponse:
    text = ctx.query(PaletteQuery).q.strip()[:300]
    say = translator(ctx.language).gettext
    region = ctx.services.linker.region
    number = parse_phone(text, region) if ctx.actor.has_phone else None
    context = {
        "q": text,
        "go": palette.fitting(tuple(palette.go(ctx.actor)), text, say),
        "do": palette.fitting(palette.do(ctx.actor), text, say),
        "number": number.value if number else None,
        **await _found(ctx, text, region),
    }
    return render.page(ctx, "shell/palette.html", context)


async def _found(ctx: RequestContext, text: str, region: str) -> dict[str, object]:
    """Look for clients and contacts; where the words find nothing, for what the other keyboard layout makes of them."""
    for words in (text, palette.swapped(text)):
        if not words:
            break
        async with ctx.db.read() as conn:
            found = await clients.search(conn, ctx.actor, words, region=region, limit=SHOWN)
            people = await contacts.listed(conn, ctx.actor, words, region=region, limit=SHOWN)
        if found or people:
            return {"clients": found, "people": people}
    return {"clients": [], "people": []}


ROUTES = (Route("GET", "/palette", answers),)
