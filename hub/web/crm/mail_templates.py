"""Templates of letters on the web: the card with the letter, the fields that fill themselves in, and the filling.

Decides no rights. Invariant: pages and API write a template through `mail.sending.template_rules`, which makes it safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import permissions
from hub.crm.base.conditions.tree import All, Any_, Leaf, Tree
from hub.crm.base.labels import Invalid, Problem, _
from hub.mail.reading.sanitize import html_to_text, text_to_html
from hub.mail.sending import phrases, template_rules, templates  # noqa: F401  # the rules register the kind
from hub.mail.sending.identities import Language
from hub.mail.sending.template_kind import MAX_CHARS, TEMPLATES, Template
from hub.store import changes
from hub.web import render
from hub.web.api.endpoint import Endpoint, Id, Query
from hub.web.api.shapes import Shape
from hub.web.base import schema
from hub.web.base.endpoints import RecordCalls
from hub.web.base.kind import FieldTemplate, RecordQuery, WebKind
from hub.web.base.record_page import read_card
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
SNIPPET = 200
Body = Annotated[str, msgspec.Meta(max_length=MAX_CHARS)]


class TemplateQuery(RecordQuery, frozen=True, kw_only=True):
    """`team` leaves those of that team and of everybody."""

    team: Id | None = None
    language: Language | None = None


class Letter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The letter a template is filled for."""

    client: Id | None = None
    contact: Id | None = None
    mailbox: Id | None = None


class NewTemplate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`html`, or `text` that becomes HTML. Without `team` it is everybody's."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    language: Language = "ru"
    team: Id | None = None
    subject: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    html: Body | None = None
    text: Body | None = None


class TemplateChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Only what is sent changes. `html`, or `text` that becomes HTML."""

    version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    name: Annotated[str, msgspec.Meta(max_length=200)] | msgspec.UnsetType = msgspec.UNSET
    language: Language | msgspec.UnsetType = msgspec.UNSET
    team: Id | msgspec.UnsetType | None = msgspec.UNSET
    subject: Annotated[str, msgspec.Meta(max_length=1000)] | msgspec.UnsetType = msgspec.UNSET
    html: Body | msgspec.UnsetType = msgspec.UNSET
    text: Body | msgspec.UnsetType = msgspec.UNSET


class FilledTemplate(Shape, frozen=True, kw_only=True):
    subject: str
    html: str
    text: str


class Placeholders(Shape, frozen=True, kw_only=True):
    """The fields that a template may name, without their braces."""

    items: list[str]


def _narrow_tree(query: TemplateQuery, _tree: Tree) -> Tree:
    found: list[Tree] = []
    if query.language is not None:
        found.append(Leaf("language", "is", [query.language]))
    if query.team is not None:
        found.append(Any_((Leaf("team", "is", [query.team]), Leaf("team", "is_empty", None))))
    return All(tuple(found))


async def _new_texts(_conn: AsyncConnection, ctx: RequestContext) -> dict[str, str]:
    """A template is of its maker's team, in their language; everybody's for whoever may write those."""
    teams = sorted(ctx.actor.team_ids)
    is_open = permissions.scope(ctx.actor, TEMPLATES.kind, "create") == "all"
    return {"language": ctx.language} | ({"team": str(teams[0])} if teams and not is_open else {})


async def _snippets(_conn: AsyncConnection, _ctx: RequestContext, rows: Sequence[Template]) -> dict[str, Any]:
    return {"snippets": {row.id: html_to_text(row.html[: SNIPPET * 10])[:SNIPPET] for row in rows}}


WEB = WebKind(
    entity=TEMPLATES,
    query=TemplateQuery,
    narrow_tree=_narrow_tree,
    new_texts=_new_texts,
    field_templates={"html": FieldTemplate("template/body_field.html", lambda _text: {"placeholders": FIELDS})},
    list_template="templates.html",
    list_facts=_snippets,
    icon="file-text",
)
CALLS = RecordCalls(WEB)


async def card(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        found = await read_card(conn, ctx, WEB, ctx.id())
    return render.page(ctx, "template.html", {"card": found, "text": html_to_text(found.row.html)}, feed=feed)


async def _filled(conn: AsyncConnection, ctx: RequestContext, letter: Letter) -> FilledTemplate:
    row = await templates.living(conn, ctx.actor, ctx.id())
    facts = await templates.facts_for(
        conn,
        ctx.actor,
        client_id=letter.client,
        contact_id=letter.contact,
        mailbox_id=letter.mailbox,
        language=row.language,
        now=ctx.now,
    )
    filled = templates.filled(row, facts)
    return FilledTemplate(subject=filled.subject, html=filled.html, text=filled.text)


class ChoiceQuery(msgspec.Struct, frozen=True, kw_only=True):
    client: str = ""
    contact: str = ""
    mailbox: str = ""


async def fill_page(ctx: RequestContext) -> web.StreamResponse:
    """A template for the letter that is being written: what the composer puts into itself."""
    query = ctx.query(ChoiceQuery)
    letter = Letter(client=_number(query.client), contact=_number(query.contact), mailbox=_number(query.mailbox))
    async with ctx.db.read() as conn:
        filled = await _filled(conn, ctx, letter)
    return web.json_response(msgspec.to_builtins(filled))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _with_html(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent with its plain text as HTML. Raises Invalid."""
    sent = dict(body)
    text = sent.pop("text", None)
    if text is None:
        return sent
    if not isinstance(text, str):
        raise Invalid({"text": Problem("not_text", _("Must be a text"))})
    return {"html": text_to_html(text[: MAX_CHARS + 1])} | sent


async def create(conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
    return await CALLS.create(conn, ctx, _with_html(body))


async def change(conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
    return await CALLS.change(conn, ctx, _with_html(body))


async def placeholders(_conn: AsyncConnection, _ctx: RequestContext, _query: Query) -> Placeholders:
    return Placeholders(items=list(phrases.FIELDS))


ROUTES = (Route("GET", "/templates/{id}/filled", fill_page),)
OWN = (
    Endpoint(
        method="POST",
        path="/templates",
        summary="Make a template",
        writes=create,
        body=NewTemplate,
        decodes=dict[str, Any],
        answer=schema.record_type(WEB),
        status=201,
    ),
    Endpoint(
        method="PATCH",
        path="/templates/{id}",
        summary="Change what is sent of a template",
        writes=change,
        body=TemplateChange,
        decodes=dict[str, Any],
        answer=schema.record_type(WEB),
    ),
)
"""In the place of those of the base: they take plain text, too."""
ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/templates/placeholders",
        summary="The fields that a template may name",
        reads=placeholders,
        answer=Placeholders,
    ),
    Endpoint(
        method="POST",
        path="/templates/{id}/fill",
        summary="A template filled for one letter",
        writes=_filled,
        body=Letter,
        answer=FilledTemplate,
    ),
)
