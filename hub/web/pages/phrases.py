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
from hub.web.i18n import N_
from hub.web.routes import Route
from hub.web.visit import Visit

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


async def listed(visit: Visit) -> web.StreamResponse:
    query = visit.query(ListQuery)
    language = query.language if query.language in ("ru", "en") else None
    async with visit.db.read() as conn:
        rows = await templates.listed(conn, visit.actor, language=language)
    snippets = {row.id: html_to_text(row.html[:2000])[:200] for row in rows}
    return render.page(visit, "mail/templates.html", {"templates": rows, "query": query, "snippets": snippets})


async def new(visit: Visit) -> web.StreamResponse:
    teams = sorted(visit.actor.team_ids)
    team = str(teams[0]) if teams and not visit.actor.is_admin else ""
    return await _form(visit, None, {"language": visit.language, "team": team})


async def edit(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        row = await templates.find(conn, visit.actor, visit.id())
    values = {"name": row.name, "language": row.language, "team": str(row.team_id or ""), "subject": row.subject}
    return await _form(visit, row, values | {"text": await asyncio.to_thread(html_to_text, row.html)})


async def make(visit: Visit) -> web.StreamResponse:
    return await _save(visit, None)


async def save(visit: Visit) -> web.StreamResponse:
    return await _save(visit, visit.id())


async def _save(visit: Visit, template_id: int | None) -> web.StreamResponse:
    form = visit.form
    language = form.text("language")
    try:
        if language not in ("ru", "en"):
            raise Refused("bad_request", "no such language", field="language")
        text = form.text("text", max_chars=templates.MAX_CHARS)
        html = form.text("html", max_chars=templates.MAX_CHARS) or text_to_html(text)
        html = await asyncio.to_thread(templates.cleaned, html)
        async with visit.db.begin() as conn:
            if template_id is not None and not form.text("html", max_chars=templates.MAX_CHARS):
                # A text that nobody touched keeps the markup it has.
                before = await templates.find(conn, visit.actor, template_id)
                html = before.html if html_to_text(before.html).split() == text.split() else html
            await templates.save(
                conn,
                visit.actor,
                template_id,
                team_id=form.number("team"),
                name=form.text("name"),
                language=cast(Language, language),
                subject=form.text("subject"),
                html=html,
                now=visit.now,
            )
    except NotFound:
        raise
    except HubError as error:
        if error.status >= 500:
            raise
        row = None
        if template_id is not None:
            async with visit.db.read() as conn:
                row = await templates.find(conn, visit.actor, template_id)
        return await _form(visit, row, form.fields, error=error)
    return render.go(visit, "/templates")


async def _form(
    visit: Visit, row: templates.Template | None, values: Mapping[str, str], *, error: HubError | None = None
) -> web.StreamResponse:
    async with visit.db.read() as conn:
        teams = await directory.my_teams(conn, visit.actor)
    context: dict[str, Any] = {
        "template": row,
        "values": values,
        "teams": [(str(team.id), team.name) for team in teams],
        "fields": FIELDS,
        "may_change": row is None or templates.may_change(visit.actor, row.team_id),
        "error": error,
    }
    return render.page(visit, "mail/template.html", context, status=error.status if error else 200)


async def archive(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await templates.archive(conn, visit.actor, visit.id(), now=visit.now)
    return render.go(visit, "/templates")


async def filled(visit: Visit) -> web.StreamResponse:
    """A template for the letter that is being written: what the composer puts into itself."""
    query = visit.query(ChoiceQuery)
    async with visit.db.read() as conn:
        row = await templates.find(conn, visit.actor, visit.id())
        facts = await templates.facts_for(
            conn,
            visit.actor,
            client_id=_number(query.client),
            contact_id=_number(query.contact),
            mailbox_id=_number(query.mailbox),
            language=row.language,
            now=visit.now,
        )
    letter = templates.filled(row, facts)
    return web.json_response({"subject": letter.subject, "html": letter.html, "text": letter.text})


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) < 19 else None


async def mine(visit: Visit) -> web.StreamResponse:
    return await _mine(visit)


async def _mine(visit: Visit, *, error: HubError | None = None) -> web.StreamResponse:
    async with visit.db.read() as conn:
        senders = await identities.of(conn, visit.actor)
        kept = await identities.signatures_of(conn, visit.actor)
        mailboxes = await register.mailboxes_of(conn, visit.actor)
    names = {box.id: box.address for box in mailboxes}
    context = {
        "senders": senders,
        "signatures": [(one, names.get(one.mailbox_id or 0, ""), html_to_text(one.html)) for one in kept],
        "mailboxes": [(box.id, box.address) for box in mailboxes],
        "fields": tuple(one for one in FIELDS if one[0] in phrases.OF_THE_WRITER),
        "values": visit.form.fields,
        "error": error,
    }
    return render.page(visit, "mail/writing.html", context, status=error.status if error else 200)


async def sign(visit: Visit) -> web.StreamResponse:
    form = visit.form
    language = form.text("language")
    try:
        if language not in ("ru", "en"):
            raise Refused("bad_request", "no such language", field="language")
        text = form.text("text", max_chars=10_000)
        html = form.text("html", max_chars=20_000) or (text_to_html(text) if text else "")
        html = await asyncio.to_thread(templates.cleaned, html)
        async with visit.db.begin() as conn:
            await identities.sign(
                conn,
                visit.actor,
                mailbox_id=form.number("mailbox"),
                is_of_mailbox=form.text("whose") == "mailbox",
                language=cast(Language, language),
                html=html,
                now=visit.now,
            )
    except Refused as error:
        return await _mine(visit, error=error)
    return render.go(visit, "/me/writing")


async def add_sender(visit: Visit) -> web.StreamResponse:
    form = visit.form
    mailbox_id = form.number("mailbox")
    try:
        if mailbox_id is None:
            raise Refused("bad_request", "say which mailbox", field="mailbox")
        async with visit.db.begin() as conn:
            await identities.add(
                conn,
                visit.actor,
                mailbox_id=mailbox_id,
                name=form.text("name"),
                address=form.text("address", max_chars=254),
                is_default=form.text("default") == "1",
                now=visit.now,
            )
    except HubError as error:
        if error.status >= 500:
            raise
        return await _mine(visit, error=error)
    return render.go(visit, "/me/writing")


async def remove_sender(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await identities.remove(conn, visit.actor, visit.id(), now=visit.now)
    return render.go(visit, "/me/writing")


async def default_sender(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await identities.make_default(conn, visit.actor, visit.id())
    return render.go(visit, "/me/writing")


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
