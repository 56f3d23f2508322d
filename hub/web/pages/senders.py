"""Senders and signatures of one's own letters, on their page.

Invariant: a form that is refused comes back with what was typed and the one thing that is wrong with it.
"""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from hub.errors import HubError, Refused
from hub.mail import register
from hub.mail.reading.sanitize import html_to_text, text_to_html
from hub.mail.sending import identities, phrases, templates
from hub.mail.sending.identities import Language
from hub.web import render
from hub.web.crm.mail_templates import FIELDS
from hub.web.request_context import RequestContext
from hub.web.routes import Route


async def mine(ctx: RequestContext) -> web.StreamResponse:
    return await _mine(ctx)


async def _mine(ctx: RequestContext, *, error: HubError | None = None) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        senders = await identities.of(conn, ctx.actor)
        kept = await identities.signatures_of(conn, ctx.actor)
        mailboxes = await register.mailboxes_of(conn, ctx.actor)
    names = {box.id: box.address for box in mailboxes}
    context = {
        "senders": senders,
        "signatures": [(one, names.get(one.mailbox_id or 0, ""), html_to_text(one.html)) for one in kept],
        "mailboxes": [(box.id, box.address) for box in mailboxes],
        "fields": tuple(one for one in FIELDS if one[0] in phrases.OF_THE_WRITER),
        "values": ctx.form.fields,
        "error": error,
    }
    return render.page(ctx, "mail/writing.html", context, status=error.status if error else 200)


async def sign(ctx: RequestContext) -> web.StreamResponse:
    form = ctx.form
    language = form.text("language")
    try:
        if language not in ("ru", "en"):
            raise Refused("bad_request", "no such language", field="language")
        text = form.text("text", max_chars=10_000)
        html = form.text("html", max_chars=20_000) or (text_to_html(text) if text else "")
        html = await asyncio.to_thread(templates.cleaned, html)
        async with ctx.db.begin() as conn:
            await identities.sign(
                conn,
                ctx.actor,
                mailbox_id=form.number("mailbox"),
                is_of_mailbox=form.text("whose") == "mailbox",
                language=cast(Language, language),
                html=html,
                now=ctx.now,
            )
    except Refused as error:
        return await _mine(ctx, error=error)
    return render.redirect(ctx, "/me/writing")


async def add_sender(ctx: RequestContext) -> web.StreamResponse:
    form = ctx.form
    mailbox_id = form.number("mailbox")
    try:
        if mailbox_id is None:
            raise Refused("bad_request", "say which mailbox", field="mailbox")
        async with ctx.db.begin() as conn:
            await identities.add(
                conn,
                ctx.actor,
                mailbox_id=mailbox_id,
                name=form.text("name"),
                address=form.text("address", max_chars=254),
                is_default=form.text("default") == "1",
                now=ctx.now,
            )
    except HubError as error:
        if error.status >= 500:
            raise
        return await _mine(ctx, error=error)
    return render.redirect(ctx, "/me/writing")


async def remove_sender(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await identities.remove(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/me/writing")


async def default_sender(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await identities.make_default(conn, ctx.actor, ctx.id())
    return render.redirect(ctx, "/me/writing")


ROUTES = (
    Route("GET", "/me/writing", mine),
    Route("POST", "/me/signature", sign),
    Route("POST", "/me/senders", add_sender),
    Route("POST", "/me/senders/{id}/remove", remove_sender),
    Route("POST", "/me/senders/{id}/default", default_sender),
)
