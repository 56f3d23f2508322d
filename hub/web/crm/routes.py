"""Every kind of record on the web: each registered one, with what its own file adds.

Decides nothing. Invariant: a registered kind has pages and calls without another line here.
"""

from __future__ import annotations

from dataclasses import replace

from hub.crm import kinds  # noqa: F401  # registers every kind
from hub.crm.base import registry
from hub.web.api.endpoint import Endpoint
from hub.web.base.endpoints import RecordCalls
from hub.web.base.kind import WebKind
from hub.web.base.pages import RecordPages
from hub.web.crm import (
    audit,
    calls,
    client_card,
    clients,
    contacts,
    drafts,
    leads,
    mail_templates,
    mailboxes,
    messages,
    outbox,
    roles,
    teams,
    user_sign_ins,
    users,
)
from hub.web.routes import Route

OWN = {
    web.entity.kind: web
    for web in (
        clients.WEB, contacts.WEB, calls.WEB, messages.WEB, mailboxes.WEB, leads.WEB, audit.WEB, roles.WEB,
        teams.WEB, users.WEB, mail_templates.WEB, outbox.WEB, drafts.WEB,
    )
}  # fmt: skip
KINDS: tuple[WebKind, ...] = tuple(OWN.get(word) or WebKind(entity=entity) for word, entity in registry.kinds().items())


CARDS = {
    "client": client_card.card,
    "lead": leads.card,
    "role": roles.card,
    "team": teams.card,
    "template": mail_templates.card,
    "user": users.card,
}
"""Cards that a kind writes by hand."""


def pages() -> tuple[Route, ...]:
    """Return the pages of every kind."""
    return (
        *clients.ROUTES,
        *client_card.ROUTES,
        *users.ROUTES,
        *user_sign_ins.ROUTES,
        *leads.ROUTES,
        *messages.ROUTES,
        *mail_templates.ROUTES,
        *outbox.ROUTES,
        *mailboxes.ROUTES,
        *(
            replace(one, who=web.who if one.path.endswith("/names") else web.pages_who or web.who)
            for web in KINDS
            for one in RecordPages(web, CARDS.get(web.entity.kind)).routes()
        ),
    )


def endpoints() -> tuple[Endpoint, ...]:
    """Return the calls of every kind; one that a kind writes by hand stands in the place of the base's."""
    by_hand = (
        clients.CREATE,
        calls.ONE,
        messages.ONE,
        *mailboxes.ENDPOINTS,
        *mail_templates.OWN,
        *outbox.OWN,
        drafts.ONE,
    )
    own = {(one.method, one.path): one for one in by_hand}
    of_base = (
        own.get((one.method, one.path)) or replace(one, who=web.who)
        for web in KINDS
        for one in RecordCalls(web).endpoints()
    )
    return (
        *mail_templates.ENDPOINTS,
        *of_base,
        *users.ENDPOINTS,
        *user_sign_ins.ENDPOINTS,
        *leads.ENDPOINTS,
        *outbox.ENDPOINTS,
    )
