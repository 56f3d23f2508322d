"""How the mailboxes are, on two pages: all that one may look into, and one with its folders and what to do.

Invariant: what a server said is for administrators and for whose own mailbox it is; everybody else reads what it means.
"""

from __future__ import annotations

from aiohttp import web

from hub.mail import health
from hub.store import changes
from hub.web import render
from hub.web.routes import Route
from hub.web.visit import Visit


async def listed(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        boxes = await health.of_all(conn, visit.actor, now=visit.now)
    return render.page(visit, "mailboxes/health.html", {"boxes": boxes}, feed=feed)


async def card(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        box = await health.of_one(conn, visit.actor, visit.id(), now=visit.now)
    return render.page(visit, "mailboxes/card.html", {"box": box}, feed=feed)


ROUTES = (
    Route("GET", "/mailboxes/health", listed),
    Route("GET", "/mailboxes/{id}", card),
)
