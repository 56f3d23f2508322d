"""The page of all components: for whoever makes a page, and for the eye that compares."""

from __future__ import annotations

from aiohttp import web

from hub.web import render, styleguide
from hub.web.routes import Route
from hub.web.visit import Visit


async def page(visit: Visit) -> web.StreamResponse:
    return render.page(visit, "styleguide.html", styleguide.facts(visit.actor.user_id, visit.now))


ROUTES = (Route("GET", "/styleguide", page),)
