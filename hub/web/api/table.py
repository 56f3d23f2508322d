"""All endpoints of `/api/v1` in one table, and the document made from it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from hub.web.api import (
    calls,
    clients,
    directory,
    drafts,
    events,
    live_calls,
    messages,
    openapi,
    presence,
    privileges,
    queue,
    recordings,
    rules,
)
from hub.web.api.endpoint import Endpoint, json_response
from hub.web.visit import Visit


async def described(_visit: Visit, _query: Any) -> web.StreamResponse:
    return json_response(openapi.document(ENDPOINTS))


ENDPOINTS: tuple[Endpoint, ...] = (
    *calls.ENDPOINTS,
    *live_calls.ENDPOINTS,
    *messages.ENDPOINTS,
    *drafts.ENDPOINTS,
    *queue.ENDPOINTS,
    *clients.ENDPOINTS,
    *directory.ENDPOINTS,
    *privileges.ENDPOINTS,
    *recordings.ENDPOINTS,
    *rules.ENDPOINTS,
    *events.ENDPOINTS,
    *presence.ENDPOINTS,
    Endpoint(method="GET", path="/openapi.json", summary="This document", streams=described, who="anyone"),
)
API_ROUTES = tuple(endpoint.route() for endpoint in ENDPOINTS)
