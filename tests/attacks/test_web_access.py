"""Every route with every kind of asker and a foreign object: a route without a rule here fails the test.

The cast: `nobody` has no session, `stranger` is a manager of another team, `olga` a manager of the team whose things
these are. For each route stands what the stranger and olga get; nobody never gets anything but the public routes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people, sessions, tokens
from hub.crm.base import registry, views
from hub.crm.base.history import Edit
from hub.crm.base.permissions import Action
from hub.crm.clients import CLIENTS
from hub.crm.roles.presets import PRESET
from hub.crm.roles.rights import scope_in
from hub.mail.models import messages
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.authentication import SERVICES
from hub.web.base.pages import RecordPages
from hub.web.crm.routes import KINDS
from hub.web.server import ROUTES
from tests.factories import got
from tests.testbed import talk
from tests.testbed.audio_files import recorded, settings_for
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database


@dataclass(frozen=True, slots=True)
class Rule:
    """What a stranger to the team and a manager of it get. `of` names the object whose id stands in the path."""

    stranger: int
    olga: int
    of: str = ""
    form: str = ""
    json: str = ""
    query: str = ""


PUBLIC = {
    ("GET", "/healthz"): 200,
    ("GET", "/readyz"): 200,
    ("GET", "/metrics"): 200,
    ("GET", "/login"): 200,
    ("GET", "/static/{name}"): 404,
    ("POST", "/login"): 401,
    ("GET", "/login/code"): 303,
    ("POST", "/login/code"): 204,
    ("POST", "/language"): 400,
    ("POST", "/pbx/route"): 403,
    ("GET", "/reset/{token}"): 404,
    ("POST", "/reset"): 404,
    ("POST", "/pbx/name"): 403,
    ("GET", "/api/v1/openapi.json"): 200,
}

LETTER = "mailbox=sales%40hub.test&to=a%40b.example&subject=x&text=y&request_id=12345678"
MAIL = '{"mailbox": "sales@hub.test", "to": "a@b.example", "subject": "x", "text": "y"}'
BOX = "address=olga%40hub.test&imap_host=imap.hub.test&smtp_host=smtp.hub.test&password=x"
SIDES = '"imap": {"host": "i.test", "port": 993}, "smtp": {"host": "s.test", "port": 465}'
BOX_JSON = f'{{"address": "o@hub.test", "team": 1, {SIDES}}}'
DRAFT = '{"mailbox": "sales@hub.test", "to": "a@b.example"}'
BULK = '{"ids": [1], "set": {"name": "x"}}'
RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/views/pinned"): Rule(200, 200),
    ("GET", "/"): Rule(303, 303),
    ("POST", "/logout"): Rule(303, 303),
    ("GET", "/live"): Rule(200, 200),
    ("GET", "/pbx/states"): Rule(200, 200),
    ("GET", "/desk"): Rule(200, 200),
    ("GET", "/desk/call"): Rule(200, 200),
    ("GET", "/desk/team"): Rule(200, 200),
    ("GET", "/desk/waiting"): Rule(200, 200),
    ("GET", "/presence"): Rule(200, 200),
    ("POST", "/presence"): Rule(200, 200, form="state=away"),
    ("GET", "/wallboard"): Rule(303, 303),
    # the team's own things: to a stranger they do not exist
    ("GET", "/wallboard/{id}"): Rule(204, 200, of="team"),  # an open board that is no longer theirs sends them away
    ("POST", "/queue/{id}/take"): Rule(404, 200, of="item"),
    ("POST", "/queue/{id}/release"): Rule(404, 200, of="item"),
    ("POST", "/queue/{id}/done"): Rule(404, 409, of="item"),
    ("POST", "/calls/{id}/hangup"): Rule(404, 204, of="call"),
    ("GET", "/recordings/{id}"): Rule(404, 200, of="recording"),
    ("POST", "/calls/{id}/recording"): Rule(404, 403, of="talk", form="pause=1"),
    # … olga's phone is not in the talk of another of her team, nor does she have the privilege to hear it
    ("POST", "/calls/{id}/transfer"): Rule(404, 403, of="talk", form="kind=blind&to=102&request_id=12345678"),
    ("POST", "/calls/{id}/complete"): Rule(404, 403, of="talk", form="request_id=12345678"),
    ("POST", "/calls/{id}/cancel"): Rule(404, 403, of="talk", form="request_id=12345678"),
    ("POST", "/calls/{id}/hold"): Rule(404, 403, of="talk", form="request_id=12345678"),
    ("POST", "/calls/{id}/unhold"): Rule(404, 403, of="talk", form="request_id=12345678"),
    ("POST", "/calls/{id}/park"): Rule(404, 403, of="talk", form="request_id=12345678"),
    ("POST", "/calls/{id}/retrieve"): Rule(404, 409, of="talk"),
    ("POST", "/calls/{id}/listen"): Rule(403, 403, of="talk", form="request_id=12345678"),
    ("POST", "/calls/{id}/whisper"): Rule(403, 403, of="talk", form="request_id=12345678"),
    ("POST", "/calls/{id}/barge"): Rule(403, 403, of="talk", form="request_id=12345678"),
    ("GET", "/calls/{id}/colleagues"): Rule(404, 200, of="talk"),
    ("GET", "/call-intents/{id}"): Rule(404, 200, of="intent"),
    ("GET", "/messages/{id}"): Rule(404, 200, of="message"),
    ("GET", "/messages/{id}/link"): Rule(404, 200, of="message"),
    ("POST", "/messages/{id}/link"): Rule(404, 204, of="message", form="whose="),
    ("POST", "/messages/{id}/original"): Rule(404, 400, of="message"),
    ("GET", "/messages/{id}/body"): Rule(404, 200, of="message"),
    ("GET", "/messages/{id}/part"): Rule(404, 200, of="message"),
    ("GET", "/messages/{id}/files"): Rule(404, 200, of="message"),
    ("POST", "/messages/{id}/pictures"): Rule(404, 200, of="message", form="always=1"),
    ("GET", "/attachments/{id}/preview"): Rule(404, 200, of="attachment"),
    ("POST", "/attachments/{id}/anyway"): Rule(403, 403, of="attachment"),  # the administrator's alone
    ("GET", "/threads/{id}"): Rule(404, 200, of="thread"),
    ("GET", "/threads/{id}/answering"): Rule(404, 200, of="thread"),
    ("POST", "/threads/{id}/answering"): Rule(404, 204, of="thread"),
    ("GET", "/messages/{id}/raw"): Rule(404, 200, of="message"),
    ("GET", "/attachments/{id}"): Rule(404, 200, of="attachment"),
    ("GET", "/mailboxes/health"): Rule(200, 200),
    ("GET", "/mailboxes/{id}"): Rule(404, 200, of="mailbox"),
    ("POST", "/mailboxes/{id}/read-again"): Rule(404, 204, of="mailbox"),
    ("GET", "/messages/{id}/waiting"): Rule(404, 200, of="message"),
    ("POST", "/messages/{id}/take-back"): Rule(404, 403, of="message"),
    ("POST", "/messages/{id}/send-again"): Rule(404, 409, of="message"),
    ("POST", "/messages/{id}/accept-as-sent"): Rule(404, 409, of="message"),
    ("POST", "/messages/{id}/flags"): Rule(404, 204, of="message", form="seen=1"),
    ("GET", "/outbox/stuck"): Rule(200, 200),
    ("POST", "/outbox/{id}/send-again"): Rule(404, 409, of="message"),
    ("POST", "/outbox/{id}/accept-as-sent"): Rule(404, 409, of="message"),
    ("POST", "/outbox/{id}/cancel"): Rule(404, 409, of="message"),
    ("POST", "/outbox/{id}/copy-again"): Rule(404, 409, of="message"),
    ("POST", "/users/{id}/reset-link"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/invite"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/invitation/withdraw"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/deactivate"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/privileges"): Rule(403, 403, of="user"),
    ("POST", "/users/{id}/two-factor/reset"): Rule(403, 403, of="user"),
    ("POST", "/users/{id}/sessions/end"): Rule(403, 403, of="user"),
    ("POST", "/users/{id}/tokens/revoke"): Rule(403, 403, of="user"),
    ("GET", "/styleguide"): Rule(200, 200),
    ("GET", "/palette"): Rule(200, 200),
    ("GET", "/help"): Rule(200, 200),
    ("GET", "/help/{page}"): Rule(404, 404),
    ("GET", "/help/images/{name}"): Rule(404, 404),
    ("POST", "/leads/{id}/close"): Rule(404, 204, of="lead"),
    ("POST", "/leads/{id}/convert"): Rule(404, 204, of="lead"),
    # templates are everybody's or one's team's; how one writes is one's own
    ("GET", "/templates/{id}/filled"): Rule(404, 200, of="template"),
    ("GET", "/me/writing"): Rule(200, 200),
    # sessions and tokens are one's own: these are another person's
    ("GET", "/me/sign-ins"): Rule(200, 200),
    ("POST", "/me/sessions/end-others"): Rule(204, 204),
    ("POST", "/me/sessions/{id}/end"): Rule(404, 404, of="session"),
    ("POST", "/me/tokens/{id}/revoke"): Rule(404, 404, of="token"),
    # … and so is the second step of the sign-in; what changes it asks for the password, which is none of these
    ("GET", "/me/two-factor"): Rule(200, 200),
    ("POST", "/me/two-factor/begin"): Rule(400, 400),
    ("POST", "/me/two-factor/confirm"): Rule(409, 409),
    ("POST", "/me/two-factor/codes"): Rule(400, 400),
    ("POST", "/me/two-factor/off"): Rule(400, 400),
    ("POST", "/me/signature"): Rule(204, 204, form="language=ru&text=x"),
    ("POST", "/me/senders"): Rule(404, 204, form="mailbox=1&name=x"),
    ("POST", "/me/senders/{id}/default"): Rule(404, 204, of="sender"),
    ("POST", "/me/senders/{id}/remove"): Rule(404, 204, of="sender"),
    # each manager's register of messages holds what they may see
    ("GET", "/messages/found"): Rule(200, 200),
    # the call rules are the administrator's
    ("GET", "/admin/teams"): Rule(403, 403),
    ("GET", "/admin/teams/{id}/rules"): Rule(403, 403),
    ("POST", "/admin/teams/{id}/rules"): Rule(403, 403),
    ("GET", "/admin/blocked"): Rule(403, 403),
    ("POST", "/admin/blocked"): Rule(403, 403, form="pattern=%2B74951234567"),
    ("POST", "/admin/blocked/{id}/remove"): Rule(403, 403),
    # … and lists of values and characteristics, for whoever has the right to keep them
    ("GET", "/dictionaries"): Rule(403, 403),
    ("GET", "/dictionaries/{name}"): Rule(403, 403),
    ("POST", "/dictionaries/{name}"): Rule(403, 403),
    ("GET", "/dictionaries/{name}/{id}"): Rule(403, 403),
    ("POST", "/dictionaries/{name}/{id}"): Rule(403, 403),
    ("POST", "/dictionaries/{name}/{id}/move"): Rule(403, 403),
    ("POST", "/dictionaries/{name}/{id}/delete"): Rule(403, 403),
    ("POST", "/dictionaries/{name}/{id}/merge"): Rule(403, 403),
    ("GET", "/typical-data"): Rule(403, 403),
    ("GET", "/typical-data/{name}"): Rule(403, 403),
    ("POST", "/typical-data/{name}"): Rule(403, 403),
    ("GET", "/characteristics"): Rule(403, 403),
    ("GET", "/characteristics/new"): Rule(403, 403),
    ("POST", "/characteristics"): Rule(403, 403),
    ("GET", "/characteristics/{id}"): Rule(403, 403),
    ("POST", "/characteristics/{id}"): Rule(403, 403),
    ("POST", "/characteristics/{id}/move"): Rule(403, 403),
    ("POST", "/characteristics/{id}/change-type"): Rule(403, 403),
    # an operation is its maker's and the administrators'
    ("GET", "/operations"): Rule(200, 200),
    ("GET", "/operations/{id}"): Rule(404, 404),
    ("POST", "/operations/{id}/cancel"): Rule(404, 404),
    ("POST", "/operations/{id}/resume"): Rule(404, 404),
    ("POST", "/operations/{id}/undo"): Rule(404, 404),
    # … and the setting up of mailboxes, but for a person's own, which needs a privilege
    ("GET", "/mailboxes/new"): Rule(403, 403),
    ("POST", "/mailboxes"): Rule(403, 403),
    ("POST", "/mailboxes/find"): Rule(403, 403, form="address=a%40hub.test"),
    ("POST", "/mailboxes/test"): Rule(403, 403, form=BOX),
    ("GET", "/me/mailbox"): Rule(403, 403),
    ("GET", "/me/mailbox/new"): Rule(403, 403),
    ("POST", "/me/mailbox"): Rule(403, 403, form=BOX),
    ("GET", "/mailboxes/{id}/settings"): Rule(404, 404),
    ("POST", "/mailboxes/{id}/settings"): Rule(404, 404, form=BOX),
    ("GET", "/mailboxes/{id}/history"): Rule(404, 404),
    ("POST", "/mailboxes/{id}/test"): Rule(404, 404),
    ("POST", "/mailboxes/{id}/switch"): Rule(404, 404),
    ("POST", "/mailboxes/{id}/again"): Rule(404, 404),
    ("GET", "/mailboxes/{id}/sign-in"): Rule(404, 404),
    ("GET", "/oauth/callback"): Rule(400, 400),
    # cards are open to every manager
    ("GET", "/clients/kind"): Rule(200, 200),
    ("GET", "/clients/{id}/timeline"): Rule(200, 200, of="client"),
    ("GET", "/clients/{id}/waiting"): Rule(200, 200, of="client"),
    ("POST", "/call"): Rule(200, 200, form="to=%2B74951234567&request_id=12345678"),
    # … but a mailbox is its team's
    ("GET", "/compose"): Rule(404, 200),
    ("GET", "/compose/people"): Rule(200, 200),
    ("POST", "/compose"): Rule(404, 200, form=LETTER),
    # … and a draft its writer's alone: this one is a colleague's of olga's team
    ("POST", "/drafts"): Rule(404, 200, form=LETTER.replace("12345678", "87654321")),
    ("GET", "/drafts/{id}"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}"): Rule(404, 404, of="draft", form=LETTER + "&version=1"),
    ("POST", "/drafts/{id}/files"): Rule(404, 404, of="draft"),
    ("GET", "/drafts/{id}/files/{file}"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}/files/{file}/remove"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}/delete"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}/restore"): Rule(404, 404, of="draft"),
}
API_RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/pbx"): Rule(200, 200),
    ("POST", "/calls"): Rule(202, 202, json='{"to": "+74951234567"}'),
    ("GET", "/calls/{id}"): Rule(404, 200, of="call"),
    ("GET", "/calls/{id}/history"): Rule(404, 200, of="call"),
    ("POST", "/calls/{id}/take"): Rule(404, 202, of="call"),
    ("POST", "/calls/{id}/hangup"): Rule(404, 202, of="call"),
    ("GET", "/recordings/{id}"): Rule(404, 200, of="recording"),
    ("POST", "/calls/{id}/recording"): Rule(404, 403, of="talk", json='{"paused": true}'),
    ("GET", "/recordings/{id}/audio"): Rule(404, 200, of="recording"),
    # … this person is olga herself
    ("GET", "/users/{id}/rights"): Rule(404, 200, of="user"),
    ("POST", "/users/{id}/deactivate"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/reset-link"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/invite"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/invitation/withdraw"): Rule(404, 403, of="user"),
    ("POST", "/users/{id}/two-factor/reset"): Rule(403, 403),
    ("GET", "/users/{id}/sessions"): Rule(403, 403),
    ("POST", "/users/{id}/sessions/end"): Rule(403, 403, json="{}"),
    ("GET", "/users/{id}/tokens"): Rule(403, 403),
    ("POST", "/users/{id}/tokens/revoke"): Rule(403, 403, json="{}"),
    ("GET", "/users/{id}/privileges"): Rule(403, 403),
    ("POST", "/users/{id}/privileges"): Rule(403, 403, json='{"grant": ["recordings"]}'),
    ("POST", "/calls/{id}/transfer"): Rule(404, 403, of="talk", json='{"to": "102"}'),
    ("POST", "/calls/{id}/hold"): Rule(404, 403, of="talk"),
    ("POST", "/calls/{id}/unhold"): Rule(404, 403, of="talk"),
    ("POST", "/calls/{id}/park"): Rule(404, 403, of="talk"),
    ("POST", "/calls/{id}/retrieve"): Rule(404, 409, of="talk"),
    ("POST", "/calls/{id}/listen"): Rule(403, 403, of="talk"),
    ("POST", "/calls/{id}/whisper"): Rule(403, 403, of="talk"),
    ("POST", "/calls/{id}/barge"): Rule(403, 403, of="talk"),
    ("POST", "/calls/{id}/link"): Rule(404, 200, of="talk", json="{}"),
    ("GET", "/parked-calls"): Rule(200, 200),
    ("GET", "/call-intents/{id}"): Rule(404, 200, of="intent"),
    ("POST", "/messages"): Rule(404, 202, json=MAIL),
    ("GET", "/messages/{id}"): Rule(404, 200, of="message"),
    ("GET", "/messages/{id}/history"): Rule(404, 200, of="message"),
    ("POST", "/messages/{id}/link"): Rule(404, 200, of="message", json="{}"),
    ("POST", "/messages/{id}/cancel"): Rule(404, 403, of="message"),
    ("POST", "/drafts"): Rule(404, 201, json=DRAFT),
    ("GET", "/drafts/{id}"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}"): Rule(404, 404, of="draft", json=DRAFT.replace("}", ', "version": 1}')),
    ("POST", "/drafts/{id}/delete"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}/restore"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}/attachments"): Rule(404, 404, of="draft", json='{"name": "x", "content": ""}'),
    ("POST", "/drafts/{id}/attachments/{file}/remove"): Rule(404, 404, of="draft"),
    ("POST", "/drafts/{id}/send"): Rule(404, 404, of="draft"),
    ("GET", "/messages/{id}/raw"): Rule(404, 200, of="message"),
    ("POST", "/messages/{id}/parse"): Rule(403, 403, of="message"),
    ("POST", "/messages/{id}/flags"): Rule(404, 200, of="message", json='{"seen": true}'),
    ("GET", "/attachments/{id}"): Rule(404, 200, of="attachment"),
    ("GET", "/mailboxes/{id}/health"): Rule(404, 200, of="mailbox"),
    ("GET", "/templates/placeholders"): Rule(200, 200),
    ("POST", "/templates/{id}/fill"): Rule(404, 200, of="template"),
    ("GET", "/senders"): Rule(200, 200),
    ("POST", "/senders"): Rule(404, 201, json='{"mailbox": 1, "name": "y"}'),
    ("POST", "/senders/{id}/remove"): Rule(404, 200, of="sender2"),
    ("GET", "/signatures"): Rule(200, 200),
    ("POST", "/signatures"): Rule(200, 200, json='{"html": "x"}'),
    ("GET", "/threads/{id}"): Rule(404, 200, of="thread"),
    ("POST", "/threads/{id}/answering"): Rule(404, 200, of="thread"),
    ("POST", "/threads/{id}/answering/end"): Rule(404, 200, of="thread"),
    ("GET", "/outbox/{id}"): Rule(404, 404, of="message"),  # it came in
    ("GET", "/outbox/{id}/history"): Rule(404, 200, of="message"),
    ("POST", "/messages/{id}/send-again"): Rule(404, 409, of="message"),
    ("POST", "/messages/{id}/accept-as-sent"): Rule(404, 409, of="message"),
    ("GET", "/queue"): Rule(200, 200),
    ("POST", "/queue/{id}/claim"): Rule(404, 200, of="item"),
    ("POST", "/queue/{id}/release"): Rule(404, 200, of="item"),
    ("POST", "/queue/{id}/done"): Rule(404, 409, of="item"),
    ("GET", "/leads/{id}"): Rule(404, 200, of="lead"),
    ("POST", "/leads/{id}/convert"): Rule(404, 200, of="lead"),
    ("GET", "/clients/{id}/timeline"): Rule(200, 200, of="client"),
    # a bulk edit takes a right of its own, and an operation is its maker's and the administrators'
    **{
        ("POST", f"/{entity.plural}/bulk"): Rule(403, 403, json=BULK)
        for entity in registry.kinds().values()
        if entity.is_editable
    },
    ("GET", "/operations"): Rule(200, 200),
    ("GET", "/operations/{id}"): Rule(404, 404),
    ("GET", "/operations/{id}/rows"): Rule(404, 404),
    ("POST", "/operations/{id}/cancel"): Rule(404, 404),
    ("POST", "/operations/{id}/resume"): Rule(404, 404),
    ("POST", "/operations/{id}/undo"): Rule(404, 404),
    # everybody reads the lists of values and the characteristics, whoever keeps them changes them
    ("GET", "/dictionaries"): Rule(200, 200),
    ("GET", "/dictionaries/{name}"): Rule(200, 200, of="list"),
    ("GET", "/dictionaries/{name}/{id}"): Rule(404, 404, of="list"),
    ("POST", "/dictionaries/{name}"): Rule(403, 403, of="list", json='{"label": {"ru": "x"}}'),
    ("PATCH", "/dictionaries/{name}/{id}"): Rule(403, 403, of="list", json="{}"),
    ("DELETE", "/dictionaries/{name}/{id}"): Rule(403, 403, of="list"),
    ("POST", "/dictionaries/{name}/{id}/merge"): Rule(403, 403, of="list", json='{"into": "x"}'),
    ("GET", "/characteristics"): Rule(200, 200),
    ("GET", "/characteristics/{id}"): Rule(404, 404),
    ("POST", "/characteristics"): Rule(403, 403, json='{"kind": "client", "type": "text", "label": {"ru": "x"}}'),
    ("PATCH", "/characteristics/{id}"): Rule(403, 403, json="{}"),
    ("DELETE", "/characteristics/{id}"): Rule(403, 403),
    ("POST", "/characteristics/{id}/change-type"): Rule(403, 403, json='{"type": "text"}'),
    ("GET", "/match"): Rule(400, 400),
    ("POST", "/mailboxes"): Rule(403, 403, json=BOX_JSON),
    ("GET", "/mailboxes/{id}"): Rule(404, 404),
    ("GET", "/mailboxes/{id}/history"): Rule(404, 404),
    ("POST", "/mailboxes/{id}"): Rule(404, 404, json='{"enabled": false}'),
    ("POST", "/mailboxes/{id}/test"): Rule(404, 404),
    ("GET", "/sessions"): Rule(200, 200),
    ("POST", "/sessions/{id}/end"): Rule(404, 404, of="session"),
    ("GET", "/tokens"): Rule(200, 200),
    ("POST", "/tokens/{id}/revoke"): Rule(404, 404, of="token"),
    ("GET", "/teams/{id}/rules"): Rule(403, 403),
    ("POST", "/teams/{id}/rules"): Rule(403, 403, json='{"personal_s": 1}'),
    ("GET", "/blocked"): Rule(403, 403),
    ("POST", "/blocked"): Rule(403, 403, json='{"kind": "hidden"}'),
    ("POST", "/blocked/{id}/remove"): Rule(403, 403),
    ("GET", "/route"): Rule(403, 403),
    ("GET", "/events"): Rule(200, 200),
    ("GET", "/views"): Rule(200, 200),
    ("POST", "/views"): Rule(201, 201, json='{"kind": "client", "name": "y"}'),
    ("GET", "/views/{id}"): Rule(404, 404, of="view"),
    ("PATCH", "/views/{id}"): Rule(404, 404, of="view", json='{"name": "z"}'),
    ("DELETE", "/views/{id}"): Rule(404, 404, of="view"),
    ("GET", "/presence"): Rule(200, 200),
    ("POST", "/presence"): Rule(200, 200, json='{"state": "away"}'),
    ("GET", "/devices"): Rule(200, 200),
    ("GET", "/wallboard/{team}"): Rule(404, 200, of="team"),
}


NEAR: dict[str, tuple[str, str]] = {
    "user": ("foreign", "own"),
    "team": ("foreign", "team"),
    "lead": ("foreign", "team"),
    "template": ("foreign", "team"),
}
"""What the object of a kind is to the stranger and to olga; another kind's is foreign to both."""
REACHES = {"none": (), "own": ("own",), "team": ("own", "team"), "all": ("own", "team", "foreign")}


