"""All pages in one table."""

from __future__ import annotations

from hub.web.pages import (
    calls,
    clients,
    compose,
    desk,
    leads,
    live,
    messages,
    outbox,
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
    *messages.ROUTES,
    *outbox.ROUTES,
    *pbx.ROUTES,
    *registers.ROUTES,
    *rules.ROUTES,
    *styleguide.ROUTES,
    *leads.ROUTES,
    *recordings.ROUTES,
    *live.ROUTES,
    *presence.ROUTES,
)
