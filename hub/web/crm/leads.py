"""Leads on the web: the tabs by state, making a client of one, closing one, and their own object in the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import leads
from hub.crm.base import records
from hub.crm.choices import LeadAddressKind, LeadReason, LeadState
from hub.crm.clients import CLIENTS, ClientKind
from hub.crm.leads import LEADS, Lead
from hub.crm.models import leads as table
from hub.errors import Refused
from hub.web import render
from hub.web.api.endpoint import Endpoint
from hub.web.api.shapes import Moment, Ref, Shape, at, ref
from hub.web.base.answers import answers
from hub.web.base.kind import Answer, RecordQuery, WebKind
from hub.web.crm import clients
from hub.web.request_context import RequestContext
from hub.web.routes import Route


class LeadQuery(RecordQuery, frozen=True, kw_only=True):
    state: Literal["open", "converted", "closed", "any"] = "open"


class LeadShape(Shape, frozen=True, kw_only=True):
    id: int
    team: Ref
    state: Annotated[str, LeadState.schema()]
    reason: Annotated[str, LeadReason.schema()]
    name: str
    address_kind: Annotated[str, LeadAddressKind.schema()]
    address: str
    client: int | None
    contact: int | None
    owner: Ref | None
    times: int
    created_at: Moment
    last_at: Moment


class Conversion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client that a lead becomes; without a name it keeps its own."""

    name: str | None = None
    kind: Literal["organisation", "person"] = "person"


def shape(row: Lead) -> LeadShape:
    return LeadShape(
        id=row.id,
        team=Ref(id=row.team_id, name=row.team_name),
        state=row.state,
        reason=row.reason,
        name=row.name,
        address_kind=row.address_kind,
        address=row.address,
        client=row.client_id,
        contact=row.contact_id,
        owner=ref(row.owner_id, row.owner_name),
        times=row.times,
        created_at=at(row.created_at),
        last_at=at(row.last_at),
    )


def _narrow(_ctx: RequestContext, query: LeadQuery) -> sa.ColumnElement[bool] | None:
    return None if query.state == "any" else table.c.state == query.state


async def _detail(conn: AsyncConnection, _ctx: RequestContext, rows: Sequence[Lead]) -> list[Lead]:
    return await leads.detailed(conn, rows)


async def _convert(conn: AsyncConnection, ctx: RequestContext, *, name: str | None, kind: ClientKind) -> int:
    lead = await leads.find(conn, ctx.id(), actor=ctx.actor)
    name = lead.name if name is None else name
    if not name.strip():
        raise Refused("name_missing", "a client needs a name", field="name")
    return await leads.convert(conn, ctx.actor, lead.id, kind=kind, name=name, now=ctx.now)


async def convert_page(ctx: RequestContext) -> web.StreamResponse:
    kind = read_kind(ctx.form.text("kind") or "person")
    async with ctx.db.begin() as conn:
        client_id = await _convert(conn, ctx, name=ctx.form.text("name", max_chars=300) or None, kind=kind)
    return render.redirect(ctx, f"/clients/{client_id}")


def read_kind(text: str) -> ClientKind:
    """Read what kind of client a form means. Raises Refused."""
    kinds: dict[str, ClientKind] = {"organisation": "organisation", "person": "person"}
    if text not in kinds:
        raise Refused("bad_kind", "a client is an organisation or a person", field="kind")
    return kinds[text]


async def close_page(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await leads.close(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, "/leads")


async def convert_call(conn: AsyncConnection, ctx: RequestContext, body: Conversion) -> dict[str, Any]:
    client_id = await _convert(conn, ctx, name=body.name, kind=body.kind)
    client = await records.get(conn, ctx.actor, CLIENTS, client_id)
    return (await answers(conn, ctx, clients.WEB, [client]))[0]


WEB = WebKind(
    entity=LEADS,
    query=LeadQuery,
    narrow=_narrow,
    detail=_detail,
    answer=Answer(LeadShape, shape),
    list_template="leads.html",
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
