"""Templates of letters, and what stands below and above one's own: signatures and names to write under.

Invariant: a form that is refused comes back with what was typed and the one thing that is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from aiohttp import web

from hub.crm import directory
from hub.errors import HubError, NotFound, Refused
from hub.mail import register
from hub.mail.reading.sanitize import html_to_text, text_to_html
from hub.mail.sending import identities, phrases, templates
from hub.mail.sending.templates import Language
from hub.web import render
from hub.web.form_version import form_version, refuse_older
from hub.web.i18n import N_
from hub.web.request_context import RequestContext
from hub.web.routes import Route

FIELD_WORDS = {
    "client.name": N_("the client's name"),
    "contact.name": N_("the contact's full name"),
    "contact.first_name": N_("how the contact is spoken to"),
    "contact.position": N_("the contact's position"),
    "manager.name": N_("your name"),
    "manager.email": N_("your e-mail"),
    "manager.extension": N_("your extension"),
    "mailbox.address": N_("the mailbox's address"),
    "mailbox.name": N_("the mailbox's name"),
    "today": N_("today's date"),
}
FIELDS = tuple((name, FIELD_WORDS[name]) for name in phrases.FIELDS)


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    language: str = ""


class ChoiceQuery(msgspec.Struct, frozen=True, kw_only=True):
    client: str = ""
    contact: str = ""
    mailbox: str = ""


async def listed(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(ListQuery)
    language = query.language if query.language in ("ru", "en") else None
    async with ctx.db.read() as conn:
        rows = await templates.listed(conn, ctx.actor, language=language)
    snippets = {row.id: html_to_text(row.html[:2000])[:200] for row in rows}
    return render.page(ctx, "mail/templates.html", {"templates": rows, "query": query, "snippets": snippets})


async def new(ctx: RequestContext) -> web.StreamResponse:
    teams = sorted(ctx.actor.team_ids)
    team = str(teams[0]) if teams and not ctx.actor.is_admin else ""
    return await _form(ctx, None, {"language": ctx.language, "team": team})


async def edit(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        row = await templates.find(conn, ctx.actor, ctx.id())
    return await _form(ctx, row, _values(row) | {"text": await asyncio.to_thread(html_to_text, row.html)})


def _values(row: templates.Template) -> dict[str, str]:
    return {"name": row.name, "language": row.language, "team": str(row.team_id or ""), "subject": row.subject}


def _shown(row: templates.Template) -> dict[str, str]:
    return _values(row) | {"html": row.html}


async def make(ctx: RequestContext) -> web.StreamResponse:
    return await _save(ctx, None)


async def save(ctx: RequestContext) -> web.StreamResponse:
    return await _save(ctx, ctx.id())


async def _save(ctx: RequestContext, template_id: int | None) -> web.StreamResponse:
    form = ctx.form
    language = form.text("language")
    try:
        if language not in ("ru", "en"):
            raise Refused("bad_request", "no such language", field="language")
        text = form.text("text", max_chars=templates.MAX_CHARS)
        html = form.text("html", max_chars=templates.MAX_CHARS) or text_to_html(text)
        html = await asyncio.to_thread(templates.cleaned, html)
        async with ctx.db.begin() as conn:
            if template_id is not None:
                before = await templates.find(conn, ctx.actor, template_id)
                refuse_older(form, _shown(before))
            if template_id is not None and not form.text("html", max_chars=templates.MAX_CHARS):
                # A text that nobody touched keeps the markup it has.
                html = before.html if html_to_text(before.html).split() == text.split() else html
            await templates.save(
                conn,
                ctx.actor,
                template_id,
                team_id=form.number("team"),
                name=form.text("name"),
                language=cast(Language, language),
                subject=form.text("subject"),
                html=html,
                now=ctx.now,
            )
    except NotFound:
        raise
    except HubError as error:
        if error.status >= 500:
            raise
        row = None
        if template_id is not None:
            async with ctx.db.read() as conn:
                row = await templates.find(conn, ctx.actor, template_id)
        return await _form(ctx, row, form.fields, error=error)
    return render.redirect(ctx, "/templates")


async def _form(
    ctx: RequestContext, row: templates.Template | None, values: Mapping[str, str], *, error: HubError | None = None
) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        teams = await directory.my_teams(conn, ctx.actor)
    context: dict[str, Any] = {
        "template": row,
        "version": form_version(_shown(row)) if row is not None else "",
        "values": values,
        "teams": [(str(team.id), team.name) for team in teams],
        "fields": FIELDS,
        "may_change": row is None or templates.may_change(ctx.actor, row.team_id),
        "error": error,
    }
    return render.page(ctx, "mail/template.html", context, status=error.status if error else 200)


async def archive(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await templates.archive(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/templates")


async def filled(ctx: RequestContext) -> web.StreamResponse:
    """A template for the letter that is being written: what the composer puts into itself."""
    query = ctx.query(ChoiceQuery)
    async with ctx.db.read() as conn:
        row = await templates.find(conn, ctx.actor, ctx.id())
        facts = await templates.facts_for(
            conn,
            ctx.actor,
            client_id=_number(query.client),
            contact_id=_number(query.contact),
            mailbox_id=_number(query.mailbox),
            language=row.language,
            now=ctx.now,
        )
    letter = templates.filled(row, facts)
    return web.json_response({"subject": letter.subject, "html": letter.html, "text": letter.text})


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) < 19 else None


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
    Route("GET", "/templates", listed),
    Route("GET", "/templates/new", new),
    Route("POST", "/templates", make),
    Route("GET", "/templates/{id}", edit),
    Route("POST", "/templates/{id}", save),
    Route("POST", "/templates/{id}/archive", archive),
    Route("GET", "/templates/{id}/filled", filled),
    Route("GET", "/me/writing", mine),
    Route("POST", "/me/signature", sign),
    Route("POST", "/me/senders", add_sender),
    Route("POST", "/me/senders/{id}/remove", remove_sender),
    Route("POST", "/me/senders/{id}/default", default_sender),
)