def _takes_away(grants: Any, kind: str) -> Rule:
    """What an export answers to whoever the role lets take a list away, and to whoever it does not."""
    status = 403 if scope_in(grants, kind, "export") == "none" else 200
    return Rule(status, status)


def of_kind(kind: str, path: str, *, moment: str, is_editable: bool) -> None:
    """Add the rules of a kind of record, as the role of both, manager, grants them."""
    grants, near = PRESET["manager"].grants, NEAR.get(kind, ("foreign", "foreign"))

    def may(action: Action, one: str) -> bool:
        return one in REACHES[scope_in(grants, kind, action)]

    def rule(action: Action, done: int = 200, **sent: str) -> Rule:
        told = [404 if not may("see", one) else done if may(action, one) else 403 for one in near]
        return Rule(*told, of=kind, **sent)

    listed = Rule(200, 200)
    lists = {("GET", path): listed, ("GET", f"{path}/count"): listed}
    RULES.update(lists | {("GET", f"{path}/names"): listed})
    API_RULES.update(lists)
    RULES[("GET", f"{path}/filter")] = Rule(200, 200, query=f"field={moment}")
    RULES[("POST", f"{path}/filter")] = Rule(204, 204, form=f"field={moment}&op=is_filled")
    for piece in ("columns", "views", "views/new"):
        RULES[("GET", f"{path}/{piece}")] = listed
    RULES[("POST", f"{path}/columns")] = Rule(204, 204, form=f"column={moment}")
    RULES[("GET", f"{path}/export")] = API_RULES[("GET", f"{path}/export")] = _takes_away(grants, kind)
    saved = 403 if scope_in(grants, kind, "see") == "none" else 204
    RULES[("POST", f"{path}/views")] = Rule(saved, saved, form="name=x")
    for piece in ("", "/list", "/move", "/delete"):
        RULES[("POST", f"{path}/views/{{id}}{piece}")] = Rule(404, 404, of="view", form="name=y")
    RULES[("GET", f"{path}/views/{{id}}")] = Rule(404, 404, of="view")
    if not is_editable:
        for piece in ("", "/history"):
            API_RULES.setdefault(("GET", f"{path}/{{id}}{piece}"), rule("see"))
        return
    bulk = 403 if scope_in(grants, kind, "bulk") == "none" else 200
    RULES[("GET", f"{path}/bulk")] = Rule(bulk, bulk)
    RULES[("POST", f"{path}/bulk")] = Rule(403, 403, form="field=none") if bulk == 403 else Rule(422, 422, form="x=y")
    archived = 403 if bulk == 403 or scope_in(grants, kind, "delete") == "none" else 204
    for piece in ("archive", "restore"):
        RULES[("POST", f"{path}/bulk/{piece}")] = Rule(archived, archived)
    API_RULES[("GET", f"{path}/{{id}}")] = rule("see")
    RULES.update({("GET", f"{path}/{{id}}"): rule("see"), ("GET", f"{path}/{{id}}/history"): rule("see")})
    may_create = scope_in(grants, kind, "create") != "none"
    new, made, posted = (200, 204, 201) if may_create else (403, 403, 403)
    RULES.update(
        {
            ("GET", f"{path}/new"): Rule(new, new),
            ("POST", path): Rule(made, made, form=NEW_FORM.get(kind, "name=x")),
            ("GET", f"{path}/{{id}}/properties"): rule("see"),
            ("GET", f"{path}/{{id}}/edit"): rule("see"),
            ("POST", f"{path}/{{id}}"): rule("edit"),
            ("POST", f"{path}/{{id}}/archive"): rule("delete", 204),
            ("POST", f"{path}/{{id}}/restore"): rule("delete", 204),
        }
    )
    API_RULES.update(
        {
            ("GET", f"{path}/{{id}}/history"): rule("see"),
            ("POST", path): Rule(posted, posted, json=NEW.get(kind, '{"name": "x"}')),
            ("PATCH", f"{path}/{{id}}"): rule("edit", json="{}"),
            ("DELETE", f"{path}/{{id}}"): rule("delete"),
            ("POST", f"{path}/{{id}}/restore"): rule("delete"),
        }
    )


