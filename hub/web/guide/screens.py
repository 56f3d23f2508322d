"""The page of the user guide for each screen: one table, by the path of the route.

A new screen is one line here; a test finds a screen without one. The pages that the base makes of a kind of record need
none: `RECORDS` is about all of them. What is not a whole page (pieces, files, streams) has no line.
"""

from __future__ import annotations

from hub.crm.base import registry
from hub.web.guide.book import INDEX

RECORD_SCREENS = ("", "/new", "/{id}", "/{id}/edit", "/{id}/history")
ADMINISTERED = {"users": "people", "teams": "people", "roles": "roles"}
SCREENS = {
    "/desk": "desk",
    "/clients": "find-a-client",
    "/clients/new": "add-a-client",
    "/clients/{id}": "client-card",
    "/clients/{id}/edit": "client-card",
    "/clients/{id}/history": "client-card",
    "/contacts": "find-a-client",
    "/contacts/new": "add-a-client",
    "/contacts/{id}": "client-card",
    "/contacts/{id}/edit": "client-card",
    "/contacts/{id}/history": "client-card",
    **{f"/{kind}{rest}": page for kind, page in ADMINISTERED.items() for rest in RECORD_SCREENS},
    **{f"/leads{rest}": "leads" for rest in RECORD_SCREENS},
    "/calls": "all-calls",
    "/audit": "audit-log",
    "/messages": "mail-list",
    "/messages/{id}": "read-mail",
    "/messages/{id}/link": "link-a-message",
    "/compose": "write-mail",
    "/drafts": "drafts",
    "/drafts/{id}": "write-mail",
    "/outbox": "outbox",
    **{f"/templates{rest}": "templates" for rest in RECORD_SCREENS},
    "/me/writing": "signatures",
    "/me/sign-ins": "sessions",
    "/me/two-factor": "two-step-sign-in",
    "/me/mailbox": "own-mailbox",
    "/me/mailbox/new": "own-mailbox",
    "/mailboxes": "add-a-mailbox",
    "/mailboxes/new": "add-a-mailbox",
    "/mailboxes/{id}/settings": "add-a-mailbox",
    "/mailboxes/health": "mailbox-health",
    "/mailboxes/{id}": "mailbox-health",
    "/wallboard": "wallboard",
    "/wallboard/{id}": "wallboard",
    "/admin/teams": "call-rules",
    "/admin/teams/{id}/rules": "call-rules",
    "/admin/blocked": "blocked-numbers",
    "/dictionaries": "dictionaries",
    "/dictionaries/{name}": "dictionaries",
    "/dictionaries/{name}/{id}": "dictionaries",
    "/typical-data": "typical-data",
    "/typical-data/{name}": "typical-data",
    "/characteristics": "characteristics",
    "/characteristics/new": "characteristics",
    "/characteristics/{id}": "characteristics",
    "/operations": "operations",
    "/operations/{id}": "operations",
}
RECORDS = "lists"


def page_of(route: str) -> str:
    """Return the name of the page for the screen at a route; the index for any other."""
    if route in SCREENS:
        return SCREENS[route]
    return RECORDS if route.split("/")[1:2] and route.split("/")[1] in _plurals() else INDEX


def _plurals() -> set[str]:
    return {entity.plural for entity in registry.kinds().values()}
