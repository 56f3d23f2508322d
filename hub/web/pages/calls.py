"""Calling from a card and hanging up: one click, one dial.

Invariant: a page gives each of its dials a `request_id`; the same one never dials twice, however often it is sent.
"""

from __future__ import annotations

import re
import secrets

from aiohttp import web

from hub.crm import clients
from hub.errors import NotFound, Refused
from hub.telephony import control
from hub.web import render
from hub.web.routes import Route
from hub.web.telephone import chosen_pbx
from hub.web.visit import Visit


async def dial(visit: Visit) -> web.StreamResponse:
    form = visit.form
    request_id = form.text("request_id", max_chars=64)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", request_id):
        raise Refused("bad_request", "the page is too old: load it again", field="request_id")
    pbx = chosen_pbx(visit)
    async with visit.db.begin() as conn:
        client = await clients.find(conn, visit.id())
        contact_id = form.number("contact")
        if contact_id is not None and contact_id not in {one.id for one in client.contacts}:
            raise NotFound("contact_missing", "no such contact")
        intent_id = await control.dial(
            conn,
            visit.actor,
            to=form.text("to", max_chars=60),
            client_id=client.id,
            contact_id=contact_id,
            request_id=request_id,
            pbx=pbx.name,
            region=pbx.region or visit.services.linker.region,
            now=visit.now,
        )
    if not visit.is_fragment:
        return render.go(visit, f"/clients/{client.id}")
    context = {"client": client, "intent_id": intent_id, "request_id": secrets.token_hex(16)}
    return render.page(visit, "client/dialling.html", context)


async def hang_up(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await control.hang_up(conn, visit.actor, visit.id(), now=visit.now)
    return web.Response(status=204) if visit.is_fragment else render.go(visit, "/desk")


ROUTES = (
    Route("POST", "/clients/{id}/call", dial),
    Route("POST", "/calls/{id}/hangup", hang_up),
)
