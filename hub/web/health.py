"""For the operator's machines: is the process alive, does it serve, and a few counters.

Says nothing of any person or client. Invariant: `/healthz` touches nothing, `/readyz` is 200 only while the
database answers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from hub.crm import queue
from hub.crm.access import Actor
from hub.errors import Unavailable
from hub.mail import health as mailbox_health
from hub.web.api.endpoint import json_response
from hub.web.door import LIVE
from hub.web.routes import Route
from hub.web.visit import Visit

PATHS = ("/healthz", "/readyz", "/metrics")
_EVERYBODY = Actor(0, "", "", "admin", frozenset(), None, None)


@dataclass(slots=True)
class Counts:
    """Requests answered since the start, by class of status."""

    by_class: dict[str, int] = field(default_factory=dict)

    def add(self, status: int) -> None:
        name = f"{status // 100}xx"
        self.by_class[name] = self.by_class.get(name, 0) + 1


COUNTS: web.AppKey[Counts] = web.AppKey("counts", Counts)


async def healthz(_visit: Visit) -> web.StreamResponse:
    return json_response({"status": "ok"})


async def readyz(visit: Visit) -> web.StreamResponse:
    try:
        async with asyncio.timeout(5):
            await _count_waiting(visit)
    except (Unavailable, TimeoutError):
        raise Unavailable("database_unavailable", "the database does not answer") from None
    return json_response({"status": "ready"})


async def metrics(visit: Visit) -> web.StreamResponse:
    app = visit.request.app
    lines = ["# TYPE hub_http_requests_total counter"]
    by_class = app[COUNTS].by_class
    lines += [f'hub_http_requests_total{{status="{name}"}} {by_class[name]}' for name in sorted(by_class)]
    lines += ["# TYPE hub_live_streams gauge", f"hub_live_streams {app[LIVE].stream_count}"]
    lines += ["# TYPE hub_queue_waiting gauge", f"hub_queue_waiting {await _count_waiting(visit)}"]
    lines += [*await _mailboxes(visit), ""]
    return web.Response(text="\n".join(lines), content_type="text/plain")


async def _mailboxes(visit: Visit) -> list[str]:
    """Gauges of each mailbox by its id, for an address may name a person."""
    async with visit.db.read() as conn:
        boxes = await mailbox_health.for_machines(conn, now=visit.now)
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


async def _count_waiting(visit: Visit) -> int:
    async with visit.db.read() as conn:
        return await queue.count_waiting(conn, _EVERYBODY, at_most=10_000)


ROUTES = (
    Route("GET", "/healthz", healthz, "anyone", "nothing"),
    Route("GET", "/readyz", readyz, "anyone", "nothing"),
    Route("GET", "/metrics", metrics, "anyone", "nothing"),
)