NEW_FORM = {"user": "name=x&email=x%40hub.test&role=1", "lead": "address=x%40lead.test"}
NEW = {"user": '{"name": "x", "email": "x@hub.test", "role": 1}', "lead": '{"address": "y@lead.test"}'}
for web in KINDS:
    asked = next(field.name for field in web.entity.fields if field.type == "moment")
    of_kind(web.entity.kind, web.path, moment=asked, is_editable=web.entity.is_editable)
    if web.who == "admin":
        for rules in (RULES, API_RULES):
            rules.update({one: Rule(403, 403) for one in rules if f"{one[1]}/".startswith(f"{web.path}/")})
    if web.pages_who == "admin":
        of_base = ((one.method, one.path) for one in RecordPages(web).routes() if not one.path.endswith("/names"))
        RULES.update({one: Rule(403, 403) for one in of_base})
# The team of a new template is the manager's, and another's than the stranger's.
RULES[("POST", "/templates")] = Rule(422, 204, form="name=x&html=x&team=1")
API_RULES[("POST", "/templates")] = Rule(403, 201, json='{"name": "y", "text": "x", "team": 1}')
EVERY = {**RULES, **{(method, f"/api/v1{path}"): rule for (method, path), rule in API_RULES.items()}}


@pytest.fixture
async def site(db: Database, blobs: BlobStore, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(db, blobs, settings=settings_for(tmp_path)) as running:
        yield running


@pytest.fixture
async def ids(site: Site) -> dict[str, int]:
    """The team's own things that the stranger tries to reach; none of them is on a client's card."""
    await site.person("olga", extension="101")
    await site.person("stranger", team="support", extension="201")
    api = await site.api("olga")
    call_id, item_id, _ = await talk.waiting_call(site.db, number="89031112233")
    recording_id, _ = await recorded(site.db, site.app[SERVICES].settings, number="89035556688")
    await site.person("pavel", extension="103")
    talk_id, _, waiting = await talk.waiting_call(site.db, number="89035556677")
    await talk.talking(site.db, waiting, extension="103")
    async with api.post("calls", json={"to": "+74951230000"}) as answer:
        intent = (await answer.json())["intent"]
    message_id = await talk.message(site.db, site.blobs, files=(("a.txt", "text/plain", b"a"),))
    colleague = await site.api("pavel")
    chief = (await site.person("chief", role="admin", team=None)).user_id
    async with site.db.begin() as conn:
        await people.open_session(conn, chief, user_agent="", now=utc_now())
        await tokens.make(conn, "chief@hub.test", now=utc_now())
        theirs = {
            "session": (await sessions.open_of(conn, chief, now=utc_now()))[0].id,
            "token": (await tokens.listed(conn, user_id=chief))[0].id,
        }
    async with colleague.post("drafts", json={"mailbox": "sales@hub.test", "text": "между нами"}) as answer:
        draft = (await answer.json())["id"]
    async with api.post("clients", json={"name": "Ромашка", "contacts": [{"name": "Анна"}]}) as answer:
        client = await answer.json()
    async with site.db.read() as conn:
        mailbox_id = (await conn.execute(sa.select(messages.c.mailbox_id).where(messages.c.id == message_id))).scalar()
    assert mailbox_id is not None
    team = min(site.actors["olga"].team_ids)
    async with api.post("templates", json={"name": "a", "team": team, "text": "x"}) as answer:
        template = (await answer.json())["id"]
    senders = []
    for name in ("a", "b"):
        async with api.post("senders", json={"mailbox": 1, "name": f"o {name}"}) as answer:
            items = (await answer.json())["items"]
        senders.append(next(one["id"] for one in items if one["name"] == f"o {name}"))
    owner = await site.person("viewer")
    async with site.db.begin() as conn:
        edit = Edit(owner, "page", utc_now())
        view = await views.create(conn, CLIENTS, owner, views.ViewInput(name="Private"), edit=edit, zone=UTC)
    return {
        "session": theirs["session"],
        "token": theirs["token"],
        "mailbox": mailbox_id,
        "template": template,
        "sender": senders[0],
        "sender2": senders[1],
        "call": call_id,
        "talk": talk_id,
        "intent": intent,
        "item": item_id,
        "recording": recording_id,
        "message": message_id,
        "draft": draft,
        "attachment": (await got(api, f"messages/{message_id}"))["attachments"][0]["id"],
        "thread": (await got(api, f"messages/{message_id}"))["thread"],
        "lead": (await got(api, "leads"))["items"][0]["id"],
        "client": client["id"],
        "contact": client["contacts"][0]["id"],
        "team": min(site.actors["olga"].team_ids),
        "user": site.actors["olga"].user_id,
        "view": view.id,
    }


async def ask(client: aiohttp.ClientSession, key: tuple[str, str], ids: dict[str, int]) -> tuple[int, str]:
    method, path = key
    rule = EVERY.get(key, Rule(0, 0))
    path = path.replace("{id}", str(ids.get(rule.of, 1))).replace("{team}", str(ids.get(rule.of, 1)))
    path = path.replace("{file}", "1").replace("{token}", "unknown").replace("{page}", "none")
    path = path.replace("{name}", "client_source" if rule.of == "list" else "none")
    headers = {"HX-Request": "true"} if not path.startswith("/api") and path != "/logout" else {}
    data: str | None = None
    if rule.query:
        path += f"?{rule.query}"
    if rule.form:
        headers["Content-Type"], data = "application/x-www-form-urlencoded", rule.form
    if rule.json:
        headers["Content-Type"], data = "application/json", rule.json
    async with client.request(method, path, headers=headers, data=data, allow_redirects=False) as answer:
        location = answer.headers.get("Location", "") or answer.headers.get("HX-Redirect", "")
        return answer.status, location


def test_every_route_of_the_router_has_a_rule_here(site: Site) -> None:
    # HEAD is GET by the same door and handler.
    served = [r for r in site.app.router.routes() if r.method != "HEAD"]
    routes = {(r.method, r.resource.canonical) for r in served if r.resource is not None}
    assert routes == set(PUBLIC) | set(EVERY)
    assert {(r.method, r.path) for r in ROUTES} == set(PUBLIC) | set(EVERY)


async def test_nobody_gets_nothing_but_the_public_routes(site: Site, ids: dict[str, int]) -> None:
    nobody = await site.browser(None)
    for key, status in PUBLIC.items():
        assert (await ask(nobody, key, ids))[0] == status, key
    for key in EVERY:
        status, location = await ask(nobody, key, ids)
        assert status in (401, 303), key
        assert status == 401 or location.startswith("/login"), key


async def test_a_stranger_to_the_team_reaches_none_of_its_things(site: Site, ids: dict[str, int]) -> None:
    api, browser = await site.api("stranger"), await site.browser("stranger")
    for key, rule in EVERY.items():
        if key != ("POST", "/logout"):
            client = api if key[1].startswith("/api") else browser
            assert (await ask(client, key, ids))[0] == rule.stranger, key


async def test_a_manager_of_the_team_does_reach_them(site: Site, ids: dict[str, int]) -> None:
    """The other half: the answers above come from the rule, not from a path that leads nowhere."""
    api, browser = await site.api("olga"), await site.browser("olga")
    for client, rules in ((browser, RULES), (api, API_RULES)):
        if client is api:
            call_id, item_id, _ = await talk.waiting_call(site.db, number="89034445566")
            ids |= {"call": call_id, "item": item_id}
            ids |= {"lead": (await got(api, "leads", q="89034445566"))["items"][0]["id"]}
        for method, path in rules:
            if path in ("/logout", "/leads/{id}/close") and client is browser:
                continue
            key = (method, f"/api/v1{path}" if client is api else path)
            status, _ = await ask(client, key, ids)
            assert status == EVERY[key].olga, key


OWN = ("/logout", "/language", "/presence", "/me/", "/sessions", "/tokens", "/signatures")
READS = ("/filter", "/fill", "/pictures", "/answering/end", "/columns", "/views")
"""What even an observer changes: their own session, presence, signature; what changes their own view, or nothing."""


async def test_an_observer_in_the_team_changes_nothing(site: Site, ids: dict[str, int]) -> None:
    await site.person("oskar", role="observer", extension="109")
    api, browser = await site.api("oskar"), await site.browser("oskar")
    done = []
    for key in EVERY:
        method, path = key[0], key[1].removeprefix("/api/v1")
        if method == "GET" or path.startswith(OWN) or path.endswith(READS):
            continue
        status, location = await ask(api if key[1] != path else browser, key, ids)
        if status < 400 and not (path == "/compose" and status == 200):
            done.append((key, status, location))
    assert done == [], "\n".join(map(str, done))


async def test_each_list_keeps_the_teams_things_from_a_stranger(site: Site, ids: dict[str, int]) -> None:
    """List, search and filters leak nothing that the direct address hides."""
    foreign = await site.api("stranger")
    for path, params in (
        ("calls", {}),
        ("calls", {"linked_id": "1795461316.1"}),
        ("calls", {"from": "89031112233"}),
        ("calls", {"team": str(min(site.actors["olga"].team_ids))}),
        ("messages", {}),
        ("messages", {"q": "Счёт"}),
        ("messages", {"mailbox": "sales@hub.test"}),
        ("queue", {}),
        ("queue", {"state": "claimed"}),
        ("leads", {}),
        ("leads", {"state": "any"}),
    ):
        assert (await got(foreign, path, **params))["items"] == [], (path, params)
