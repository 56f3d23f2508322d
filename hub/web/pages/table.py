"""All pages in one table."""

from __future__ import annotations

from hub.web.pages import (
    calls,
    clients,
    compose,
    desk,
    drafts,
    leads,
    live,
    messages,
    pbx,
    presence,
    recordings,
    registers,
    rules,
    styleguide,
)
from hub.web.routes import Route

PAGE_ROUTES: tuple[Route, ...] = (
    *desk.ROUTES,
    *clients.ROUTES,
    *calls.ROUTES,
    *compose.ROUTES,
    *drafts.ROUTES,
    *messages.ROUTES,
    *pbx.ROUTES,
    *registers.ROUTES,
    *rules.ROUTES,
    *styleguide.ROUTES,
    *leads.ROUTES,
    *recordings.ROUTES,
    *live.ROUTES,
    *presence.ROUTES,
)
