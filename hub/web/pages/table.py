"""All pages in one table."""

from __future__ import annotations

from hub.web.routes import Route

PAGE_ROUTES: tuple[Route, ...] = ()
