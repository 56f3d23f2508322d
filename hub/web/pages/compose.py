"""Writing and answering from a client's card: a form becomes a message in the outbox.

Invariant: the bytes are built before the transaction, and one form is one message, however often it is sent: its
`request_id` stands as an Idempotency-Key.
"""

from __future__ import annotations

import hashlib
import re

from aiohttp import web

from hub.crm import clients, idempotency
from hub.errors import Refused
from hub.mail import register
from hub.mail.sending import outbox, submit
from hub.mail.sending.compose import OutgoingFile
from hub.mail.sending.submit import NewMessage
from hub.web import render
from hub.web.recipients import read_addresses
from hub.web.routes import Route
from hub.web.visit import Visit

MAX_TEXT_CHARS = 200_000


async def send(visit: Visit) -> web.StreamResponse:
    """Write to a client from the card; an answer names the message it answers."""
    async with visit.db.read() as conn:
        client = await clients.find(conn, visit.id())
    contact_id = visit.form.number("contact")
    return await _send(
        visit,
        back=f"/clients/{client.id}",
        client_id=client.id,
        contact_id=contact_id,
        in_reply_to=visit.form.number("in_reply_to"),
    )


async def reply(visit: Visit) -> web.StreamResponse:
    """Answer a message from its own page, whether or not its sender is a client yet."""
    async with visit.db.read() as conn:
        message = await register.find(conn, visit.actor, visit.id())
    return await _send(
        visit,
        back=f"/messages/{message.id}",
        client_id=message.client_id,
        contact_id=message.contact_id,
        in_reply_to=message.id,
    )


async def _send(
    visit: Visit, *, back: str, client_id: int | None, contact_id: int | None, in_reply_to: int | None
) -> web.StreamResponse:
    form = visit.form
    request_id = form.text("request_id", max_chars=64)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", request_id):
        raise Refused("bad_request", "the page is too old: load it again", field="request_id")
    new = NewMessage(
        mailbox=form.text("mailbox", max_chars=254),
        to=read_addresses(form.text("to", max_chars=8000), field="to"),
        cc=read_addresses(form.text("cc", max_chars=8000), field="cc"),
        subject=form.text("subject"),
        text=form.text("text", max_chars=MAX_TEXT_CHARS),
        in_reply_to=in_reply_to,
        files=tuple(OutgoingFile(f.name, f.type, f.content) for f in form.files),
        client_id=client_id,
        contact_id=contact_id,
    )
    frozen = await submit.freeze(visit.db, visit.services.blobs, visit.actor, new, now=visit.now)
    key = f"page:{request_id}"
    request_hash = hashlib.sha256(f"compose {back}".encode()).hexdigest()
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
        return render.go(visit, back)
    return render.page(visit, "client/sent.html", {"back": back, "message": message})


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
    Route("POST", "/messages/{id}/reply", reply),
    Route("POST", "/messages/{id}/send-again", send_again),
    Route("POST", "/messages/{id}/accept-as-sent", accept_as_sent),
)
