"""Writing and answering from a client's card: a form becomes a message in the outbox.

Invariant: the bytes are built before the transaction, and one form is one message, however often it is sent: its
`request_id` stands as an Idempotency-Key.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from aiohttp import web

from hub.crm import clients, idempotency
from hub.errors import Refused
from hub.mail import outbox, register, submit
from hub.mail.compose import OutgoingFile
from hub.mail.submit import NewMessage
from hub.web import render
from hub.web.recipients import read_addresses
from hub.web.routes import Route
from hub.web.visit import Visit

MAX_TEXT_CHARS = 200_000


async def send(visit: Visit) -> web.StreamResponse:
    form, client_id = visit.form, visit.id()
    request_id = form.text("request_id", max_chars=64)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", request_id):
        raise Refused("bad_request", "the page is too old: load it again", field="request_id")
    async with visit.db.read() as conn:
        client = await clients.find(conn, client_id)
    new = NewMessage(
        mailbox=form.text("mailbox", max_chars=254),
        to=read_addresses(form.text("to", max_chars=8000), field="to"),
        cc=read_addresses(form.text("cc", max_chars=8000), field="cc"),
        subject=form.text("subject"),
        text=form.text("text", max_chars=MAX_TEXT_CHARS),
        in_reply_to=form.number("in_reply_to"),
        files=tuple(OutgoingFile(f.name, f.type, f.content) for f in form.files),
        client_id=client.id,
        contact_id=form.number("contact"),
    )
    frozen = await submit.freeze(visit.db, visit.services.blobs, visit.actor, new, now=visit.now)
    key = f"page:{request_id}"
    request_hash = hashlib.sha256(f"compose {client_id}".encode()).hexdigest()
    async with visit.db.begin() as conn:
        known = await idempotency.first(conn, visit.actor, key, request_hash=request_hash, now=visit.now)
        if known is None:
            message_id = await submit.queue_message(
                conn, visit.actor, frozen, linker=visit.services.linker, now=visit.now
            )
            await idempotency.keep(conn, visit.actor, key, status=202, answer={"message": message_id})
        else:
            message_id = known.answer["message"]
        message = await register.find(conn, visit.actor, message_id)
    if not visit.is_fragment:
        return render.go(visit, f"/clients/{client_id}")
    context = {"client": client, "message": message, "request_id": secrets.token_hex(16)}
    return render.page(visit, "client/sent.html", context)


async def send_again(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await outbox.send_again(conn, visit.actor, visit.id(), now=visit.now)
    return render.go(visit, f"/messages/{visit.id()}")


async def accept_as_sent(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await outbox.accept_as_sent(conn, visit.actor, visit.id(), now=visit.now)
    return render.go(visit, f"/messages/{visit.id()}")


ROUTES = (
    Route("POST", "/clients/{id}/messages", send),
    Route("POST", "/messages/{id}/send-again", send_again),
    Route("POST", "/messages/{id}/accept-as-sent", accept_as_sent),
)
