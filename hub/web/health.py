"""For the operator's machines: is the process alive, does it serve, and a few counters.

Says nothing of any person or client, and to strangers nothing but codes. Invariant: `/healthz` touches nothing; what
`condition` finds to have failed makes `/readyz` 503; `/metrics` needs the token, or comes from this machine itself.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from hub.clock import monotonic_s
from hub.crm import queue
from hub.crm.access import Actor
from hub.errors import NotSignedIn, Unavailable
from hub.mail import health as mailbox_health
from hub.web import condition
from hub.web.api.endpoint import json_response
from hub.web.authentication import LIVE
from hub.web.client_address import parse_address
from hub.web.condition import Condition
from hub.web.request_context import RequestContext
from hub.web.routes import Route

PATHS = ("/healthz", "/readyz", "/metrics")
KEPT_S = 2.0
PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via")
_EVERYBODY = Actor(0, "", "", "admin", frozenset(), None, None)


@dataclass(slots=True)
class Counts:
    """Requests answered since the start, by class of status."""

    by_class: dict[str, int] = field(default_factory=dict)

    def add(self, status: int) -> None:
        name = f"{status // 100}xx"
        self.by_class[name] = self.by_class.get(name, 0) + 1


@dataclass(slots=True)
class LastLook:
    """The last finding, for askers who are not signed in."""

    found: Condition | None = None
    at_s: float = 0.0
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)


LAST_LOOK: web.AppKey[LastLook] = web.AppKey("last_look", LastLook)
COUNTS: web.AppKey[Counts] = web.AppKey("counts", Counts)


async def healthz(_ctx: RequestContext) -> web.StreamResponse:
    return json_response({"status": "ok"})


async def readyz(ctx: RequestContext) -> web.StreamResponse:
    """Say `ready`, `degraded` (both 200) or not ready (503), with the codes; details for who may read the metrics."""
    found = list(condition.findings(await _look(ctx)))
    told = [{"code": one.code, **(one.details if _may_read(ctx) else {})} for one in found]
    if failed := [one for one in found if one.weight == "failed"]:
        raise Unavailable(failed[0].code, "Hub is not ready", reasons=told)
    return json_response({"status": "degraded" if found else "ready", "reasons": told})


async def _look(ctx: RequestContext) -> Condition:
    """Look anew for who may read the metrics; to strangers tell what was found at most `KEPT_S` ago.

    A look writes to the disk and asks the database: a flood of them would be a fault of its own.
    """
    if _may_read(ctx):
        return await condition.look(ctx.services, now=ctx.now)
    last = ctx.request.app[LAST_LOOK]
    async with last.one_at_a_time:
        if last.found is None or monotonic_s() - last.at_s > KEPT_S:
            last.found, last.at_s = await condition.look(ctx.services, now=ctx.now), monotonic_s()
        return last.found


def _may_read(ctx: RequestContext) -> bool:
    """Whether the token is right; where none is set, whether this machine itself asks, and no proxy for others."""
    token, request = ctx.services.settings.web.metrics_token.reveal(), ctx.request
    if token:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
    peer, host = parse_address(request.remote or ""), request.host.rpartition(":")[0] or request.host
    address = parse_address(host)
    is_local_name = host == "localhost" or (address is not None and address.is_loopback)
    through_proxy = any(name in request.headers for name in PROXY_HEADERS)
    return peer is not None and peer.is_loopback and is_local_name and not through_proxy


async def metrics(ctx: RequestContext) -> web.StreamResponse:
    if not _may_read(ctx):
        where = (
            "with web.metrics_token as bearer token"
            if ctx.services.settings.web.metrics_token
            else ("from this machine only, until web.metrics_token is set")
        )
        raise NotSignedIn("metrics_token_wrong", f"the metrics are read {where}")
    app = ctx.request.app
    lines = ["# TYPE hub_http_requests_total counter"]
    by_class = app[COUNTS].by_class
    lines += [f'hub_http_requests_total{{status="{name}"}} {by_class[name]}' for name in sorted(by_class)]
    lines += ["# TYPE hub_live_streams gauge", f"hub_live_streams {app[LIVE].stream_count}"]
    found = await condition.look(ctx.services, now=ctx.now)
    lines += _of_condition(found)
    if not found.database:
        lines += ["# TYPE hub_queue_waiting gauge", f"hub_queue_waiting {await _count_waiting(ctx)}"]
        lines += _of_mailboxes(found.mailboxes)
    return web.Response(text="\n".join([*lines, ""]), content_type="text/plain")


def _of_condition(found: Condition) -> list[str]:
    lines = ["# TYPE hub_database_up gauge", f"hub_database_up {int(not found.database)}"]
    lines += ["# TYPE hub_disk_free_bytes gauge", f"hub_disk_free_bytes {found.disk.free_bytes}"]
    lines += ["# TYPE hub_disk_writable gauge", f"hub_disk_writable {int(not found.disk.error)}"]
    lines += ["# TYPE hub_loop_failures gauge"]
    lines += [f'hub_loop_failures{{loop="{one.name}"}} {one.failures}' for one in found.loops]
    lines += ["# TYPE hub_loop_success_timestamp_seconds gauge"]
    lines += [
        f'hub_loop_success_timestamp_seconds{{loop="{one.name}"}} {one.last_success_at.timestamp():.0f}'
        for one in found.loops
        if one.last_success_at is not None
    ]
    if found.database:
        return lines
    lines += ["# TYPE hub_pbx_up gauge"]
    lines += [f'hub_pbx_up{{pbx="{one.pbx}",state="{one.state}"}} {int(one.is_up)}' for one in found.pbxs]
    lines += ["# TYPE hub_feed_held_seconds gauge", f"hub_feed_held_seconds {found.feed_held.total_seconds():.0f}"]
    lines += ["# TYPE hub_outbox_due_seconds gauge", f"hub_outbox_due_seconds {found.outbox_due.total_seconds():.0f}"]
    return lines


def _of_mailboxes(boxes: Sequence[mailbox_health.Health]) -> list[str]:
    """Gauges of each mailbox by its id, for an address may name a person."""
    lines = ["# TYPE hub_mailbox_up gauge"]
    lines += [f'hub_mailbox_up{{mailbox="{box.id}"}} {int(box.state == "up" and box.late is None)}' for box in boxes]
    lines += ["# TYPE hub_mailbox_lag_seconds gauge"]
    late = {box.id: box.late.total_seconds() if box.late else 0 for box in boxes}
    lines += [f'hub_mailbox_lag_seconds{{mailbox="{box}"}} {seconds:.0f}' for box, seconds in late.items()]
    lines += ["# TYPE hub_mailbox_unreadable gauge"]
    lines += [f'hub_mailbox_unreadable{{mailbox="{box.id}"}} {box.unreadable}' for box in boxes]
    lines += ["# TYPE hub_mailbox_history_percent gauge"]
    lines += [f'hub_mailbox_history_percent{{mailbox="{box.id}"}} {box.percent}' for box in boxes]
    lines += ["# TYPE hub_outbox_waiting gauge"]
    for box in boxes:
        counts = {one.state: one.count for one in box.backlog}
        name = f'hub_outbox_waiting{{mailbox="{box.id}",state='
        lines += [f'{name}"{state}"}} {counts.get(state, 0)}' for state in mailbox_health.WAITING]
    return lines


async def _count_waiting(ctx: RequestContext) -> int:
    async with ctx.db.read() as conn:
        return await queue.count_waiting(conn, _EVERYBODY, at_most=10_000)


ROUTES = (
    Route("GET", "/healthz", healthz, "anyone", "nothing"),
    Route("GET", "/readyz", readyz, "anyone", "nothing"),
    Route("GET", "/metrics", metrics, "anyone", "nothing"),
)
