"""Leads on the web: the tabs by state, making a client of one, closing one, and their own object in the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import leads
from hub.crm.base import permissions, records
from hub.crm.base.conditions.tree import EVERYTHING, Leaf, Tree, top_leaves
from hub.crm.base.history import Way
from hub.crm.clients import CLIENTS, ClientKind
from hub.crm.clients.names import guessed_kind
from hub.crm.leads import LEADS, Lead
from hub.errors import Refused
from hub.store import changes
from hub.web import render
from hub.web.api.endpoint import Endpoint
from hub.web.api.shapes import Ref, ref
from hub.web.base.answers import answers
from hub.web.base.kind import RecordQuery, WebKind
from hub.web.base.record_page import read_card
from hub.web.crm import clients
from hub.web.request_context import RequestContext
from hub.web.routes import Route


class LeadQuery(RecordQuery, frozen=True, kw_only=True):
    state: Literal["open", "converted", "closed", "any"] | None = None
    """Without it open ones are listed, unless a view or a condition says of what state."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client that a lead becomes; without a name it keeps its own, without a kind the name tells it."""

    name: str | None = None
    kind: Literal["organisation", "person"] | None = None


def _narrow_tree(query: LeadQuery, tree: Tree) -> Tree:
    is_said = query.view or query.changed_view or any(leaf.field == "state" for leaf in top_leaves(tree))
    state = query.state or ("any" if is_said else "open")
    return EVERYTHING if state == "any" else Leaf("state", "is", [state])


async def _owners(_conn: AsyncConnection, _ctx: RequestContext, rows: Sequence[Lead]) -> list[dict[str, Any]]:
    """Return the manager of each lead by the word that the queue has for them."""
    return [{"owner": msgspec.to_builtins(ref(row.owner_id, row.owner_name))} for row in rows]


async def _detail(conn: AsyncConnection, _ctx: RequestContext, rows: Sequence[Lead]) -> list[Lead]:
    return await leads.detailed(conn, rows)


async def _new_texts(_conn: AsyncConnection, ctx: RequestContext) -> dict[str, str]:
    """A lead made by hand is its maker's, in their team."""
    teams = sorted(ctx.actor.team_ids)
    return {"manager": str(ctx.actor.user_id), "team": str(teams[0])} if teams else {}


async def card(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        found = await read_card(conn, ctx, WEB, ctx.id())
    return render.page(ctx, "lead.html", {"card": found, "may_end": may_end(ctx)}, feed=feed)


def may_end(ctx: RequestContext) -> bool:
    """Tell whether the reader may convert and close the leads that they see."""
    return permissions.scope(ctx.actor, "lead", "edit") != "none"


async def _convert(
    conn: AsyncConnection, ctx: RequestContext, *, name: str | None, kind: ClientKind | None, way: Way
) -> int:
    lead = await leads.find(conn, ctx.id(), actor=ctx.actor)
    name = lead.name if name is None else name
    if not name.strip():
        raise Refused("name_missing", "a client needs a name", field="name")
    kind = kind or guessed_kind(name) or "person"
    return await leads.convert(conn, ctx.actor, lead.id, kind=kind, name=name, way=way, now=ctx.now)


async def convert_page(ctx: RequestContext) -> web.StreamResponse:
    kind = read_kind(text) if (text := ctx.form.text("kind")) else None
    async with ctx.db.begin() as conn:
        client_id = await _convert(conn, ctx, name=ctx.form.text("name", max_chars=300) or None, kind=kind, way="page")
    return render.redirect(ctx, f"/clients/{client_id}")


def read_kind(text: str) -> ClientKind:
    """Read what kind of client a form means. Raises Refused."""
    kinds: dict[str, ClientKind] = {"organisation": "organisation", "person": "person"}
    if text not in kinds:
        raise Refused("bad_kind", "a client is an organisation or a person", field="kind")
    return kinds[text]


async def close_page(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await leads.close(conn, ctx.actor, ctx.id(), way="page", now=ctx.now)
    return render.redirect(ctx, "/leads")


async def convert_call(conn: AsyncConnection, ctx: RequestContext, body: Conversion) -> dict[str, Any]:
    client_id = await _convert(conn, ctx, name=body.name, kind=body.kind, way="api")
    client = await records.get(conn, ctx.actor, CLIENTS, client_id)
    return (await answers(conn, ctx, clients.WEB, [client]))[0]


WEB = WebKind(
    entity=LEADS,
    query=LeadQuery,
    narrow_tree=_narrow_tree,
    detail=_detail,
    more_types=(("owner", Ref | None),),
    more=_owners,
    new_texts=_new_texts,
    list_template="leads.html",
    subtitle="state",
    icon="target",
)
ROUTES = (Route("POST", "/leads/{id}/convert", convert_page), Route("POST", "/leads/{id}/close", close_page))
ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/leads/{id}/convert",
        summary="Make a client of a lead",
        writes=convert_call,
        body=Conversion,
        answer=clients.CREATE.answer,
    ),
)
