"""Roles on the web: the grid of kinds and actions in card and form, and a new role as a copy of another."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import records
from hub.crm.base.permissions import ACTIONS, EVERY_KIND, SCOPES
from hub.crm.people import USERS
from hub.crm.roles import rights
from hub.crm.roles.table import ACTION_LABELS, ROLES, SCOPE_LABELS, RoleRecord
from hub.store import changes
from hub.web import render
from hub.web.api.shapes import one_of
from hub.web.base import forms, schema
from hub.web.base.kind import FieldTemplate, WebKind
from hub.web.base.record_page import read_card
from hub.web.request_context import RequestContext

PEOPLE = 200


class GrantShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scope of a role for one action on one kind; `*` stands for every kind without a grant of its own."""

    kind: Annotated[str, msgspec.Meta(max_length=40)]
    action: Annotated[str, one_of(*ACTIONS)]
    scope: Annotated[str, one_of(*SCOPES)]


schema.add_type("grant", answered=GrantShape, sent=GrantShape)


class CopyQuery(msgspec.Struct, frozen=True, kw_only=True):
    copy: int | None = None


async def _copied(conn: AsyncConnection, ctx: RequestContext) -> dict[str, str]:
    """Return what a new role begins with: the grants, rights and pages of the one it is made from."""
    source = ctx.query(CopyQuery).copy
    if source is None:
        return {}
    role = await records.get(conn, ctx.actor, ROLES, source)
    values = {field.name: ROLES.value(role, field) for field in ROLES.input_fields}
    texts = forms.texts_of(ROLES.input_fields, values, ctx)
    return {name: text for name, text in texts.items() if name != "name"}


def grid() -> dict[str, Any]:
    """Return the rows and columns of the grid of grants."""
    return {
        "kinds": {EVERY_KIND: ""} | {word: entity.titles for word, entity in rights.granted_kinds().items()},
        "known": {EVERY_KIND: ACTIONS} | {word: rights.actions_on(one) for word, one in rights.granted_kinds().items()},
        "actions": ACTION_LABELS,
        "scopes": SCOPE_LABELS,
    }


def granted(text: str) -> dict[tuple[str, str], str]:
    """Return the scopes of a form's text of grants, by kind and action."""
    found = (line.split() for line in text.splitlines())
    return {(words[0], words[1]): words[2] for words in found if len(words) == 3}


WEB = WebKind(
    entity=ROLES,
    icon="lock",
    new_texts=_copied,
    field_templates={"grants": FieldTemplate("role/grid_field.html", lambda text: grid() | {"granted": granted(text)})},
)


async def card(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        found = await read_card(conn, ctx, WEB, ctx.id())
        role: RoleRecord = found.row
        held = USERS.table.c.role_id == role.id
        people = await records.page(conn, ctx.actor, USERS, where=held, limit=PEOPLE)
    scopes = {(one.kind, one.action): one.scope for one in role.grants}
    return render.page(ctx, "role.html", {"card": found, "granted": scopes, "people": people.items} | grid(), feed=feed)
