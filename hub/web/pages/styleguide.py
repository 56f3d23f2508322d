"""The page of all components: for whoever makes a page, and for the eye that compares."""

from __future__ import annotations

from aiohttp import web

from hub.web import render, styleguide, styleguide_records
from hub.web.i18n import translator
from hub.web.request_context import RequestContext
from hub.web.routes import Route


async def page(ctx: RequestContext) -> web.StreamResponse:
    records = styleguide_records.facts(ctx.actor, translator(ctx.language), ctx.now)
    return render.page(ctx, "styleguide.html", styleguide.facts(ctx.actor.user_id, ctx.now) | records)


ROUTES = (Route("GET", "/styleguide", page),)
