"""All endpoints of `/api/v1` in one table, and the document made from it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from hub.web.api import (
    calls,
    characteristics,
    clients,
    dictionaries,
    drafts,
    events,
    flags,
    live_calls,
    mailbox_health,
    mailboxes,
    messages,
    openapi,
    operations,
    pbxs,
    presence,
    privileges,
    queue,
    recordings,
    rules,
    senders,
    sign_ins,
    threads,
    views,
)
from hub.web.api.endpoint import Endpoint, json_response
from hub.web.crm import routes as record_routes
from hub.web.request_context import RequestContext


async def described(_ctx: RequestContext, _query: Any) -> web.StreamResponse:
    return json_response(openapi.document(ENDPOINTS))


ENDPOINTS: tuple[Endpoint, ...] = (
    *calls.ENDPOINTS,
    *live_calls.ENDPOINTS,
    *mailboxes.ENDPOINTS,
    *messages.ENDPOINTS,
    *mailbox_health.ENDPOINTS,
    *threads.ENDPOINTS,
    *flags.ENDPOINTS,
    *drafts.ENDPOINTS,
    *queue.ENDPOINTS,
    *clients.ENDPOINTS,
    *record_routes.endpoints(),
    *privileges.ENDPOINTS,
    *pbxs.ENDPOINTS,
    *senders.ENDPOINTS,
    *recordings.ENDPOINTS,
    *rules.ENDPOINTS,
    *operations.ENDPOINTS,
    *views.ENDPOINTS,
    *dictionaries.ENDPOINTS,
    *characteristics.ENDPOINTS,
    *events.ENDPOINTS,
    *presence.ENDPOINTS,
    *sign_ins.ENDPOINTS,
    Endpoint(method="GET", path="/openapi.json", summary="This document", streams=described, who="anyone"),
)
API_ROUTES = tuple(endpoint.route() for endpoint in ENDPOINTS)
